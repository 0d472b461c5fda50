"""A fleet: merged in any order, counted by hand, hostile files told and never fatal, memory that does not grow."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import machines
from tests.test_report_formats import HOSTILE, read_page

from migprep import cli
from migprep.fleet import figures, store
from migprep.model import Status
from migprep.report import document

RULES = [one.id for one in machines.RULES]


def report(host: str, failing: tuple[str, ...] = (), unknown: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    """A report of a host on kvm on which these rules fail or are unknown."""
    from migprep.model import Result, Verdict

    results = tuple(
        machines.fails(rule, "kvm") if rule in failing
        else Result(rule, "kvm", Status.UNKNOWN, "no /boot") if rule in unknown
        else Result(rule, "kvm", Status.PASS)
        for rule in RULES
    )  # fmt: skip
    run = machines.RUN._replace(started=members.get("started", "2026-11-23T10:00:00Z"), refused=())
    after = members.get("after") and Verdict(members["after"])
    judged = document.Judged(machines.known_target(), results, after, mended=members.get("mended"))
    made = document.build(machines.Facts(machines.Files(machines.FILES)), machines.RULES, [judged], run)
    made["host"]["name"], made["host"]["id"] = host, members.get("id", "")
    return made


BOOT, NET, LOW = "fstab/volatile-device-name", "network/static-address", "cpu/bound-module"
FLEET = [
    report("a-ready"),
    report("b-low", (LOW,)),
    report("c-boot", (BOOT,), after="ready"),
    report("d-boot", (BOOT, LOW)),
    report("e-both", (BOOT, NET)),
    report("f-net", (NET,)),
    report("g-dark", (), ("initramfs/other",)),
    report("h-dark", (BOOT,), ("initramfs/other",)),
]


def folder_of(reports: list[dict[str, Any]], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for number, one in enumerate(reports):
        (folder / f"{number}.json").write_text(json.dumps(one))
    return folder


def merged(folder: Path, tmp_path: Path) -> tuple[dict[str, Any], sqlite3.Connection]:
    base = store.create(str(tmp_path / f"db-{os.urandom(4).hex()}"))
    store.merge(base, [str(folder)])
    return figures.document(base), base


def test_figures_are_those_counted_by_hand(tmp_path: Path) -> None:
    found, base = merged(folder_of(FLEET, tmp_path / "r"), tmp_path)
    (target,) = found["targets"]
    assert target["verdict"] == {"ready": 2, "conditional": 1, "not_ready": 4, "unknown": 1}
    assert target["after_fixes"]["ready"] == 3
    assert {one["rule"]: (one["hosts"], one["unlocks"]) for one in found["rules"]} == {BOOT: (4, 2), NET: (2, 1)}
    waves = {one["wave"]: [host["host"] for host in one["first"]] for one in target["waves"]}
    assert waves == {
        "ready": ["a-ready", "b-low"], "after_fixes": ["c-boot"], "decide": ["f-net"],
        "by_hand": ["d-boot", "e-both", "h-dark"], "unknown": ["g-dark"],
    }  # fmt: skip
    assert [one["host"] for one in figures.hosts(base, worst_first=True)][-1] == "b-low"


def test_a_fix_counts_on_the_hosts_whose_plan_makes_it(tmp_path: Path) -> None:
    mended = tuple(one.fingerprint for one in machines.fails(BOOT, "kvm").findings)
    reports = [report("a", (BOOT,), mended=()), report("b", (BOOT,), mended=mended), report("c", (BOOT,), mended=mended)]
    found, _ = merged(folder_of(reports, tmp_path / "r"), tmp_path)
    assert [(one["rule"], one["hosts"], one["automatic"]) for one in found["rules"]] == [(BOOT, 3, 2)]


def test_the_newest_report_counts_in_any_order(tmp_path: Path) -> None:
    old = report("web1", (BOOT,), started="2026-11-01T00:00:00Z", id="1" * 16)
    new = report("web1", (NET,), started="2026-11-02T00:00:00Z", id="1" * 16)
    other = report("web1", (), started="2026-11-02T00:00:00Z", id="2" * 16)
    for number, order in enumerate(([old, new, other], [new, other, old], [other, old, new])):
        found, _ = merged(folder_of(order, tmp_path / str(number)), tmp_path)
        assert found["hosts"] == 2
        assert found["targets"][0]["verdict"] == {"ready": 1, "conditional": 1, "not_ready": 0, "unknown": 0}
        assert found["twice"]["first"] == [{"host": "web1", "machines": 2}]
        assert [one["rule"] for one in found["rules"]] == [NET]


def test_silent_hosts(tmp_path: Path) -> None:
    folder = folder_of([report("Web1"), report("old", started="2026-11-10T00:00:00Z"), report("extra")], tmp_path / "r")
    (tmp_path / "hosts").write_text("web1 # the first\n\nnever\nold\n")
    base = store.create(str(tmp_path / "db"))
    store.expect(base, str(tmp_path / "hosts"))
    store.merge(base, [str(folder)])
    found = figures.document(base)
    assert [one["host"] for one in found["silent"]["first"]] == ["never", "old"]
    assert [one["host"] for one in found["unexpected"]["first"]] == ["extra"]


@pytest.mark.parametrize("form", ["text", "html", "csv", "json", "prom"])
def test_every_format_of_the_fleet(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(FLEET, tmp_path / "r")
    assert cli.main(["fleet", str(folder), "--format", form]) == 0
    words = capsys.readouterr().out
    if form == "text":
        assert f"fix {BOOT} on 4 hosts and 2 become ready (kvm)" in " ".join(words.split())
        assert words.endswith("kvm: 2 ready, 1 conditional, 4 not ready, 1 unknown; 3 ready after migprep fix\n")
        assert all(len(line) <= 80 for line in words.split("\n"))
    elif form == "html":
        assert "e-both" in " ".join(read_page(words).words)
    elif form == "csv":
        assert [row["wave"] for row in csv.DictReader(io.StringIO(words, newline=""))].count("by_hand") == 3
    elif form == "json":
        assert len(json.loads(words)["machines"]) == 8
    else:
        assert 'migprep_fleet_hosts{target="kvm",state="not_ready"} 4\n' in words
        tool = shutil.which("promtool")
        if tool:
            subprocess.run([tool, "check", "metrics"], input=words, text=True, check=True)


def test_since_the_last_merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, database = tmp_path / "r", tmp_path / "fleet.sqlite"
    folder_of([report("a", (NET,)), report("b", (BOOT,)), report("gone")], folder)
    command = ["fleet", str(folder), "--output", f"sqlite={database}", "--output", f"json={tmp_path / 'f.json'}"]
    assert cli.main(command) == 0
    assert json.loads((tmp_path / "f.json").read_text())["since"] is None
    shutil.rmtree(folder)
    later = {"started": "2026-11-24T10:00:00Z"}
    folder_of([report("a", (NET, BOOT), **later), report("b", **later), report("c", **later)], folder)
    assert cli.main(command) == 0
    since = json.loads((tmp_path / "f.json").read_text())["since"]
    assert [one["host"] for one in since["new_hosts"]["first"]] == ["c"]
    assert [one["host"] for one in since["gone_hosts"]["first"]] == ["gone"]
    assert [(one["host"], one["before"], one["after"]) for one in since["verdicts"]["first"]] == [
        ("a", "conditional", "not_ready"), ("b", "not_ready", "ready"),
    ]  # fmt: skip
    assert since["new_findings"] == [{"rule": BOOT, "target": "kvm", "hosts": 1}]
    rows = sqlite3.connect(database).execute("SELECT host FROM machine ORDER BY 1").fetchall()
    assert rows == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize("since", ["absent", "text"])
def test_since_what_is_no_database(since: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of([report("a")], tmp_path / "r")
    if since == "text":
        (tmp_path / "x").write_text("no database\n" * 100)
    assert cli.main(["fleet", str(folder), "--since", str(tmp_path / "x")]) == 64
    assert str(tmp_path / "x") in capsys.readouterr().err


def test_hostile_files_are_listed_and_never_fatal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of([report("good")], tmp_path / "r")
    evil = report("</b><script>alert(1)</script>\udcff", (BOOT,))
    evil["results"][2]["findings"][0].update(message=HOSTILE, subject=HOSTILE)
    (folder / "evil.json").write_text(json.dumps(evil))
    huge = report("huge")
    huge["run"]["seconds"] = 10**400
    bad = {
        "empty": b"", "half": b'{"schema": "migprep/report/1.0", ', "deep": b"[" * 200_000, "list": b"[]", "binary": os.urandom(999),
        "nan": b'{"schema": NaN}', "other": b'{"schema": "migprep/plan/1.0"}', "huge": json.dumps(huge).encode(),
        "inf": json.dumps(report("inf")).replace('"seconds": 0.123', '"seconds": 1e999').encode(),
    }  # fmt: skip
    for name, content in bad.items():
        (folder / f"{name}.json").write_bytes(content)
    os.mkfifo(folder / "fifo.json")
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "up").symlink_to("..")
    with open(folder / "large.json", "wb") as stream:
        stream.truncate(store.LIMIT + 1)
    outputs = [f"--output={form}={tmp_path / form}" for form in ("text", "html", "csv", "json", "prom", "sqlite")]
    assert cli.main(["fleet", str(folder), *outputs]) == 0
    found = json.loads((tmp_path / "json").read_text())
    broken = {Path(one["path"]).stem for one in found["broken"]["first"]}
    assert broken == {*bad, "fifo", "loop", "large"}
    assert found["hosts"] == 2
    page = read_page((tmp_path / "html").read_text())
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "</b><script>alert(1)</script>\\udcff" in " ".join(page.words)
    assert capsys.readouterr().err == ""


def test_nothing_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fleet", str(tmp_path / "none")]) == 64
    assert "there is no such file or folder" in capsys.readouterr().err
    assert cli.main(["fleet", str(tmp_path)]) == 65
    assert "no report" in capsys.readouterr().err


def test_memory_does_not_grow_with_the_fleet(tmp_path: Path) -> None:
    """Peak memory of 100 and of 1,000 reports, in processes of their own."""
    words = """
import resource, sys
from migprep.cli import main
assert main(["fleet", *sys.argv[2:], "--output", "csv=" + sys.argv[1]]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    text = json.dumps(report("HOST", (BOOT, NET)))
    peaks = []
    for count in (100, 1000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.json").write_text(text.replace("HOST", f"host{number}"))
        said = subprocess.run(
            [sys.executable, "-c", words, str(tmp_path / "out.csv"), str(folder)],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
        )  # fmt: skip
        peaks.append(int(said.stdout.split()[-1]))
        assert len((tmp_path / "out.csv").read_text().split("\n")) == count + 2
    assert peaks[1] < peaks[0] * 1.25, peaks
