"""Regular expressions as LVM reads them (libdm), found in a time that grows with the text alone.

Python's own retrace their steps: ``(.+)+x`` in a name of forty letters takes years. What is read on a machine must not.
"""

from __future__ import annotations

from functools import lru_cache

from migprep.typed import NamedTuple

#: What libdm puts around a text: ``^`` and ``$`` are nothing but these two characters, and ``.`` takes them, too.
HEAD, TAIL = "\x02", "\x03"
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
#: No expression of lvm.conf(5) or dracut.conf(5) is so long, or has so many groups in each other.
LONGEST, DEEPEST = 500, 50


class Step(NamedTuple):
    """One character to take where `jumps` is empty, else where to go on without one, counted from here."""

    jumps: tuple[int, ...]
    characters: frozenset[str] = frozenset()
    is_negated: bool = False


class Expression(NamedTuple):
    """An expression as the steps of a machine that is in several places at once (K. Thompson, 1968)."""

    steps: tuple[Step, ...]

    def found_in(self, text: str) -> bool:
        """Whether it is found anywhere in `text`."""
        here: set[int] = set()
        for character in HEAD + text + TAIL:
            here = self._reached(here | {0})
            if len(self.steps) in here:
                return True
            here = {
                at + 1 for at in here
                if not self.steps[at].jumps and (character in self.steps[at].characters) != self.steps[at].is_negated
            }  # fmt: skip
        return len(self.steps) in self._reached(here)

    def _reached(self, places: set[int]) -> set[int]:
        found, ahead = set(places), list(places)
        while ahead:
            at = ahead.pop()
            for jump in self.steps[at].jumps if at < len(self.steps) else ():
                if at + jump not in found:
                    found.add(at + jump)
                    ahead.append(at + jump)
        return found


@lru_cache(maxsize=256)
def parse(text: str) -> Expression:
    """Raises ValueError with what cannot be understood."""
    if len(text) > LONGEST:
        raise ValueError(f"an expression of more than {LONGEST} characters")
    steps, at = _choice(text, 0, 0)
    if at < len(text):
        raise ValueError(f"{text[at]} without a partner")
    return Expression(tuple(steps))


def _choice(text: str, at: int, depth: int) -> tuple[list[Step], int]:
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} groups in each other")
    parts = []
    while True:
        steps, at = _sequence(text, at, depth)
        parts.append(steps)
        if text[at : at + 1] != "|":
            break
        at += 1
    found = parts.pop()
    while parts:
        first = parts.pop()
        found = [Step((1, len(first) + 2)), *first, Step((len(found) + 1,)), *found]
    return found, at


def _sequence(text: str, at: int, depth: int) -> tuple[list[Step], int]:
    found: list[Step] = []
    while at < len(text) and text[at] not in "|)":
        steps, at = _term(text, at, depth)
        while text[at : at + 1] in ("*", "+", "?"):
            size = len(steps)
            if text[at] == "+":
                steps = [*steps, Step((-size, 1))]
            elif text[at] == "?":
                steps = [Step((1, size + 1)), *steps]
            else:
                steps = [Step((1, size + 2)), *steps, Step((-size - 1,))]
            at += 1
        found += steps
    if not found:
        raise ValueError("nothing where something is to be found")
    return found, at


def _term(text: str, at: int, depth: int) -> tuple[list[Step], int]:
    character = text[at]
    if character == "(":
        steps, at = _choice(text, at + 1, depth + 1)
        if text[at : at + 1] != ")":
            raise ValueError("( without a partner")
        return steps, at + 1
    if character == "[":
        return _set(text, at + 1)
    if character in "*+?":
        raise ValueError(f"{character} after nothing")
    if character == "\\":
        if at + 1 == len(text):
            raise ValueError("a backslash at the end")
        return [Step((), frozenset(ESCAPES.get(text[at + 1], text[at + 1])))], at + 2
    if character == ".":
        return [Step((), frozenset("\n\r\0"), is_negated=True)], at + 1
    return [Step((), frozenset({"^": HEAD, "$": TAIL}.get(character, character)))], at + 1


# [a-z0-9]   [^/]   [\]]
def _set(text: str, at: int) -> tuple[list[Step], int]:
    is_negated = text[at : at + 1] == "^"
    at += is_negated
    found: set[str] = {"\0"} if is_negated else set()
    last = ""
    while at < len(text) and text[at] != "]":
        if text[at] == "-" and last and at + 1 < len(text):
            at += 1
            first, end = sorted((ord(last), ord(text[at])))
            found.update(map(chr, range(first, min(end, 0x10FF) + 1)))
        elif text[at] == "\\" and at + 1 < len(text):
            at += 1
            found.add(ESCAPES.get(text[at], text[at]))
        else:
            found.add(text[at])
        last = text[at]
        at += 1
    if at >= len(text):
        raise ValueError("[ without a partner")
    return [Step((), frozenset(found), is_negated)], at + 1
