"""Kernel arguments: words between white space, where quotes protect blanks (kernel-parameters.rst)."""

from __future__ import annotations

import re

from migprep.typed import NamedTuple

#: A word: anything but white space, with double- or single-quoted parts that may hold it; lilo.conf(5) has `root = x`.
WORD = re.compile(r"(?:(?<!\S)root[ \t]*=[ \t]*)?(?:\\.|\"[^\"]*\"|'[^']*'|[^\s\"'\\])+")


class Word(NamedTuple):
    """One argument, and where its value stands in the text it was read from."""

    key: str
    value: str
    start: int
    end: int  # of the value; start == end for an argument without one
    line: int


def words(text: str, start: int = 0, end: int | None = None) -> tuple[Word, ...]:
    """The arguments in text[start:end]; `line` counts from 1 in the whole text."""
    end = len(text) if end is None else end
    found = []
    line, counted = text.count("\n", 0, start) + 1, start
    for word in WORD.finditer(text, start, end):
        line += text.count("\n", counted, word.start())
        counted = word.start()
        key, equals, value = word.group().partition("=")
        at = word.start() + len(key) + len(equals) + len(value) - len(value.lstrip(" \t"))
        key, value = key.rstrip(" \t"), value.lstrip(" \t")
        quote = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        found.append(Word(key.strip("\"'"), value.strip("\"'"), at + quote, word.end() - quote, line))
    return tuple(found)


def replace(text: str, changes: dict[tuple[int, int], str]) -> str:
    """The text with each (start, end) replaced; everything else stays."""
    for (start, end), value in sorted(changes.items(), reverse=True):
        text = text[:start] + value + text[end:]
    return text
