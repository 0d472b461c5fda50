"""The one-line conditions of rules: Python's own syntax behind a whitelist, compiled when first used."""

from __future__ import annotations

from migprep.model import MigprepError, Undetermined
from migprep.typed import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    import ast
    from types import CodeType

#: The names of the allowed nodes of `ast`, which is imported only to check a rule that no test has seen.
NODES = frozenset(
    {"Expression", "BoolOp", "And", "Or", "UnaryOp", "Not", "Compare", "Eq", "NotEq", "Lt", "LtE", "Gt", "GtE", "In",
     "NotIn", "Name", "Load", "Attribute", "Constant", "Call", "Tuple", "IfExp"}
)  # fmt: skip


def _join(values: object) -> str:
    return ", ".join(str(item) for item in values)  # type: ignore[attr-defined]


#: The functions that a condition may call; all are pure.
FUNCTIONS: dict[str, Callable[..., object]] = {"len": len, "join": _join, "str": str}


class ExpressionError(MigprepError):
    """A condition that is not of the allowed form; the sentence says what is wrong."""

    code = 65
    column = 0

    def at(self, column: int) -> ExpressionError:
        """The same, with the column in the expression where it goes wrong; the innermost wins."""
        self.column = self.column or column
        return self


class Expression:
    """A condition and the text it came from; compiled on first use, for most are never needed."""

    __slots__ = ("_code", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._code: CodeType | None = None

    @property
    def code(self) -> CodeType:
        """Compiled as it stands: what is not allowed was refused when the rule was loaded, or never packaged."""
        if self._code is None:
            self._code = compile(self.text.strip(), "<rule>", "eval")
        return self._code


class Text:
    """A sentence with ``{expressions}`` in it, as literal and compiled parts in turn; split on first use."""

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: tuple[str | Expression, ...] | None = None

    @property
    def parts(self) -> tuple[str | Expression, ...]:
        """Texts and expressions in turn. Raises ExpressionError."""
        if self._parts is None:
            self._parts = _split(self.text)
        return self._parts


def parse(text: str) -> ast.Expression:
    """The syntax tree of a condition. Raises ExpressionError for anything outside the whitelist."""
    import ast

    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        column = (getattr(error, "offset", None) or 1) - 1
        raise ExpressionError(f"not an expression: {text!r} ({error})").at(column) from None
    for node in ast.walk(tree):
        if type(node).__name__ not in NODES:
            column = getattr(node, "col_offset", 0)
            raise ExpressionError(f"{type(node).__name__} is not allowed in {text!r}").at(column)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            raise ExpressionError(f"private name {node.attr!r} in {text!r}").at(_end(node))
        if isinstance(node, ast.Call):
            if node.keywords or not isinstance(node.func, (ast.Name, ast.Attribute)):
                raise ExpressionError(f"only plain calls are allowed in {text!r}").at(node.col_offset)
            if isinstance(node.func, ast.Name) and node.func.id not in FUNCTIONS:
                raise ExpressionError(f"no function {node.func.id!r}; there are {', '.join(sorted(FUNCTIONS))}").at(
                    node.col_offset
                )
    return tree


def _end(node: ast.Attribute) -> int:
    """The column where the name after the dot begins."""
    return (node.end_col_offset or 0) - len(node.attr)


def _split(text: str) -> tuple[str | Expression, ...]:
    from string import Formatter

    parts: list[str | Expression] = []
    try:
        for literal, field, spec, conversion in Formatter().parse(text):
            if literal:
                parts.append(literal)
            if field is not None:
                if spec or conversion:
                    raise ExpressionError(f"no format or conversion is allowed in {{{field}}}")
                parts.append(Expression(field))
    except ValueError as error:
        raise ExpressionError(f"{error} in {text!r}") from None
    return tuple(parts)


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
