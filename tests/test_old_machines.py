"""Machines of another age, written down from documentation and real files: judged, mended with what they have, given back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.test_mend_machines import on_disk
from tests.test_rules import content

from migprep import capture, evaluate, inspection, plan, targets
from migprep.facts import Facts
from migprep.model import Severity, Status
from migprep.root import Files

HERE = Path(__file__).parent / "old"
RULES = inspection.load_rules("/nowhere")[0]
SEVERITY = {rule.id: rule.severity for rule in RULES}
TARGETS = targets.load()
MACHINES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(HERE.glob("*.yaml"))}


def machine(name: str) -> Files:
    return Files({path: content(value) for path, value in MACHINES[name]["files"].items()})


def added(change: plan.Change) -> list[str]:
    """Lines of the new text that the old one has not."""
    old = (change.before or b"").decode().split("\n")
    return [line for line in (change.after or b"").decode().split("\n") if line and line not in old]


@pytest.mark.parametrize("name", MACHINES)
def test_what_is_said_and_mended(name: str) -> None:
    place = machine(name)
    for target, expected in MACHINES[name]["expects"].items():
        made = plan.plan(RULES, Facts(place), TARGETS[target])
        told = {one.rule for one in made.results_before if one.status is Status.FAIL}
        assert sorted(one for one in told if SEVERITY[one] is not Severity.INFO) == expected["fails"]
        assert (made.verdict_before.value, made.verdict_after.value) == (expected["before"], expected["after"])
        assert {one.path: added(one) for one in made.changes} == expected["mends"]
        assert [" ".join(one.argv) for one in made.builds] == expected["commands"]
        assert plan.plan(RULES, Facts(made.overlay(place)), TARGETS[target]).is_empty


@pytest.mark.parametrize("name", MACHINES)
def test_no_rule_stumbles_on_any_target(name: str) -> None:
    facts = Facts(machine(name))
    for target in TARGETS.values():
        for result in evaluate.judge(RULES, facts, target):
            assert "internal error" not in result.reason, (target.name, result)


@pytest.mark.parametrize("name", MACHINES)
def test_a_capture_of_it_says_the_same(name: str, tmp_path: Path) -> None:
    place = on_disk(tmp_path / "tree", machine(name)._files)
    where = str(tmp_path / "capture.tar.gz")
    capture.write(where, place)
    told = [evaluate.judge(RULES, Facts(root), TARGETS["kvm"]) for root in (place, capture.load(where))]
    for here, there in zip(*told):
        assert (here.status, here.findings) == (there.status, there.findings), (here, there)
