"""Each place that may name a disk: found where the name changes, and not where it lasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from migprep import rules
from migprep.evaluate import evaluate
from migprep.facts import Facts
from tests.machines import known_target
from tests.test_rules import root_of

PLACES = yaml.safe_load((Path(__file__).parent / "places.yaml").read_text())
RULES = {rule.id: rule for rule in rules.load()}
UUIDS = {
    "/dev/sda1": "11111111-aaaa-4aaa-8aaa-000000000001",
    "/dev/sda2": "11111111-aaaa-4aaa-8aaa-000000000002",
    "/dev/sda3": "11111111-aaaa-4aaa-8aaa-000000000003",
    "/dev/sdb": "22222222-aaaa-4aaa-8aaa-000000000001",
}


def named(place: dict[str, Any], text: str) -> list[str]:
    """What the place's rule says about its file with this text."""
    machine = {"tree": ["sda", "sdb", *place.get("machine", [])], "files": {place["path"]: text}}
    result = evaluate(RULES[place["rule"]], Facts(root_of(machine, {})), known_target())
    assert result.status.value != "unknown", result.reason
    return [one.message for one in result.findings if any(seen.path == place["path"] for seen in one.evidence)]


def kept(text: str) -> str:
    """The text with names that last."""
    for name, uuid in UUIDS.items():
        text = text.replace(name, f"/dev/disk/by-uuid/{uuid}").replace(f"dev-{name[5:]}", f"dev-disk-by\\x2duuid-{uuid}")
    return text


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place['path']} {place['rule']}")
def test_a_name_that_changes_is_found(place: dict[str, Any]) -> None:
    assert named(place, place["text"])


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place['path']} {place['rule']}")
def test_a_name_that_lasts_is_left_alone(place: dict[str, Any]) -> None:
    assert named(place, place.get("kept", kept(place["text"]))) == []
