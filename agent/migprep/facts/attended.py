"""Boot menus that start nothing until somebody comes to the console: no time runs out, or a password is asked for."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migprep.formats.bootmenu import Item

# set timeout=-1
FOREVER = r"(?m)^[ \t]*set[ \t]+timeout=[\"']?-"
# set superusers="root"
OWNERS = r"(?m)^[ \t]*set[ \t]+superusers=[\"']?\w"
# timeout menu-force
FORCED = r"(?m)^[ \t]*timeout[ \t]+(?P<value>menu-force)[ \t]*$"


class Waiting(NamedTuple):
    """Where a menu is told to wait, in which words, and what for."""

    path: str
    line: int
    told: str
    what: str


def of_grub(root: Root, menu: str, environment: str, text: str, starting: tuple[Item | None, ...]) -> Iterator[Waiting]:
    """A time that never runs out, and a password for an item of the menu itself that starts by itself.

    Without --unrestricted GRUB starts an item for those alone that it knows, once it knows any (its manual, Security).
    """
    from migprep.facts import menuvars

    times = menuvars.told(root, menu, environment, "timeout") if re.search(FOREVER, text) else None
    if times and all(one.startswith("-") for one in times):
        yield _waiting(menu, text, re.search(FOREVER, text), "a key")
    owners = menuvars.told(root, menu, environment, "superusers") if re.search(OWNERS, text) else None
    lines = text.split("\n")
    is_shut = any(one and "--unrestricted" not in lines[one.line - 1] for one in starting)
    if owners and all(owners) and is_shut:
        yield _waiting(menu, text, re.search(OWNERS, text), "a password")


def of_systemd_boot(root: Root, path: str) -> tuple[Waiting, ...]:
    """loader.conf(5) that has the menu shown for any time."""
    text = files.text(root, path, 65536) or ""
    found = re.search(FORCED, text)
    return (_waiting(path, text, found, "a key"),) if found else ()


def _waiting(path: str, text: str, found: re.Match[str] | None, what: str) -> Waiting:
    at = found.start() if found else 0
    return Waiting(path, text.count("\n", 0, at) + 1, text[at:].partition("\n")[0].strip(), what)
