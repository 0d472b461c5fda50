"""What a GRUB menu assigns to its variables, where, and on which conditions (info grub, "Shell-like scripting")."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache

from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Without it GRUB takes nothing of an environment block, nor of another file of values (grub-core/lib/envblk.c).
SIGNATURE = "# GRUB Environment Block\n"
WORDS = (
    r"(?P<comment>(?<![^\s;{}])#[^\n]*)|(?P<mark>[;\n{}])"
    r"|(?P<word>(?:\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"|\$\{[^}\n]{0,255}\}|[^\s;{}'\"\\])+)"
)
# ${rootpartition}  $photon_cmdline
VARIABLE = r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>[A-Za-z_]\w*))"
# set kernelopts="root=/dev/sda1 ro"   search --set=root   probe -s rootuuid   regexp --set 1:name
NAMED = r"(?:\d+:)?(?P<name>[A-Za-z_]\w*)$"
#: Conditions and blocks inside each other: no menu of a machine has more, and what is deeper is not read.
DEEPEST = 64
TELLING = frozenset({"search", "probe", "regexp", "smbios", "cat"})


class Guard(NamedTuple):
    """A condition that a statement stands under: the words of `if`, and whether it must hold."""

    words: tuple[str, ...]
    wanted: bool


class Assignment(NamedTuple):
    """One statement that gives a variable its value, or that loads a file of values."""

    start: int  # of the value; -1 where only GRUB itself finds it
    end: int
    name: str  # "" for a file of values
    file: str  # of load_env: "" for the environment block
    only: tuple[str, ...]  # the names that load_env takes, () for all
    guards: tuple[Guard, ...]
    blocks: tuple[int, ...]  # where the blocks of entries begin in which it stands
    in_function: bool
    offset: int = 0  # of the statement

    @property
    def is_load(self) -> bool:
        """Whether it loads a file of values."""
        return not self.name


class Word(NamedTuple):
    """A word of the script, as it stands there."""

    text: str
    start: int
    end: int


def names(text: str) -> tuple[str, ...]:
    """The variables that a text mentions."""
    return tuple(one.group("braced") or one.group("plain") for one in re.finditer(VARIABLE, text))


@lru_cache(4)
def needed(text: str, wanted: tuple[str, ...]) -> tuple[Assignment, ...]:
    """Those assignments on which the values of `wanted` depend, and every file of values."""
    named = by_name(text)
    waiting = ["", *wanted]
    known = set(waiting)
    while waiting:
        more = {name for one in named.get(waiting.pop(), ()) for part in _mentioned(text, one) for name in names(part)}
        waiting += more - known
        known |= more
    return tuple(sorted((one for name in known for one in named.get(name, ())), key=lambda one: one.offset))


@lru_cache(4)
def by_name(text: str) -> dict[str, list[Assignment]]:
    """Every assignment of a menu by the name that it gives a value, files of values by ""."""
    named: dict[str, list[Assignment]] = {}
    for one in assignments(text):
        named.setdefault(one.name, []).append(one)
    return named


def _mentioned(text: str, one: Assignment) -> tuple[str, ...]:
    return (
        text[max(one.start, 0) : max(one.end, 0)],
        one.file,
        *(word for guard in one.guards for word in guard.words),
    )


def bare(word: str) -> str:
    """A word without the quotes around it."""
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word


def blocks_at(text: str, offset: int) -> frozenset[int]:
    """Where the blocks of entries begin that stand around `offset`."""
    marks, around = _blocks(text)
    return frozenset(around[bisect_left(marks, offset)])


@lru_cache(4)
def _blocks(text: str) -> tuple[list[int], list[tuple[int, ...]]]:
    """Where the braces stand, and around which blocks each stretch up to the next one is; the first before them all."""
    marks: list[int] = []
    around: list[tuple[int, ...]] = [()]
    for _, mark, at in _statements(text):
        if mark in ("{", "}") and len(around[-1]) < DEEPEST:
            marks.append(at)
            around.append((*around[-1], at) if mark == "{" else around[-1][:-1])
    return marks, around


def _around(blocks: tuple[int, ...], statement: list[Word], mark: str, at: int) -> tuple[int, ...]:
    if mark == "{":
        is_function = bool(statement) and statement[0].text == "function"
        return (*blocks, -at if is_function else at)
    return blocks[:-1] if mark == "}" else blocks


@lru_cache(4)  # all entries of a machine share one menu
def assignments(text: str) -> tuple[Assignment, ...]:
    """Every assignment of a menu, in its order."""
    return tuple(_assignments(text))


def _assignments(text: str) -> Iterator[Assignment]:
    guards: list[tuple[Guard, ...]] = []
    blocks: tuple[int, ...] = ()
    for whole, mark, at in _statements(text):
        statement = whole
        while statement and statement[0].text in ("then", "do", "else"):
            if statement[0].text == "else" and guards:
                guards[-1] = _otherwise(guards[-1])
            statement = statement[1:]
        if len(guards) + len(blocks) > DEEPEST:
            return
        first = statement[0].text if statement else ""
        rest = tuple(one.text for one in statement[1:])
        if first == "if":
            guards.append((Guard(rest, True),))
        elif first == "elif" and guards:
            guards[-1] = (*_otherwise(guards[-1]), Guard(rest, True))
        elif first in ("while", "until", "for"):
            guards.append((Guard((), True),))
        elif first in ("fi", "done"):
            guards = guards[:-1]
        around = tuple(one for each in guards for one in each)
        for start, end, name, file, only in _assigned(statement):
            entries, in_function = tuple(one for one in blocks if one >= 0), any(one < 0 for one in blocks)
            yield Assignment(start, end, name, file, only, around, entries, in_function, statement[0].start)
        blocks = _around(blocks, whole, mark, at)


def _otherwise(guards: tuple[Guard, ...]) -> tuple[Guard, ...]:
    return (*guards[:-1], guards[-1]._replace(wanted=False))


@lru_cache(4)
def _statements(text: str) -> tuple[tuple[list[Word], str, int], ...]:
    """(words, the mark that ends them, where that stands) of every statement."""
    return tuple(_split(text))


def _split(text: str) -> Iterator[tuple[list[Word], str, int]]:
    words: list[Word] = []
    for token in re.finditer(WORDS, text, re.DOTALL):
        if token.group("word"):
            words.append(Word(token.group(), token.start(), token.end()))
        elif token.group("mark"):
            yield words, token.group(), token.start()
            words = []
    yield words, "", len(text)


def _assigned(statement: list[Word]) -> Iterator[tuple[int, int, str, str, tuple[str, ...]]]:
    """(start, end, name, file, only these) of what one statement assigns."""
    if not statement:
        return
    first, rest = statement[0].text, statement[1:]
    if first == "load_env":
        yield -1, -1, "", *_loaded([bare(one.text) for one in rest])
        return
    if first in ("read", "for"):
        told = [one.text for one in rest[:1]]
    elif first in TELLING:
        told = [one.text.partition("=")[2] for one in rest if one.text.startswith("--set=")]
        told += [after.text for one, after in zip(rest, rest[1:]) if one.text in ("--set", "-s")]
    else:
        told = []
        for one in rest[:1] if first in ("set", "unset") else statement[:1]:
            name, equals, value = one.text.partition("=")
            if re.match(r"[A-Za-z_]\w*$", name) and (equals or first == "unset"):
                start = one.end - len(value)
                quoted = bare(value) != value
                yield start + quoted, one.end - quoted, name, "", ()
    for given in told:
        found = re.match(NAMED, given)
        if found:
            yield -1, -1, found.group("name"), "", ()


# load_env --skip-sig --file /boot/photon.cfg saved_entry
def _loaded(words: list[str]) -> tuple[str, tuple[str, ...]]:
    file, only, takes = "", [], False
    for word in words:
        if takes:
            file, takes = word, False
        elif word in ("-f", "--file"):
            takes = True
        elif word.startswith("--file="):
            file = word.partition("=")[2]
        elif not word.startswith("-"):
            only.append(word)
    return file, tuple(only)
