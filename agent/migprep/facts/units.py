"""systemd's units of this machine's own that start on some hypervisors or boards alone: Condition…=, Assert…=."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.facts import conditions
from migprep.facts.conditions import Condition
from migprep.formats import ini
from migprep.model import Undetermined
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where an administrator's units and drop-ins stand; what packages bring is meant for every machine.
FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system")
#: Units that bring up the network, without .service.
NETWORK = frozenset({
    "systemd-networkd", "networking", "NetworkManager", "network", "wicked", "wickedd", "dhcpcd", "connman", "netplan",
    "ifup@", "ifupdown2",
})  # fmt: skip
#: What a unit is ordered before, or wanted by, when the boot or the network waits for it.
EARLY = re.compile(
    r"\b(?:network|network-pre|network-online|local-fs|local-fs-pre|sysinit|basic|cryptsetup|cryptsetup-pre)\.target\b"
)
KINDS = (".service", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".socket")
SIGNS = ("Virtualization", "Firmware")


class Unit(NamedTuple):
    """One unit with such conditions; they hold on this machine now."""

    name: str  # lan.service
    conditions: tuple[Condition, ...]
    is_early: bool  # the boot or the network waits for it

    @property
    def asked(self) -> str:
        """The conditions as they stand there."""
        return ", ".join(one.text for one in self.conditions)

    @property
    def path(self) -> str:
        """The file or drop-in where the first stands."""
        return self.conditions[0].path

    @property
    def line(self) -> int:
        """The line in `path`."""
        return self.conditions[0].line

    @property
    def is_network(self) -> bool:
        """Whether it is one of the tools that bring up the network."""
        return self.name.removesuffix(".service") in NETWORK

    @property
    def is_for_metal(self) -> bool:
        """Whether somebody wants it on no virtual machine, and neither the boot nor the network waits for it."""
        return not self.is_early and all(one.is_for_metal for one in self.conditions)

    def is_lost_on(self, platform: str) -> bool:
        """Whether it surely or possibly does not start on a target of that platform."""
        return not conditions.surely(self.conditions, platform)


class Units(NamedTuple):
    """The units that start here at boot, by name."""

    conditional: tuple[Unit, ...]


def probe(facts: Facts) -> Units:
    """Read the unit files and drop-ins. Raises Undetermined where a condition of one cannot be told."""
    if not facts.root.names("/etc"):
        raise Undetermined("no /etc in this root: which units it has cannot be told")
    started = {re.sub(r"@[^.]*", "@", name) for name in _wanted(facts.root)}
    return Units(
        tuple(
            unit
            for name, paths in sorted(_files(facts.root).items())
            if _is_started(name, started) or paths[0].endswith(".conf")
            for unit in _conditional(facts.root, name, paths)
        )
    )


def _is_started(name: str, started: set[str]) -> bool:
    """Whether something wants it at boot: by its name, or by the timer, path or socket that starts it."""
    bare = name.rpartition(".")[0]
    return bool(started & {name, f"{bare}.timer", f"{bare}.path", f"{bare}.socket"})


def _wanted(place: Root) -> Iterator[str]:
    for folder in FOLDERS:
        for name in place.names(folder):
            if name.endswith((".wants", ".requires")):
                yield from place.names(f"{folder}/{name}")


def _files(place: Root) -> dict[str, list[str]]:
    """{unit: its file, if it is no link, and its drop-ins} as they are read one after another."""
    found: dict[str, list[str]] = {}
    for folder in FOLDERS:
        for name in place.names(folder):
            if name.endswith(KINDS) and place.link(f"{folder}/{name}") is None:
                found.setdefault(name, []).append(f"{folder}/{name}")
    for folder in FOLDERS:
        for name in place.names(folder):
            if name.endswith(".d") and name[:-2].endswith(KINDS):
                paths = [f"{folder}/{name}/{each}" for each in place.names(f"{folder}/{name}")]
                found.setdefault(name[:-2], []).extend(path for path in paths if path.endswith(".conf"))
    return {name: paths for name, paths in found.items() if paths}


def _conditional(place: Root, name: str, paths: list[str]) -> Iterator[Unit]:
    texts = [(path, root.text(place, path) or "") for path in paths]
    if not any(sign in text for _, text in texts for sign in SIGNS):
        return
    found = conditions.of_unit(place, [(path, ini.parse(text)) for path, text in texts])
    if found and conditions.now(found):
        waits = name.endswith((".mount", ".swap")) or any(EARLY.search(text) for _, text in texts)
        yield Unit(name, found, waits)
