"""Hold a rule's expressions against the types of the facts, so that a misspelt name is refused."""

from __future__ import annotations

import ast
import importlib
import typing
from types import FunctionType
from typing import Union

from migprep import expr
from migprep.expr import ExpressionError
from migprep.facts import Facts, fact
from migprep.model import Unknown
from migprep.rules import Rule, expressions
from migprep.targets import Target

Types = typing.Dict[str, object]  # noqa: UP006  evaluated at run time


FACTS = tuple(name for name, probe in vars(Facts).items() if isinstance(probe, fact))


class Fault(typing.NamedTuple):
    """One mistake: a sentence, the member and the text that it is in, and the column in that text."""

    words: str
    member: str
    text: str
    column: int


def lint(rule: Rule) -> list[Fault]:
    """What is wrong with a rule; empty when nothing is."""
    names: Types = {"target": Target}
    faults: list[Fault] = []
    for need in rule.needs:
        probe = vars(Facts).get(need)
        if isinstance(probe, fact):
            names[need] = _fact_type(probe)
        else:
            words = f"needs: there is no fact {need!r}{_near(need, FACTS)}"
            faults.append(Fault(words, "needs", need, 0))
    if faults:
        return faults
    if rule.for_each:
        try:
            names[rule.item] = element(infer(expr.parse(rule.for_each.text).body, names), rule.for_each.text)
        except ExpressionError as error:
            return [Fault(str(error), "for_each", rule.for_each.text, error.column)]
    for member, one in expressions(rule):
        try:
            infer(expr.parse(one.text).body, names)
        except ExpressionError as error:
            faults.append(Fault(str(error), member, one.text, error.column))
    return faults


def _fact_type(probe: fact[object]) -> object:
    name = probe.probe.__annotations__["return"]
    module, _, kind = name.rpartition(".")
    return getattr(importlib.import_module(f"migprep.facts.{module}"), kind)


def infer(node: ast.expr, names: Types) -> object:
    """The type of an expression. Raises ExpressionError for a name or member that does not exist."""
    if isinstance(node, ast.Name):
        if node.id in names:
            return names[node.id]
        if node.id in ("True", "False", "None"):
            return object
        words = f"there is no {node.id!r}; this rule sees {', '.join(sorted(names))}{_unneeded(node.id)}"
        raise ExpressionError(words).at(node.col_offset)
    if isinstance(node, ast.Attribute):
        owner = infer(node.value, names)
        try:
            return member(owner, node.attr)
        except ExpressionError as error:
            raise error.at((node.end_col_offset or 0) - len(node.attr)) from None
    if isinstance(node, ast.Call):
        for argument in node.args:
            infer(argument, names)
        if isinstance(node.func, ast.Attribute):
            return result(member(infer(node.func.value, names), node.func.attr), node.func.attr)
        return object
    if isinstance(node, ast.IfExp):
        infer(node.test, names)
        infer(node.orelse, names)
        return infer(node.body, names)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            infer(child, names)
    return type(node.value) if isinstance(node, ast.Constant) else object


def member(owner: object, name: str) -> object:
    """The type of `owner.name`; a member of an optional value is refused: make a better fact."""
    owner = plain(owner)
    if _is_union(owner):
        raise ExpressionError(f"{name!r} is asked of a value that may be None ({owner})")
    if not isinstance(owner, type):
        raise ExpressionError(f"{owner} has no member {name!r}")
    found = getattr(owner, name, None)
    hints = typing.get_type_hints(owner)
    if name in hints:
        return hints[name]
    if isinstance(found, property) and found.fget:
        return typing.get_type_hints(found.fget).get("return", object)
    if isinstance(found, FunctionType) and owner.__module__.startswith("migprep."):
        return found
    if owner.__module__.startswith("migprep.") and name == "value" and hasattr(owner, "__members__"):
        return str
    known = [one for one in (*hints, *vars(owner)) if not one.startswith("_")]
    raise ExpressionError(f"{owner.__name__} has no {name}{_near(name, known)}")


def _near(name: str, known: typing.Iterable[str]) -> str:
    """A hint at a word that was meant."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _unneeded(name: str) -> str:
    """A hint at the fact that `needs` does not name."""
    return f"; to use the fact {name}, name it in needs" if name in FACTS else ""


def result(function: object, name: str) -> object:
    """The type that a method returns."""
    if not isinstance(function, FunctionType):
        raise ExpressionError(f"{name} cannot be called")
    return typing.get_type_hints(function).get("return", object)


def element(sequence: object, text: str) -> object:
    """The type of one item of what a rule loops over."""
    sequence = plain(sequence)
    arguments = typing.get_args(sequence)
    if not arguments:
        raise ExpressionError(f"{text} is not a tuple of typed items")
    return arguments[0]


def plain(kind: object) -> object:
    """A type without its Unknown: meeting one ends the evaluation by itself."""
    if _is_union(kind):
        left = [one for one in typing.get_args(kind) if one is not Unknown]
        return left[0] if len(left) == 1 else kind
    return kind


def _is_union(kind: object) -> bool:
    return typing.get_origin(kind) is Union or type(kind).__name__ == "UnionType"
