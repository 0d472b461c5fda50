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


def told(root: Files, target: str) -> tuple[str, dict[Status, set[str]]]:
    """The verdicts before and after mending, and the rules of each status, mere information left out."""
    made = plan.plan(RULES, Facts(root), TARGETS[target])
    found: dict[Status, set[str]] = {one: set() for one in Status}
    for result in made.results_before:
        assert "internal error" not in result.reason, result
        if SEVERITY[result.rule] is not Severity.INFO:
            found[result.status].add(result.rule)
    assert plan.plan(RULES, Facts(made.overlay(root)), TARGETS[target]).is_empty
    return f"{made.verdict_before.value} -> {made.verdict_after.value}", found


def of_healthy(name: str, target: str) -> dict[str, Any]:
    """The verdict, what is grave, and what could not be judged."""
    verdict, found = told(place(MACHINES[name]), target)
    grave = [one for one in found[Status.FAIL] if SEVERITY[one] in (Severity.BLOCKER, Severity.HIGH)]
    return {"verdict": verdict, "grave": sorted(grave), "unknown": sorted(found[Status.UNKNOWN])}


def of_fault(name: str, fault: dict[str, Any]) -> dict[str, Any]:
    """The verdict, and what is told or could not be judged that the healthy machine has not."""
    target = fault.get("target", "kvm")
    _, before = told(place(MACHINES[name]), target)
    verdict, after = told(place(MACHINES[name], fault), target)
    new = {status: sorted(after[status] - before[status]) for status in (Status.FAIL, Status.UNKNOWN)}
    return {"verdict": verdict, "told": new[Status.FAIL], "unknown": new[Status.UNKNOWN]}


@pytest.mark.parametrize("name", MACHINES)
def test_a_healthy_machine(name: str) -> None:
    for target, expected in MACHINES[name]["expects"]["healthy"].items():
        assert of_healthy(name, target) == expected, target


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_fault_is_told(name: str, fault: dict[str, Any]) -> None:
    assert of_fault(name, fault) == MACHINES[name]["expects"]["faults"][fault["name"]]
