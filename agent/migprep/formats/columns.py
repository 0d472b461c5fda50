r"""Lines of fields between white space, as in fstab(5) and crypttab(5): nothing is lost.

Joining the `raw` of all lines gives back the text. Only ``\n`` ends a line, as an editor counts.
"""

from __future__ import annotations

import re

from migprep.typed import NamedTuple

#: libmount separates fields by blanks and tabs alone; a carriage return before the end belongs to the line's end.
FIELD = re.compile(r"[^ \t\r\n]+")
BOM = "\ufeff"


class Line(NamedTuple):
    """One line: its number (from 1), every character of it, and where its fields are."""

    number: int
    raw: str
    spans: tuple[tuple[int, int], ...]  # () for comments and empty lines

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields as written."""
        return tuple(self.raw[start:end] for start, end in self.spans)

    def with_field(self, position: int, value: str) -> str:
        """The line with one field replaced and every other character as it was."""
        start, end = self.spans[position]
        return self.raw[:start] + value + self.raw[end:]


def parse(text: str) -> tuple[Line, ...]:
    """The lines of a table. A line whose first sign is ``#`` is a comment; so is all after a field ``#…``."""
    lines = text.split("\n")
    raws = [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    return tuple(Line(number, raw, _spans(raw, number)) for number, raw in enumerate(raws, 1))


def _spans(raw: str, number: int) -> tuple[tuple[int, int], ...]:
    spans = []
    start = len(BOM) if number == 1 and raw.startswith(BOM) else 0
    for found in FIELD.finditer(raw, start):
        if found.group()[0] == "#":
            break
        spans.append(found.span())
    return tuple(spans)


def join(lines: tuple[Line, ...]) -> str:
    """The text again."""
    return "".join(line.raw for line in lines)


# /mnt/my\040disk
def decode(field: str) -> str:
    """A field with the octal escapes of fstab(5) resolved."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8) & 255), field) if "\\" in field else field


def encode(value: str) -> str:
    """A value as it may stand in a field."""
    return re.sub(r"[ \t\n\\#]", lambda found: f"\\{ord(found.group()):03o}", value)
