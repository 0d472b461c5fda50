"""A site's rule files: mistakes are shown where they stand, cases inside are tried."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from migprep import cli, data, proof, rules
from migprep.facts import mounts

RULE = """\
id: site/hostname
title: The host has a name
severity: low
link: services
needs: [system]
why: Because.
when: system.hostname == "web1" and system.kernel
subject: "{system.hostname}"
message: >
  the name of the host
  is {system.hostname}
evidence:
- path: /etc/hostname
  observed: '{system.hostname}'
  expected: another
fix: {title: Rename it, safety: manual, phase: prepare}
"""
CASES = """\
cases:
- name: it is web1
  files: {/etc/hostname: "web1\\n", /etc/os-release: "ID=debian\\n", /proc/sys/kernel/osrelease: "6.1\\n"}
  status: fail
  findings: [web1]
- name: it is another
  files: {/etc/hostname: "web2\\n", /etc/os-release: "ID=debian\\n", /proc/sys/kernel/osrelease: "6.1\\n"}
  status: pass
"""


@pytest.mark.parametrize(
    ("this", "by", "told"),
    [
        ("hostname ==", "hostnaem ==", ["7:14: when: System has no hostnaem; did you mean hostname?"]),
        ("needs: [system]", "needs: [system, fstba]", ["5:17: needs: there is no fact 'fstba'; did you mean fstab?"]),
        ("and system.kernel", "and firmware.kind", ["7:37: when: there is no 'firmware'; this rule sees system, target; to use the fact firmware, name it in needs"]),
        ("is {system.hostname}", "is {system.hostnam}", ["11:14: message: System has no hostnam; did you mean hostname?"]),
        ("observed: '{system", "observed: 'x {sistem", ["14:17: evidence.0.observed: there is no 'sistem'; this rule sees system, target"]),
        ("severity: low", "severity: lwo", ["3:1: severity: 'lwo' is not one of blocker, high, low, info"]),
        ("severity: low", "severity: blocker", ["3:1: a blocker, and only a blocker, says what it blocks"]),
        ("safety: manual", "safety: maybe", ["16:25: fix.safety: 'maybe' is not one of safe, risky, manual"]),
        ("why:", "wy:", ["6:1: unknown member wy"]),
        ("why: Because.", "why: 5", ["6:1: why: must be a text (quote it), not 5"]),
        ("title: The", "id: twice\ntitle: The", ["2:1: 'id' stands here twice"]),
        ("needs: [system]", "needs: [system", ["6:4: did not find expected ',' or ']'", "6:1: did not find expected ',' or ']'"]),
        ('== "web1"', '== "web1" or', ["when: not an expression"]),
        ("system.hostname ==", "system._x ==", ["7:14: when: private name '_x'"]),
        ("system.hostname ==", "open('x') ==", ["7:7: when: no function 'open'"]),
        ("system.hostname ==", "(system.hostname + 'x') ==", ["7:8: when: BinOp is not allowed"]),
        ("phase: prepare}", "phase: prepare, template: no/such.j2}", ["16:57: fix.template: there is no template no/such.j2"]),
        ("phase: prepare}", "phase: prepare, then: [reboot]}", ["fix.then: 'reboot' is not one of"]),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_where_it_stands(this: str, by: str, told: list[str], tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    assert this in RULE
    path.write_text(RULE.replace(this, by, 1))
    (fault,) = proof.faults(str(path))
    assert any(words in str(fault) for words in told), str(fault)
    head, source, caret = str(fault).split("\n")
    assert source[4:] == path.read_text().split("\n")[fault.line - 1]
    assert caret.index("^") - 4 == fault.column - 1 <= len(source) - 4


def test_several_mistakes_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(RULE.replace("system.kernel", "system.kernle").replace("is {system.hostname}", "is {system.name.x}"))
    assert cli.main(["rules", "lint", str(path)]) == 65
    words = capsys.readouterr().out
    assert words.endswith("2 mistakes in 1 file\n") and ":7:" in words and ":11:" in words


def test_a_sound_file_has_no_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(RULE + CASES)
    assert cli.main(["rules", "lint", str(path)]) == 0
    assert cli.main(["rules", "lint", str(tmp_path / "none")]) == 65
    assert "no such file" in capsys.readouterr().err
    assert cli.main(["rules", "lint"]) == 64


@pytest.mark.parametrize("path", data.sources("rules"), ids=lambda path: "/".join(path.split("/")[-2:]))
def test_shipped_rules_are_found_sound_too(path: str) -> None:
    assert proof.faults(path) == []


def test_cases_inside_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(RULE + CASES)
    assert cli.main(["rules", "test", str(path)]) == 0
    assert capsys.readouterr().out.endswith("2 of 2 cases came out as written\n")
    path.write_text(RULE + CASES.replace("status: pass", "status: unknown\n  findings: [x]"))
    assert cli.main(["rules", "test", str(path)]) == 2
    said = capsys.readouterr().out
    assert "FAILED" in said and "status: expected unknown, is pass" in said and "findings: expected x, are none" in said
    path.write_text(RULE)
    assert cli.main(["rules", "test", str(path)]) == 65
    assert "cases: must be a list" in capsys.readouterr().err


def test_a_case_on_a_capture_and_what_its_fix_leaves(tmp_path: Path) -> None:
    shipped = yaml.safe_load(Path(next(p for p in data.sources("rules") if p.endswith("fstab/volatile-option-device.yaml"))).read_text())
    (tmp_path / "machine/etc").mkdir(parents=True)
    (tmp_path / "machine/etc/fstab").write_text("UUID=1 / ext4 defaults 0 1\n")
    shipped["cases"] = [
        {"name": "from a folder", "root": "machine", "status": "unknown"},
        {"name": "nothing to mend", "root": "machine", "status": "unknown", "after": {"/etc/fstab": "x"}},
        {"name": "misspelt", "rot": "machine"},
        {"name": "no machine", "root": "none"},
    ]
    path = tmp_path / "rule.yaml"
    path.write_text(yaml.safe_dump(shipped))
    told = {one.name: one.faults for one in proof.tried(str(path))}
    assert "unknown member rot" in told["misspelt"][0]
    assert "there is no such directory or capture" in told["no machine"][0]
    assert any("after" in one or "status" in one for one in told["nothing to mend"])


def test_a_rule_with_cases_is_loaded_without_them() -> None:
    assert rules.parse(yaml.safe_load(RULE + CASES), "x").id == "site/hostname"


def test_read_only_is_told_of_the_mount_that_covers_a_path() -> None:
    found = mounts.parse(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /boot ro,noatime - ext4 /dev/sda2 rw\n"
        "3 1 8:3 / /etc rw - ext4 /dev/sda3 ro,errors=remount-ro\n4 1 8:4 / /etc/x rw - ext4 /dev/sda4 rw,errors=remount-ro\n"
    )
    told = {path: found.over(path) for path in ("/", "/boot/grub", "/etc", "/etc/x/y/z", "/etcetera")}
    assert {path: bool(one and one.is_read_only) for path, one in told.items()} == {
        "/": False, "/boot/grub": True, "/etc": True, "/etc/x/y/z": False, "/etcetera": False,
    }  # fmt: skip
    assert mounts.parse("").over("/etc") is None
