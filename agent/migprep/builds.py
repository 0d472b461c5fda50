"""One file made anew by a command, beside the one in use: what is run, and what it may need."""

from __future__ import annotations

from collections.abc import Callable

from migprep import process, root
from migprep.model import MigprepError
from migprep.root import Root, Tree
from migprep.typed import NamedTuple

#: How a command is run: argv and seconds.
Run = Callable[[list[str], float], process.Outcome]
#: Whether the machine has a command.
Has = Callable[[str], bool]


class ActionError(MigprepError):
    """An action that cannot be run on this machine; the sentence says why."""

    code = 6


class Build(NamedTuple):
    """One file made anew by a command, beside the one in use. Paths are inside the root."""

    kind: str  # one of actions.NAMES
    title: str
    path: str
    beside: str
    argv: tuple[str, ...]
    litter: tuple[str, ...] = ()  # files that the command may leave behind
    space: int = 0  # bytes it may need in that folder
    wanted: tuple[str, ...] = ()  # drivers that must be in an image; roots that a menu may name; what a copy is of

    @property
    def command(self) -> str:
        """The command as a person would type it."""
        from shlex import join

        return join(self.argv)


def prefix(place: Root) -> tuple[str, ...]:
    """What a command is run through, so that it works on the machine `place`."""
    return ("chroot", place.base) if isinstance(place, Tree) and place.base else ()


def has(place: Root) -> Has:
    """Which commands the machine has, not one laid over it.

    A capture does not hold them, so there the usual ones are taken for granted.
    """
    if isinstance(place, Tree):
        return lambda command: bool(tool(command, place))
    usual = ("mkinitramfs", "dracut", "mkinitcpio", "mkinitrd", "grub-mkconfig", "grub-editenv")
    return lambda command: command in usual


def tool(command: str, place: Root) -> str:
    """The path of a command in the fixed PATH inside the root, or ""."""
    return next((f"{one}/{command}" for one in process.PATH.split(":") if root.exists(place, f"{one}/{command}")), "")


def beside(path: str) -> str:
    """Where the file that is to take the place of `path` is made: in its folder, hidden from globs."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.migprep-new"


def size(place: Root, path: str) -> int:
    """Bytes of a file; 0 when it is absent."""
    found = place.stat(path)
    return found.size if found else 0
