"""The one-line conditions of rules: Python's own syntax behind a whitelist, compiled once."""

from __future__ import annotations

import ast
from types import CodeType
from typing import Callable, NamedTuple

from migprep.model import MigprepError, Undetermined

NODES = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Compare, ast.Eq, ast.NotEq,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Name, ast.Load, ast.Attribute, ast.Constant,
    ast.Call, ast.Tuple, ast.IfExp,
)  # fmt: skip


def _join(values: object) -> str:
    return ", ".join(str(item) for item in values)  # type: ignore[attr-defined]


#: The functions that a condition may call; all are pure.
FUNCTIONS: dict[str, Callable[..., object]] = {"len": len, "join": _join, "str": str}


class ExpressionError(MigprepError):
    """A condition that is not of the allowed form; the sentence says what is wrong."""

    code = 65


class Expression(NamedTuple):
    """A compiled condition and the text it came from."""

    text: str
    code: CodeType


class Text(NamedTuple):
    """A sentence with ``{expressions}`` in it, as literal and compiled parts in turn."""

    text: str
    parts: tuple[str | Expression, ...]


def parse(text: str) -> ast.Expression:
    """The syntax tree of a condition. Raises ExpressionError for anything outside the whitelist."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ExpressionError(f"not an expression: {text!r} ({error})") from None
    for node in ast.walk(tree):
        if not isinstance(node, NODES):
            raise ExpressionError(f"{type(node).__name__} is not allowed in {text!r}")
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            raise ExpressionError(f"private name {node.attr!r} in {text!r}")
        if isinstance(node, ast.Call):
            if node.keywords or not isinstance(node.func, (ast.Name, ast.Attribute)):
                raise ExpressionError(f"only plain calls are allowed in {text!r}")
            if isinstance(node.func, ast.Name) and node.func.id not in FUNCTIONS:
                raise ExpressionError(f"no function {node.func.id!r}; there are {', '.join(sorted(FUNCTIONS))}")
    return tree


def compile_expression(text: str) -> Expression:
    """A condition ready to be evaluated. Raises ExpressionError."""
    return Expression(text, compile(parse(text), "<rule>", "eval"))


def compile_text(text: str) -> Text:
    """A sentence ready to be filled in; braces hold expressions, ``{{`` is a brace."""
    from string import Formatter

    parts: list[str | Expression] = []
    try:
        for literal, field, spec, conversion in Formatter().parse(text):
            if literal:
                parts.append(literal)
            if field is not None:
                if spec or conversion:
                    raise ExpressionError(f"no format or conversion is allowed in {{{field}}}")
                parts.append(compile_expression(field))
    except ValueError as error:
        raise ExpressionError(f"{error} in {text!r}") from None
    return Text(text, tuple(parts))


def evaluate(expression: Expression, names: dict[str, object]) -> object:
    """The value of a condition. Raises Undetermined where it meets an Unknown."""
    return eval(expression.code, {"__builtins__": {}, **FUNCTIONS}, names)  # noqa: S307  whitelisted above


def render(text: Text, names: dict[str, object]) -> str:
    """The sentence with its values; one that is Unknown is told as such, never left out."""
    return "".join(part if isinstance(part, str) else _shown(part, names) for part in text.parts)


def _shown(expression: Expression, names: dict[str, object]) -> str:
    try:
        return str(evaluate(expression, names))
    except Undetermined as unknown:
        return f"unknown ({unknown})"
