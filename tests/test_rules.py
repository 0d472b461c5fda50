"""Every case of every rule: judged as it says, mended as it says, and mended only once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from migprep import lint, plan, proof, rules, targets, trace
from migprep.evaluate import evaluate
from migprep.facts import Facts
from migprep.proof import content
from migprep.root import Files, Overlay

HERE = Path(__file__).parent
RULES = {rule.id: rule for rule in rules.load()}
TARGETS = targets.load()


def tree(name):
    return yaml.safe_load((HERE / "trees" / f"{name}.yaml").read_text())


def root_of(document, case):
    shared = {}
    for name in [*document.get("tree", []), *case.get("tree", [])]:
        shared.update(tree(name))
    return Files(proof.files({**shared, **document.get("files", {})}, case))


def target_of(wanted):
    return proof.target_of(wanted, TARGETS)


def all_cases():
    for path in sorted((HERE / "rules").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        for case in document["cases"]:
            yield pytest.param(document, case, id=f"{document['rule']}: {case['name']}")


CASES = list(all_cases())
DOCUMENTS = [yaml.safe_load(path.read_text()) for path in sorted((HERE / "rules").glob("*.yaml"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one["rule"])
def test_each_finding_can_be_explained(document):
    """`migprep explain FINGERPRINT` finds it again, whatever could not be read beside it."""
    rule = RULES[document["rule"]]
    for case in document["cases"]:
        if case["status"] == "fail" and "scan" not in case:
            root, target = root_of(document, case), target_of(case.get("target", "kvm"))
            for finding in evaluate(rule, Facts(root), target).findings[:1]:
                page = trace.page(rule, finding, target, trace.trace(rule, root, target, finding.subject))
                assert finding.fingerprint in page and "Evidence" in page


@pytest.mark.parametrize(("document", "case"), CASES)
def test_case(document, case):
    rule = RULES[document["rule"]]
    target = target_of(case.get("target", "kvm"))
    root = root_of(document, case)
    result = evaluate(rule, Facts(root, folders=case.get("scan")), target)
    assert "internal error" not in result.reason
    assert result.status.value == case["status"], result
    if case["status"] == "fail":
        assert [finding.subject for finding in result.findings] == sorted(case["findings"]), result
        for finding in result.findings:
            assert finding.message and finding.evidence
            assert all(one.path.startswith("/") for one in finding.evidence), finding
    if "after" in case:
        changes = plan.mended(rule, Facts(root), target)
        expected = {"/" + path.strip("/"): None if value is None else content(value) for path, value in case["after"].items()}
        assert changes == expected
        again = Facts(Overlay(root, changes))
        assert plan.mended(rule, again, target) == {}, "a second run must have nothing to do"


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_rule_is_sound(rule):
    assert lint.lint(rule) == []
    assert rule.references, "where is this known from?"
    assert rule.by_hand or rule.severity.value in ("info", "low"), "how is it done by hand?"


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_rule_has_cases(rule):
    cases = [case for document in DOCUMENTS if document["rule"] == rule.id for case in document["cases"]]
    seen = {case["status"] for case in cases}
    assert {"fail", "pass", "unknown"} <= seen, f"{rule.id} has only {sorted(seen)}"
    if rule.fix and rule.fix.template:
        assert any("after" in case for case in cases), f"{rule.id} has a fix and no case shows it"
