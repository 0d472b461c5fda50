"""A network that the initramfs is asked for: dracut.cmdline(7), nfsroot.rst, initramfs-tools(7), initramfs.conf(5)."""

from __future__ import annotations

import re

from migprep import root
from migprep.facts.configuration import Configuration, number, prefix
from migprep.facts.selection import Selection, mac
from migprep.root import Root

PATH = "/proc/cmdline"
AUTOMATIC = frozenset({"dhcp", "dhcp4", "dhcp6", "on", "any", "both", "auto6", "either6", "bootp", "rarp"})
#: Arguments that make an initramfs want a network at all.
WANTS = ("rd.neednet=1", "netroot=", "root=nfs", "root=/dev/nfs", "root=iscsi:", "root=dhcp", "boot=nfs", "nfsroot=")
#: What initramfs-tools and dracut put into the image as if they were arguments.
# IP=10.0.2.40::10.0.2.2:255.255.255.0::ens3:off   DEVICE=ens3   kernel_cmdline+=" rd.neednet=1 ip=ens3:dhcp "
BAKED = re.compile(r"^[ \t]*(?P<key>IP|DEVICE|kernel_cmdline)\+?=[\"']?(?P<value>[^\"'\n#]*)", re.MULTILINE)


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


def baked(content: str, path: str) -> tuple[Configuration, ...]:
    """What one file of initramfs-tools or dracut puts into every image made from now on."""
    found: list[Configuration] = []
    device = ""
    for given in BAKED.finditer(content):
        value, line = given.group("value").strip(), content.count("\n", 0, given.start("key")) + 1
        if given.group("key") == "DEVICE":
            device = value
            continue
        told = parse(value if given.group("key") == "kernel_cmdline" else f"ip={value}", path)
        found += [one._replace(line=line) for one in told]
    if device and not found:
        return parse(f"ip={device}:dhcp", path)
    return tuple(found)


def read(tree: Root, unlocks: bool) -> tuple[Configuration, ...]:
    """What an initramfs is told that would listen; `unlocks`: because an ssh server in it opens a disk from afar.

    An argument ip= of the kernel goes before what initramfs-tools has put into the image.
    """
    arguments = root.value(tree, PATH)
    tools = (
        {} if "ip=" in arguments else _told(tree, "/etc/initramfs-tools/initramfs.conf", "/etc/initramfs-tools/conf.d")
    )
    dracut = _told(tree, "/etc/dracut.conf", "/etc/dracut.conf.d")
    found = [one for path, content in dracut.items() for one in baked(content, path)]
    found += next((last for path in reversed(tools) for last in [baked(tools[path], path)] if last), ())
    asked = " ".join([arguments, *(each for each in dracut.values() if "kernel_cmdline" in each)])
    wanted = unlocks or any(sign in asked for sign in WANTS)
    return tuple(one for one in (*parse(arguments), *found) if wanted or one.given_name)


def _told(tree: Root, path: str, folder: str) -> dict[str, str]:
    """{path: text} of a tool's file and of those in its folder, in the order in which they are read."""
    paths = [path, *(f"{folder}/{name}" for name in tree.names(folder) if name[0] != ".")]
    return {each: root.text(tree, each) or "" for each in paths}
