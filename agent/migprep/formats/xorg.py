"""xorg.conf(5) as lines and sections; joining the lines gives back every byte."""

from __future__ import annotations

from migprep.typed import NamedTuple


class Line(NamedTuple):
    """One line: `words` are its keyword (lower case, without underscores) and values; () for blank and comment."""

    number: int
    raw: str
    words: tuple[str, ...]

    @property
    def keyword(self) -> str:
        """The first word, by which the server knows the entry; "" for blank and comment."""
        return self.words[0] if self.words else ""

    @property
    def value(self) -> str:
        """The entry's last value: what most entries have one of."""
        return self.words[-1] if len(self.words) > 1 else ""

    @property
    def commented(self) -> str:
        """The line made a comment; what is none already gets one leading #."""
        return f"#{self.raw}" if self.words else self.raw


class Section(NamedTuple):
    """From a Section line to its EndSection, or to the end of the file where that is missing."""

    kind: str  # lower case: device, screen, serverlayout
    lines: tuple[Line, ...]

    def entry(self, keyword: str) -> Line:
        """The last entry of that keyword, which is the one that counts; an empty line 0 when there is none."""
        found = [line for line in self.lines[1:] if line.keyword == keyword]
        return found[-1] if found else NOTHING

    def values(self, keyword: str) -> tuple[str, ...]:
        """All values of all entries of that keyword."""
        return tuple(word for line in self.lines[1:] if line.keyword == keyword for word in line.words[1:])

    @property
    def identifier(self) -> str:
        """The name that other sections call it by; names are compared as keywords are."""
        return self.entry("identifier").value

    @property
    def line(self) -> int:
        """The number of its first line."""
        return self.lines[0].number


NOTHING = Line(0, "", ())


class Config(NamedTuple):
    """One file of X configuration."""

    lines: tuple[Line, ...]
    sections: tuple[Section, ...]


def plain(name: str) -> str:
    """A name as the server compares it: case, blanks and underscores do not count (xorg.conf(5), DESCRIPTION)."""
    return "".join(name.lower().split()).replace("_", "")


def parse(text: str) -> Config:
    """Every text is a configuration; what is outside sections belongs to none. Lines end at a line feed only."""
    lines = tuple(Line(number, raw, words(raw)) for number, raw in enumerate(_split(text), 1))
    sections = []
    start = -1
    for index, line in enumerate(lines):
        if line.keyword == "section":
            if start >= 0:
                sections.append(_section(lines[start:index]))
            start = index
        elif line.keyword == "endsection" and start >= 0:
            sections.append(_section(lines[start : index + 1]))
            start = -1
    if start >= 0:
        sections.append(_section(lines[start:]))
    return Config(lines, tuple(sections))


def _section(lines: tuple[Line, ...]) -> Section:
    return Section(plain(lines[0].value), lines)


def _split(text: str) -> list[str]:
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + parts[-1:] * bool(parts[-1])


def words(raw: str) -> tuple[str, ...]:
    """The words of a line: "…" holds blanks and #, a bare # begins a comment, there are no escapes."""
    found: list[str] = []
    rest = raw.lstrip(" \t\r\n\v\f")
    while rest and rest[0] != "#":
        if rest[0] == '"':
            word, _, rest = rest[1:].partition('"')
            found.append(word.rstrip("\r\n"))
        else:
            end = next((at for at, sign in enumerate(rest) if sign in ' \t\r\n\v\f"#'), len(rest))
            word, rest = rest[:end], rest[end:]
            found.append(word)
        rest = rest.lstrip(" \t\r\n\v\f")
    return (plain(found[0]), *found[1:]) if found else ()
