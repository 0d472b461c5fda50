"""Who configures which network card, by what, and whether that will still mean the card on other hardware."""

from __future__ import annotations

import re
from collections.abc import Iterable

from migprep import root
from migprep.facts import conditions, net_ifcfg, net_ifupdown, net_keyfile, net_manager, net_netplan, net_networkd
from migprep.facts.conditions import Condition
from migprep.facts.configuration import Configuration, enabled, linked
from migprep.facts.interfaces import Interface, Interfaces
from migprep.facts.modprobe import Line
from migprep.facts.selection import with_macs
from migprep.facts.udev import LinkFile, Rule, Udev, with_address
from migprep.formats.stanzas import split
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Names that systemd gives a card by its place; which one the target's card gets cannot be known before.
BY_PLACE = ("eno1", "ens1", "enp1s0")
#: systemd before this version does not know PermanentMACAddress= and Type=ether in .link files.
LINKS_SINCE = 245
#: Where an ssh server inside the initramfs, to unlock a disk from afar, keeps its settings.
UNLOCKS = ("/etc/dropbear/initramfs", "/etc/dropbear-initramfs", "/etc/tinyssh")
#: The units that start Open vSwitch: Debian's, Red Hat's, SUSE's.
OPEN_VSWITCH = ("openvswitch-switch.service", "openvswitch.service", "ovs-vswitchd.service")
#: Buses whose places systemd cannot name: what the kernel calls their cards stays (or becomes enX0 on Xen).
PLACELESS = {"hv_netvsc": ("eth0",), "xen-netfront": ("eth0", "enX0"), "xen_netfront": ("eth0", "enX0")}


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


class Newcomer(NamedTuple):
    """A wired card of the target, of which no file here can know more."""

    name: str
    driver: str
    mac: str = ""
    permanent_mac: str = ""
    place: str = ""
    kind: str = "ether"
    properties: dict[str, str] = {}  # noqa: RUF012  never changed
    predictable: tuple[str, ...] = ()


class Card(NamedTuple):
    """One wired card with all that names and configures it."""

    device: Interface
    configurations: tuple[Configuration, ...]
    pins: tuple[Pin, ...]
    by_place: bool  # systemd names cards by their place here
    alone: bool  # it is the only wired card
    eth_cards: int  # how many cards have a name of the kernel's own kind, eth0 …
    name_is_claimed: bool  # a rule keeps its name for another card, and the generator gives the next one
    has_own_mac: bool  # no other card has its address
    other_macs: frozenset[str]  # addresses that other devices here have
    version: int  # of systemd
    defaults: tuple[str, ...]  # what the .link file that counts now sets beside the name
    automatic: bool  # NetworkManager gives an address to cards that nothing is configured for
    yields: tuple[str, ...] = ()  # tools that leave it to whoever else configures it
    above: tuple[str, ...] = ()  # bonds, bridges, VLANs, VRFs … that stand on it, directly or not
    links_elsewhere: tuple[LinkFile, ...] = ()  # .link files that count for it on other machines alone
    unmanaged: tuple[net_manager.Unmanaged, ...] = ()  # what keeps NetworkManager from cards

    @property
    def name(self) -> str:
        """Its name now."""
        return self.device.name

    @property
    def mac(self) -> str:
        """Its own address."""
        return self.device.own_mac or self.device.mac

    @property
    def named(self) -> tuple[Configuration, ...]:
        """Configurations brought up at boot that depend on its name."""
        return tuple(one for one in self.configurations if one.at_boot and one.names(self.device))

    @property
    def is_configured(self) -> bool:
        """Whether anything at all is configured for it."""
        return bool(self.configurations)

    @property
    def has_unexplained_address(self) -> bool:
        """Whether it has an address beyond its own wire, and nothing that is understood here gives it one."""
        if self.configurations or self.automatic or self.device.master:
            return False
        return _is_reached(self.device)

    @property
    def is_unexplained_port(self) -> bool:
        """Whether it is a port of something, and nothing that is understood here made it one."""
        return bool(self.device.master) and not self.configurations and not self.yields

    @property
    def shown_addresses(self) -> str:
        """Its addresses in words."""
        return " ".join(self.device.known_addresses)

    def name_changes_on(self, target: Target) -> bool:
        """Whether it surely or possibly has another name on the target."""
        if any(
            one.name != self.name and conditions.surely(one.conditions, target.platform) for one in self.links_elsewhere
        ):
            return True
        if any(pin.holds_on(target, self.mac) for pin in self.pins):
            return False
        if not self.alone or self.name_is_claimed:
            return True
        return self.names_on(target.nic) != (self.name,)

    def names_on(self, nic: Nic) -> tuple[str, ...]:
        """Names that a single card may get there where nothing pins it."""
        if not self.by_place:
            return ("eth0",)
        return next((PLACELESS[one] for each in nic.drivers for one in each.split("|") if one in PLACELESS), BY_PLACE)

    def lost_on(self, target: Target) -> tuple[Configuration, ...]:
        """Configurations that depend on its name and do not find it on the target."""
        if not self.name_changes_on(target):
            return self.by_alternative
        sure = self.by_place or (self.alone and not self.name_is_claimed)
        possible = self.names_on(target.nic) if sure else ("eth0", "eth1")
        return tuple(
            one
            for one in self.named
            if (self.name in one.uses or not all(one.selection.allows_name(name) for name in possible))
            and not (one.spares and one.gives_way_on(target.nic.drivers, target.platform))
        )

    def left_alone_on(self, target: Target) -> tuple[net_manager.Unmanaged, ...]:
        """What keeps NetworkManager from the card of the target that its profiles here are for."""
        own = [one for one in self.configurations if one.tool == "networkmanager" and one.at_boot]
        if not own or self.yields:
            return ()
        changes = self.name_changes_on(target)
        names = (self.names_on(target.nic) if self.alone else ("eth0", *BY_PLACE)) if changes else (self.name,)
        mac = self.mac if target.nic.keeps_mac else target.nic.macs.get(self.mac, "")
        cards = [
            Newcomer(name, driver, mac, mac)
            for name in names
            for each in target.nic.drivers
            for driver in each.split("|")
        ]
        return tuple(one for one in self.unmanaged if any(one.means(card) for card in cards))

    @property
    def by_alternative(self) -> tuple[Configuration, ...]:
        """Configurations that know it only by another of its names, one after its place; no pin keeps that."""
        return tuple(one for one in self.named if self.name not in one.uses and not one.selection.means(self.device))

    @property
    def carries(self) -> str:
        """What stands on it, in words; "" for nothing."""
        return f" and carries {', '.join(self.above)}" if self.above else ""

    def is_written_anew_on(self, target: Target) -> bool:
        """Whether cloud-init wrote all that depends on its name and finds no card there."""
        return all(one.is_by_cloud_init for one in self.lost_on(target))

    def loses_network_on(self, target: Target) -> bool:
        """Whether some configuration by name does not find it on the target."""
        return bool(self.lost_on(target))

    @property
    def places(self) -> str:
        """Where it is configured by name: path:line, path:line."""
        return ", ".join(dict.fromkeys(one.where for one in self.named))

    @property
    def path(self) -> str:
        """The first file that configures it by name."""
        return next((one.path for one in self.named), "/sys/class/net/" + self.name)

    @property
    def line(self) -> int:
        """The line in `path`; 0 for none."""
        return next((one.line for one in self.named), 0)

    @property
    def why_it_changes(self) -> str:
        """One clause about where the present name comes from."""
        for pin in self.pins:
            if pin.by == "policy":
                return "the name is made of its MAC address"
            by = f"its place ({pin.place})" if pin.place else "its MAC address" if pin.macs else "its driver"
            driver = f" and driver {', '.join(pin.drivers)}" if pin.drivers and pin.macs else ""
            where = "".join(f", where {one.text}" for one in pin.conditions if one.is_hardware)
            return f"the name is tied to {by}{driver} in {pin.path}{where}"
        if self.device.scheme in ("onboard", "slot", "path", "biosdevname"):
            return "the name follows the place of the card on its bus"
        if self.device.scheme == "kernel" and not self.alone:
            return "the kernel numbers several cards in the order in which it finds them"
        if self.device.scheme == "kernel" and self.by_place:
            return "this card's bus has no place to name it after; the target's has"
        if self.name_is_claimed:
            return "udev keeps the name for another card and gives the next free number"
        return "nothing ties the name to its MAC address"

    @property
    def is_pinned(self) -> bool:
        """Whether something ties its name to its MAC address, in any place and with any driver."""
        return any((pin.macs or pin.anything) and not (pin.place or pin.drivers or pin.conditions) for pin in self.pins)

    @property
    def may_collide(self) -> bool:
        """Whether udev has to give it a name that the kernel may have given another card meanwhile.

        udev before version 197, the one that writes such rules itself, waits for the name and can exchange two.
        """
        pinned = any(pin.by in ("link", "rule") and pin.macs for pin in self.pins)
        return self.eth_cards > 1 and self._is_eth and pinned and not self.name_is_claimed

    @property
    def pinned_in(self) -> str:
        """The file that gives it its name."""
        return next((pin.path for pin in self.pins), self.path)

    @property
    def pinned_line(self) -> int:
        """The line in `pinned_in`."""
        return next((pin.line for pin in self.pins), self.line)

    @property
    def _is_eth(self) -> bool:
        return re.match(r"eth\d+$", self.name) is not None

    @property
    def early_link(self) -> str:
        """The .link file by which an initramfs would know it; of a card that it asks for by name also a pin to come."""
        asked = any(one.tool == "kernel" and one.selection.names for one in self.configurations)
        return self.link_path or (self.pin_path if asked else "")

    @property
    def link_path(self) -> str:
        """The .link file in /etc that gives it its name, "" for none."""
        return next((pin.path for pin in self.pins if pin.by == "link" and pin.path.startswith("/etc/")), "")

    @property
    def can_be_pinned(self) -> bool:
        """Whether a file that ties its name to its address is possible and does no harm."""
        return (
            bool(self.device.permanent_mac)
            and self.has_own_mac
            and self.device.kind == "ether"
            and (self.alone or not self._is_eth)
            and not self.by_alternative
            and re.match(r"[A-Za-z0-9_.-]{1,15}$", self.name) is not None
        )

    def can_be_pinned_on(self, nic: Nic) -> bool:
        """Whether such a file holds on the target: the address moves along, or the new one is known and free here."""
        new = nic.macs.get(self.mac, "")
        return self.can_be_pinned and new not in self.other_macs and (nic.keeps_mac or bool(new))

    def macs_on(self, nic: Nic) -> tuple[str, ...]:
        """The address that ties its name here, and the one that does so on the target."""
        return tuple(dict.fromkeys((self.mac, nic.macs.get(self.mac, self.mac))))

    @property
    def uses_link(self) -> bool:
        """Whether a .link file pins it; an older systemd, or none, gets a udev rule."""
        return self.version >= LINKS_SINCE

    @property
    def pin_path(self) -> str:
        """The file that would pin it."""
        folder = (
            "/etc/systemd/network/10-migprep-{}.link" if self.uses_link else "/etc/udev/rules.d/70-migprep-{}.rules"
        )
        return folder.format(self.name)

    @property
    def configured_by(self) -> tuple[str, ...]:
        """The tools that configure it."""
        return tuple(dict.fromkeys(one.tool for one in self.configurations))

    @property
    def gateway(self) -> str:
        """The gateway of its configuration, else the one in force."""
        told = next((one.gateway for one in self.configurations if one.gateway), "")
        return told or ("" if isinstance(self.device.gateways, Unknown) else " ".join(self.device.gateways))

    @property
    def dns(self) -> tuple[str, ...]:
        """Name servers of its configuration."""
        return tuple(dict.fromkeys(server for one in self.configurations for server in one.dns))

    @property
    def claims(self) -> tuple[str, ...]:
        """Tools that give it an address or a master at boot, without those that leave it to another."""
        tools = [one.tool for one in self.configurations if one.at_boot and (one.method != "manual" or one.over)]
        own = dict.fromkeys(tool for tool in tools if tool not in ("kernel", *self.yields))
        return tuple(own)

    @property
    def claimed_in(self) -> str:
        """The places where `claims` do so."""
        return ", ".join(dict.fromkeys(one.where for one in self.configurations if one.tool in self.claims))

    @property
    def method(self) -> str:
        """How it comes by its address: dhcp, static, both, or "" for neither."""
        found = {one.method for one in self.configurations if one.method in ("dhcp", "static")}
        return " and ".join(sorted(found))

    @property
    def dhcp(self) -> bool:
        """Whether some configuration asks for DHCP."""
        return any(one.is_dhcp for one in self.configurations)


class LeftAlone(NamedTuple):
    """A card with a profile, and what keeps NetworkManager from it on the target."""

    card: Card
    by: net_manager.Unmanaged


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
        if any(_is_reached(card.device) for card in self.cards):
            return ()
        return tuple(device for device in self.wireless if _is_reached(device))

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


def _is_reached(device: Interface) -> bool:
    """Whether it has an address beyond its own wire. Raises Undetermined where nobody could look."""
    return any(not address.startswith(("fe80:", "169.254.")) for address in device.known_addresses)


def probe(facts: Facts) -> Network:
    """Read every tool's configuration. Raises Undetermined where devices or one tool's files cannot be read."""
    interfaces, udev = facts.interfaces, facts.udev
    for one in (interfaces, udev):
        if isinstance(one, Unknown):
            raise Undetermined(one.reason)
    assert not isinstance(interfaces, Unknown) and not isinstance(udev, Unknown)  # noqa: S101  for the type checker
    found = read(facts.root)
    asked = any(one.tool == "kernel" and one.selection.names for one in found)
    return join(interfaces, udev, found, facts.root, _early(facts) if asked else "")


def read(tree: Root) -> tuple[Configuration, ...]:
    """The configurations of every tool that is in use."""
    netplan = net_netplan.read(tree)
    found = (
        net_ifupdown.read(tree)
        + netplan
        + linked(net_ifcfg.read(tree) + net_keyfile.read(tree))  # NetworkManager reads both
        + net_networkd.read(tree, started_by_netplan=bool(netplan))
    )
    return found + _rare(tree)


def _rare(tree: Root) -> tuple[Configuration, ...]:
    """Tools whose readers are imported only where a file says that they may be in use."""
    found: tuple[Configuration, ...] = ()
    if root.exists(tree, "/etc/wicked/ifconfig"):
        from migprep.facts import net_wicked

        found += net_wicked.read(tree)
    if root.exists(tree, "/etc/dhcpcd.conf"):
        from migprep.facts import net_dhcpcd

        found += net_dhcpcd.read(tree)
    if root.exists(tree, "/etc/connman") or root.exists(tree, "/var/lib/connman"):
        from migprep.facts import net_connman

        found += net_connman.read(tree)
    if enabled(tree, *OPEN_VSWITCH):
        from migprep.facts import net_ovs

        found += net_ovs.read(tree)
    if root.exists(tree, "/etc/teamd"):
        from migprep.facts import net_teamd

        found += net_teamd.read(tree)
    arguments = root.value(tree, "/proc/cmdline")
    unlocks = any(root.is_dir(tree, path) for path in UNLOCKS)
    if "ip=" in arguments or "ifname=" in arguments or unlocks or root.is_dir(tree, "/etc/dracut.conf.d"):
        from migprep.facts import net_cmdline

        found += net_cmdline.read(tree, unlocks)
    return found


def join(interfaces: Interfaces, udev: Udev, found: tuple[Configuration, ...], tree: Root, early: str) -> Network:
    """Cards and configurations brought together; `early`: what makes the initramfs, where that brings up a card."""
    by_place = _names_by_place(interfaces, udev, tree)
    configurations = tuple(_assigned(found, interfaces, by_place))
    shared = {name for one in interfaces.shared_macs for name in one.names}
    manager = net_manager.read(tree)
    eth_cards = sum(1 for card in interfaces.cards if re.match(r"eth\d+$", card.name))
    standing = _standing(configurations, interfaces)
    macs = {mac for device in interfaces.devices for mac in (device.mac, device.permanent_mac) if mac}
    cards = []
    for device in interfaces.cards:
        own = tuple(one for one in configurations if device.name in one.devices or device.name in one.uses)
        pins = tuple(_pins(device, udev, configurations, tree, by_place))
        link = udev.link_of(device)
        cards.append(
            Card(
                device=device,
                configurations=own,
                pins=pins,
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
                above=_above(device.name, standing),
                links_elsewhere=udev.links_elsewhere(device),
            )
        )
    return Network(
        cards=tuple(cards),
        configurations=configurations,
        stale_rules=tuple(rule for rule in udev.naming_rules if rule.macs and not macs & {*rule.macs}),
        address_rules=tuple(rule for rule in udev.naming_rules if macs & {*rule.macs}),
        slot_names=tuple(_slot_names(udev, cards)),
        wireless=tuple(one for one in interfaces.devices if one.is_physical and one.kind in ("wlan", "wwan")),
        by_place=by_place,
        automatic=manager.serves_any,
        early=early,
        carried=_carried(tree) if early == "dracut" else "",
    )


def _standing(found: tuple[Configuration, ...], interfaces: Interfaces) -> dict[str, tuple[str, ...]]:
    """{device: what stands directly on it}, as configured and as it is."""
    pairs = [(device.name, device.master) for device in interfaces.devices if device.master]
    pairs += [(lower, device.name) for device in interfaces.devices for lower in device.lower]
    for one in found:
        pairs += [(lower, one.interface) for lower in one.uses]
        pairs += [(lower, upper) for upper in one.over for lower in one.devices or (one.interface,)]
    standing: dict[str, tuple[str, ...]] = {}
    for lower, upper in dict.fromkeys(pairs):
        if lower != upper:
            standing[lower] = (*standing.get(lower, ()), upper)
    return standing


def _above(name: str, standing: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    found: list[str] = []
    todo = list(standing.get(name, ()))
    while todo:
        upper = todo.pop(0)
        if upper not in found and upper != name:
            found.append(upper)
            todo += standing.get(upper, ())
    return tuple(found)


def _assigned(found: tuple[Configuration, ...], interfaces: Interfaces, by_place: bool) -> Iterable[Configuration]:
    """Each with the cards that it means; networkd's first matching file keeps a device from the later ones."""
    taken: set[str] = set()
    uppers = _uppers(found, interfaces)
    for one in found:
        if not conditions.now(one.conditions):
            continue
        means = tuple(card.name for card in interfaces.cards if one.means(card))
        if one.tool == "networkd":
            means = tuple(name for name in means if name not in taken)
            taken.update(means)
            if not means and any(one.means(card) for card in interfaces.cards):
                continue
        cards = [card for card in interfaces.cards if card.name in means]
        one = one._replace(devices=means, spares=_spares(one, found, cards, by_place) if one.is_by_hardware else ())
        stacked: list[str] = []
        if one.tool == "networkd" and one.selection.names and not one.selection.by_mac:
            stacked = [name for name in uppers if name not in taken and one.selection.allows_name(name)]
            taken.update(stacked)
            yield from (one._replace(interface=name, devices=()) for name in stacked)
        if means or not stacked:
            yield one


def _uppers(found: tuple[Configuration, ...], interfaces: Interfaces) -> tuple[str, ...]:
    """Bonds, bridges, VLANs … that networkd makes, or that are there: what a pattern (Name=bond*) may mean too."""
    made = [name for one in found if one.tool == "networkd" for name in one.over]
    made += [one.interface for one in found if one.tool == "networkd" and one.selection.is_empty]
    there = [one.name for one in interfaces.devices if not one.is_physical and one.kind != "loopback"]
    return tuple(dict.fromkeys(made + there))


def _spares(
    one: Configuration, found: tuple[Configuration, ...], cards: list[Interface], by_place: bool
) -> tuple[Configuration, ...]:
    """Files of the same kind that have the same device where the hardware they ask for is there."""
    kind = one.path.rpartition(".")[2]
    others = [each for each in found if each.tool == one.tool and each.path != one.path and each.path.endswith(kind)]
    if not cards:
        return tuple(each for each in others if each.interface == one.interface)
    found_again = []
    for each in others:
        chosen = each.selection
        possible = BY_PLACE if by_place else ("eth0",)
        if chosen.names not in ((), one.selection.names) and not all(map(chosen.allows_name, possible)):
            continue  # it asks for a name that the card may not have there
        bare = chosen._replace(names=(), drivers=(), places=(), properties=(), everything=True)
        if all(bare.means(card) for card in cards):
            found_again.append(each)
    return tuple(found_again)


def _slot_names(udev: Udev, cards: list[Card]) -> Iterable[SlotName]:
    macs = {card.name: card.mac for card in cards if card.has_own_mac and card.device.kind == "ether"}
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


def _early(facts: Facts) -> str:
    """The tool that made today's image and makes the next, where several are installed."""
    images = facts.initramfs
    if not isinstance(images, Unknown):
        return images.tool
    from migprep.facts import configured

    return configured.tool(facts.root)


# install_items+=" /etc/systemd/network/10-lan.link "
def _carried(tree: Root) -> str:
    folder = "/etc/dracut.conf.d"
    paths = ["/etc/dracut.conf", *(f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".conf"))]
    lines = [line for path in paths for line in split(root.text(tree, path) or "")]
    return " ".join(line.strip() for line in lines if line.lstrip().startswith("install_items"))


def _names_by_place(interfaces: Interfaces, udev: Udev, tree: Root) -> bool:
    """Whether systemd names cards by their place here: told by files, kernel arguments and the names there are."""
    arguments = root.value(tree, "/proc/cmdline").split()
    if "net.ifnames=0" in arguments or not udev.names_by_place:
        return any(card.scheme in ("onboard", "slot", "path") and not _given(card, udev) for card in interfaces.cards)
    # A card that could be named by its place and still has the kernel's name: somebody switched it off.
    return not any(card.scheme == "kernel" and card.has_place and not _given(card, udev) for card in interfaces.cards)


def _given(card: Interface, udev: Udev) -> bool:
    link = udev.link_of(card)
    return any(rule.name == card.name for rule in udev.naming_rules) or bool(link and link[0].name == card.name)


def _pins(
    device: Interface, udev: Udev, configurations: tuple[Configuration, ...], tree: Root, by_place: bool
) -> Iterable[Pin]:
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
