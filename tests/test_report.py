"""The report: the document keeps its schema, the text keeps its words (golden files) and its 80 columns."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import machines

from migprep.model import Status, Verdict
from migprep.report import document, html, md, pages, text
from migprep.report import json as as_json

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads((Path(document.__file__).parent / "report-1.0.json").read_text())


def assert_golden(name: str, words: str) -> None:
    """`words` equal the golden file; MIGPREP_GOLDEN=write makes it so."""
    path = GOLDEN / name
    if os.environ.get("MIGPREP_GOLDEN") == "write":
        path.write_text(words, encoding="utf-8")
    assert words == path.read_text(encoding="utf-8")


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("names", [("kvm",), ("kvm", "xen", "aws")])
def test_document_keeps_the_schema(names: tuple[str, ...]) -> None:
    emitted = json.loads(as_json.render(machines.report(*names)))
    jsonschema.Draft202012Validator(SCHEMA).validate(emitted)


def test_schema_refuses_a_failure_without_findings() -> None:
    report = machines.report()
    report["results"][1]["findings"] = []
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(as_json.render(report)))


def test_json_is_ascii_and_keeps_stray_bytes() -> None:
    words = as_json.render(machines.report())
    assert words.isascii()
    subjects = [finding["subject"] for result in json.loads(words)["results"] for finding in result["findings"]]
    assert "/srv/\udcff\x1b[31m" in subjects


def test_chain_tells_the_worst_of_each_link() -> None:
    chain = {link["link"]: link for link in machines.report()["targets"][0]["boot_chain"]}
    states = {name: link["status"] for name, link in chain.items()}
    assert states == {
        "firmware": "unknown", "boot loader": "unknown", "kernel arguments": "pass", "initramfs": "unknown",
        "storage stack": "pass", "root": "unknown", "mounts": "fail", "network": "warn", "services": "pass",
    }  # fmt: skip
    assert chain["mounts"]["note"].endswith("(and 1 more)")
    assert chain["mounts"]["symptom"] == "A start job is running for /dev/sdb1 Dependency failed for /data"
    assert not any("symptom" in link for link in chain.values() if link["status"] != "fail")
    assert [name for name, link in chain.items() if not link["reached"]] == ["network", "services"]
    assert chain["services"]["note"].startswith("not reached (") and not chain["network"]["note"].startswith("not")
    assert any(line.startswith("  · services") for line in text.render(machines.report()).split("\n"))


def test_reasons_are_the_open_blockers() -> None:
    target = machines.report()["targets"][0]
    assert target["verdict"] == "not_ready"
    assert target["reasons"] == [
        machines.finding("fstab/volatile-device-name", subject).fingerprint
        for subject in ("/data", "/srv/\udcff\x1b[31m")
    ]


def test_verdict_after_fixes_is_the_callers() -> None:
    facts, one = machines.Facts(machines.Files({})), machines.known_target()
    judged = [document.Judged(one, machines.results("kvm"), Verdict.CONDITIONAL)]
    target = document.build(facts, machines.RULES, judged, machines.RUN)["targets"][0]
    assert (target["verdict"], target["after_fixes"]) == ("not_ready", "conditional")


@pytest.mark.parametrize("count", [0, 1])
def test_what_fix_mends_is_what_its_plan_mends(count: int) -> None:
    """A rule's fix may be safe and still not come about here."""
    mended = (machines.finding("fstab/volatile-device-name", "/data").fingerprint,)[:count]
    judged = [document.Judged(machines.known_target(), machines.results("kvm"), mended=mended)]
    report = document.build(machines.Facts(machines.Files({})), machines.RULES, judged, machines.RUN)
    assert text.summary(report)[0].endswith("; migprep fix mends 1" if count else "not checked)")


def test_a_fix_that_does_not_come_about_is_not_offered() -> None:
    """Its reason stands in its place, and how to do it by hand, in every form that people read."""
    lost = machines.finding("fstab/volatile-device-name", "/data").fingerprint
    offer = "migprep fix --only fstab/volatile-device-name"
    for left, is_offered in (((), True), ((lost,), False)):
        unmended = tuple((one, "no room < for it") for one in left)
        judged = [document.Judged(machines.known_target(), machines.results("kvm"), unmended=unmended)]
        report = document.build(machines.Facts(machines.Files({})), machines.RULES, judged, machines.RUN)
        words = text.render(report)
        assert (offer in words) is is_offered and (offer in html.render(report)) is is_offered
        assert ("migprep fix does not mend it here: no room < for it" in words) is bool(left)
        assert ("does not mend it here: no room &lt; for it" in html.render(report)) is bool(left)
        assert (r"does not mend it here (no room \< for it)" in md.render(report)) is bool(left)


def test_gaps_make_a_run_incomplete() -> None:
    run = machines.report()["run"]
    assert not run["complete"]
    assert {"fact": "site files", "reason": machines.RUN.refused[0]} in run["gaps"]


@pytest.mark.parametrize(
    "names",
    [
        ("kvm",),
        ("kvm", "xen", "vmware"),
        ("aws", "azure", "gcp", "generic", "hyperv", "kvm", "kvm-scsi", "vmware", "xen"),
    ],
)
@pytest.mark.parametrize("unicode", [True, False])
def test_text_is_golden(names: tuple[str, ...], unicode: bool) -> None:
    words = text.render(_without_gaps(machines.report(*names)), text.Style(unicode=unicode))
    assert_golden(f"report-{len(names)}-{'utf8' if unicode else 'ascii'}.txt", words)
    assert unicode or words.isascii()
    _assert_printable(words)


def _without_gaps(report: dict[str, Any]) -> dict[str, Any]:
    """The gaps of an almost empty machine change with every new fact; one is enough."""
    report["run"]["gaps"] = [gap for gap in report["run"]["gaps"] if gap["fact"] == "site files"]
    report["host"]["virtualization"] = report["host"]["firmware"] = ""
    return report


def _assert_printable(words: str) -> None:
    for line in words.split("\n"):
        assert len(line) <= 80, line
        assert line == line.rstrip()
        assert line.isprintable(), repr(line)


def test_what_is_left_for_the_target_is_counted_and_its_sheet_named() -> None:
    report = machines.report("kvm", "xen")
    assert "Left to do on the target" not in text.render(report)
    for result in report["results"]:
        for finding in result["findings"][:1]:
            finding["fix"] = {"title": "Install the agent", "safety": "manual", "phase": "after"}
    said = " ".join(text.render(report).split())
    count = len({one["findings"][0]["fingerprint"] for one in report["results"] if one["findings"]})
    assert f"Left to do on the target: {count}." in said
    assert "migprep check --target kvm --target xen --format md" in said


def test_a_clean_machine_ends_in_one_line() -> None:
    results = tuple(one._replace(status=Status.PASS, findings=(), reason="") for one in machines.results("kvm"))
    report = document.build(
        machines.Facts(machines.Files({})),
        machines.RULES,
        [document.Judged(machines.known_target(), results)],
        machines.RUN,
    )
    assert text.summary(report) == ["kvm: READY (nothing found)"]


def test_colour_only_repeats_what_is_written() -> None:
    report = machines.report("kvm", "xen")
    coloured = text.render(report, text.Style(colour=True))
    assert "\033[" in coloured
    assert re.sub(r"\033\[[0-9;]*m", "", coloured) == text.render(report, text.Style())


@given(st.text(st.characters(), max_size=300))
def test_shown_is_printable_whatever_it_gets(words: str) -> None:
    assert text.shown(words).isprintable()


@given(st.text("ab \n", max_size=400), st.integers(12, 90))
def test_wrap_keeps_every_word_and_the_width(words: str, width: int) -> None:
    lines = text.wrap(words, "  - ", "    ", width)
    assert all(len(line) <= width or " " not in line[4:] for line in lines)
    assert [word for line in lines for word in line[4:].split()] == words.split()


@given(st.text("a-/>;=( ", max_size=80))
def test_held_words_are_those_of_the_hint(words: str) -> None:
    assert " ".join(text.held(words)).split() == words.split()


@pytest.mark.parametrize(
    "hint",
    [
        "update-initramfs -u -k all",
        "echo xts >> /etc/initramfs-tools/modules",
        "grub2-mkconfig -o /boot/grub2/grub.cfg",
        "systemd-escape --path --suffix=swap /dev/disk/by-uuid/…",
    ],
)
def test_a_command_in_a_hint_stands_on_one_line(hint: str) -> None:
    words = text.held(f"Name the driver, then: {hint}; or give the target (aes) another")
    for room in range(20, 70):
        assert any(hint in line for line in text.wrap(words, width=room))


def test_commands_of_a_report_can_be_pasted_whatever_the_root_is_called() -> None:
    report = machines.report()
    root = report["run"]["root"] = "/mnt/images of the old rack/" + "web1/" * 20
    lines = text.render(report).split("\n")
    asked = [shlex.split(line.partition(": ")[2]) for line in lines if line.startswith("    fix: ")]
    assert asked
    assert all(words[:4] == ["migprep", "fix", "--root", root] for words in asked)
    assert sum(shlex.split(line) == ["migprep", "explain", "--root", root, "NUMBER"] for line in lines) == 1, "said once"
    assert not any(root in line for line in lines if "# or" in line)


def test_a_remark_that_asks_nothing_takes_a_line_or_two() -> None:
    report = machines.report()
    result = report["results"][0]
    seen = {"path": "/proc/cpuinfo", "line": None, "observed": "seen there", "expected": "to be so"}
    one = {"fingerprint": "0123456789abcdef", "subject": "a", "message": "as it is", "evidence": [seen], "fix": None}
    report["results"] = [{**result, "severity": "info", "status": "fail", "by_hand": "", "findings": [one]}]
    lines = text.render(report).split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("FOR YOUR INFORMATION"))
    assert lines[start + 2 : start + 5] == ["  i as it is", f"    why: migprep explain {result['rule']} # or 01234567", ""]


def test_explain_tells_everything_about_a_rule() -> None:
    rule = machines.rule(
        "fstab/volatile-device-name",
        symptom="Dependency failed for /data",
        for_each="fstab.entries",
        when="item.is_volatile",
        by_hand={"debian": "blkid"},
        references=["fstab(5)"],
        fix={"title": "By UUID", "safety": "safe", "phase": "prepare"},
    )
    page = pages.explain(rule)
    for words in (
        "blocker, stops the boot",
        "Dependency failed",
        "item.is_volatile",
        "Debian",
        "blkid",
        "fstab(5)",
        "By UUID.",
        "works where it is",
    ):
        assert words in page
    _assert_printable(page)


def test_lists_of_rules_and_targets_fit() -> None:
    _assert_printable(pages.rules(machines.RULES))
    _assert_printable(pages.targets([machines.known_target(name) for name in ("aws", "kvm")]))
