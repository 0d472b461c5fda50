"""Mounts and swap areas that units of the site's own ask for, as lines of fstab would (systemd.mount(5))."""

from __future__ import annotations

from migprep import root as files
from migprep.facts.block import Block
from migprep.facts.fstab import Entry, entry
from migprep.facts.mounts import Mounts
from migprep.formats import columns, ini
from migprep.model import Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where an administrator's units stand, the first one wins (systemd.unit(5)).
FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system")
#: Targets without which there is no boot (bootup(7)).
NEEDED = ("local-fs.target", "sysinit.target", "basic.target")


def entries(root: Root, block: Block | Unknown, mounts: Mounts | Unknown) -> tuple[Entry, ...]:
    """One for each unit that something starts at boot, by itself or by its automount.

    The boot waits for it only where one of the targets requires it, which is what nofail says in fstab.
    """
    found = {name: folder for folder in reversed(FOLDERS) for name in root.names(folder)}
    units = [name for name in sorted(found) if name.endswith((".mount", ".swap"))]
    if not units:
        return ()
    wanted = {name for folder in FOLDERS for name in _linked(root, folder, (".wants", ".requires"))}
    required = {name for folder in FOLDERS for one in NEEDED for name in root.names(f"{folder}/{one}.requires")}
    made: list[Entry] = []
    for unit in units:
        is_late = unit not in wanted and f"{unit.removesuffix('.mount')}.automount" in wanted
        options = (*(() if unit in required else ("nofail",)), *(("x-systemd.automount",) if is_late else ()))
        if (unit in wanted or is_late) and files.real(root, f"{found[unit]}/{unit}") != "/dev/null":
            made += _entries(root, found[unit], unit, options, block, mounts)
    return tuple(made)


def _linked(root: Root, folder: str, endings: tuple[str, ...]) -> Iterator[str]:
    for name in root.names(folder):
        if name.endswith(endings):
            yield from root.names(f"{folder}/{name}")


# [Mount]  What=UUID=6c1d0f4e-…  Where=/srv/data  Type=ext4  Options=noatime
def _entries(
    root: Root, folder: str, unit: str, more: tuple[str, ...], block: Block | Unknown, mounts: Mounts | Unknown
) -> Iterator[Entry]:
    """The unit as a line of fstab; drop-ins come after the file. Specifiers (%i) are not resolved: none for those."""
    paths = [f"{folder}/{unit}"]
    paths += [path for each in reversed(FOLDERS) for path in files.glob(root, f"{each}/{unit}.d/*.conf")]
    section = "Swap" if unit.endswith(".swap") else "Mount"
    told: dict[str, str] = {}
    where, line = paths[0], columns.Line(0, "", ())
    for path in paths:
        for one in ini.parse(files.text(root, path) or ""):
            if one.section == section and one.key:
                told[one.key] = one.value
                if one.key == "What":
                    where, line = path, columns.Line(one.number, one.raw, ())
    what, fstype = told.get("What", ""), told.get("Type", "auto") if section == "Mount" else "swap"
    if not what or "%" in what:
        return
    options = (*filter(None, told.get("Options", "").split(",")), *more)
    yield entry(line, what, told.get("Where", "none"), fstype, options, block, mounts)._replace(path=where)
