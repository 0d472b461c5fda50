"""Consoles that offer a login, by inittab, Upstart or systemd, and which of them a target has not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

INITTAB = "/etc/inittab"
# co:2345:respawn:/sbin/agetty hvc0 9600 vt100-nav     S0:12345:respawn:/sbin/agetty -L 9600 ttyS1 vt102
RESPAWNED = re.compile(r"[\w~-]*:\d*:(?:respawn|ondemand):(?P<command>.*getty\b.*)")
# exec /sbin/agetty /dev/hvc0 38400 linux
EXECUTED = re.compile(r"(?m)^\s*exec\s+(?P<command>.*getty\b.*)")
CONSOLE = re.compile(r"(?<![\w-])(?:/dev/)?((?:tty(?:[A-Z]+|sclp)?|hvc|xvc|hvsi)\d+)(?![\w-])")
SCREEN = re.compile(r"tty\d+")
#: The first serial port, which every target has or may be given.
FIRST = "ttyS0"


class Login(NamedTuple):
    """One console with a login; `line` is 0 where a link stands for it."""

    console: str
    path: str
    line: int
    text: str
    takes_root: bool | Unknown = True

    def is_lost_on(self, platform: str, consoles: tuple[str, ...]) -> bool:
        """Whether a target of `platform`, which shows its messages on `consoles`, has no such console."""
        if SCREEN.fullmatch(self.console) or self.console in (FIRST, *consoles):
            return False
        return not (self.console.startswith(("hvc", "xvc")) and platform == "xen")


class Logins(NamedTuple):
    """All consoles of this machine with a login; `by_inittab` when nothing else adds one."""

    consoles: tuple[Login, ...]
    by_inittab: bool

    def is_shut_on(self, platform: str, consoles: tuple[str, ...]) -> bool:
        """Whether no console of the target would offer a login."""
        known = self.consoles
        return self.by_inittab and bool(known) and all(one.is_lost_on(platform, consoles) for one in known)

    @property
    def named(self) -> str:
        """The consoles with a login, for a person."""
        return ", ".join(one.console for one in self.consoles)


def probe(facts: Facts) -> Logins:
    """Read inittab (where it counts), Upstart's jobs and systemd's links. Raises Undetermined, Unreadable."""
    place, services = facts.root, facts.services
    if isinstance(services, Unknown):
        raise Undetermined(services.reason)
    by_inittab = root.exists(place, INITTAB) and not root.real(place, "/sbin/init").endswith("/systemd")
    found = list(respawned(root.text(place, INITTAB) or "")) if by_inittab else list(_jobs(place))
    for name, path in services.enabled.items():
        kind, at, console = name.partition("@")
        if at and kind in ("serial-getty", "getty") and CONSOLE.fullmatch(console):
            found.append(Login(console, path, 0, f"{name} is started at boot"))
    trusted = _trusted(place)
    if trusted is not None:
        found = [
            one._replace(takes_root=trusted if isinstance(trusted, Unknown) else one.console in trusted)
            for one in found
        ]
    return Logins(tuple(one for one in found if _is_here(place, one.console)), by_inittab)


def _trusted(place: Root) -> frozenset[str] | Unknown | None:
    try:
        return trusted_consoles(place)
    except MigprepError as error:
        return Unknown(str(error))


# auth [user_unknown=ignore success=ok ignore=ignore default=bad] pam_securetty.so
SECURETTY = re.compile(r"(?m)^[ \t]*-?auth\b[^#\n]*\bpam_securetty\.so(?P<options>[^#\n]*)")


def trusted_consoles(place: Root) -> frozenset[str] | None:
    """Consoles on which alone root may log in: securetty(5), and the kernel's own (pam_securetty(8)); None for any."""
    asked = SECURETTY.search(root.text(place, "/etc/pam.d/login") or "")
    text = root.text(place, "/etc/securetty") if asked else None
    if asked is None or text is None:
        return None
    names = {line.partition("#")[0].strip().removeprefix("/dev/") for line in text.split("\n")}
    if "noconsole" not in asked.group("options"):
        names.update(re.findall(r"\bconsole=(\w+)", root.text(place, "/proc/cmdline") or ""))
    return frozenset(names)


def respawned(text: str) -> Iterator[Login]:
    """Consoles for which inittab(5) keeps a getty running."""
    for number, line in enumerate(text.split("\n"), 1):
        found = RESPAWNED.match(line)
        console = CONSOLE.search(found.group("command")) if found else None
        if console:
            yield Login(console.group(1), INITTAB, number, line.strip())


def _jobs(place: Root) -> Iterator[Login]:
    for name in place.names("/etc/init"):
        text = (root.text(place, f"/etc/init/{name}") or "") if name.endswith(".conf") else ""
        for found in EXECUTED.finditer(text):
            console = CONSOLE.search(found.group("command"))
            if console:
                line = text.count("\n", 0, found.start("command")) + 1
                yield Login(console.group(1), f"/etc/init/{name}", line, found.group().strip())


def _is_here(place: Root, console: str) -> bool:
    """Whether this machine has it, as far as its kernel was asked: what it lacks already is not lost by a move."""
    known = () if SCREEN.fullmatch(console) else place.names("/sys/class/tty")
    return not known or console in known
