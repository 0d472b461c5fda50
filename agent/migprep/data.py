"""Rule and target files: shipped ones, compiled to JSON when packaged, and those of a site."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

from migprep.model import MigprepError
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import SourceLoader

HERE = os.path.dirname(__file__)
COMPILED = "compiled.json"
#: Where a site keeps its own rules, targets and waivers: of the machine migprep runs on.
SITE = "/etc/migprep"


class DataError(MigprepError):
    """A data file that does not parse: path, line and what is wrong; `line` and `column` count from 1, 0 for none."""

    code = 65
    line = column = 0

    def at(self, line: int, column: int) -> DataError:
        """The same, with its place."""
        self.line, self.column = line, column
        return self


def packaged(name: str) -> bytes:
    """A file of the package, whether that is a folder, a zip or an executable (PEP 302). Raises OSError."""
    loader: SourceLoader = __loader__  # type: ignore[name-defined]
    return loader.get_data(os.path.join(HERE, name))


def mappings(kind: str, site: str | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """(path, content) of every `rules` or `targets` file, the site's last. Raises DataError."""
    yield from shipped(kind)
    if site and os.path.isdir(site):
        for name in sorted(os.listdir(site)):
            if name.endswith((".yaml", ".yml")):
                path = os.path.join(site, name)
                yield path, strict(path)


def shipped(kind: str) -> Iterator[tuple[str, dict[str, object]]]:
    """The files that come with the program; a package holds them as one JSON file, which loads 30 times faster."""
    document = _document()
    if document is not None:
        yield from document[kind]
        return
    for path in sources(kind):
        yield os.path.relpath(path, HERE), strict(path)


def is_packaged() -> bool:
    """Whether the shipped files are compiled, which only those are that passed the tests."""
    return _document() is not None


@cache
def _document() -> dict[str, list[tuple[str, dict[str, object]]]] | None:
    """What a package carries, parsed once; None for a checkout."""
    try:
        content = packaged(COMPILED)
    except OSError:
        return None
    import json

    found: dict[str, list[tuple[str, dict[str, object]]]] = json.loads(content)
    return found


def sources(kind: str) -> list[str]:
    """Paths of the shipped YAML files: rules/<area>/<name>.yaml or rules/targets/<name>.yaml."""
    found = []
    for folder, _, names in os.walk(os.path.join(HERE, "rules")):
        if (os.path.basename(folder) == "targets") == (kind == "targets"):
            found += [os.path.join(folder, name) for name in names if name.endswith(".yaml")]
    return sorted(found)


def strict(path: str) -> dict[str, object]:
    """One YAML mapping; duplicate keys are refused. Raises DataError naming path and line."""
    import yaml

    try:
        with open(path, "rb") as stream:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(stream)
            try:
                node = loader.get_single_node()
                if node is None or not isinstance(node, yaml.MappingNode):
                    raise DataError(f"{path}:1: must be a mapping").at(1, 1)
                _refuse_duplicates(node, path)
                content: dict[str, object] = loader.construct_document(node)
                return content
            finally:
                loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise DataError(f"{path}:{line}: {error.problem}").at(line, column) from None
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not YAML in UTF-8: {getattr(error, 'reason', error)}") from None


def _refuse_duplicates(node: object, path: str) -> None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                line, column = key.start_mark.line + 1, key.start_mark.column + 1
                raise DataError(f"{path}:{line}: {key.value!r} stands here twice").at(line, column)
            seen.add(key.value)
            _refuse_duplicates(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, path)


def compiled() -> bytes:
    """All shipped files as the JSON document that a package carries."""
    import json

    document = {kind: list(shipped(kind)) for kind in ("rules", "targets")}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
