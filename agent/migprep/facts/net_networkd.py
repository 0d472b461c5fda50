"""systemd-networkd's .network and .netdev files: systemd.network(5), systemd.netdev(5)."""

from __future__ import annotations

from collections.abc import Iterable

from migprep.facts import conditions, selection
from migprep.facts.conditions import Condition
from migprep.facts.configuration import Configuration, enabled, number
from migprep.facts.udev import units
from migprep.formats import ini
from migprep.root import Root

UNITS = ("systemd-networkd.service", "dbus-org.freedesktop.network1.service")
#: Keys of [Network] that name what stands on the device.
UPPER = ("Bond", "Bridge", "VRF", "VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "IPVTAP", "VXLAN", "Tunnel", "BatmanAdvanced")
#: Kinds of a .netdev whose frames go out on a card's own wire; a tunnel's address and MTU are inside its packets.
ON_WIRE = ("bond", "bridge", "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "vrf")
#: An address of which only the length counts: networkd takes a range that nobody uses (systemd.network(5), Address=).
FREE = ("0.0.0.0/", "::/")
DHCP = frozenset({"yes", "true", "1", "on", "both", "ipv4", "ipv6", "v4", "v6"})


def parse(content: str, path: str) -> tuple[Configuration, ...]:
    """One .network file by itself."""
    return _network(path, ini.parse(content))


def _network(path: str, lines: tuple[ini.Line, ...], asked: tuple[Condition, ...] = ()) -> tuple[Configuration, ...]:
    chosen = selection.of_match_section(lines)
    if chosen.is_empty:
        return ()
    given = ini.values(lines, "Network", "Address") + ini.values(lines, "Address", "Address")
    addresses = tuple(one for one in given if not one.startswith(FREE))
    dhcp = ini.value(lines, "Network", "DHCP").lower() in DHCP
    names = " ".join(chosen.names)
    return (
        Configuration(
            tool="networkd",
            path=path,
            line=next((line.number for line in lines if line.section == "Match" and line.key), 1),
            interface=names
            or " ".join((*chosen.permanent_macs, *chosen.macs, *chosen.places, *chosen.drivers, *chosen.kinds))
            or " ".join(chosen.properties),
            selection=chosen,
            method="dhcp" if dhcp else "static" if addresses else "manual",
            addresses=addresses,
            gateway=_gateway(lines),
            dns=tuple(word for value in ini.values(lines, "Network", "DNS") for word in value.split()),
            at_boot=ini.value(lines, "Link", "ActivationPolicy") not in ("down", "always-down", "manual")
            and ini.value(lines, "Link", "Unmanaged").lower() not in ("yes", "true", "1", "on"),
            over=tuple(word for key in UPPER for each in ini.values(lines, "Network", key) for word in each.split()),
            set_mac=selection.mac(ini.value(lines, "Link", "MACAddress")),
            mtu=number(ini.value(lines, "Link", "MTUBytes").replace("K", "000")),
            conditions=asked,
        ),
    )


def _gateway(lines: tuple[ini.Line, ...]) -> str:
    given = ini.value(lines, "Network", "Gateway")
    for block in dict.fromkeys(line.block for line in lines if line.section == "Route"):
        keys = {line.key: line.value for line in lines if line.block == block and line.section == "Route"}
        if keys.get("Destination", "0.0.0.0/0") in ("0.0.0.0/0", "::/0", ""):
            given = given or keys.get("Gateway", "")
    return given


def read(tree: Root, started_by_netplan: bool = False) -> tuple[Configuration, ...]:
    """.network files in the order in which they are tried, or () where networkd does not start."""
    if not (started_by_netplan or enabled(tree, *UNITS)):
        return ()
    found = list(_devices(tree))
    for path, lines in units(tree, "systemd/network", ".network"):
        # netplan writes its own into /run; they are known from netplan's files.
        if not path.rpartition("/")[2].startswith("10-netplan-"):
            found += _network(path, lines, conditions.of_match(tree, path, lines))
    return tuple(found)


def parse_device(content: str, path: str) -> tuple[Configuration, ...]:
    """One .netdev file by itself; what it stands on says a .network file."""
    return _device(path, ini.parse(content))


def _device(path: str, lines: tuple[ini.Line, ...], asked: tuple[Condition, ...] = ()) -> tuple[Configuration, ...]:
    name = ini.value(lines, "NetDev", "Name")
    if not name or ini.value(lines, "NetDev", "Kind").lower() not in ON_WIRE:
        return ()
    numbers = {line.key: line.number for line in lines if line.section == "NetDev" and line.key}
    set_mac, mtu = selection.mac(ini.value(lines, "NetDev", "MACAddress")), ini.value(lines, "NetDev", "MTUBytes")
    return (
        Configuration(
            tool="networkd",
            path=path,
            line=numbers.get("MACAddress" if set_mac else "MTUBytes" if mtu else "Name", 1),
            interface=name,
            selection=selection.Selection(),
            method="manual",
            set_mac=set_mac,
            mtu=number(mtu.replace("K", "000")),
            conditions=asked,
        ),
    )


def _devices(tree: Root) -> Iterable[Configuration]:
    for path, lines in units(tree, "systemd/network", ".netdev"):
        if not path.rpartition("/")[2].startswith("10-netplan-"):
            yield from _device(path, lines, conditions.of_match(tree, path, lines))


def as_dhcp(content: str) -> str:
    """The file taking its address from DHCP; other sections and settings stay."""
    lines = ini.parse(content)
    gone = ("Address", "Gateway", "DNS", "DHCP")
    ended = False
    parts = []
    for line in lines:
        if line.section == "Network" and not line.key and line.raw.strip() == "[Network]" and not ended:
            ended = True
            end = "\r\n" if line.raw.endswith("\r\n") else "\n"
            parts.append(f"[Network]{end}DHCP=yes{end}")
        elif not (
            line.section == "Network"
            and line.key in gone
            or line.section == "Address"
            and (line.key or line.raw.strip() == "[Address]")
        ):
            parts.append(line.raw)
    return "".join(parts)
