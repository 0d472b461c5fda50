"""The closed list of commands that a fix may ask for, what they would come to, and how their work is checked.

Nothing here changes anything: each action becomes Builds, which write one new file *beside* the one
in use; apply.py runs them, and puts a file in place only when `fault` finds nothing wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from migprep import fallbacks, images, menus, root
from migprep.builds import Build, Run
from migprep.facts import configured
from migprep.model import MigprepError
from migprep.root import Root, Tree

if TYPE_CHECKING:
    from migprep.facts import Facts

#: What a rule may name under `then`.
NAMES = ("initramfs", "grub-menu", "fallback-loader")


#: Files that only name drivers: an image that holds them already need not be made anew.
DRIVERS = frozenset((configured.MODULES, configured.DRACUT, configured.MKINITCPIO, configured.SUSE))


def reaches_all(paths: Iterable[str]) -> bool:
    """Whether a fix that changes these files, or none, and asks for new images, needs every image made anew."""
    paths = set(paths)
    return not paths or not paths <= DRIVERS


def builds(
    names: tuple[str, ...], now: Facts, planned: Facts, place: Root, everything: bool = True
) -> tuple[Build, ...]:
    """What the actions come to on the machine `place`, whose tools run. Raises ActionError.

    `now` are the facts of the machine, `planned` those once its files are changed. Without `everything` only images
    that lack a driver are made.
    """
    found: list[Build] = []
    if "initramfs" in names:
        found += images.builds(now, planned, place, everything)
    if "grub-menu" in names:
        found += menus.builds(now, planned, place)
    if "fallback-loader" in names:
        found += fallbacks.builds(now, place)
    return tuple(found)


def unable(name: str, facts: Facts, place: Root) -> str:
    """Why the action cannot be run on the machine `place`; "" when it can. Raises nothing."""
    if name not in NAMES:
        return f"there is no action {name!r}"
    if _boot_is_missing(place):
        return "/boot is a filesystem of its own and is not mounted"
    try:
        builds((name,), facts, facts, place)
    except MigprepError as error:
        return str(error)
    return ""


def _boot_is_missing(place: Root) -> bool:
    """Whether fstab(5) has a /boot that is not mounted: what is built would land below the mount point."""
    if not place.live:
        return False
    wanted = any(line.split()[1:2] == ["/boot"] for line in _lines(place, "/etc/fstab") if not line.startswith("#"))
    # 29 1 8:1 / /boot rw,relatime shared:1 - ext4 /dev/sda1 rw
    return wanted and not any(line.split()[4:5] == ["/boot"] for line in _lines(place, "/proc/1/mountinfo"))


def _lines(place: Root, path: str) -> list[str]:
    try:
        return (root.text(place, path) or "").split("\n")
    except MigprepError:
        return []


def imagined(names: tuple[str, ...], facts: Facts, place: Root, everything: bool = True) -> dict[str, bytes]:
    """Files that stand for what the actions would make, to judge the planned machine by."""
    found = images.imagined(facts, place, everything) if "initramfs" in names else {}
    return {**found, **fallbacks.imagined(facts)} if "fallback-loader" in names else found


def workspace(build: Build, place: Tree) -> tuple[str, int]:
    """The folder outside its own in which a build needs room meanwhile, and the bytes; ("", 0) for none."""
    return images.workspace(build, place) if build.kind == "initramfs" else ("", 0)


def fault(build: Build, place: Tree, run: Run) -> str:
    """What is wrong with the file that was built; "" when it may be put in place."""
    found = place.stat(build.beside)
    if found is None or found.kind != "file" or found.size == 0:
        return "the command ended well but made nothing"
    if build.kind == "fallback-loader":
        return fallbacks.fault(build, place)
    return images.fault(build, place) if build.kind == "initramfs" else menus.fault(build, place, run)
