"""A rule file held against its grammar, the facts it names and the cases inside it; mistakes are shown in its text."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from migprep import data, expr, lint, plan, render, rules, targets
from migprep.evaluate import evaluate
from migprep.facts import Facts
from migprep.model import MigprepError
from migprep.report.text import shown
from migprep.root import Files, Overlay

if TYPE_CHECKING:
    from migprep.root import Root
    from migprep.rules import Rule
    from migprep.targets import Target

CASE = frozenset({"name", "root", "files", "remove", "target", "status", "findings", "after"})


class Fault(NamedTuple):
    """One mistake; `line` and `column` count from 1, and `source` is that line."""

    path: str
    line: int
    column: int
    words: str
    source: str

    def __str__(self) -> str:
        caret = " " * (self.column - 1) + "^"
        return f"{self.path}:{self.line}:{self.column}: {shown(self.words)}\n    {shown(self.source)}\n    {caret}"


class Trial(NamedTuple):
    """One case tried; `faults` is empty when it came out as written."""

    name: str
    faults: tuple[str, ...]


# --- mistakes ---


def faults(path: str) -> list[Fault]:
    """Every mistake that can be told without a machine. Raises DataError for a file that cannot be read."""
    lines = _lines(path)
    try:
        content = data.strict(path)
    except data.DataError as error:
        if not error.line:
            raise
        words = str(error).partition(f":{error.line}: ")[2]
        return [_fault(path, lines, error.line, error.column, words)]
    top = _composed(path)
    try:
        rule = rules.parse(content, path, checked=True)
        found = _misspelt(rule) or lint.lint(rule)
    except rules.RuleError as error:
        return [_fault(path, lines, *_place(top, error.member), str(error)[len(path) + 2 :])]
    except expr.ExpressionError as error:
        return [_fault(path, lines, 1, 1, str(error))]
    placed = [_fault(path, lines, *_inside(top, one, lines), f"{one.member}: {_without(one)}") for one in found]
    return sorted(placed + [_fault(path, lines, *_place(top, member), words) for member, words in _dangling(rule)])


def _without(one: lint.Fault) -> str:
    """The sentence without its own member, which stands before all of them."""
    return one.words[len(one.member) + 2 :] if one.words.startswith(f"{one.member}: ") else one.words


def _misspelt(rule: Rule) -> list[lint.Fault]:
    """Expressions that are none, each with its place."""
    found = []
    for member, one in rules.expressions(rule):
        try:
            expr.parse(one.text)
        except expr.ExpressionError as error:
            found.append(lint.Fault(str(error), member, one.text, error.column))
    return found


def _dangling(rule: Rule) -> list[tuple[str, str]]:
    """What the rule names that is not there."""
    from migprep import actions

    found = []
    if rule.fix and rule.fix.template and not _has_template(rule.fix.template):
        found.append(("fix.template", f"fix.template: there is no template {rule.fix.template}"))
    for name in rule.fix.then if rule.fix else ():
        if name not in actions.NAMES:
            found.append(("fix.then", f"fix.then: {name!r} is not one of {', '.join(actions.NAMES)}"))
    return found


def _has_template(name: str) -> bool:
    from jinja2 import TemplateError

    try:
        render.environment().get_template(name)
        return True
    except TemplateError:
        return False


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            return stream.read().split("\n")
    except OSError as error:
        raise data.DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def _fault(path: str, lines: list[str], line: int, column: int, words: str) -> Fault:
    return Fault(path, line, column, words, lines[line - 1].rstrip("\r") if line <= len(lines) else "")


def _composed(path: str) -> Any:
    import yaml

    with open(path, "rb") as stream:
        return yaml.compose(stream, yaml.SafeLoader)


def _place(top: Any, member: str) -> tuple[int, int]:
    """Line and column of a member such as fix.safety; of the nearest thing around it where it is missing."""
    mark = _node(top, member)[0].start_mark
    return mark.line + 1, mark.column + 1


def _node(top: Any, member: str) -> tuple[Any, Any]:
    """(key, value) of a member."""
    import yaml

    key, value = top, top
    for part in filter(None, member.split(".")):
        if isinstance(value, yaml.SequenceNode):
            items = value.value
            if part.isdigit() and int(part) < len(items):
                key = value = items[int(part)]
                continue
            value = next((one for one in items if isinstance(one, yaml.MappingNode) and part in _keys(one)), value)
        elif part.isdigit():
            continue  # one mapping stands for a list of one
        if not isinstance(value, yaml.MappingNode) or part not in _keys(value):
            break
        key, value = next(pair for pair in value.value if pair[0].value == part)
    return key, value


def _keys(node: Any) -> list[str]:
    return [key.value for key, _ in node.value]


def _inside(top: Any, one: lint.Fault, lines: list[str]) -> tuple[int, int]:
    """Line and column of a mistake inside a text: where that part of it stands in the file, or the text's start."""
    mark, end = _node(top, one.member)[1].start_mark, _node(top, one.member)[1].end_mark
    for number in range(mark.line, min(end.line + 1, len(lines))):
        begin = mark.column if number == mark.line else 0
        at = lines[number].find(one.text.strip(), begin)
        if at >= 0:
            return number + 1, at + one.column + 1
    return mark.line + 1, mark.column + 1


# --- cases ---


def tried(path: str) -> list[Trial]:
    """Try every case that the file holds. Raises DataError, RuleError."""
    content = data.strict(path)
    rule = rules.parse(content, path)
    cases = content.get("cases")
    if not isinstance(cases, list) or not all(isinstance(one, dict) for one in cases):
        raise rules.RuleError(
            f"{path}: cases: must be a list of mappings: name, files, status, findings, after", "cases"
        )
    return [_tried(rule, one, os.path.dirname(path)) for one in cases]


def _tried(rule: Rule, case: dict[str, Any], folder: str) -> Trial:
    name = str(case.get("name", "without a name"))
    unknown = set(case) - CASE
    if unknown:
        return Trial(name, (f"unknown member {min(map(str, unknown))}",))
    try:
        target = target_of(case.get("target", "kvm"), targets.load())
        return Trial(name, tuple(_compared(rule, case, target, _root(case, folder))))
    except (MigprepError, KeyError, TypeError, ValueError) as error:
        return Trial(name, (f"{type(error).__name__}: {error}",))


def _root(case: dict[str, Any], folder: str) -> Root:
    """The machine of a case: its own files, over a capture or a directory where it names one."""
    given = files({}, case)
    if "root" not in case:
        return Files(given)
    from migprep import inspection

    return Overlay(inspection.open_root(os.path.join(folder, case["root"])), given)  # type: ignore[arg-type]


def _compared(rule: Rule, case: dict[str, Any], target: Target, place: Root) -> list[str]:
    result = evaluate(rule, Facts(place), target)
    found = []
    if result.status.value != case.get("status"):
        why = f" ({result.reason})" if result.reason else ""
        found.append(f"status: expected {case.get('status')}, is {result.status.value}{why}")
    subjects, expected = [one.subject for one in result.findings], sorted(map(str, case.get("findings", ())))
    if subjects != expected:
        found.append(f"findings: expected {', '.join(expected) or 'none'}, are {', '.join(subjects) or 'none'}")
    if "after" in case:
        after = {
            "/" + path.strip("/"): None if value is None else content(value) for path, value in case["after"].items()
        }
        changes = plan.mended(rule, Facts(place), target)
        if changes != after:
            found += [
                f"after: {path} is not as expected"
                for path in sorted({*changes, *after})
                if changes.get(path) != after.get(path)
            ]
    return found


def files(shared: dict[str, Any], case: dict[str, Any]) -> dict[str, bytes | str]:
    """The files of a case over those that it shares with others: a text, a link, or bytes each."""
    given = {"/" + path.strip("/"): value for path, value in {**shared, **case.get("files", {})}.items()}
    for path in case.get("remove", []):
        gone = "/" + path.strip("/")
        given = {path: value for path, value in given.items() if path != gone and not path.startswith(gone + "/")}
    return {path: content(value) for path, value in given.items()}


def content(value: Any) -> bytes | str:
    """What a case writes for a file: a text, {link: PATH}, {repeat: TEXT, times: N}, {hex: ...} or {base64: ...}."""
    import base64

    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if "link" in value:
        return str(value["link"])
    if "repeat" in value:
        return bytes(value["repeat"].encode() * value["times"])
    return bytes.fromhex(value["hex"]) if "hex" in value else base64.b64decode(value["base64"])


def target_of(wanted: Any, known: dict[str, Target]) -> Target:
    """A target by name, or kvm with some members of its own."""
    if isinstance(wanted, str):
        return known[wanted]
    kvm = known["kvm"]
    members: dict[str, Any] = {key: tuple(value) for key, value in wanted.items() if key != "nic"}
    return kvm._replace(nic=kvm.nic._replace(**wanted.get("nic", {})), **members)
