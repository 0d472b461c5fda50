"""How one finding came about: files that facts were read from, and each part of the condition with its value."""

from __future__ import annotations

import ast
from enum import Enum

from migprep import expr, root
from migprep.facts import Facts
from migprep.model import Undetermined, Unknown
from migprep.report.text import PLAIN, Style, shown, wrap
from migprep.tracked import Watched
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from migprep.model import Finding
    from migprep.root import Root
    from migprep.rules import Rule
    from migprep.targets import Target

#: Characters of one value, and files of one fact, that are shown.
LENGTH, FILES = 160, 12


class Part(NamedTuple):
    """One piece of an expression; `depth` tells what it is a part of."""

    depth: int
    text: str
    value: str


class Trace(NamedTuple):
    """What one rule did for one subject."""

    files: dict[str, tuple[str, ...]]  # fact -> files read for it first
    items: int  # how many were gone through; 0 without a loop
    item: str
    conditions: tuple[tuple[str, tuple[Part, ...]], ...]  # member of the rule, its parts


def trace(rule: Rule, place: Root, target: Target, subject: str) -> Trace:
    """Judge `subject` once more, from nothing known, and watch. Raises Undetermined when it cannot be found again."""
    names, files = _facts(rule, place)
    names["target"] = target
    found: list[tuple[str, tuple[Part, ...]]] = []
    if rule.applies:
        found.append(("applies", parts(rule.applies.text, names)))
    items: tuple[object, ...] = tuple(expr.evaluate(rule.for_each, names)) if rule.for_each else (None,)  # type: ignore[arg-type]
    names[rule.item] = _item(rule, items, names, subject)
    found.append(("when", parts(rule.when.text, names)))
    if rule.fix and rule.fix.only_if:
        found.append(("fix.only_if", parts(rule.fix.only_if.text, names)))
    item = value(names[rule.item]) if rule.for_each else ""
    return Trace(files, len(items) if rule.for_each else 0, item, tuple(found))


def _facts(rule: Rule, place: Root) -> tuple[dict[str, object], dict[str, tuple[str, ...]]]:
    watched = Watched(place, place.live)
    facts = Facts(watched)
    names: dict[str, object] = {}
    files = {}
    for need in rule.needs:
        before = set(watched.seen)
        names[need] = getattr(facts, need)
        new = sorted(path for path in watched.seen - before if _is_file(place, path))
        files[need] = tuple(new)
    return names, files


def _is_file(place: Root, path: str) -> bool:
    try:
        found = place.stat(root.real(place, path))
    except (OSError, root.Unreadable):
        return False
    return found is not None and found.kind == "file"


def _item(rule: Rule, items: Iterable[object], names: dict[str, object], subject: str) -> object:
    for item in items:
        scope = {**names, rule.item: item}
        try:
            if expr.evaluate(rule.when, scope) and expr.render(rule.subject, scope) == subject:
                return item
        except Undetermined:
            continue
    raise Undetermined(f"{subject} is not found any more: the machine changed in this moment")


# --- parts of an expression ---


def parts(text: str, names: dict[str, object]) -> tuple[Part, ...]:
    """The expression, then what it is made of, each with its value; what did not matter is said to be not needed."""
    return tuple(_parts(expr.parse(text).body, names, 0))


def _parts(node: ast.expr, names: dict[str, object], depth: int) -> Iterator[Part]:
    yield Part(depth, ast.unparse(node), _valued(node, names))
    if isinstance(node, ast.BoolOp):
        decided = False
        for child in node.values:
            if decided:
                yield Part(depth + 1, ast.unparse(child), "not needed")
                continue
            yield from _parts(child, names, depth + 1)
            decided = _truth(child, names) is isinstance(node.op, ast.Or)
    elif isinstance(node, ast.UnaryOp):
        yield from _parts(node.operand, names, depth + 1)
    elif not isinstance(node, (ast.Name, ast.Attribute, ast.Constant)):
        for child in _operands(node):
            yield from _parts(child, names, depth + 1)
    elif isinstance(node, ast.Attribute) and depth and isinstance(node.value, ast.Attribute):
        yield Part(depth + 1, ast.unparse(node.value), _valued(node.value, names))


def _operands(node: ast.expr) -> list[ast.expr]:
    """What a comparison compares, or what a call is given; constants say nothing new."""
    if isinstance(node, ast.Call):
        of = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        found = [*of, *node.args]
    else:
        found = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    return [one for one in found if not isinstance(one, ast.Constant)]


def _evaluated(node: ast.expr, names: dict[str, object]) -> object:
    return expr.evaluate(expr.Expression(ast.unparse(node)), names)


def _truth(node: ast.expr, names: dict[str, object]) -> bool | None:
    try:
        return bool(_evaluated(node, names))
    except Undetermined:
        return None


def _valued(node: ast.expr, names: dict[str, object]) -> str:
    try:
        return value(_evaluated(node, names))
    except Undetermined as unknown:
        return f"unknown ({unknown})"


def value(found: object) -> str:
    """A value as one line of at most LENGTH characters."""
    words = shown(_words(found))
    return words if len(words) <= LENGTH else words[: LENGTH - 3] + "..."


def _words(found: object) -> str:
    if isinstance(found, Unknown):
        return f"unknown ({found.reason})"
    if isinstance(found, Enum):
        return str(found.value)
    fields = getattr(found, "_fields", None)
    if fields:
        known = ((name, getattr(found, name)) for name in fields)
        told = ", ".join(
            f"{name}={_words(one)}"
            for name, one in known
            if isinstance(one, Unknown) or (one not in ((), "", None) and not _is_line(one))
        )
        return f"{type(found).__name__}({told})"
    if isinstance(found, tuple):
        return (
            f"({', '.join(_words(one) for one in found[:5])}{f', ... {len(found)} in all' if len(found) > 5 else ''})"
        )
    return repr(found)


def _is_line(found: object) -> bool:
    """Whether it is a line of a file as its grammar split it: the evidence shows it."""
    return "raw" in getattr(found, "_fields", ())


# --- told ---


def page(rule: Rule, finding: Finding, target: Target, found: Trace, style: Style = PLAIN) -> str:
    """The trace for people."""
    lines = [style.paint(f"{finding.fingerprint} on {target.name}", "1"), *wrap(f"{rule.id}: {rule.title}")]
    lines += ["", *wrap(shown(finding.message))]
    lines += ["", style.paint("Facts, and the files they were read from", "1")]
    for fact, files in found.files.items():
        more = f" and {len(files) - FILES} more" if len(files) > FILES else ""
        words = ", ".join(map(shown, files[:FILES])) + more
        lines += wrap(f"{fact:<12} {words or 'other facts alone'}", "  ", "               ")
    if found.item:
        lines += [
            "",
            style.paint(f"{rule.item}, one of {found.items} in {rule.for_each.text if rule.for_each else ''}", "1"),
        ]
        lines += wrap(found.item, "  ", "    ")
    for member, pieces in found.conditions:
        lines += ["", style.paint(member, "1")]
        for piece in pieces:
            lines += _piece(piece)
    lines += ["", style.paint("Evidence", "1")]
    for one in finding.evidence:
        place = one.path + (f":{one.line}" if one.line else "")
        lines += wrap(f"{shown(place)}: {shown(one.observed)}", "  ", "    ")
        lines += wrap(f"{style.arrow} {shown(one.expected)}", "    ", "      ") if one.expected else []
    if finding.waiver:
        lines += ["", *wrap(f"Waived until {finding.waiver.expires}: {shown(finding.waiver.reason)}", "", "  ")]
    return "\n".join([*lines, "", f"The rule: migprep explain {rule.id}", ""])


def _piece(piece: Part) -> list[str]:
    indent = "  " * (piece.depth + 1)
    return wrap(f"{piece.text} = {piece.value}", indent, indent + "    ")
