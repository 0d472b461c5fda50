"""Lossless text of sections and keys: systemd's unit files (systemd.syntax(7)) and NetworkManager's keyfiles."""

from __future__ import annotations

from collections.abc import Iterable

from migprep.formats.stanzas import split
from migprep.typed import NamedTuple


class Line(NamedTuple):
    """One logical line. `number` is its first line in the file, `raw` its bytes with the line end.

    `block` counts section headers from 1 (0 stands before the first), so that a section that is
    written twice stays two. `key` is "" for headers, comments and what is not understood.
    """

    number: int
    raw: str
    block: int
    section: str
    key: str = ""
    value: str = ""

    def with_value(self, value: str) -> str:
        """The line with another value; what stands left of it and the line end stay."""
        left, _, right = self.raw.partition("=")
        space = right[: len(right) - len(right.lstrip(" \t"))]
        return f"{left}={space}{value}{_end(self.raw)}"


def _end(raw: str) -> str:
    return "\r\n" if raw.endswith("\r\n") else "\n" if raw.endswith("\n") else ""


def parse(text: str, continues: bool = True) -> tuple[Line, ...]:
    """All lines; joining their `raw` gives back `text`. `continues`: a final backslash joins lines."""
    lines: list[Line] = []
    block, section, number = 0, "", 1
    pieces = split(text)
    place = 0
    while place < len(pieces):
        raw = pieces[place]
        bare = raw.strip()
        place += 1
        first = number
        number += 1
        if bare[:1] == "[" and bare.endswith("]"):
            block, section = block + 1, bare[1:-1]
            lines.append(Line(first, raw, block, section))
            continue
        if not bare or bare[0] in "#;" or "=" not in bare:
            lines.append(Line(first, raw, block, section))
            continue
        key, _, value = bare.partition("=")
        while continues and value.endswith("\\") and place < len(pieces):
            following = pieces[place]
            raw += following
            place += 1
            number += 1
            if following.strip()[:1] not in ("#", ";"):
                value = value[:-1].rstrip() + " " + following.strip()
        lines.append(Line(first, raw, block, section, key.strip(), value.strip()))
    return tuple(lines)


def values(lines: Iterable[Line], section: str, key: str) -> list[str]:
    """Every value of a key in order; an empty one forgets those before it, as systemd does."""
    found: list[str] = []
    for line in lines:
        if line.key == key and line.section == section:
            found = [*found, line.value] if line.value else []
    return found


def value(lines: Iterable[Line], section: str, key: str, default: str = "") -> str:
    """The last value of a key."""
    found = values(lines, section, key)
    return found[-1] if found else default
