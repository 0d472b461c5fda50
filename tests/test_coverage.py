"""The catalogues of known failures: all that they name is there, and they leave out no rule of their area."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from migprep import rules

HERE = Path(__file__).parent
CATALOGUES = sorted((HERE / "coverage").glob("*.yaml"))
#: What a catalogue covers: rules whose id begins so. One that is not listed covers the area of its name.
AREAS = {
    "boot": ("arguments", "bootloader", "crypttab", "disk", "firmware", "fstab", "initramfs", "kernel", "lvm", "md", "swap", "system"),
    "longtail": ("cpu", "display", "identity", "leftovers", "security", "services", "startup", "time"),
}
RULES = {rule.id for rule in rules.load()}
CASES = {
    f"{document['rule']}: {case['name']}"
    for path in (HERE / "rules").glob("*.yaml")
    for document in [yaml.safe_load(path.read_text())]
    for case in document["cases"]
}
GUESTS = {path.stem for path in (HERE / "vm" / "scenarios").glob("*.yaml")}
TESTS = {
    f"{path.name}::{name}"
    for path in HERE.glob("test_*.py")
    for name in re.findall(r"(?m)^def (test_\w+)", path.read_text())
}


def rows():
    for path in CATALOGUES:
        for row in yaml.safe_load(path.read_text()):
            yield pytest.param(row, id=f"{path.stem}: {row['failure'][:50]}")


@pytest.mark.parametrize("row", list(rows()))
def test_what_is_named_is_there(row):
    named = {key: set(row.get(key, ())) for key in ("rules", "cases", "tests", "guests")}
    assert set(row) <= {"failure", *named}
    assert named["rules"] | named["cases"] | named["tests"], "a guest alone holds no verdict"
    assert named["rules"] - RULES == set()
    assert named["cases"] - CASES == set()
    assert named["tests"] - TESTS == set()
    assert named["guests"] - GUESTS == set()


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_every_rule_of_the_area_is_named(path):
    told = {rule for row in yaml.safe_load(path.read_text()) for rule in row.get("rules", ())}
    areas = AREAS.get(path.stem, (path.stem,))
    assert {rule for rule in RULES if rule.partition("/")[0] in areas} - told == set()
