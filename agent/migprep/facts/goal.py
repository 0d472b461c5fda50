"""What the machine starts into by default: the target of systemd, or the runlevel."""

from __future__ import annotations

from migprep import root
from migprep.facts.services import FOLDERS, UNITS
from migprep.model import Undetermined
from migprep.root import Root, Unreadable
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: What systemd reaches with no service running, or not at all (systemd.special(7)); and runlevels of that sort.
STOPS = frozenset({
    "rescue.target", "emergency.target", "poweroff.target", "halt.target", "reboot.target", "kexec.target",
    "shutdown.target", "exit.target", "runlevel0.target", "runlevel1.target", "runlevel6.target",
})  # fmt: skip
#: What servers and desktops start into.
GOALS = frozenset({"multi-user.target", "graphical.target", *(f"runlevel{number}.target" for number in range(2, 6))})
INITTAB = "/etc/inittab"


class Goal(NamedTuple):
    """What the machine was told to start into by default, and why no service runs there; "" where some do."""

    path: str
    line: int
    text: str
    fault: str  # as a sentence goes on after "the machine"


def probe(facts: Facts) -> Goal:
    """Follow default.target, or read inittab where init is not systemd. Raises Undetermined in a root without /etc."""
    place = facts.root
    if not place.names("/etc"):
        raise Undetermined("what the machine starts into: no /etc in this root")
    return _target(place) if root.real(place, "/sbin/init").endswith("/systemd") else _runlevel(place)


# /etc/systemd/system/default.target -> /usr/lib/systemd/system/rescue.target
def _target(place: Root) -> Goal:
    path = f"{UNITS}/default.target"
    link = place.link(path) or ""
    name = link.rpartition("/")[2]
    fault = ""
    if name in STOPS:
        fault = f"starts into {name}"
    elif link == "/dev/null":
        fault = "starts into no target"
    elif name and name not in GOALS and not _is_unit(place, name):
        fault = f"starts into {name}, which is no unit here"
    return Goal(path, 0, f"-> {link}", fault)


def _is_unit(place: Root, name: str) -> bool:
    try:
        return any(root.exists(place, f"{folder}/{name}") for folder in FOLDERS)
    except Unreadable:  # a capture that was made without this question
        return True


# id:3:initdefault:
def _runlevel(place: Root) -> Goal:
    for number, line in enumerate((root.text(place, INITTAB) or "").split("\n"), 1):
        parts = line.strip().split(":")
        if parts[2:3] == ["initdefault"] and not line.lstrip().startswith("#"):
            stops = parts[1] in ("0", "1", "6", "s", "S")
            return Goal(INITTAB, number, line.strip(), f"starts into runlevel {parts[1]}" if stops else "")
    return Goal(INITTAB, 0, "", "")
