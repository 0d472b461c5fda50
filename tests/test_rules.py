"""Every case of every rule: judged as it says, mended as it says, and mended only once."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from migprep import lint, plan, rules, targets
from migprep.evaluate import evaluate
from migprep.facts import Facts
from migprep.root import Files, Overlay

HERE = Path(__file__).parent
RULES = {rule.id: rule for rule in rules.load()}
TARGETS = targets.load()


def content(value):
    """What a case writes for a file: a text, a link, the same line many times, or bytes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if "link" in value:
        return value["link"]
    if "repeat" in value:
        return value["repeat"].encode() * value["times"]
    return bytes.fromhex(value["hex"]) if "hex" in value else base64.b64decode(value["base64"])


def tree(name):
    return yaml.safe_load((HERE / "trees" / f"{name}.yaml").read_text())


def root_of(document, case):
    files = {}
    for name in [*document.get("tree", []), *case.get("tree", [])]:
        files.update(tree(name))
    files.update(document.get("files", {}))
    files.update(case.get("files", {}))
    files = {"/" + path.strip("/"): value for path, value in files.items()}
    for path in case.get("remove", []):
        gone = "/" + path.strip("/")
        files = {path: value for path, value in files.items() if path != gone and not path.startswith(gone + "/")}
    return Files({path: content(value) for path, value in files.items()})


def target_of(wanted):
    """A shipped target by name, or kvm with some members of its own."""
    if isinstance(wanted, str):
        return TARGETS[wanted]
    return TARGETS["kvm"]._replace(**{key: tuple(value) for key, value in wanted.items()})


def all_cases():
    for path in sorted((HERE / "rules").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        for case in document["cases"]:
            yield pytest.param(document, case, id=f"{document['rule']}: {case['name']}")


CASES = list(all_cases())
DOCUMENTS = [yaml.safe_load(path.read_text()) for path in sorted((HERE / "rules").glob("*.yaml"))]


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
