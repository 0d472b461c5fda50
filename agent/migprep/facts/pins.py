"""What gives a card its name: udev rules, .link files, policies and tools that rename; and what asks for its place."""

from __future__ import annotations

from collections.abc import Iterable

from migprep import root
from migprep.facts import conditions, net_ifcfg
from migprep.facts.conditions import Condition
from migprep.facts.configuration import Configuration
from migprep.facts.interfaces import Interface, Interfaces
from migprep.facts.udev import Udev
from migprep.facts.udev_rules import with_address
from migprep.root import Root
from migprep.typed import NamedTuple, Protocol

#: Names that systemd gives a card by its place; which one the target's card gets cannot be known before.
BY_PLACE = ("eno1", "ens1", "enp1s0")
#: systemd before this version does not know PermanentMACAddress= and Type=ether in .link files.
LINKS_SINCE = 245


class Nic(Protocol):
    """What is known of a target's cards: modules (each ``a`` or ``a|b``), and whether the addresses move along."""

    @property
    def drivers(self) -> tuple[str, ...]: ...
    @property
    def keeps_mac(self) -> bool: ...
    @property
    def macs(self) -> dict[str, str]: ...


class Target(Protocol):
    """What is known of a target here."""

    @property
    def nic(self) -> Nic: ...
    @property
    def platform(self) -> str: ...


class Pin(NamedTuple):
    """One thing that gives a card its present name."""

    by: str  # link, rule, policy, or the tool that renames: ifcfg, netplan, ifupdown, kernel
    path: str
    line: int
    macs: tuple[str, ...]  # it finds the card by one of these addresses
    drivers: tuple[str, ...] = ()  # it asks for one of these drivers too
    place: str = ""  # it asks for this place too
    anything: bool = False  # it takes any card
    conditions: tuple[Condition, ...] = ()  # what its file asks of the machine

    def holds_on(self, target: Target, mac: str) -> bool:
        """Whether it finds the card with the address `mac` on the target."""
        nic = target.nic
        if not conditions.surely(self.conditions, target.platform):
            return False
        addressed = bool(self.macs) and (nic.keeps_mac or nic.macs.get(mac) in self.macs)
        if self.place or not (self.anything or addressed):
            return False
        return not self.drivers or any(one in each.split("|") for one in self.drivers for each in nic.drivers)


class SlotName(NamedTuple):
    """A udev rule or .link file that names a card by its place on the bus."""

    path: str
    line: int
    name: str
    place: str
    mac: str  # of the card that has the name now, "" where there is none or several have its address
    lines: tuple[int, ...]  # those that ask for the place, or for a driver

    def by_address(self, line: str, number: int) -> str:
        """Its line `number`, asking for the card's address instead."""
        if self.path.endswith(".rules"):
            return with_address(line, self.mac)
        end = line[len(line.rstrip("\r\n")) :]
        return f"PermanentMACAddress={self.mac}{end}" if number == self.lines[0] else ""


def of(
    device: Interface, udev: Udev, configurations: tuple[Configuration, ...], tree: Root, by_place: bool
) -> Iterable[Pin]:
    """Everything that gives the card `device` its present name."""
    for rule in udev.naming_rules:
        if rule.name == device.name and (rule.means(device) or (rule.is_slot_bound and not rule.mac)):
            yield Pin("rule", rule.path, rule.line, rule.macs, rule.drivers, rule.place if rule.is_slot_bound else "")
    for link in udev.link_of(device):
        chosen = link.selection
        policies = set(link.policies) & {"onboard", "slot", "path", "mac", "database"} if by_place else set()
        if link.name == device.name and not policies:
            places = ", ".join(chosen.places + chosen.traits)
            anything = not chosen.by_mac and not places and set(chosen.originals) <= {"*", "en*", "eth*", "e*"}
            yield Pin(
                "link", link.path, link.line, chosen.asked_macs, chosen.drivers, places, anything, link.conditions
            )
        elif device.scheme == "mac" and "mac" in link.policies and not chosen.places:
            yield Pin("policy", link.path, 0, (device.mac,))
    for one in configurations:
        if one.given_name == device.name and one.selection.by_mac and (one.tool != "ifcfg" or net_ifcfg.renames(tree)):
            named = one._replace(selection=one.selection._replace(names=()))
            if named.selection.means(device):
                yield Pin(one.tool, one.path, one.line, one.asked_macs, one.selection.drivers)


def slot_names(udev: Udev, macs: dict[str, str]) -> Iterable[SlotName]:
    """Every rule and .link file that asks for a place; `macs`: the address of each card that alone has it."""
    for rule in udev.naming_rules:
        if rule.is_slot_bound:
            lines = tuple(range(rule.line, rule.line + max(1, rule.raw.count("\n"))))
            mac = "" if rule.mac else macs.get(rule.name, "")
            yield SlotName(rule.path, rule.line, rule.name, rule.place, mac, lines)
    for link in udev.links:
        if link.name and link.selection.places:
            asked = [line.number for line in link.lines if line.section == "Match" and line.key in ("Path", "Driver")]
            whole = link.path.startswith("/etc/") and not link.selection.by_mac and not link.has_drop_ins
            mac = macs.get(link.name, "") if whole and udev.version >= LINKS_SINCE else ""
            yield SlotName(link.path, link.line, link.name, ", ".join(link.selection.places), mac, tuple(asked))


def names_by_place(interfaces: Interfaces, udev: Udev, tree: Root) -> bool:
    """Whether systemd names cards by their place here: told by files, kernel arguments and the names there are."""
    arguments = root.value(tree, "/proc/cmdline").split()
    if "net.ifnames=0" in arguments or not udev.names_by_place:
        return any(card.scheme in ("onboard", "slot", "path") and not _given(card, udev) for card in interfaces.cards)
    # A card that could be named by its place and still has the kernel's name: somebody switched it off.
    return not any(card.scheme == "kernel" and card.has_place and not _given(card, udev) for card in interfaces.cards)


def _given(card: Interface, udev: Udev) -> bool:
    link = udev.link_of(card)
    return any(rule.name == card.name for rule in udev.naming_rules) or bool(link and link[0].name == card.name)
