"""Machines of many distributions, written down from documentation: what is said of a healthy one, and of each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import hardware
from tests.test_rules import content

from migprep import inspection, plan, targets
from migprep.facts import Facts
from migprep.model import Severity, Status
from migprep.root import Files

HERE = Path(__file__).parent / "distros"
RULES = inspection.load_rules("/nowhere")[0]
SEVERITY = {rule.id: rule.severity for rule in RULES}
TARGETS = targets.load()
MACHINES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(HERE.glob("*.yaml"))}
FAULTS = [
    pytest.param(name, one, id=f"{name}: {one['name']}")
    for name, machine in MACHINES.items()
    for one in machine.get("faults", [])
]


def place(machine: dict[str, Any], fault: dict[str, Any] | None = None) -> Files:
    """The machine, healthy or with one fault laid over it; null takes a file away."""
    found = hardware.files(machine) | (fault["files"] if fault else {})
    return Files({path: content(value) for path, value in found.items() if value is not None})


def said(root: Files, target: str) -> dict[str, Any]:
    """The verdicts before and after mending, and what is told above mere information."""
    made = plan.plan(RULES, Facts(root), TARGETS[target])
    for result in made.results_before:
        assert "internal error" not in result.reason, result
    assert plan.plan(RULES, Facts(made.overlay(root)), TARGETS[target]).is_empty
    fails = [one.rule for one in made.results_before if one.status is Status.FAIL]
    unknown = [one.rule for one in made.results_before if one.status is Status.UNKNOWN]
    told = {"verdict": f"{made.verdict_before.value} -> {made.verdict_after.value}"}
    told["fails"] = sorted(one for one in fails if SEVERITY[one] is not Severity.INFO)
    return told | ({"unknown": sorted(unknown)} if unknown else {})


@pytest.mark.parametrize("name", MACHINES)
def test_a_healthy_machine(name: str) -> None:
    for target, expected in MACHINES[name]["expects"]["healthy"].items():
        assert said(place(MACHINES[name]), target) == expected, target


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_fault_is_told(name: str, fault: dict[str, Any]) -> None:
    machine = MACHINES[name]
    assert said(place(machine, fault), fault.get("target", "kvm")) == machine["expects"]["faults"][fault["name"]]
