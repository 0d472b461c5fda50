"""ifcfg files: RHEL's network-scripts (also read by NetworkManager) and SUSE's (ifcfg(5), wicked)."""

from __future__ import annotations

import re

from migprep import root
from migprep.facts.configuration import LEFT, UNITS, Configuration, Setting, below, installed, number, prefix, text
from migprep.facts.selection import Selection, mac
from migprep.formats import ifcfg
from migprep.formats.stanzas import split
from migprep.root import Root

REDHAT = "/etc/sysconfig/network-scripts"
SUSE = "/etc/sysconfig/network"
#: udev's helper that renames the card with HWADDR to DEVICE (initscripts).
RENAMES = ("/usr/lib/udev/rename_device", "/lib/udev/rename_device")
#: Keys of a port's file that name what stands on it.
UPPER = (
    "MASTER", "BRIDGE", "TEAM_MASTER", "OVS_BRIDGE", "VRF",
    "MASTER_UUID", "BRIDGE_UUID", "TEAM_MASTER_UUID", "VRF_UUID",
)  # fmt: skip
SUSE_PORT = re.compile(r"BONDING_SLAVE_?\d+|TEAM_PORT_DEVICE_?\w*|MACVLAN_DEVICE|OVS_BRIDGE_PORT_DEVICE_?\w*")
#: What it makes no difference to migrate: no card stands below.
NO_CARD = frozenset(
    {"ppp", "ipsec", "tunnel", "gre", "sit", "isdn", "loopback", "wireless", "wifi", "tun", "tap", "ctc", "dummy"}
)


def line_of(lines: tuple[ifcfg.Line, ...], *names: str) -> int:
    """The line of the first of `names` that stands there."""
    numbers = {line.name: line.number for line in lines if line.name}
    return next((numbers[name] for name in names if name in numbers), 1)


def parse(content: str, path: str) -> tuple[Configuration, ...]:
    """One file of RHEL's kind; () for the loopback and for what no card stands below."""
    lines = ifcfg.parse(content)
    given = ifcfg.values(lines)
    from_file = path.rpartition("/ifcfg-")[2]
    address = mac(given.get("HWADDR", ""))
    device = given.get("DEVICE", "") or ("" if address else from_file)
    if device == "lo" or given.get("TYPE", "").lower() in NO_CARD:
        return ()
    addresses = _numbered(given, "IPADDR", "NETMASK", "PREFIX")
    dhcp = given.get("BOOTPROTO", "").lower() in ("dhcp", "bootp")
    uses = [given[key] for key in ("PHYSDEV", "ETHERDEVICE") if given.get(key)]
    return (
        Configuration(
            tool="ifcfg",
            path=path,
            line=line_of(lines, "DEVICE", "HWADDR"),
            interface=device or address,
            selection=Selection(names=(device,) if device else (), macs=(address,) if address else ()),
            method="dhcp" if dhcp else "static" if addresses else "manual",
            addresses=addresses,
            gateway=given.get("GATEWAY", "") or given.get("GATEWAY0", "") or given.get("IPV6_DEFAULTGW", ""),
            dns=tuple(given[key] for key in sorted(given) if re.fullmatch(r"DNS\d*", key) and given[key]),
            uses=tuple(dict.fromkeys((*below(device), *uses))),
            at_boot=given.get("ONBOOT", "yes").lower() not in ("no", "n", "false", "f", "0"),
            given_name=device if device and address else "",
            over=tuple(given[key] for key in UPPER if given.get(key)),
            owner="cloud-init" if "Created by cloud-init" in content[:300] else "",
            set_mac=mac(given.get("MACADDR", "")),
            mtu=number(given.get("MTU", "")),
            tuning=_tuning(lines),
            key=given.get("UUID", ""),
        ),
    )


def _tuning(lines: tuple[ifcfg.Line, ...]) -> tuple[Setting, ...]:
    return tuple(
        Setting(line.number, f"{line.name}={line.value}")
        for line in lines
        if line.name.startswith("ETHTOOL_OPT") and line.value.strip()
    )


def _numbered(given: dict[str, str], address: str, netmask: str, length: str) -> tuple[str, ...]:
    found = []
    for key in sorted(given, key=lambda name: (len(name), name)):
        suffix = key[len(address) :]
        if key.startswith(address) and re.fullmatch(r"_?\w*", suffix) and given[key]:
            found.append(prefix(given[key], given.get(length + suffix, "") or given.get(netmask + suffix, "")))
    found += [one for one in (given.get("IPV6ADDR", ""), *given.get("IPV6ADDR_SECONDARIES", "").split()) if one]
    return tuple(found)


def parse_suse(content: str, path: str, gateway: str = "", dns: tuple[str, ...] = ()) -> tuple[Configuration, ...]:
    """One file of SUSE's kind: the file's name is the device's, or says how to find it."""
    lines = ifcfg.parse(content)
    given = ifcfg.values(lines)
    name = path.rpartition("/ifcfg-")[2]
    if name == "lo":
        return ()
    addresses = tuple(one for one in _numbered(given, "IPADDR", "NETMASK", "PREFIXLEN"))
    protocol = given.get("BOOTPROTO", "static").lower()
    method = "dhcp" if protocol.startswith(("dhcp", "auto")) else "static" if addresses else "manual"
    uses = [given.get("ETHERDEVICE", ""), given.get("VLAN_DEVICE", ""), *given.get("BRIDGE_PORTS", "").split()]
    uses += [given[key] for key in sorted(given) if SUSE_PORT.fullmatch(key)]
    start = given.get("STARTMODE", "manual").lower()
    return (
        Configuration(
            tool="suse-ifcfg",
            path=path,
            line=line_of(lines, "IPADDR", "BOOTPROTO"),
            interface=name,
            selection=_suse_selection(name),
            method=method,
            addresses=addresses,
            gateway=gateway if method == "static" else "",
            dns=dns if method == "static" else (),
            uses=tuple(dict.fromkeys(one for one in (*below(name), *uses) if one)),
            at_boot=start not in ("manual", "off"),
            set_mac=mac(given.get("LLADDR", "")),
            mtu=number(given.get("MTU", "")),
            tuning=_tuning(lines),
        ),
    )


def _suse_selection(name: str) -> Selection:
    # ifcfg-eth-id-00:11:22:33:44:55 and ifcfg-eth-bus-pci-0000:00:03.0 of SLES 9 and 10
    address = mac(name.rpartition("-id-")[2])
    if address:
        return Selection(macs=(address,))
    place = name.rpartition("-bus-")[2]
    return Selection(places=(place,)) if place != name else Selection(names=(name,))


def read(tree: Root) -> tuple[Configuration, ...]:
    """Every live ifcfg file that some tool still reads."""
    found: list[Configuration] = []
    paths = _files(tree, REDHAT)
    for path in paths if paths and _is_read(tree) else ():
        found += parse(text(tree, path), path)
    paths = _files(tree, SUSE)
    if paths and not (tree.link(f"{UNITS}/network.service") or "").endswith("/NetworkManager.service"):
        routers, servers = _default(text(tree, f"{SUSE}/routes")), _servers(text(tree, f"{SUSE}/config"))
        for path in paths:
            found += parse_suse(text(tree, path), path, routers, servers)
    return tuple(found)


def _is_read(tree: Root) -> bool:
    """Whether the network scripts or NetworkManager's plug-in are there; RHEL 10 and newer Fedora have neither."""
    return installed(tree, f"{REDHAT}/ifup", "/etc/init.d/network", "/etc/rc.d/init.d/network") or any(
        name == "libnm-settings-plugin-ifcfg-rh.so"
        for folder in ("/usr/lib64/NetworkManager", "/usr/lib/NetworkManager")
        for version in ("", *tree.names(folder))
        for name in tree.names(f"{folder}/{version}".rstrip("/"))
    )


def _files(tree: Root, folder: str) -> list[str]:
    names = [
        name
        for name in tree.names(folder)
        if name.startswith("ifcfg-") and not LEFT.search(name) and name != "ifcfg.template"
    ]
    paths = [f"{folder}/{name}" for name in names if not name.endswith("-range") and "-range" not in name]
    return [path for path in paths if not root.is_dir(tree, path)]


# default 10.0.2.2 - -
def _default(content: str) -> str:
    for line in split(content):
        words = line.split()
        if len(words) > 1 and words[0] in ("default", "0.0.0.0/0"):
            return words[1]
    return ""


def _servers(content: str) -> tuple[str, ...]:
    return tuple(ifcfg.values(ifcfg.parse(content)).get("NETCONFIG_DNS_STATIC_SERVERS", "").split())


def renames(tree: Root) -> bool:
    """Whether the card with HWADDR is given the name in DEVICE at boot."""
    return any(root.exists(tree, path) for path in RENAMES)


def as_dhcp(content: str) -> str:
    """The file taking its address from DHCP; everything else stays."""
    lines = ifcfg.parse(content)
    gone = re.compile(r"(?:IPADDR|NETMASK|PREFIX|PREFIXLEN|GATEWAY|NETWORK|BROADCAST)_?\w*$|DNS\d+$")
    has_protocol = any(line.name == "BOOTPROTO" for line in lines)
    text = "".join(
        line.with_value("dhcp") if line.name == "BOOTPROTO" else "" if gone.match(line.name) else line.raw
        for line in lines
    )
    return text if has_protocol else f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}BOOTPROTO=dhcp\n"
