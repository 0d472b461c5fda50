"""The variables of a GRUB menu: what stands for $name in an entry, and where that is written.

GRUB's environment block gives the first values, then the menu's own `set` and `load_env`, up to the entry.
Conditions on files and on variables are judged; under any other one a value may hold or not: then there are several.
"""

from __future__ import annotations

import re

from migprep import root as files
from migprep.formats import cmdline, grubscript
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: GRUB's own, which tell where it reads from.
OWN = frozenset({"root", "prefix", "config_directory", "cmdpath"})


class Value(NamedTuple):
    """A value, and where it stands; a start below 0 for one that only GRUB itself finds."""

    path: str
    text: str  # of the whole file
    start: int
    end: int
    before: tuple[tuple[str, tuple[Value, ...]], ...] = ()  # the variables that it mentions itself
    size: int = 1  # how many values it is made of

    @property
    def is_known(self) -> bool:
        """Whether it can be read."""
        return self.start >= 0


#: Values of which one may be made, and values that a name may have: a menu that has more is no menu of a machine.
MOST, CHOICES = 256, 16
#: Statements on which the names of an entry may depend, for the same reason.
STATEMENTS = 1024
UNSET, FOUND_BY_GRUB = Value("", "", 0, 0), Value("", "", -1, -1)


class Told(NamedTuple):
    """One argument with every variable in it replaced, and the text in which it can be changed."""

    path: str
    text: str
    word: cmdline.Word


class Expanded(NamedTuple):
    """The arguments of one entry, and the variables that cannot be known and may matter."""

    given: tuple[Told, ...]
    unknown: tuple[str, ...]
    unset: tuple[str, ...] = ()  # variables to which nothing gives a value


class Variables(NamedTuple):
    """The values that each name may have where an entry stands."""

    values: dict[str, tuple[Value, ...]]

    def of(self, name: str) -> tuple[Value, ...]:
        """All values that it may have; one that is empty where nothing gives it any."""
        return self.values.get(name, (UNSET,))

    def filled(self, text: str) -> str:
        """A text with the variables that are known; the others stay."""
        return re.sub(grubscript.VARIABLE, self._filled, text)

    def _filled(self, found: re.Match[str]) -> str:
        name = found.group("braced") or found.group("plain")
        values = self.values.get(name, ())
        if name in OWN or len(values) != 1 or not values[0].is_known:
            return found.group()
        one = values[0]
        return Variables(dict(one.before)).filled(one.text[one.start : one.end])

    def expanded(self, path: str, text: str, start: int, end: int) -> Expanded:
        """The arguments in text[start:end]."""
        given: list[Told] = []
        unknown: list[str] = []
        for word in cmdline.words(text, start, end):
            whole = re.match(f"{grubscript.VARIABLE}$", word.key) if not word.value else None
            if whole:
                self._whole(whole.group("braced") or whole.group("plain"), given, unknown)
                continue
            filled = self.filled(word.value) if "$" in word.value else word.value
            unknown += [name for name in grubscript.names(filled) if name not in OWN] if _matters(word.key) else []
            given.append(Told(path, text, word._replace(value=filled)))
        unset = tuple(name for name in grubscript.names(text[start:end]) if name not in self.values)
        return Expanded(tuple(given), tuple(dict.fromkeys(unknown)), unset)

    def _whole(self, name: str, given: list[Told], unknown: list[str]) -> None:
        """Add what a variable that stands for whole arguments gives."""
        values = self.of(name)
        found = [
            Variables(dict(one.before)).expanded(one.path, one.text, one.start, one.end)
            for one in values if one.is_known
        ]  # fmt: skip
        if len(values) == 1 and found:
            given += found[0].given
            unknown += found[0].unknown
        elif len(found) < len(values) or any(_matters(one.word.key) for each in found for one in each.given):
            unknown.append(name)


def _matters(key: str) -> bool:
    """Whether an argument decides what the next boot is."""
    from migprep.facts.arguments import BREAKS, DEVICES, FURTHER, SHELLS

    return key in DEVICES | BREAKS | SHELLS | {"rootflags", "init", *FURTHER} or key.endswith("systemd.unit")


def before(root: Root, menu: str, environment: str, path: str, offset: int, wanted: tuple[str, ...]) -> Variables:
    """Those variables of `wanted` at `offset` of the entry's file; of an entry beside the menu, at the menu's end."""
    text = files.text(root, menu) or ""
    limit = offset if path == menu else len(text)
    statements = grubscript.needed(text, wanted)
    if len(statements) > STATEMENTS:
        return Variables(dict.fromkeys(wanted, (FOUND_BY_GRUB,)))
    around = grubscript.blocks_at(text, limit)
    script = _Script(root, menu, environment, text)
    script.load(environment, (), True)
    for one in statements:
        if one.offset >= limit:
            break
        if around.issuperset(one.blocks):
            script.take(one)
    return Variables(script.values)


class _Script:
    """A menu on its way from the top to an entry."""

    def __init__(self, root: Root, menu: str, environment: str, text: str) -> None:
        self.root, self.menu, self.environment, self.text = root, menu, environment, text
        self.assigned = grubscript.by_name(text)
        self.values: dict[str, tuple[Value, ...]] = {}

    def take(self, one: grubscript.Assignment) -> None:
        """Go over one assignment."""
        holds = [self._holds(guard) for guard in one.guards]
        if False in holds:
            return
        is_sure = None not in holds and not one.in_function
        if one.is_load:
            path = self.place(one.file) if one.file else self.environment
            if path:
                self.load(path, one.only, is_sure)
            for name in one.only if path is None else ():
                self._give(name, FOUND_BY_GRUB, False)
            return
        mentioned = grubscript.names(self.text[one.start : one.end]) if one.start >= 0 else ()
        told = tuple((name, self.values[name]) for name in mentioned if name in self.values)
        size = 1 + sum(each.size for name in mentioned for each in self.values.get(name, ()))
        value = Value(self.menu, self.text, one.start, one.end, told, size) if size <= MOST else FOUND_BY_GRUB
        self._give(one.name, value, is_sure)

    def load(self, path: str, only: tuple[str, ...], is_sure: bool) -> None:
        """Take the values of a file of load_env: lines of NAME=value."""
        text = files.text(self.root, path, 65536) or "" if path else ""
        if not text.startswith(grubscript.SIGNATURE):
            return
        for found in re.finditer(r"(?m)^(?P<name>[A-Za-z_]\w*)=(?P<value>[^\n]*)$", text):
            if not only or found.group("name") in only:
                self._give(found.group("name"), Value(path, text, *found.span("value")), is_sure)

    def _give(self, name: str, value: Value, is_sure: bool) -> None:
        values = (value,) if is_sure else (*self.values.get(name, (UNSET,)), value)
        self.values[name] = values if len(values) <= CHOICES else (FOUND_BY_GRUB,)

    def place(self, name: str) -> str | None:
        """The file that a path of the menu means, "" for none; None where a variable hides it."""
        from migprep.facts.bootloader import located

        folder = self.menu.rpartition("/")[0]
        path = re.sub(r"\$\{?(?:prefix|config_directory)\}?", lambda _: folder, Variables(self.values).filled(name))
        if "$" in re.sub(r"^\(?\$\{?root\}?\)?", "", path):
            return None
        return path if path.startswith(folder) and files.exists(self.root, path) else located(self.root, path)

    def _holds(self, guard: grubscript.Guard) -> bool | None:
        """Whether a condition is as the statement wants it; None where that is not known here."""
        words = guard.words
        told = self._test(words[1:-1]) if len(words) > 2 and (words[0], words[-1]) == ("[", "]") else None
        return None if told is None else told is guard.wanted

    def _test(self, words: tuple[str, ...]) -> bool | None:
        """What test(1) says, as GRUB reads it: -o binds weaker than -a; None where that is not known here."""
        for joint, decides in (("-o", True), ("-a", False)):
            if joint in words:
                at = words.index(joint)
                told = {self._test(words[:at]), self._test(words[at + 1 :])}
                return decides if decides in told else None if None in told else not decides
        bare = [grubscript.bare(one) for one in words]
        if len(bare) == 1 or len(bare) == 2 and bare[0] in ("-n", "-z"):
            is_empty = self._is_empty(bare[-1])
            return is_empty if bare[0] == "-z" or is_empty is None else not is_empty
        if len(bare) == 2 and bare[0] in ("-f", "-s", "-e"):
            place = self.place(bare[1])
            return None if place is None else bool(place)
        if len(bare) == 3 and bare[1] in ("=", "==", "!="):
            sides = [self._text(bare[0]), self._text(bare[2])]
            return None if None in sides else (sides[0] == sides[1]) is (bare[1] != "!=")
        return None

    def _text(self, word: str) -> str | None:
        """A word with its variables; None where one is not known."""
        names = grubscript.names(word)
        values = [self.values.get(name, (UNSET,)) for name in names if name in self.values or name in self.assigned]
        if len(values) < len(names) or any(len(each) > 1 or not each[0].is_known for each in values):
            return None
        return re.sub(grubscript.VARIABLE, "", Variables(self.values).filled(word))

    def _is_empty(self, word: str) -> bool | None:
        if not grubscript.names(word):
            return not word
        found = re.match(f"{grubscript.VARIABLE}$", word)
        name = found and (found.group("braced") or found.group("plain"))
        if not name or name not in self.values and name not in self.assigned:
            return None
        values = self.values.get(name, (UNSET,))
        if not all(one.is_known for one in values):
            return None
        told = {one.start == one.end for one in values}
        return told.pop() if len(told) == 1 else None


def plain(path: str, text: str, span: tuple[int, int]) -> Expanded:
    """The arguments at `span` of a text as they stand there."""
    return Expanded(tuple(Told(path, text, word) for word in cmdline.words(text, *span)), ())


def of_entry(root: Root, menu: str, environment: str, path: str, text: str, span: tuple[int, int]) -> Expanded:
    """The arguments of an entry of GRUB that stand at `span` of its file's `text`."""
    if "$" not in text[slice(*span)]:
        return plain(path, text, span)
    wanted = grubscript.names(text[slice(*span)])
    return before(root, menu, environment, path, span[0], wanted).expanded(path, text, *span)


def place(root: Root, menu: str, name: str, offset: int) -> str:
    """The file that a path at `offset` of a menu means; "" for none, or where a variable hides it."""
    script = _Script(root, menu, "", files.text(root, menu) or "")
    script.values = before(root, menu, "", menu, offset, grubscript.names(name)).values
    # GRUB goes on with a prefix that the menu itself has set.
    known = [one.text[one.start : one.end] for one in script.values.get("prefix", ()) if one.is_known]
    path = re.sub(r"\$\{?prefix\b\}?", lambda _: known[-1] if known else "$prefix", name)
    return script.place(re.sub("[\"']", "", path)) or ""


def told(root: Root, menu: str, environment: str, name: str) -> tuple[str, ...] | None:
    """The texts that a variable may have at the end of a menu; None where one of them is not known."""
    text = files.text(root, menu) or ""
    values = before(root, menu, environment, menu, len(text), (name,)).of(name)
    if not all(one.is_known for one in values):
        return None
    texts = (Variables(dict(one.before)).filled(one.text[one.start : one.end]) for one in values)
    return tuple(dict.fromkeys(re.sub(grubscript.VARIABLE, "", one) for one in texts))


def filled(root: Root, menu: str, environment: str, path: str, offset: int, *names: str) -> Iterator[str]:
    """Names of files of an entry, with its variables in them."""
    wanted = tuple(one for name in names for one in grubscript.names(name))
    known = before(root, menu, environment, path, offset, wanted)
    for name in names:
        yield known.filled(name)
