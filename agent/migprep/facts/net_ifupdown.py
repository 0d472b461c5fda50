"""ifupdown's configuration: interfaces(5), with everything that it sources."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.facts.configuration import Configuration, below, installed, masked, prefix, text
from migprep.facts.selection import Selection, mac
from migprep.formats import stanzas
from migprep.root import Root

PATH = "/etc/network/interfaces"
#: Files of a source-directory that are read: run-parts' rule, as interfaces(5) says.
SOURCED = re.compile(r"^[a-zA-Z0-9_-]+$")
METHODS = {"dhcp": "dhcp", "bootp": "dhcp", "auto": "dhcp", "static": "static", "v4tunnel": "static"}
LOWER = (
    "bridge_ports",
    "bridge-ports",
    "bond-slaves",
    "slaves",
    "bond_slaves",
    "vlan-raw-device",
    "vlan_raw_device",
    "bond-primary",
)
NOT_NAMES = frozenset({"none", "all", "regex", "noregex", "glob"})


def parse(content: str, path: str = PATH) -> tuple[Configuration, ...]:
    """The iface stanzas of one file by itself."""
    lines = stanzas.parse(content)
    return _configurations([(path, lines)])


def _configurations(files: list[tuple[str, tuple[stanzas.Line, ...]]]) -> tuple[Configuration, ...]:
    raised = {_bare(name) for _, lines in files for line in lines if _raises(line) for name in line.words[1:]}
    patterns = {name for name in raised if any(sign in name for sign in "*?[")}
    found = []
    for path, lines in files:
        options: dict[int, list[stanzas.Line]] = {}
        for line in lines:
            if line.words and not line.begins:
                options.setdefault(line.stanza, []).append(line)
        for head in lines:
            if head.begins and head.words[0] == "iface" and len(head.words) > 1:
                name = head.words[1].lstrip("/")
                at_boot = name in raised or any(_pattern(one, name) for one in patterns) or _raised(name, raised)
                found.append(_configuration(path, head, options.get(head.stanza, []), at_boot))
    return tuple(found)


def _raises(line: stanzas.Line) -> bool:
    return bool(line.words) and (line.words[0] == "auto" or line.words[0].startswith("allow-"))


def _bare(name: str) -> str:
    """A name without the signs of a pattern (/ens*) and of a stanza (ens3=home)."""
    return name.lstrip("/").partition("=")[0]


def _configuration(path: str, head: stanzas.Line, options: list[stanzas.Line], at_boot: bool) -> Configuration:
    name = head.words[1].lstrip("/")
    given = {line.words[0]: line.words[1:] for line in options}
    method = METHODS.get(head.words[3] if len(head.words) > 3 else "", "manual")
    address = (given.get("address") or ("",))[0]
    dns = (*given.get("dns-nameservers", ()), *given.get("dns-nameserver", ()))
    uses = [word for key in LOWER for word in given.get(key, ()) if word not in NOT_NAMES]
    uses += [word for line in options if line.words[0] in ("up", "pre-up", "post-up") for word in _devices(line.words)]
    return Configuration(
        tool="ifupdown",
        path=path,
        line=head.number,
        interface=name,
        selection=_selection(name),
        method="static" if address and method != "dhcp" else method if method != "static" else "manual",
        addresses=(prefix(address, (given.get("netmask") or ("",))[0]),) if address else (),
        gateway=(given.get("gateway") or ("",))[0],
        dns=tuple(dns),
        uses=tuple(dict.fromkeys((*below(name), *uses))),
        at_boot=at_boot,
        families=head.words[2:3],
    )


def _selection(name: str) -> Selection:
    # iface mac/52:54:00:1a:b0:01 is a pattern by address of newer versions.
    address = mac(name[4:]) if name.startswith("mac/") else ""
    return Selection(macs=(address,)) if address else Selection(names=(name,))


def _pattern(pattern: str, name: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern)


def _raised(pattern: str, raised: set[str]) -> bool:
    return any(sign in pattern for sign in "*?[") and any(_pattern(pattern, name) for name in raised)


def _devices(words: tuple[str, ...]) -> list[str]:
    """Names that a command line names with ``dev``: up ip route add 10.1.0.0/16 dev ens3."""
    return [words[at + 1] for at, word in enumerate(words[:-1]) if word == "dev"]


def read(tree: Root) -> tuple[Configuration, ...]:
    """Everything that ifupdown would do at boot, or () where it is not in use."""
    if not root.exists(tree, PATH) or masked(tree, "networking.service"):
        return ()
    if not installed(tree, "/usr/sbin/ifup", "/sbin/ifup"):
        return ()  # the file outlives the package, on Ubuntu for one
    return _configurations(list(_files(tree, PATH, set())))


def _files(tree: Root, path: str, seen: set[str]) -> Iterator[tuple[str, tuple[stanzas.Line, ...]]]:
    where = root.real(tree, path)
    if where in seen:
        return
    seen.add(where)
    lines = stanzas.parse(text(tree, path))
    yield path, lines
    for line in lines:
        for pattern in line.words[1:] if line.words and line.words[0] in ("source", "source-directory") else ():
            full = pattern if pattern.startswith("/") else f"/etc/network/{pattern}"
            for found in root.glob(tree, full):
                yield from _sourced(tree, found, line.words[0], seen)


def _sourced(tree: Root, path: str, word: str, seen: set[str]) -> Iterator[tuple[str, tuple[stanzas.Line, ...]]]:
    if root.is_dir(tree, path):
        for name in tree.names(path):
            if word == "source-directory" and SOURCED.match(name) and not root.is_dir(tree, f"{path}/{name}"):
                yield from _files(tree, f"{path}/{name}", seen)
    elif word == "source":
        yield from _files(tree, path, seen)


def as_dhcp(content: str, line: int) -> str:
    """The file with the stanza at `line` taking its address from DHCP; everything else stays."""
    lines = stanzas.parse(content)
    head = next(
        (one for one in lines if one.number == line and one.words[:1] == ("iface",) and len(one.words) > 3), None
    )
    if head is None:
        return content
    gone = ("address", "netmask", "gateway", "broadcast", "network", "dns-nameservers", "dns-nameserver")
    new = "dhcp" if head.words[2] == "inet" else "auto"
    return "".join(
        one.with_word(3, new)
        if one is head
        else ""
        if one.stanza == head.stanza and one.words and one.words[0] in gone
        else one.raw
        for one in lines
    )
