"""Who configures which network card, by what, and whether that will still mean the card on other hardware."""

from __future__ import annotations

import re
from collections.abc import Iterable

from migprep import root
from migprep.facts import (
    assignment,
    net_ifcfg,
    net_ifupdown,
    net_keyfile,
    net_manager,
    net_netplan,
    net_networkd,
    net_tools,
    pins,
)
from migprep.facts.card import Card, Newcomer, is_reached
from migprep.facts.configuration import Configuration
from migprep.facts.interfaces import Interface, Interfaces
from migprep.facts.modprobe import Line
from migprep.facts.pins import BY_PLACE, SlotName, Target
from migprep.facts.selection import with_macs
from migprep.facts.udev import Udev
from migprep.facts.udev_rules import Rule
from migprep.formats.stanzas import split
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts


class LeftAlone(NamedTuple):
    """A card with a profile, and what keeps NetworkManager from it on the target."""

    card: Card
    by: net_manager.Unmanaged


class Tuned(NamedTuple):
    """One setting that a driver may refuse."""

    tool: str
    device: str
    path: str
    line: int
    text: str
    stops: bool  # the interface stays down where it is refused
    driver: str = ""  # the one that it is an option of

    def fits(self, drivers: tuple[str, ...]) -> bool:
        """Whether it is an option of one of `drivers` (each ``a`` or ``a|b``)."""
        return any(self.driver in each.split("|") for each in drivers)


class Network(NamedTuple):
    """The network configuration in force and the cards that it is for."""

    cards: tuple[Card, ...]
    configurations: tuple[Configuration, ...]
    stale_rules: tuple[Rule, ...]  # udev rules that name a card that is not here
    address_rules: tuple[Rule, ...]  # udev rules that name a card of this machine by its address
    slot_names: tuple[SlotName, ...]  # rules and .link files that name a card by its place
    wireless: tuple[Interface, ...] = ()  # Wi-Fi cards and modems, which no target has
    by_place: bool = True  # systemd names cards by their place here
    automatic: bool = False  # NetworkManager gives an address to cards that nothing is configured for
    early: str = ""  # the tool whose initramfs is asked for a network by a card's name
    carried: str = ""  # what dracut's configuration carries into the initramfs, where that has a network by name

    def by_address(self, text: str, items: Iterable[SlotName]) -> str:
        """The file `text` with the names `items` of it given by address; comments and all other lines stay."""
        wanted = {number: one for one in items for number in one.lines}
        return "".join(
            wanted[number].by_address(line, number) if number in wanted else line
            for number, line in enumerate(split(text), 1)
        )

    @property
    def by_wireless(self) -> tuple[Interface, ...]:
        """Wi-Fi cards and modems that it is reached by, where no wired card has an address or is given one."""
        if not self.wireless or any(one.at_boot and one.method in ("dhcp", "static") for one in self.for_cards):
            return ()
        if any(is_reached(card.device) for card in self.cards):
            return ()
        return tuple(device for device in self.wireless if is_reached(device))

    def serves_new_card_on(self, target: Target) -> bool:
        """Whether something here gives an address to a wired card of the target, whatever that is called."""
        if self.automatic:
            return True
        names = BY_PLACE if self.by_place else ("eth0",)
        drivers = [one for each in target.nic.drivers for one in each.split("|")]
        return any(
            one.at_boot
            and one.method in ("dhcp", "static")
            and all(one.means(Newcomer(name, driver)) for name in names for driver in drivers[-1:])
            for one in self.configurations
        )

    def left_alone_on(self, target: Target) -> tuple[LeftAlone, ...]:
        """Every card with a profile that NetworkManager is told to leave alone there."""
        return tuple(LeftAlone(card, by) for card in self.cards for by in card.left_alone_on(target))

    @property
    def leased(self) -> tuple[Card, ...]:
        """Cards with an address from DHCP and none of their own."""
        return tuple(card for card in self.cards if card.dhcp)

    @property
    def in_use(self) -> tuple[Configuration, ...]:
        """Configurations brought up at boot, of cards and of what stands on cards."""
        names = {name for card in self.cards for name in (card.name, *card.above)}
        return tuple(one for one in self.configurations if one.at_boot and (one.devices or one.interface in names))

    @property
    def misdirected(self) -> tuple[Configuration, ...]:
        """Those that ask for an address that nothing here has, and a card that they may be for is served by nothing."""
        known = {mac for card in self.cards for mac in (card.mac, card.device.permanent_mac, *card.other_macs)}
        return tuple(
            one
            for one in self.configurations
            if one.at_boot and not one.devices
            and one.selection.by_mac and not known.intersection(one.selection.asked_macs)
            and any(card.has_unexplained_address for card in self.cards if self._may_mean(one, card))
        )  # fmt: skip

    def _may_mean(self, one: Configuration, card: Card) -> bool:
        return card.name in one.selection.names or not one.selection.names and len(self.cards) == 1

    @property
    def own_macs(self) -> tuple[str, ...]:
        """The addresses that the cards have by themselves."""
        return tuple(card.device.permanent_mac for card in self.cards if card.device.permanent_mac)

    @property
    def tuned(self) -> tuple[Tuned, ...]:
        """Every setting for ethtool."""
        return tuple(
            Tuned(one.tool, one.device, one.path, each.line, each.text, one.tool == "ifupdown" and each.stops)
            for one in self.in_use
            for each in one.tuning
        )

    def uncarried_on(self, target: Target) -> tuple[Card, ...]:
        """Cards whose name the initramfs would have to know there, from a file that dracut does not put into it."""
        return tuple(
            card
            for card in self.cards
            if card.early_link
            and (card.link_path or card.name_changes_on(target))
            and not (card.link_path and card.link_path in self.carried)
        )

    # options ixgbe max_vfs=8 LRO=0
    def settings(self, lines: tuple[Line, ...]) -> tuple[Tuned, ...]:
        """Every setting for ethtool that stops nothing, and of `lines` the options of the drivers of cards here."""
        cards: dict[str, list[str]] = {}
        for card in self.cards:
            cards.setdefault(card.device.driver.replace("-", "_"), []).append(card.name)
        options = (
            Tuned("modprobe", ", ".join(cards[one.module]), one.path, one.line, one.raw, False, one.module)
            for one in lines
            if one.verb == "options" and one.module in cards and one.rest
        )
        return (*(one for one in self.tuned if not one.stops), *options)

    def with_macs(self, text: str, macs: dict[str, str]) -> str:
        """The file `text` asking for the new addresses of `macs`; everything else stays."""
        return with_macs(text, macs)

    def may_fail(self, text: str, items: Iterable[Tuned]) -> str:
        """The file `text` with the commands `items` allowed to fail; all other lines stay."""
        lines = {one.line for one in items}
        return net_ifupdown.may_fail(text, lines)

    @property
    def for_cards(self) -> tuple[Configuration, ...]:
        """Configurations brought up at boot that mean a card of this machine."""
        return tuple(one for one in self.configurations if one.at_boot and one.devices)

    @property
    def static(self) -> tuple[Configuration, ...]:
        """Configurations with an address of their own, for cards and for what stands on them."""
        return tuple(one for one in self.configurations if one.is_static and one.at_boot and one.interface != "lo")

    def is_fixed(self, address: str) -> bool:
        """Whether some configuration here sets `address`, so that it moves along."""
        return any(each.partition("/")[0] == address for one in self.static for each in one.addresses)

    def with_dhcp(self, text: str, items: Iterable[Configuration]) -> str:
        """The file `text` with the configurations `items` of it turned to DHCP."""
        for one in sorted(items, key=lambda each: -each.line):
            if one.tool == "ifupdown":
                text = net_ifupdown.as_dhcp(text, one.line)
            elif one.tool in ("ifcfg", "suse-ifcfg"):
                text = net_ifcfg.as_dhcp(text)
            elif one.tool == "netplan":
                text = net_netplan.as_dhcp(text, one.line)
            elif one.tool == "networkmanager":
                text = net_keyfile.as_dhcp(text)
            elif one.tool == "networkd":
                text = net_networkd.as_dhcp(text)
        return text


def probe(facts: Facts) -> Network:
    """Read every tool's configuration. Raises Undetermined where devices or one tool's files cannot be read."""
    interfaces, udev = facts.interfaces, facts.udev
    for one in (interfaces, udev):
        if isinstance(one, Unknown):
            raise Undetermined(one.reason)
    assert not isinstance(interfaces, Unknown) and not isinstance(udev, Unknown)  # noqa: S101  for the type checker
    found = net_tools.read(facts.root)
    asked = any(one.tool == "kernel" and one.selection.names for one in found)
    return join(interfaces, udev, found, facts.root, _early(facts) if asked else "")


def _early(facts: Facts) -> str:
    """The tool that made today's image and makes the next, where several are installed."""
    images = facts.initramfs
    if not isinstance(images, Unknown):
        return images.tool
    from migprep.facts import configured

    return configured.tool(facts.root)


def join(interfaces: Interfaces, udev: Udev, found: tuple[Configuration, ...], tree: Root, early: str) -> Network:
    """Cards and configurations brought together; `early`: what makes the initramfs, where that brings up a card."""
    by_place = pins.names_by_place(interfaces, udev, tree)
    configurations = tuple(assignment.assigned(found, interfaces, by_place))
    shared = {name for one in interfaces.shared_macs for name in one.names}
    manager = net_manager.read(tree)
    eth_cards = sum(1 for card in interfaces.cards if re.match(r"eth\d+$", card.name))
    standing = assignment.standing(configurations, interfaces)
    macs = {mac for device in interfaces.devices for mac in (device.mac, device.permanent_mac) if mac}
    cards = []
    for device in interfaces.cards:
        own = tuple(one for one in configurations if device.name in one.devices or device.name in one.uses)
        link = udev.link_of(device)
        cards.append(
            Card(
                device=device,
                configurations=own,
                pins=tuple(pins.of(device, udev, configurations, tree, by_place)),
                by_place=by_place,
                alone=len(interfaces.cards) == 1,
                eth_cards=eth_cards,
                name_is_claimed=udev.generates_rules and any(rule.name == device.name for rule in udev.naming_rules),
                has_own_mac=device.name not in shared,
                other_macs=frozenset(macs - {device.mac, device.permanent_mac}),
                version=udev.version,
                defaults=link[0].kept if link else (),
                automatic=manager.serves_any,
                yields=("networkmanager",) if manager.leaves(device, own) else (),
                unmanaged=manager.unmanaged,
                above=assignment.above(device.name, standing),
                links_elsewhere=udev.links_elsewhere(device),
            )
        )
    own_macs = {card.name: card.mac for card in cards if card.has_own_mac and card.device.kind == "ether"}
    return Network(
        cards=tuple(cards),
        configurations=configurations,
        stale_rules=tuple(rule for rule in udev.naming_rules if rule.macs and not macs & {*rule.macs}),
        address_rules=tuple(rule for rule in udev.naming_rules if macs & {*rule.macs}),
        slot_names=tuple(pins.slot_names(udev, own_macs)),
        wireless=tuple(one for one in interfaces.devices if one.is_physical and one.kind in ("wlan", "wwan")),
        by_place=by_place,
        automatic=manager.serves_any,
        early=early,
        carried=_carried(tree) if early == "dracut" else "",
    )


# install_items+=" /etc/systemd/network/10-lan.link "
def _carried(tree: Root) -> str:
    folder = "/etc/dracut.conf.d"
    paths = ["/etc/dracut.conf", *(f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".conf"))]
    lines = [line for path in paths for line in split(root.text(tree, path) or "")]
    return " ".join(line.strip() for line in lines if line.lstrip().startswith("install_items"))
