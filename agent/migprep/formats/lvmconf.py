"""LVM's configuration text (lvm.conf(5)): sections, settings, and where their values stand."""

from __future__ import annotations

import re

from migprep.typed import NamedTuple

#: A comment, a string, a sign of structure, or a bare word.
TOKEN = re.compile(r'#[^\n]*|"(?:[^"\\]|\\.)*"|[{}\[\]=,]|[^\s{}\[\]=,"#]+')


class Setting(NamedTuple):
    """One assignment; `inside` is where in the text its list may be given a further element, or a bare value begins."""

    line: int
    raw: str
    strings: tuple[str, ...]
    inside: int
    until: int = -1  # where a bare value ends


def settings(text: str) -> dict[str, Setting]:
    """The settings by section/name; the last assignment counts. Never raises: what is no setting is passed over."""
    tokens = [found for found in TOKEN.finditer(text) if found.group()[0] != "#"]
    found: dict[str, Setting] = {}
    sections: list[str] = []
    at = 0
    while at < len(tokens):
        word = tokens[at].group()
        following = tokens[at + 1].group() if at + 1 < len(tokens) else ""
        if word == "}":
            del sections[-1:]
        elif following == "{":
            sections.append(word)
            at += 1
        elif following == "=" and at + 2 < len(tokens):
            at = _value(text, tokens, at, "/".join([*sections, word]), found)
        at += 1
    return found


def _value(text: str, tokens: list[re.Match[str]], at: int, name: str, found: dict[str, Setting]) -> int:
    """Enter the setting that begins at token `at`; the place of its last token."""
    end = at + 2
    if tokens[end].group() == "[":
        while end + 1 < len(tokens) and tokens[end].group() != "]":
            end += 1
    strings = tuple(_plain(token.group()) for token in tokens[at + 2 : end + 1] if token.group()[0] == '"')
    start = tokens[at].start()
    is_list = tokens[at + 2].group() == "["
    place = (tokens[at + 2].end(), -1) if is_list else (tokens[at + 2].start(), tokens[at + 2].end())
    line = text.count("\n", 0, start) + 1
    found[name] = Setting(line, " ".join(text[start : tokens[end].end()].split()), strings, *place)
    return end


# "a|^/dev/sd.*|"
def _plain(string: str) -> str:
    return re.sub(r"\\(.)", r"\1", string[1:-1]) if '\\"' in string or "\\\\" in string else string[1:-1]
