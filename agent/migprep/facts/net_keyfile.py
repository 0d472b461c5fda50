"""NetworkManager's profiles in files: nm-settings-keyfile(5)."""

from __future__ import annotations

from migprep import root
from migprep.facts.configuration import Configuration, Setting, below, enabled, number
from migprep.facts.selection import Selection, mac
from migprep.formats import ini
from migprep.root import Root

FOLDERS = (
    "/etc/NetworkManager/system-connections",
    "/run/NetworkManager/system-connections",
    "/usr/lib/NetworkManager/system-connections",
)
METHODS = {
    "auto": "dhcp",
    "manual": "static",
    "disabled": "disabled",
    "ignore": "manual",
    "link-local": "manual",
    "shared": "manual",
}
#: Keys of a wired profile that ask the driver for more than its defaults.
SPEEDS = ("speed", "duplex", "auto-negotiate")
CARDS = ("ethernet", "802-3-ethernet", "infiniband")
#: Sections of what stands on one other device, its ``parent``.
ON_PARENT = ("vlan", "macvlan", "ipvlan", "macsec", "vxlan", "infiniband")
TYPES = (*CARDS, *ON_PARENT, "bond", "bridge", "team", "vrf", "ovs-bridge", "ovs-port", "ovs-interface")


def parse(content: str, path: str) -> tuple[Configuration, ...]:
    """One profile; () for kinds that no card stands below (wifi, vpn …)."""
    lines = ini.parse(content, continues=False)
    kind = ini.value(lines, "connection", "type")
    if kind not in TYPES:
        return ()
    wired = "ethernet" if any(line.section == "ethernet" for line in lines) else "802-3-ethernet"
    address = _mac(ini.value(lines, wired, "mac-address")) or _mac(ini.value(lines, "infiniband", "mac-address"))
    name = ini.value(lines, "connection", "interface-name")
    globs = _words(lines, "match", "interface-name")
    parents = tuple(filter(None, (ini.value(lines, section, "parent") for section in ON_PARENT)))
    # A VLAN without a parent finds its card by the address (nm-settings(5)); the name is its own.
    on_address = bool(address) and kind in ON_PARENT and kind not in CARDS and not parents
    selection = Selection(
        names=() if on_address else (name,) if name else globs,
        permanent_macs=(address,) if address else (),
        drivers=_words(lines, "match", "driver"),
        places=_words(lines, "match", "path"),
        everything=kind in ("ethernet", "802-3-ethernet"),
    )
    addresses = tuple(one for family in ("ipv4", "ipv6") for one in _addresses(lines, family))
    method = METHODS.get(ini.value(lines, "ipv4", "method"), "manual")
    if method in ("disabled", "manual") and ini.value(lines, "ipv6", "method") in ("auto", "dhcp", "manual"):
        method = "static" if ini.value(lines, "ipv6", "method") == "manual" else "dhcp"
    upper = ini.value(lines, "connection", "controller") or ini.value(lines, "connection", "master")
    cards = (wired, "infiniband")
    return (
        Configuration(
            tool="networkmanager",
            path=path,
            line=next((line.number for line in lines if line.key in ("interface-name", "mac-address")), 1),
            interface=name or address or " ".join(globs) or ini.value(lines, "connection", "id", "any card"),
            selection=selection,
            method=method,
            addresses=addresses,
            gateway=_gateway(lines),
            dns=_words(lines, "ipv4", "dns") + _words(lines, "ipv6", "dns"),
            uses=parents or (() if on_address or kind in CARDS else below(name)),
            over=(upper,) if upper else (),
            at_boot=ini.value(lines, "connection", "autoconnect", "true").lower() not in ("false", "no", "0", "off"),
            set_mac=next((mac(ini.value(lines, each, "cloned-mac-address")) for each in cards), ""),
            mtu=max(number(ini.value(lines, each, "mtu")) for each in cards),
            key=ini.value(lines, "connection", "uuid"),
            tuning=tuple(
                Setting(line.number, f"[{line.section}] {line.key}={line.value}")
                for line in lines
                if line.key and (line.section in ("ethtool", "sriov") or (line.section == wired and line.key in SPEEDS))
            ),
        ),
    )


# mac-address=00:11:22:33:44:55      mac-address=0;17;34;51;68;85;
def _mac(value: str) -> str:
    numbers = value.strip(" ;").split(";")
    if len(numbers) in (6, 20) and all(one.isascii() and one.isdigit() and len(one) < 4 for one in numbers):
        return mac(":".join(f"{int(one):02x}" for one in numbers))
    return mac(value)


def _words(lines: tuple[ini.Line, ...], section: str, key: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in ini.value(lines, section, key).replace(",", ";").split(";") if word.strip())


# address1=10.0.2.40/24,10.0.2.2    addresses1=10.0.2.40;24;10.0.2.2;
def _addresses(lines: tuple[ini.Line, ...], family: str) -> list[str]:
    found = []
    for line in lines:
        if line.section == family and line.key.rstrip("0123456789") in ("address", "addresses") and line.value:
            words = line.value.replace(";", ",").split(",")
            found.append(words[0] if "/" in words[0] or len(words) < 2 else f"{words[0]}/{words[1]}")
    return found


def _gateway(lines: tuple[ini.Line, ...]) -> str:
    for family in ("ipv4", "ipv6"):
        given = ini.value(lines, family, "gateway")
        if given:
            return given
        for line in lines:
            if line.section == family and line.key.rstrip("0123456789") in ("address", "addresses"):
                words = line.value.strip(";").replace(";", ",").split(",")
                place = 1 if "/" in words[0] else 2
                if len(words) > place and words[place].strip():
                    return words[place].strip()
    return ""


def read(tree: Root) -> tuple[Configuration, ...]:
    """Every profile that NetworkManager would load, or () where it does not start."""
    if not enabled(tree, "NetworkManager.service"):
        return ()
    found: list[Configuration] = []
    seen: set[str] = set()
    for folder in FOLDERS:
        for name in tree.names(folder):
            path = f"{folder}/{name}"
            # netplan's own output is known from netplan's files.
            if name in seen or name.startswith((".", "netplan-")) or name.endswith("~") or not _is_file(tree, path):
                continue
            seen.add(name)
            found += parse(root.text(tree, path) or "", path)
    return tuple(found)


def _is_file(tree: Root, path: str) -> bool:
    stat = tree.stat(path)
    return stat is not None and stat.kind == "file"


def as_dhcp(content: str) -> str:
    """The profile taking its IPv4 address from DHCP; everything else stays."""
    gone = ("address", "addresses", "gateway", "dns")
    return "".join(
        line.with_value("auto")
        if line.section == "ipv4" and line.key == "method"
        else ""
        if line.section == "ipv4" and line.key.rstrip("0123456789") in gone
        else line.raw
        for line in ini.parse(content, continues=False)
    )
