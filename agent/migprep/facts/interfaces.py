"""Network devices: what they are called, what they are, and how they came by their names."""

from __future__ import annotations

import re

from migprep import root, udevdb
from migprep.facts import guarded, selection
from migprep.facts.observed import remembered
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: ARPHRD_* of if_arp.h as systemd's Type= calls them.
TYPES = {"1": "ether", "32": "infiniband", "772": "loopback", "801": "wlan", "802": "wlan", "803": "wlan", "512": "ppp"}

# eno1 ens3 enp2s0f1 enP1p2s0 enx525400123456 wlp3s0 ibp1s0; em1 p2p1 of biosdevname; the kernel's eth0
NAMES = (
    ("onboard", re.compile(r"(?:en|wl|ww|ib)o\d+")),
    ("slot", re.compile(r"(?:en|wl|ww|ib)(?:P\d+)?s\d+(?:f\d+)?(?:[nd].*)?$")),
    ("path", re.compile(r"(?:en|wl|ww|ib)(?:P\d+)?(?:p\d+s\d+|[abcivX]\d*)")),
    ("mac", re.compile(r"(?:en|wl|ww|ib)x[0-9a-f]{12}$")),
    ("biosdevname", re.compile(r"(?:em\d+|p\d+p\d+)(?:_\d+)?$")),
    ("kernel", re.compile(r"(?:eth|wlan|ib|usb)\d+$")),
)


class Interface(NamedTuple):
    """One network device. Texts are "" where there is nothing; addresses as "10.0.0.5/24"."""

    name: str
    mac: str
    permanent_mac: str  # the card's own, "" where a bond or a person has covered it
    driver: str
    bus: str
    kind: str  # ether, infiniband, wlan, loopback, bond, bridge, vlan …
    is_physical: bool
    master: str  # the bond or bridge that it is a port of
    place: str  # ID_PATH
    has_place: bool  # sits on a bus whose places systemd can name: PCI, USB; not VMBus, not Xen's
    predictable: tuple[str, ...]  # names by place that udev found for it: ens3, enp0s3
    addresses: tuple[str, ...] | Unknown
    gateways: tuple[str, ...] | Unknown
    virtual_functions: int = 0  # that SR-IOV has made of it
    lower: tuple[str, ...] = ()  # the devices that it stands on: bond, bridge, VLAN, macvlan …
    properties: dict[str, str] = {}  # noqa: RUF012  udev's, never changed

    @property
    def scheme(self) -> str:
        """How it came by its name: onboard, slot, path, mac, biosdevname, kernel or given."""
        return scheme(self.name)

    @property
    def own_mac(self) -> str:
        """The address that stays its own: the permanent one where it is known."""
        return self.permanent_mac or ("" if self.master else self.mac)

    @property
    def is_local(self) -> bool:
        """Whether its address was made up by some hypervisor or person, and by no maker of cards (IEEE 802)."""
        return len(self.own_mac) > 1 and self.own_mac[1] in "2367abef"

    @property
    def known_addresses(self) -> tuple[str, ...]:
        """Its addresses. Raises Undetermined where nobody could look."""
        if isinstance(self.addresses, Unknown):
            raise Undetermined(self.addresses.reason)
        return self.addresses

    @property
    def is_card(self) -> bool:
        """A wired card, virtual or real, that the target will have another one for."""
        return self.is_physical and self.kind in ("ether", "infiniband")


def scheme(name: str) -> str:
    """The naming scheme that a name is of (systemd.net-naming-scheme(7), biosdevname(1))."""
    return next((kind for kind, pattern in NAMES if pattern.match(name)), "given")


class SharedMac(NamedTuple):
    """One address that several cards have."""

    mac: str
    names: tuple[str, ...]

    @property
    def first(self) -> str:
        """The first of the cards."""
        return self.names[0]


class Derived(NamedTuple):
    """An IPv6 address, without its prefix length, whose last half is made of a card's MAC address."""

    device: str
    address: str
    mac: str


class Interfaces(NamedTuple):
    """All network devices by name."""

    devices: tuple[Interface, ...]

    @property
    def cards(self) -> tuple[Interface, ...]:
        """The wired cards; not the second face that accelerated networking gives one (Azure, Hyper-V)."""
        physical = {device.name for device in self.devices if device.is_physical}
        return tuple(device for device in self.devices if device.is_card and device.master not in physical)

    @property
    def shared_macs(self) -> tuple[SharedMac, ...]:
        """Addresses that two cards have; a port that took over its bond's address is not meant."""
        found: dict[str, list[str]] = {}
        for card in self.cards:
            if card.own_mac.strip("0:"):
                found.setdefault(card.own_mac, []).append(card.name)
        return tuple(SharedMac(mac, tuple(names)) for mac, names in sorted(found.items()) if len(names) > 1)

    @property
    def derived(self) -> tuple[Derived, ...]:
        """Addresses made of the MAC address of a card, those of its own wire left out. Raises Undetermined."""
        macs = {mac for card in self.cards for mac in (card.mac, card.own_mac) if mac}
        return tuple(
            Derived(device.name, address, device.mac)
            for device in self.devices
            if device.mac in macs
            for address in (one.partition("/")[0] for one in device.known_addresses)
            if not address.startswith("fe80:") and is_made_of(address, device.mac)
        )


# 2001:db8::5054:ff:fe1a:b001 of 52:54:00:1a:b0:01
def is_made_of(address: str, mac: str) -> bool:
    """Whether the last half of an IPv6 address is the modified EUI-64 of `mac` (RFC 4291, appendix A)."""
    if "ff:fe" not in address.lower():
        return False
    import ipaddress

    try:
        half = int(ipaddress.IPv6Address(address)).to_bytes(16, "big")[8:]
        octets = bytes.fromhex(mac.replace(":", ""))
    except ValueError:
        return False
    return half == bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:] if len(octets) == 6 else False


def probe(facts: Facts) -> Interfaces:
    """Read /sys/class/net and the udev database. Raises Undetermined without them."""
    tree = facts.root
    addresses = guarded(lambda: _addresses(facts), "network addresses")
    gateways = guarded(lambda: _gateways(facts), "gateways")
    found = [
        _interface(tree, device, addresses, gateways)
        for device in udevdb.devices(tree, "net", facts.cache)
        if device.name != "bonding_masters"  # a file of the bonding driver
    ]
    return Interfaces(tuple(sorted(found, key=lambda one: one.name)))


def _addresses(facts: Facts) -> dict[str, tuple[str, ...]]:
    return {name: tuple(state["addresses"]) for name, state in remembered(facts, "network").items()}


def _gateways(facts: Facts) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for one in remembered(facts, "gateways"):
        found[one["interface"]] = (*found.get(one["interface"], ()), one["address"])
    return found


def _interface(
    tree: Root,
    device: udevdb.Device,
    addresses: dict[str, tuple[str, ...]] | Unknown,
    gateways: dict[str, tuple[str, ...]] | Unknown,
) -> Interface:
    name, properties = device.name, device.properties
    folder = f"/sys/class/net/{name}"
    master = _target(tree, f"{folder}/master")
    mac = selection.mac(root.value(tree, f"{folder}/address"))
    return Interface(
        name=name,
        mac=mac,
        permanent_mac=_permanent(tree, folder, mac, master, properties),
        driver=_target(tree, f"{folder}/device/driver") or properties.get("ID_NET_DRIVER", ""),
        bus=_target(tree, f"{folder}/device/subsystem"),
        kind=_kind(tree, folder, properties),
        is_physical="device" in tree.names(folder),
        master=master,
        place=properties.get("ID_PATH", ""),
        has_place="/pci" in root.real(tree, folder)
        or _target(tree, f"{folder}/device/subsystem") in ("pci", "usb", "ccwgroup"),
        predictable=tuple(
            properties[key]
            for key in ("ID_NET_NAME_ONBOARD", "ID_NET_NAME_SLOT", "ID_NET_NAME_PATH")
            if key in properties
        ),
        addresses=addresses if isinstance(addresses, Unknown) else addresses.get(name, ()),
        gateways=gateways if isinstance(gateways, Unknown) else gateways.get(name, ()),
        virtual_functions=_virtual_functions(tree, folder),
        lower=tuple(name[6:] for name in tree.names(folder) if name.startswith("lower_")),
        properties=properties,
    )


def _virtual_functions(tree: Root, folder: str) -> int:
    count = root.value(tree, f"{folder}/device/sriov_numvfs")
    return int(count) if count.isascii() and count.isdigit() else 0


def _target(tree: Root, path: str) -> str:
    """The last part of where the link at `path` leads, "" when there is no such link."""
    parent, _, name = path.rpartition("/")
    link = tree.link(f"{root.real(tree, parent)}/{name}")
    return link.rstrip("/").rpartition("/")[2] if link else ""


def _permanent(tree: Root, folder: str, mac: str, master: str, properties: dict[str, str]) -> str:
    """The address burnt in: a bond tells it of its ports; else the current one unless it was set by hand."""
    kept = selection.mac(root.value(tree, f"{folder}/bonding_slave/perm_hwaddr"))
    if kept:
        return kept
    assigned = root.value(tree, f"{folder}/addr_assign_type")  # NET_ADDR_PERM is 0, _SET is 3
    if assigned == "0" or (not assigned and not master):
        return mac
    return selection.mac(properties.get("ID_NET_NAME_MAC", "")[3:])


def _kind(tree: Root, folder: str, properties: dict[str, str]) -> str:
    told = properties.get("DEVTYPE", "")
    if not told and {"wireless", "phy80211"} & set(tree.names(folder)):
        told = "wlan"
    return told or TYPES.get(root.value(tree, f"{folder}/type") or "1", "other")
