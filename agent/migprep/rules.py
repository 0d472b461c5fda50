"""Rules: data files that say when something is wrong, how bad, why, and what mends it."""

from __future__ import annotations

from migprep import data, expr
from migprep.model import Link, Mend, MigprepError, Phase, Safety, Severity
from migprep.typed import Any, NamedTuple

BLOCKS = ("boot", "network", "data")


class RuleError(MigprepError):
    """A rule file that is refused: path and what is wrong; `member` says where, as in "fix.safety"."""

    code = 65

    def __init__(self, words: str, member: str = "") -> None:
        super().__init__(words)
        self.member = member


class EvidenceText(NamedTuple):
    """Where to look, with expressions still in it."""

    path: expr.Text
    line: expr.Expression | None
    observed: expr.Text
    expected: expr.Text


class Fix(NamedTuple):
    """How a finding is mended: a template for one file, then actions run once after all files."""

    mend: Mend
    only_if: expr.Expression | None = None
    file: expr.Text | None = None
    template: str = ""
    then: tuple[str, ...] = ()


class Rule(NamedTuple):
    """One rule as loaded; expressions are compiled."""

    id: str
    title: str
    severity: Severity
    blocks: str
    link: Link
    needs: tuple[str, ...]
    why: str
    symptom: str
    when: expr.Expression
    subject: expr.Text
    message: expr.Text
    evidence: tuple[EvidenceText, ...]
    applies: expr.Expression | None
    for_each: expr.Expression | None
    item: str
    fix: Fix | None
    by_hand: dict[str, str]
    references: tuple[str, ...]
    path: str


REQUIRED = frozenset({"id", "title", "severity", "link", "needs", "why", "when", "subject", "message", "evidence"})
OPTIONAL = frozenset({"blocks", "symptom", "applies", "for_each", "as", "fix", "by_hand", "references", "cases"})
EVIDENCE = frozenset({"path", "line", "observed", "expected"})
FIX = frozenset({"title", "safety", "phase", "only_if", "file", "template", "then"})


def parse(content: dict[str, object], path: str, checked: bool = False) -> Rule:
    """A rule from the mapping of its file; `checked` when its expressions were, before it was packaged.

    Raises RuleError naming path and member.
    """
    try:
        rule = _rule(content, path)
        for _, one in () if checked else expressions(rule):
            expr.parse(one.text)
        return rule
    except RuleError as error:
        raise RuleError(f"{path}: {error}", error.member) from None
    except expr.ExpressionError as error:
        raise RuleError(f"{path}: {error}") from None


def _rule(content: dict[str, object], path: str) -> Rule:
    _members(content, REQUIRED, OPTIONAL, "")
    severity = _choice(Severity, content["severity"], "severity")
    blocks = str(content.get("blocks", ""))
    if (severity is Severity.BLOCKER) != bool(blocks):
        raise RuleError("a blocker, and only a blocker, says what it blocks", "blocks" if blocks else "severity")
    if blocks and blocks not in BLOCKS:
        raise RuleError(f"blocks: must be one of {', '.join(BLOCKS)}", "blocks")
    evidence = content["evidence"]
    return Rule(
        id=_text(content, "id"),
        title=_text(content, "title"),
        severity=severity,
        blocks=blocks,
        link=_choice(Link, content["link"], "link"),
        needs=_strings(content["needs"], "needs"),
        why=_text(content, "why").strip(),
        symptom=str(content.get("symptom", "")).strip(),
        when=expr.Expression(_text(content, "when")),
        subject=expr.Text(_text(content, "subject")),
        message=expr.Text(_text(content, "message")),
        evidence=tuple(_evidence(one) for one in (evidence if isinstance(evidence, list) else [evidence])),
        applies=_optional(content, "applies"),
        for_each=_optional(content, "for_each"),
        item=str(content.get("as", "item")),
        fix=_fix(content["fix"]) if content.get("fix") else None,
        by_hand={str(k): str(v).strip() for k, v in _mapping(content.get("by_hand") or {}, "by_hand").items()},
        references=_strings(content.get("references") or [], "references"),
        path=path,
    )


def _evidence(content: object) -> EvidenceText:
    given = _mapping(content, "evidence")
    _members(given, frozenset({"path", "observed", "expected"}), EVIDENCE, "evidence.")
    line = str(given.get("line", "")).strip("{}")
    return EvidenceText(
        expr.Text(_text(given, "path", "evidence.")),
        expr.Expression(line) if line else None,
        expr.Text(_text(given, "observed", "evidence.")),
        expr.Text(_text(given, "expected", "evidence.")),
    )


def _fix(content: object) -> Fix:
    given = _mapping(content, "fix")
    _members(given, frozenset({"title", "safety", "phase"}), FIX, "fix.")
    return Fix(
        Mend(
            _text(given, "title", "fix."),
            _choice(Safety, given["safety"], "fix.safety"),
            _choice(Phase, given["phase"], "fix.phase"),
        ),
        _optional(given, "only_if"),
        expr.Text(_text(given, "file", "fix.")) if "file" in given else None,
        str(given.get("template", "")),
        _strings(given.get("then") or [], "fix.then"),
    )


def expressions(rule: Rule) -> list[tuple[str, expr.Expression]]:
    """Every expression of a rule, with its member. Raises ExpressionError for a text whose braces do not match."""
    texts = [("subject", rule.subject), ("message", rule.message)]
    found = [("when", rule.when)]
    for number, one in enumerate(rule.evidence):
        texts += [(f"evidence.{number}.{name}", getattr(one, name)) for name in ("path", "observed", "expected")]
        found += [(f"evidence.{number}.line", one.line)] if one.line else []
    found += [(name, one) for name, one in (("applies", rule.applies), ("for_each", rule.for_each)) if one]
    if rule.fix:
        found += [("fix.only_if", rule.fix.only_if)] if rule.fix.only_if else []
        texts += [("fix.file", rule.fix.file)] if rule.fix.file else []
    pieces = [(member, part) for member, text in texts for part in text.parts if isinstance(part, expr.Expression)]
    return found + pieces


def _members(content: dict[str, object], required: frozenset[str], optional: frozenset[str], where: str) -> None:
    for key in content:
        if key not in required and key not in optional:
            raise RuleError(f"unknown member {where}{key}", f"{where}{key}")
    missing = required - set(content)
    if missing:
        raise RuleError(f"missing member {where}{min(missing)}")


def _choice(kind: type, given: object, where: str) -> Any:
    try:
        return kind(given)
    except ValueError:
        allowed = ", ".join(one.value for one in kind)  # type: ignore[attr-defined]
        raise RuleError(f"{where}: {given!r} is not one of {allowed}", where) from None


def _mapping(given: object, where: str) -> dict[str, object]:
    if not isinstance(given, dict):
        raise RuleError(f"{where}: must be a mapping", where)
    return given


def _strings(given: object, where: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise RuleError(f"{where}: must be a list of texts", where)
    return tuple(given)


def _text(content: dict[str, object], key: str, within: str = "") -> str:
    given = content[key]
    if not isinstance(given, str) or not given.strip():
        raise RuleError(f"{within}{key}: must be a text (quote it), not {given!r}", f"{within}{key}")
    return given


def _optional(content: dict[str, object], key: str) -> expr.Expression | None:
    return expr.Expression(_text(content, key)) if content.get(key) is not None else None


def load(site: str | None = None) -> tuple[Rule, ...]:
    """Every rule, sorted by id. Raises RuleError, also for two rules of one id."""
    found: dict[str, Rule] = {}
    packaged = data.is_packaged()
    for path, content in data.mappings("rules", site):
        rule = parse(content, path, checked=packaged and not path.startswith("/"))
        if rule.id in found:
            raise RuleError(f"{path}: rule {rule.id} is defined by {found[rule.id].path} too")
        found[rule.id] = rule
    return tuple(found[name] for name in sorted(found))
