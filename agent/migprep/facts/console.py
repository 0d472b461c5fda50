"""Where the kernel writes its messages: console= in every list of arguments, and how another one is added."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts.arguments import ASSIGNMENT, SOURCED, menu_maker, padded
from migprep.formats import cmdline
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.facts.bootloader import BootLoader

DEFAULTS = "/etc/default/grub"
#: Read after DEFAULTS by the grub-mkconfig of Debian and what comes from it, and by no other.
DROP_IN = "/etc/default/grub.d/90-migprep.cfg"
#: Speed and form that clouds' serial consoles expect (kernel-parameters.rst, console=).
FORM = ",115200n8"


class Place(NamedTuple):
    """One file with lists of kernel arguments, and the file by which they are changed."""

    path: str
    text: str
    spans: tuple[tuple[int, int], ...]
    file: str  # "" when none is safe to change

    def lacking(self, wanted: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
        """The lists that name none of the serial consoles among `wanted`."""
        return tuple(span for span in self.spans if not set(self._named(span)) & set(serial(wanted)))

    def is_silent(self, wanted: tuple[str, ...]) -> bool:
        """Whether some entry would say nothing where the target can be heard."""
        return bool(serial(wanted) and self.lacking(wanted))

    def unheard(self, wanted: tuple[str, ...]) -> str:
        """The target's serial consoles, for a person."""
        return ", ".join(serial(wanted))

    def _named(self, span: tuple[int, int]) -> list[str]:
        return [word.value.partition(",")[0] for word in self.consoles(span)]

    def consoles(self, span: tuple[int, int]) -> list[cmdline.Word]:
        """The arguments of one list that name a console."""
        return [word for word in cmdline.words(self.text, *span) if word.key == "console"]

    @property
    def line(self) -> int:
        """Where the first list stands."""
        return self.text.count("\n", 0, self.spans[0][0]) + 1

    def observed(self, wanted: tuple[str, ...]) -> str:
        """The consoles of the first list that lacks one."""
        named = [f"console={word.value}" for span in self.lacking(wanted)[:1] for word in self.consoles(span)]
        return " ".join(named) or "no console="

    def last(self, wanted: tuple[str, ...]) -> str:
        """What must stay the last console, which is /dev/console: the one that is, else the screen."""
        found = [word.value for span in self.lacking(wanted)[:1] for word in self.consoles(span)]
        return found[-1] if found else "tty0"


class Console(NamedTuple):
    """Every place with kernel arguments."""

    places: tuple[Place, ...]

    def with_console(self, text: str, items: tuple[Place, ...], wanted: tuple[str, ...]) -> str:
        """`text` of the file of `items`, with the target's serial console named too, before the last one."""
        added = f"console={serial(wanted)[0]}{FORM}"
        if items[0].file == DROP_IN:
            line = f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {added} console={items[0].last(wanted)}"\n'
            return text if line in text else text + ("" if text else "# Written by migprep.\n") + line
        place = items[0] if items[0].path == items[0].file else _assigned(items[0].path, text)
        if place is None:
            return text
        for span in reversed(place.lacking(wanted)):
            text = _added(text, span, place.consoles(span), added)
        return padded(text) if items[0].file.endswith("grubenv") else text


def _added(text: str, span: tuple[int, int], consoles: list[cmdline.Word], added: str) -> str:
    if consoles:
        at = text.rindex("console=", 0, consoles[-1].start)
        return f"{text[:at]}{added} {text[at:]}"
    at = span[0] + len(text[span[0] : span[1]].rstrip())
    return f"{text[:at]}{' ' if at > span[0] or text[at - 1 : at] not in QUOTES else ''}{added} console=tty0{text[at:]}"


QUOTES = ("'", '"')


def serial(consoles: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a target's consoles that are no screen."""
    return tuple(one for one in consoles if not re.fullmatch(r"tty\d+", one))


def probe(facts: Facts) -> Console:
    """Find the lists of arguments in the boot menu and in what menus are made of. Raises Undetermined."""
    loader = facts.bootloader
    if isinstance(loader, Unknown):
        raise Undetermined(loader.reason)
    places = _menus(facts.root, loader)
    text = files.text(facts.root, "/etc/kernel/cmdline", 65536)
    if text and text.strip():
        places.append(Place("/etc/kernel/cmdline", text, ((0, len(text)),), "/etc/kernel/cmdline"))
    if loader.kind == "grub" and any("/loader/entries/" in one.path for one in places):
        defaults = _assigned(DEFAULTS, files.text(facts.root, DEFAULTS) or "")
        places += [defaults] if defaults else []
    return Console(tuple(places))


def _menus(root: Root, loader: BootLoader) -> list[Place]:
    from migprep.facts.bootloader import menu_text

    spans: dict[str, list[tuple[int, int]]] = {}
    texts: dict[str, str] = {}
    for one in loader.entries:
        text = texts.setdefault(one.path, menu_text(root, one.path))
        if "$kernelopts" not in text[one.entry.start : one.entry.end]:
            spans.setdefault(one.path, []).append((one.entry.start, one.entry.end))
        elif loader.environment:
            block = texts.setdefault(loader.environment, files.text(root, loader.environment, 65536) or "")
            found = re.search(r"(?m)^kernelopts=(.*)$", block)
            spans.setdefault(loader.environment, [found.span(1)] if found else [])
    return [
        Place(path, texts[path], tuple(sorted(found)), _file(root, path, texts[path]))
        for path, found in spans.items() if found
    ]  # fmt: skip


def _file(root: Root, path: str, text: str) -> str:
    """The file by which the arguments in `path` are changed: itself, or what grub-mkconfig makes it from."""
    if path.lower().endswith((".efi", "lilo.conf")):
        return ""
    if "### BEGIN /etc/grub.d/" not in text:
        return path
    if SOURCED in menu_maker(root):
        return DROP_IN
    return DEFAULTS if _assigned(DEFAULTS, files.text(root, DEFAULTS) or "") else ""


def _assigned(path: str, text: str) -> Place | None:
    """The one assignment of GRUB_CMDLINE_LINUX, when nothing but the shell is needed to read it."""
    found = [one for one in re.finditer(ASSIGNMENT, text) if one.group("name") == "GRUB_CMDLINE_LINUX"]
    if len(found) != 1 or found[0].group("plus") or re.search(r"[$`\\\n]", found[0].group("value")):
        return None
    start, end = found[0].span("value")
    quoted = found[0].group("value")[:1] in QUOTES
    return Place(path, text, ((start + quoted, end - quoted),), path) if quoted else None
