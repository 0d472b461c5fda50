"""A wired card: what names it, what configures it, and what becomes of both on other hardware."""

from __future__ import annotations

import re

from migprep.facts import conditions, net_manager
from migprep.facts.configuration import Configuration
from migprep.facts.interfaces import Interface
from migprep.facts.pins import BY_PLACE, LINKS_SINCE, Nic, Pin, Target
from migprep.facts.udev import LinkFile
from migprep.model import Unknown
from migprep.typed import NamedTuple

#: Buses whose places systemd cannot name: what the kernel calls their cards stays (or becomes enX0 on Xen).
PLACELESS = {"hv_netvsc": ("eth0",), "xen-netfront": ("eth0", "enX0"), "xen_netfront": ("eth0", "enX0")}


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
        return is_reached(self.device)

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


def is_reached(device: Interface) -> bool:
    """Whether it has an address beyond its own wire. Raises Undetermined where nobody could look."""
    return any(not address.startswith(("fe80:", "169.254.")) for address in device.known_addresses)
