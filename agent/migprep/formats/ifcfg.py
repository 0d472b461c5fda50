"""Lossless text of ifcfg files: shell assignments, as network-scripts, NetworkManager and wicked read them."""

from __future__ import annotations

import re

from migprep.formats.stanzas import split
from migprep.typed import NamedTuple

# HWADDR="00:0C:29:AB:CD:EF"
# export DEVICE=eth0   # the first
NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=")
#: Lines that one quoted value may span; an open quote must not cost the square of the file.
SPAN = 32
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}


class Line(NamedTuple):
    """One assignment, or whatever else stands there (`name` is ""). `start` and `end` bound its word in `raw`."""

    number: int
    raw: str
    name: str = ""
    value: str = ""
    start: int = 0
    end: int = 0

    def with_value(self, value: str) -> str:
        """The line with another value; comments, spacing and the line end stay."""
        quoted = value if re.fullmatch(r"[A-Za-z0-9_.:/,@%+-]*", value) else "'" + value.replace("'", "'\\''") + "'"
        return self.raw[: self.start] + quoted + self.raw[self.end :]


def parse(text: str) -> tuple[Line, ...]:
    """All lines; joining their `raw` gives back `text`. A quoted value may go over several lines."""
    lines: list[Line] = []
    pieces = split(text)
    place = 0
    while place < len(pieces):
        found = NAME.match(pieces[place])
        if found:
            raw, word = _word(pieces, place, found.end())
            if word is not None:
                lines.append(Line(place + 1, raw, found.group(1), word[0], found.end(), word[1]))
                place += raw.count("\n") if raw.endswith("\n") else len(pieces)
                continue
        lines.append(Line(place + 1, pieces[place]))
        place += 1
    return tuple(lines)


def _word(pieces: list[str], place: int, start: int) -> tuple[str, tuple[str, int] | None]:
    raw = pieces[place]
    for following in [*pieces[place + 1 : place + SPAN], ""]:
        word = unquote(raw, start)
        if word is not None or not following:
            return raw, word
        raw += following
    return raw, None


def unquote(raw: str, at: int) -> tuple[str, int] | None:
    """The shell word that begins at `at` and where it ends, or None when a quote is not closed."""
    value = ""
    while at < len(raw):
        sign = raw[at]
        if sign in " \t\r\n;&|":
            break
        if sign == "'" or raw.startswith("$'", at):
            part, at = _single(raw, at + 1) if sign == "'" else _ansi(raw, at + 2)
        elif sign == '"' or raw.startswith('$"', at):
            part, at = _double(raw, at + (1 if sign == '"' else 2))
        elif sign == "\\":
            part, at = ("" if raw[at + 1 : at + 2] == "\n" else raw[at + 1 : at + 2]), at + 2
        else:
            part, at = sign, at + 1
        if at < 0:
            return None
        value += part
    return value, min(at, len(raw))


def _single(raw: str, at: int) -> tuple[str, int]:
    end = raw.find("'", at)
    return (raw[at:end], end + 1) if end >= 0 else ("", -1)


def _double(raw: str, at: int) -> tuple[str, int]:
    value = ""
    while at < len(raw):
        if raw[at] == '"':
            return value, at + 1
        if raw[at] == "\\" and raw[at + 1 : at + 2] in ("$", "`", '"', "\\", "\n"):
            at += 1
        value += raw[at]
        at += 1
    return "", -1


def _ansi(raw: str, at: int) -> tuple[str, int]:
    value = ""
    while at < len(raw):
        if raw[at] == "'":
            return value, at + 1
        if raw[at] == "\\":
            octal = re.compile(r"\\([0-7]{1,3})|\\x([0-9a-fA-F]{1,2})").match(raw, at)
            if octal:
                value += chr(int(octal.group(1), 8) if octal.group(1) else int(octal.group(2), 16))
                at = octal.end()
                continue
            value += ESCAPES.get(raw[at + 1 : at + 2], raw[at + 1 : at + 2])
            at += 2
            continue
        value += raw[at]
        at += 1
    return "", -1


def values(lines: tuple[Line, ...]) -> dict[str, str]:
    """Every variable with its last value."""
    return {line.name: line.value for line in lines if line.name}
