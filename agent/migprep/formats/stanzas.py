"""Lossless text of ifupdown's stanzas: interfaces(5)."""

from __future__ import annotations

from migprep.typed import NamedTuple

#: Words that begin a stanza; every other line is an option of the one before.
KEYWORDS = frozenset({"iface", "mapping", "auto", "source", "source-directory", "rename", "template"})


class Line(NamedTuple):
    """One logical line: continued lines are one. `words` is () for blanks and comments.

    `stanza` counts the stanzas from 1; options carry the number of the stanza they belong to.
    """

    number: int
    raw: str
    words: tuple[str, ...] = ()
    stanza: int = 0

    @property
    def begins(self) -> bool:
        """Whether this line begins a stanza."""
        return bool(self.words) and is_keyword(self.words[0])

    def with_word(self, place: int, word: str) -> str:
        """The line with one word exchanged; the spacing and the line end stay."""
        at = 0
        for index, old in enumerate(self.words):
            at = self.raw.index(old, at)
            if index == place:
                return self.raw[:at] + word + self.raw[at + len(old) :]
            at += len(old)
        raise IndexError(f"line {self.number} has no word {place}")


def is_keyword(word: str) -> bool:
    """Whether a line that begins with `word` begins a stanza."""
    return word in KEYWORDS or word.startswith(("allow-", "no-auto-down", "no-scripts"))


def parse(text: str) -> tuple[Line, ...]:
    """All lines; joining their `raw` gives back `text`."""
    lines: list[Line] = []
    stanza, number, raw = 0, 1, ""
    first = 1
    for piece in split(text):
        if not raw:
            first = number
        number += 1
        comment = not raw and piece.lstrip().startswith("#")
        raw += piece
        if not comment and piece.rstrip("\r\n").endswith("\\") and piece.endswith("\n"):
            continue
        words = () if comment else tuple(_joined(raw).split())
        if words and is_keyword(words[0]):
            stanza += 1
        lines.append(Line(first, raw, words, stanza))
        raw = ""
    if raw:
        lines.append(Line(first, raw, tuple(_joined(raw).split()), stanza))
    return tuple(lines)


def _joined(raw: str) -> str:
    return raw.replace("\\\r\n", " ").replace("\\\n", " ")


def split(text: str) -> list[str]:
    """Lines with their ends, split after a line feed only."""
    pieces = [piece + "\n" for piece in text.split("\n")]
    pieces[-1] = pieces[-1][:-1]
    return pieces if pieces[-1] else pieces[:-1]
