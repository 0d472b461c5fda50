"""The command line: exit codes, what is printed where, and what happens to those who stop listening."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import jsonschema
import pytest
from tests import machines

from migprep import cli, inspection, memory, rules
from migprep.model import Result, Status, Waiver
from migprep.report import document

#: For processes of their own.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}

SCHEMA = json.loads((Path(document.__file__).parent / "report-1.0.json").read_text())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that `--root` takes, and no site files."""
    for path, content in machines.FILES.items():
        file = tmp_path / "root" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(content, bytes)
        file.write_bytes(content)
    monkeypatch.setattr(inspection, "SITE", str(tmp_path / "site"))
    for name in ("begin", "load_rules", "load_targets", "load_waivers"):
        kept = getattr(inspection, name)
        monkeypatch.setattr(kept, "__defaults__", (str(tmp_path / "site"),))
    return tmp_path / "root"


def judged_as(monkeypatch: pytest.MonkeyPatch, *results: Result) -> None:
    """Let every check end in these results."""
    monkeypatch.setattr(rules, "load", lambda: machines.RULES)
    monkeypatch.setattr(inspection, "judge", lambda work: {one.name: results for one in work.targets})


PASSED = Result("storage/fine", "kvm", Status.PASS)


@pytest.mark.parametrize(
    "argv", [[], ["chekc"], ["check", "--format", "xml"], ["check", "--fail-on", "never"], ["explain"], ["capture"]]
)
def test_usage_is_64(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 64
    assert capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["check", "--help"], ["fix", "--help"]])
def test_help_is_0(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 0
    assert capsys.readouterr().out


def test_unknown_target_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--target", "kwm"]) == 64
    said = capsys.readouterr()
    assert "kvm-scsi" in said.err
    assert said.out == ""


def test_unknown_rule_names_its_neighbours(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rules, "load", lambda: machines.RULES)
    assert cli.main(["explain", "fstab/volatile-device"]) == 64
    assert "did you mean fstab/volatile-device-name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "inspect the machine"),
        (["fix", "--only", "fstab/volatile-devic-name"], "did you mean fstab/volatile-device-name"),
        (["check", "--output", "html="], "which file?"),
        (["explain", "deadbeef", "--root", "ROOT"], "no finding of this machine has the fingerprint deadbeef (on kvm"),
        (["history", "--root", "CAPTURE"], "a capture does not tell what fix has done"),
        (["rollback", "--root", "CAPTURE"], "a capture cannot be changed"),
    ],
)
def test_one_sentence_says_what_was_meant(
    machine: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    packed = machine.parent / "web1.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(machine, ".")
    places = {"ROOT": str(machine), "CAPTURE": str(packed)}
    assert cli.main([places.get(word, word) for word in argv]) == 64
    heard = capsys.readouterr()
    assert said in heard.err and heard.out == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe\0", "broken.yaml: not YAML in UTF-8: "), (None, "broken.yaml: is a directory (left out")],
)
def test_a_site_file_that_is_no_text_is_one_sentence(
    machine: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    path = machine.parent / "site/rules.d/broken.yaml"
    path.parent.mkdir(parents=True)
    path.mkdir() if content is None else path.write_bytes(content)
    cli.main(["check", "--root", str(machine)])
    told = [line for line in capsys.readouterr().err.split("\n") if "broken.yaml" in line]
    assert len(told) == 1 and said in told[0] and "\\n" not in told[0] and "Errno" not in told[0]


def test_root_that_is_not_there_is_64(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--root", "/no/such/root"]) == 64
    assert capsys.readouterr().err == "migprep: --root /no/such/root: there is no such directory or capture\n"


@pytest.mark.parametrize(
    ("fail_on", "results", "code"),
    [
        ("blocker", [PASSED], 0),
        ("blocker", [machines.fails("fstab/volatile-device-name", "kvm")], 2),
        ("blocker", [machines.fails("network/static-address", "kvm")], 0),
        ("high", [machines.fails("network/static-address", "kvm")], 2),
        ("high", [machines.fails("cpu/bound-module", "kvm")], 0),
        ("low", [machines.fails("cpu/bound-module", "kvm")], 2),
        ("blocker", [Result("storage/fine", "kvm", Status.UNKNOWN, "no /etc/fstab")], 3),
        ("blocker", [Result("network/static-address", "kvm", Status.UNKNOWN, "no /etc")], 0),
        (
            "blocker",
            [Result("storage/fine", "kvm", Status.UNKNOWN, "no"), machines.fails("fstab/volatile-device-name", "kvm")],
            2,
        ),
    ],
)
def test_exit_code_of_check(
    fail_on: str, results: list[Result], code: int, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, *results)
    assert cli.main(["check", "--root", str(machine), "--fail-on", fail_on]) == code


def test_waived_findings_do_not_count(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waived = machines.finding("fstab/volatile-device-name", waiver=Waiver("known", "2999-01-01"))
    judged_as(monkeypatch, machines.fails("fstab/volatile-device-name", "kvm", waived))
    assert cli.main(["check", "--root", str(machine)]) == 0


def test_no_rules_is_no_verdict(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rules, "load", lambda: ())
    assert cli.main(["check", "--root", str(machine)]) == 1
    assert "holds no rules" in capsys.readouterr().err


def test_a_rule_that_crashes_is_unknown(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIGPREP_DEBUG", raising=False)
    monkeypatch.setattr(rules, "load", lambda: (machines.rule("a/b", needs=["system"], when="system.spek"),))
    assert cli.main(["check", "--root", str(machine)]) == 3


def test_json_keeps_the_schema(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged_as(monkeypatch, *machines.results("kvm"))
    assert cli.main(["check", "--root", str(machine), "--format", "json"]) == 2
    report = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["host"]["name"] == "web1"
    assert report["run"]["root"] == str(machine)


def test_output_is_whole_and_private(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged_as(monkeypatch, *machines.results("kvm"))
    out = tmp_path / "report.json"
    out.write_text("old")
    out.chmod(0o644)
    assert cli.main(["check", "--root", str(machine), "--format", "json", "--output", str(out)]) == 2
    assert json.loads(out.read_text())["schema"] == "migprep/report/1.0"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert capsys.readouterr().out.splitlines()[0].startswith("kvm: NOT READY")
    assert [name for name in os.listdir(tmp_path) if name.endswith(".new")] == []


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "missing folder"])
def test_output_refuses_what_is_no_file(
    kind: str, machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, PASSED)
    out = tmp_path / "out"
    if kind == "link":
        (tmp_path / "precious").write_text("precious")
        out.symlink_to(tmp_path / "precious")
    elif kind == "folder":
        out.mkdir()
    elif kind == "fifo":
        os.mkfifo(out)
    else:
        out = tmp_path / "no" / "such" / "out"
    assert cli.main(["check", "--root", str(machine), "--output", str(out)]) == 78
    if kind == "link":
        assert (tmp_path / "precious").read_text() == "precious"


# --- site files ---


def site_file(machine: Path, name: str, words: str) -> Path:
    """A file of the site's."""
    path = machine.parent / "site" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words)
    return path


SITE_RULE = """
id: site/hostname
title: The host has a name
severity: low
link: services
needs: [system]
why: Because.
when: system.hostname == "web1"
subject: "{system.hostname}"
message: "{system.hostname} is its name"
evidence: {path: /etc/hostname, observed: "{system.hostname}", expected: another}
"""


def test_site_rule_is_judged(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rules, "load", lambda: (machines.rule("a/b", needs=["system"], when="not system.hostname"),))
    site_file(machine, "rules.d/hostname.yaml", SITE_RULE)
    assert cli.main(["check", "--root", str(machine), "--fail-on", "low"]) == 2
    assert "web1 is its name" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("id: [", "bad.yaml:2: did not find"),
        ("- a list", "bad.yaml:1: must be a mapping"),
        ("id: a/b\nid: c/d\n", "bad.yaml:2: 'id' stands here twice"),
        ("id: a/b\n", "missing member"),
        (SITE_RULE.replace("system.hostname ==", "system.hostnaem =="), "System has no hostnaem"),
        (SITE_RULE.replace("[system]", "[sistem]"), "there is no fact 'sistem'"),
        (SITE_RULE.replace("site/hostname", "a/b"), "rule a/b is defined by test too"),
        (SITE_RULE.replace('system.hostname == "web1"', '__import__("os").system("id")'), "bad.yaml"),
    ],
)
def test_bad_site_rule_is_left_out_alone(
    words: str, told: str, machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rules, "load", lambda: (machines.rule("a/b", needs=["system"], when="not system.hostname"),))
    site_file(machine, "rules.d/bad.yaml", words)
    site_file(machine, "rules.d/good.yaml", SITE_RULE)
    assert cli.main(["check", "--root", str(machine), "--format", "json"]) == 65
    said = capsys.readouterr()
    assert told in said.err
    report = json.loads(said.out)
    assert told in report["run"]["gaps"][-1]["reason"]
    assert "site/hostname" in [result["rule"] for result in report["results"]]


def test_site_target_wins_and_a_bad_one_is_left_out(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged_as(monkeypatch, PASSED)
    kvm = Path(inspection.__file__).parent / "rules/targets/kvm.yaml"
    site_file(machine, "targets.d/ours.yaml", kvm.read_text().replace("name: kvm\n", "name: ours\n"))
    site_file(machine, "targets.d/bad.yaml", "name: bad\n")
    assert cli.main(["check", "--root", str(machine), "--target", "ours"]) == 65
    assert "bad.yaml: missing" in capsys.readouterr().err
    assert cli.main(["targets"]) == 65
    assert "ours" in capsys.readouterr().out


WAIVER = """waivers:
- rule: fstab/volatile-device-name
  subject: /data
  justification: the disk is detached before the move
  expires: {expires}
"""


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (WAIVER.format(expires="2999-12-31"), 0, ""),
        (WAIVER.format(expires="2999-12-31") + "  host: WEB*\n", 0, ""),
        (WAIVER.format(expires="2999-12-31") + "  host: db*\n", 2, ""),
        (WAIVER.format(expires="2020-01-01"), 2, "a.yaml:2: expired on 2020-01-01; what it covered is open again"),
        (WAIVER.format(expires="soon"), 2, "a.yaml:2: expires must be a date"),
        (WAIVER.format(expires="''"), 2, "a.yaml:2: a waiver has an end"),
        (WAIVER.format(expires="2999-12-31").replace("/data", "/srv"), 2, "a.yaml:2: covers nothing"),
        (WAIVER.format(expires="2999-12-31") + "  who: me\n", 2, "unknown member who"),
        (
            WAIVER.format(expires="2999-12-31").replace("  justification: the disk is detached before the move\n", ""),
            2,
            "justification is missing",
        ),
        ("waivers: yes\n", 2, "must hold one list"),
        ("waivers: [\n", 2, "a.yaml"),
    ],
)
def test_waivers(
    words: str, code: int, told: str, machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rules, "load", lambda: machines.RULES)
    monkeypatch.setattr(inspection.evaluate, "evaluate", lambda rule, facts, target: next(
        (one for one in (machines.fails("fstab/volatile-device-name", target.name),) if one.rule == rule.id), Result(rule.id, target.name, Status.PASS)
    ))  # fmt: skip
    site_file(machine, "waivers.d/a.yaml", words)
    assert cli.main(["check", "--root", str(machine)]) == code
    said = capsys.readouterr()
    assert told in " ".join((said.out + said.err).replace("/ ", "/").split())
    assert "CONDITIONAL" in said.out or code


# --- cron, pipes, terminals ---


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where --cron keeps its reports; a priority that would last is not taken."""
    folder = tmp_path / "state" / "reports"
    for function in (memory.last, memory.keep):
        monkeypatch.setattr(function, "__defaults__", (str(folder),))
    monkeypatch.setattr(os, "nice", lambda by: by)
    return folder


def test_cron_speaks_only_of_changes(
    machine: Path, reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    mounts = machines.fails("fstab/volatile-device-name", "kvm")
    other = machines.fails("network/static-address", "kvm")
    for number, results in enumerate(([mounts], [mounts], [mounts, other], [other], [other])):
        monkeypatch.setattr("time.strftime", lambda form, when=None, at=number: f"2026-11-23T10:00:0{at}Z")
        judged_as(monkeypatch, *results)
        code = cli.main(["check", "--root", str(machine), "--cron"])
        words = capsys.readouterr().out
        said.append((code, [one for one in ("NEW (1)", "FIXED (1)", "STILL (1)") if one in words], bool(words)))
    assert said == [
        (2, ["NEW (1)"], True),
        (2, [], False),
        (2, ["NEW (1)", "STILL (1)"], True),
        (0, ["FIXED (1)", "STILL (1)"], True),
        (0, [], False),
    ]
    assert stat.S_IMODE(reports.stat().st_mode) == 0o700
    assert len(list(reports.iterdir())) == 5


def test_cron_keeps_thirty_reports_and_survives_a_damaged_one(
    machine: Path, reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = machines.report()
    for number in range(35):
        document["run"]["started"] = f"2026-11-23T10:00:{number:02}Z"
        path = memory.keep(document)
    names = sorted(one.name for one in reports.iterdir())
    assert len(names) == memory.KEPT and names[0].startswith("2026-11-23T100005Z-")
    Path(path).write_text("{")
    found = memory.last(document)
    assert found and found["run"]["started"] == "2026-11-23T10:00:33Z"


def test_cron_that_can_keep_nothing_tells_all_and_why(
    machine: Path, reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reports.parent.write_text("no folder")
    judged_as(monkeypatch, machines.fails("fstab/volatile-device-name", "kvm"))
    for _ in range(2):
        assert cli.main(["check", "--root", str(machine), "--cron"]) == 2
        said = capsys.readouterr()
        assert "NEW (1)" in said.out
        assert "cannot make" in said.err


def test_splay_is_even_and_stays() -> None:
    waits = [memory.splay(3600, f"{number:032x}") for number in range(400)]
    assert waits == [memory.splay(3600, f"{number:032x}") for number in range(400)]
    assert 0 <= min(waits) < 300 and 3300 < max(waits) < 3600
    assert abs(sum(waits) / len(waits) - 1800) < 150


def test_several_outputs_of_one_run(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged_as(monkeypatch, *machines.results("kvm"))
    plain, page, prom = tmp_path / "a.txt", tmp_path / "a.html", tmp_path / "a=b.prom"
    words = ["--output", str(plain), "--output", f"html={page}", "--output", f"prom={prom}"]
    assert cli.main(["check", "--root", str(machine), *words]) == 2
    assert plain.read_text().startswith("web1") and page.read_text().startswith("<!doctype html>")
    assert "migprep_verdict" in prom.read_text()
    assert [stat.S_IMODE(one.stat().st_mode) for one in (plain, page, prom)] == [0o600, 0o600, 0o644]
    said = capsys.readouterr().out
    assert [line for line in said.split("\n") if line.startswith("report: ")] == [f"report: {one}" for one in (plain, page, prom)]


def test_a_misspelt_format_of_an_output_is_64(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--root", str(machine), "--output", "htm=x.html"]) == 64
    assert "there is no format 'htm'" in capsys.readouterr().err


def test_report_is_converted_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older, newer = tmp_path / "a.json", tmp_path / "b.json"
    document = machines.report()
    older.write_text(json.dumps(document))
    document["results"] = [one for one in document["results"] if one["rule"] != "fstab/volatile-device-name"]
    newer.write_text(json.dumps(document))
    assert cli.main(["report", "convert", str(older), "--format", "nagios"]) == 0
    assert capsys.readouterr().out.startswith("MIGPREP CRITICAL")
    assert cli.main(["report", "diff", str(older), str(older)]) == 0
    assert cli.main(["report", "diff", str(older), str(newer)]) == 2
    assert "FIXED (2)" in capsys.readouterr().out
    assert cli.main(["report", "diff", str(older), str(newer), "--format", "json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["gone"]) == 2
    newer.write_text("{}")
    assert cli.main(["report", "diff", str(older), str(newer)]) == 65
    assert "not a migprep report" in capsys.readouterr().err


def test_whoever_stops_reading_gets_no_traceback(machine: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "migprep", "targets"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )  # noqa: S603
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_full_device_is_told(machine: Path) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "migprep", "targets"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            timeout=60,
            check=False,
        )  # noqa: S603
    assert ended.returncode == 1
    assert b"Traceback" not in ended.stderr
    assert b"No space left" in ended.stderr


def test_internal_error_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(options: object) -> int:
        raise RuntimeError("oops")

    monkeypatch.setitem(cli.VERBS, "targets", broken)
    monkeypatch.delenv("MIGPREP_DEBUG", raising=False)
    assert cli.main(["targets"]) == 1
    assert (
        capsys.readouterr().err
        == "migprep: internal error, no verdict: RuntimeError: oops (MIGPREP_DEBUG=1 shows where)\n"
    )


def test_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "targets", stopped)
    assert cli.main(["targets"]) == 130


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "C.utf8"}, True),
        ({"LANG": "de_DE"}, False),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, False),  # cron: Python set this itself
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C.UTF-8"}, True),
        ({}, False),
    ],
)
def test_locale(environment: dict[str, str], expected: bool) -> None:
    assert cli.is_utf8(environment) is expected


def test_help_and_version_import_next_to_nothing() -> None:
    words = "import sys; from migprep.cli import main; main(['--help']); print(*[n for n in sys.modules if n.startswith('migprep')])"
    said = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, env=ENVIRONMENT, check=True
    ).stdout.split()  # noqa: S603
    assert {word for word in said if word.startswith("migprep.")} <= {"migprep", "migprep.cli", "migprep.typed"}
