"""Every blocker rule of the boot chain has a guest that is lost for it alone and a near miss, or a reason for neither."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.vm import results, scenario

from migprep import rules
from migprep.model import Severity

LIST = Path(__file__).parent / "vm" / "blockers.yaml"
AREAS = ("arguments", "bootloader", "crypttab", "disk", "firmware", "fstab", "initramfs", "kernel", "lvm", "md", "swap")
LISTED: dict[str, dict[str, str]] = yaml.safe_load(LIST.read_text(encoding="utf-8"))
BLOCKERS = frozenset(rule.id for rule in rules.load() if rule.severity is Severity.BLOCKER)
ROWS = {f"{row.scenario} on {row.target}": row for row in results.load()[1]}
GUESTS = {(rule, kind): pair for rule, told in LISTED.items() for kind, pair in told.items() if kind != "no-guest"}


def test_every_blocker_of_the_boot_chain_is_listed() -> None:
    assert list(LISTED) == sorted(rule for rule in BLOCKERS if rule.partition("/")[0] in AREAS)
    for rule, told in LISTED.items():
        assert set(told) in ({"lost", "fine"}, {"no-guest"}), rule


@pytest.mark.parametrize(("rule", "kind"), GUESTS)
def test_the_guests_of_a_blocker_are_in_the_lab(rule: str, kind: str) -> None:
    name, _, target = GUESTS[rule, kind].partition(" on ")
    one = scenario.load(name)
    assert target in one.targets
    found = one.expected(target) & BLOCKERS
    assert found <= ({rule} if kind == "lost" else set())


def test_every_guest_of_a_blocker_was_booted() -> None:
    assert {pair for pair in GUESTS.values() if pair not in ROWS} == set()


@pytest.mark.parametrize(("rule", "kind"), [case for case in GUESTS if GUESTS[case] in ROWS])
def test_the_guests_of_a_blocker_fared_as_listed(rule: str, kind: str) -> None:
    row = ROWS[GUESTS[rule, kind]]
    if kind == "lost":
        assert (row.verdict, BLOCKERS & set(row.rules)) == ("not_ready", {rule})
        assert row.fate != "whole"
    else:
        assert (row.verdict != "not_ready", row.fate) == (True, "whole")
        assert rule not in row.rules
