"""Subvolumes of btrfs that the next boot is told to take as its root, and that are not there."""

from __future__ import annotations

from migprep import root as files
from migprep.model import Unknown
from migprep.root import Unreadable
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.facts.arguments import Given
    from migprep.facts.mounts import Mount


# rootflags=subvol=@,compress=zstd
def name(value: str) -> str:
    """The path of the subvolume that rootflags= names, from the top of the filesystem; "" where it names none."""
    found = [one[len("subvol=") :] for one in value.split(",") if one.startswith("subvol=")]
    return found[-1].strip("/") if found else ""


def lost(facts: Facts, told: tuple[Given, ...]) -> tuple[Given, ...] | Unknown:
    """Of `told`, each rootflags= of a boot, those whose subvolume no mount of the root's filesystem shows.

    Where the folder that it should be in is mounted, that is looked into; elsewhere the machine runs from another.
    """
    mounts = facts.mounts
    if isinstance(mounts, Unknown):
        return mounts
    top = mounts.at("/")
    if top is None or top.fstype != "btrfs":
        return ()
    mine = [one for one in mounts.entries if one.fstype == "btrfs" and one.number == top.number]
    return tuple(one for one in told if name(one.word.value) and not _is_shown(facts, f"/{name(one.word.value)}", mine))


def _is_shown(facts: Facts, path: str, mounts: list[Mount]) -> bool:
    for one in mounts:
        above = one.subtree.rstrip("/")
        if f"{one.subtree}/".startswith(f"{path}/"):
            return True
        if path.startswith(f"{above}/"):
            try:
                if files.exists(facts.root, one.mountpoint.rstrip("/") + path[len(above) :]):
                    return True
            except Unreadable:
                return True
    return False
