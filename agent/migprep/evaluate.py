"""Judge: (rule, facts, target) -> result, and results -> verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from migprep import expr
from migprep.facts import Facts
from migprep.model import Evidence, Finding, Result, Severity, Status, Undetermined, Unknown, Verdict
from migprep.rules import Rule
from migprep.targets import Target


def evaluate(rule: Rule, facts: Facts, target: Target) -> Result:
    """What became of `rule`; a fact that is missing gives unknown, never pass."""
    names: dict[str, object] = {"target": target}
    for need in rule.needs:
        value = getattr(facts, need)
        if isinstance(value, Unknown):
            return Result(rule.id, target.name, Status.UNKNOWN, value.reason)
        names[need] = value
    try:
        if rule.applies and not expr.evaluate(rule.applies, names):
            return Result(rule.id, target.name, Status.NOT_APPLICABLE, f"not so: {rule.applies.text}")
        items = expr.evaluate(rule.for_each, names) if rule.for_each else (None,)
        if isinstance(items, Unknown):
            raise Undetermined(items.reason)
    except Undetermined as unknown:
        return Result(rule.id, target.name, Status.UNKNOWN, str(unknown))
    return _judged(rule, target, items, names)  # type: ignore[arg-type]


def _judged(rule: Rule, target: Target, items: Iterable[object], names: dict[str, object]) -> Result:
    findings: dict[str, Finding] = {}
    reason = ""
    for item in items:
        names[rule.item] = item
        try:
            if expr.evaluate(rule.when, names):
                finding = _finding(rule, names)
                findings.setdefault(finding.subject, finding)
        except Undetermined as unknown:
            reason = reason or str(unknown)
    if findings:
        return Result(rule.id, target.name, Status.FAIL, reason, tuple(findings[key] for key in sorted(findings)))
    return Result(rule.id, target.name, Status.UNKNOWN if reason else Status.PASS, reason)


def _finding(rule: Rule, names: dict[str, object]) -> Finding:
    evidence = tuple(
        Evidence(
            expr.render(one.path, names),
            _line(one.line, names),
            expr.render(one.observed, names),
            expr.render(one.expected, names),
        )
        for one in rule.evidence
    )
    fix = rule.fix.mend if rule.fix and _allowed(rule.fix.only_if, names) else None
    return Finding(rule.id, expr.render(rule.subject, names), expr.render(rule.message, names), evidence, fix)


def _line(line: expr.Expression | None, names: dict[str, object]) -> int | None:
    number = expr.evaluate(line, names) if line else None
    return number if isinstance(number, int) and number > 0 else None


def _allowed(only_if: expr.Expression | None, names: dict[str, object]) -> bool:
    try:
        return only_if is None or bool(expr.evaluate(only_if, names))
    except Undetermined:
        return False


def judge(rules: Sequence[Rule], facts: Facts, target: Target) -> tuple[Result, ...]:
    """Every rule for one target, in the order of the rules."""
    return tuple(evaluate(rule, facts, target) for rule in rules)


def verdict(rules: Sequence[Rule], results: Iterable[Result]) -> Verdict:
    """One word for one target's results; the order of the tests is the contract's."""
    by_id = {rule.id: rule for rule in rules}
    unknown = conditional = False
    for result in results:
        severity = by_id[result.rule].severity
        open_findings = [finding for finding in result.findings if not finding.waiver]
        if severity is Severity.BLOCKER:
            if open_findings:
                return Verdict.NOT_READY
            unknown |= result.status is Status.UNKNOWN
            conditional |= bool(result.findings)
        conditional |= severity is Severity.HIGH and bool(open_findings)
    return Verdict.UNKNOWN if unknown else Verdict.CONDITIONAL if conditional else Verdict.READY
