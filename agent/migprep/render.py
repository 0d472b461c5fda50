"""Fix templates: the new text of one file, from facts. Pure: reads nothing but the package's templates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from migprep.model import MigprepError

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

#: Where templates lie: "" for those of the package.
FOLDER = ""


class RenderError(MigprepError):
    """A template that cannot be rendered: its name, the line, and why."""

    code = 65


class _Absent(Exception):
    """Raised by a template that calls `absent()`."""


class Items:
    """The failing items of a rule, in order; `in` costs the same for one as for ten thousand."""

    def __init__(self, items: tuple[object, ...]) -> None:
        self._items = items
        self._same = {id(item) for item in items}
        self._equal: frozenset[object] | None = None

    def __iter__(self) -> Iterator[object]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> object:
        return self._items[index]

    def __contains__(self, item: object) -> bool:
        if id(item) in self._same:
            return True
        try:
            if self._equal is None:
                self._equal = frozenset(self._items)
            return item in self._equal
        except TypeError:  # an item that cannot be hashed
            return item in self._items


_environments: dict[str, SandboxedEnvironment] = {}


def environment(folder: str = FOLDER) -> SandboxedEnvironment:
    """Jinja as fixes use it: a sandbox in which an undefined name is an error and no byte of a value changes.

    The line feed after a block tag and the blanks before it are the template's, not the file's
    (trim_blocks, lstrip_blocks); every other line feed of a template is written.
    """
    if folder not in _environments:
        from jinja2 import FileSystemLoader, FunctionLoader, StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment

        made = SandboxedEnvironment(
            loader=FileSystemLoader(folder) if folder else FunctionLoader(_packaged),
            undefined=StrictUndefined, autoescape=False,
            keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        made.globals = {"absent": _absent, "range": made.globals["range"], "namespace": made.globals["namespace"]}
        _environments[folder] = made
    return _environments[folder]


def _packaged(name: str) -> str | None:
    """A template of the package; not by Jinja's PackageLoader, which before 3.0 wants setuptools."""
    from migprep import data

    try:
        return None if ".." in name.split("/") else data.packaged(f"templates/{name}").decode()
    except OSError:
        return None


def _absent() -> str:
    raise _Absent


def render(template: str, names: dict[str, object], folder: str = FOLDER) -> str | None:
    """The new text; None when the template says, by calling `absent()`, that the file must go.

    Raises RenderError, and Undetermined where the template meets an Unknown.
    """
    from jinja2 import TemplateError

    try:
        return environment(folder).get_template(template).render(names)
    except _Absent:
        return None
    except MigprepError:
        raise
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise RenderError(
            f"template {template}{f':{line}' if line else ''}: {type(error).__name__}: {error.message}"
        ) from None
    except Exception as error:  # a fault in a template must cost one fix, not the run
        raise RenderError(f"template {template}: {type(error).__name__}: {error}") from None
