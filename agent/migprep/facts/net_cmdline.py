"""A network that the kernel's arguments ask of the initramfs: dracut.cmdline(7), nfsroot.rst, initramfs-tools(7)."""

from __future__ import annotations

from migprep import root
from migprep.facts.configuration import Configuration, number, prefix
from migprep.facts.selection import Selection, mac
from migprep.formats.stanzas import split
from migprep.root import Root

PATH = "/proc/cmdline"
AUTOMATIC = frozenset({"dhcp", "dhcp4", "dhcp6", "on", "any", "both", "auto6", "either6", "bootp", "rarp"})
#: Arguments that make an initramfs want a network at all.
WANTS = ("rd.neednet=1", "netroot=", "root=nfs", "root=/dev/nfs", "root=iscsi:", "root=dhcp", "boot=nfs", "nfsroot=")
CONFIGURED, QUOTES = "/etc/initramfs-tools", "\"'"


def parse(arguments: str, path: str = PATH) -> tuple[Configuration, ...]:
    """ip=, ifname=, and what stands on a card by bond=, team=, bridge=, vlan=."""
    found = []
    uppers: dict[str, tuple[str, ...]] = {}
    for word in arguments.split():
        key, _, value = word.partition("=")
        if key == "ip" and value and value not in ("none", "off"):
            found.append(_address(value, path))
        elif key == "ifname" and mac(value.partition(":")[2]):
            name, _, address = value.partition(":")
            chosen = Selection(macs=(mac(address),))
            found.append(Configuration("kernel", path, 1, name, chosen, "manual", given_name=name))
        elif key in ("bond", "team", "bridge", "vlan"):
            upper, _, lower = value.partition(":")
            uppers[upper] = tuple(one for one in lower.partition(":")[0].split(",") if one)
    return tuple(one._replace(uses=uppers.get(one.interface, ())) for one in found)


# ip=10.0.2.40::10.0.2.2:255.255.255.0:host:ens3:none   ip=ens3:dhcp   ip=dhcp
def _address(value: str, path: str) -> Configuration:
    words = _words(value)
    if len(words) == 1:
        return Configuration("kernel", path, 1, "any card", Selection(everything=True), "dhcp")
    if len(words) < 6:
        chosen = Selection(names=(words[0],))
        return Configuration("kernel", path, 1, words[0], chosen, "dhcp" if words[1] in AUTOMATIC else "manual")
    name = words[5]
    return Configuration(
        tool="kernel",
        path=path,
        line=1,
        interface=name or "any card",
        selection=Selection(names=(name,) if name else (), everything=not name),
        method="static" if words[0] else "dhcp",
        addresses=(prefix(words[0], words[3]),) if words[0] else (),
        gateway=words[2],
        dns=tuple(one for one in words[7:9] if "." in one or "[" in one),
        mtu=number(words[7]) if len(words) > 7 else 0,
    )


def _words(value: str) -> list[str]:
    """Split at colons outside of brackets, which hold IPv6 addresses."""
    words, depth = [""], 0
    for sign in value:
        depth += (sign == "[") - (sign == "]")
        if sign == ":" and depth <= 0:
            words.append("")
        else:
            words[-1] += sign
    return words


def read(tree: Root, unlocks: bool) -> tuple[Configuration, ...]:
    """What the arguments of the running kernel say, where an initramfs would listen; `unlocks`: to an ssh server."""
    arguments = root.value(tree, PATH)
    if "ip=" not in arguments and "ifname=" not in arguments:
        return _configured(tree) if unlocks else ()
    wanted = unlocks or any(sign in arguments for sign in WANTS)
    return tuple(one for one in parse(arguments) if wanted or one.given_name)


def _configured(tree: Root) -> tuple[Configuration, ...]:
    """The last IP= of initramfs-tools' configuration, which stands for an argument ip= (initramfs.conf(5))."""
    found: tuple[Configuration, ...] = ()
    for path in (f"{CONFIGURED}/initramfs.conf", *root.glob(tree, f"{CONFIGURED}/conf.d/*")):
        for at, line in enumerate(split(root.text(tree, path) or ""), 1):
            key, _, value = line.strip().partition("=")
            if key == "IP":
                found = tuple(one._replace(line=at) for one in parse(f"ip={value.strip(QUOTES)}", path))
    return found
