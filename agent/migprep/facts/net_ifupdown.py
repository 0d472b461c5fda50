"""ifupdown's configuration: interfaces(5), with everything that it sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

from migprep import root
from migprep.facts.configuration import Configuration, Setting, below, installed, masked, number, prefix, text
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
    "bond-members",
    "requires",
    "ovs_ports",
    "ovs-ports",
    "ovs_bonds",
    "ovs-bonds",
)
#: Options of a port's stanza that name what stands on it.
UPPER = ("bond-master", "bond_master", "vrf", "vrf-member", "ovs_bridge", "ovs-bridge")
INHERITS = ("inherits", "inherit")
SIGNS = "*?["
LINK_COMMANDS = frozenset({"add", "set", "del", "delete", "show", "list", "property", "change", "replace", "help"})
COMMANDS = ("up", "pre-up", "post-up")
NOT_NAMES = frozenset({"none", "all", "regex", "noregex", "glob"})


def parse(content: str, path: str = PATH) -> tuple[Configuration, ...]:
    """The iface stanzas of one file by itself."""
    lines = stanzas.parse(content)
    return _configurations([(path, lines)])


def _configurations(files: list[tuple[str, tuple[stanzas.Line, ...]]]) -> tuple[Configuration, ...]:
    lines = [line for _, content in files for line in content if line.words]
    raised: dict[str, list[str]] = {}
    for at, wanted in _raised(lines):
        raised.setdefault(wanted, []).append(at)
    patterns = [name for name in raised if any(sign in name for sign in SIGNS)]
    found = []
    for path, content in files:
        options: dict[int, list[stanzas.Line]] = {}
        for line in content:
            if line.words and not line.begins:
                options.setdefault(line.stanza, []).append(line)
        for head in content:
            if head.begins and head.words[0] == "iface" and len(head.words) > 1:
                name = head.words[1].lstrip("/")
                means = tuple(at for at in raised.get(name, ()) if at != name)
                at_boot = name in raised or any(_pattern(one, name) for one in patterns)
                if any(sign in name for sign in SIGNS):
                    at_boot = at_boot or any(_pattern(name, one) for one in raised)
                told = options.get(head.stanza, []) + _inherited(head, options.get(head.stanza, []), lines)
                found.append(_configuration(path, head, told, means or (name,), at_boot))
            elif head.begins and head.words[0] == "rename":
                found += _renamed(path, head)
    return tuple(found)


# auto ens3=home    mapping ens3 / script /usr/local/sbin/map-scheme / map HOME ens3-home
def _raised(lines: list[stanzas.Line]) -> list[tuple[str, str]]:
    """(device or pattern, name of its stanza) of everything that is brought up at boot."""
    found = []
    for line in lines:
        if line.words[0] == "auto" or line.words[0].startswith("allow-"):
            found += [
                (word.lstrip("/").partition("=")[0], word.lstrip("/").rpartition("=")[2]) for word in line.words[1:]
            ]
    mapped = []
    for head in lines:
        if head.words[0] == "mapping":
            for pattern in head.words[1:]:
                names = [at for at, wanted in found if at == wanted and _pattern(pattern, at)]
                mapped += [
                    (at, line.words[-1])
                    for line in lines
                    if line.stanza == head.stanza and line.words[0] == "map"
                    for at in names
                ]
    return list(dict.fromkeys(found + mapped))


# rename mac/52:54:00:1a:b0:01=lan0
def _renamed(path: str, head: stanzas.Line) -> Iterator[Configuration]:
    for word in head.words[1:]:
        old, _, new = word.lstrip("/").partition("=")
        if new and old.startswith("mac/"):
            yield Configuration("ifupdown", path, head.number, new, _selection(old), "manual", given_name=new)


def _inherited(head: stanzas.Line, own: list[stanzas.Line], lines: list[stanzas.Line]) -> list[stanzas.Line]:
    """Options of the stanzas that this one takes its settings from; its own count first."""
    names = [head.words[at + 1] for at, word in enumerate(head.words[:-1]) if at > 1 and word in INHERITS]
    names += [line.words[1] for line in own if line.words[0] in INHERITS and len(line.words) > 1]
    if not names:
        return []
    have = {line.words[0] for line in own}
    stanza = {
        one.stanza
        for one in lines
        if one.words[0] in ("iface", "template") and one.words[1:2] and one.words[1] in names
    }
    return [one for one in lines if one.stanza in stanza and not one.begins and one.words[0] not in have]


def _configuration(
    path: str, head: stanzas.Line, options: list[stanzas.Line], means: tuple[str, ...], at_boot: bool
) -> Configuration:
    name = head.words[1].lstrip("/")
    given: dict[str, tuple[str, ...]] = {}
    for line in options:
        given.setdefault(line.words[0], line.words[1:])
    method = METHODS.get(head.words[3] if len(head.words) > 3 else "", "manual")
    addresses = [line.words[1] for line in options if line.words[0] == "address" and len(line.words) > 1]
    dns = (*given.get("dns-nameservers", ()), *given.get("dns-nameserver", ()))
    uses = [word for key in LOWER for word in given.get(key, ()) if word not in NOT_NAMES]
    uses += [word for line in options if line.words[0] in COMMANDS for word in _devices(line.words)]
    return Configuration(
        tool="ifupdown",
        path=path,
        line=head.number,
        interface=name,
        selection=_selection(name) if means == (name,) else Selection(names=means),
        method="static" if addresses and method != "dhcp" else method if method != "static" else "manual",
        addresses=tuple(prefix(one, (given.get("netmask") or ("",))[0]) for one in addresses),
        gateway=(given.get("gateway") or ("",))[0],
        dns=tuple(dns),
        uses=tuple(dict.fromkeys((*below(name), *uses))),
        over=tuple(word for key in UPPER for word in given.get(key, ())),
        at_boot=at_boot,
        families=head.words[2:3],
        set_mac=next((mac(word) for word in given.get("hwaddress", ()) if mac(word)), ""),
        mtu=number((given.get("mtu") or ("",))[0]),
        tuning=tuple(
            Setting(line.number, " ".join(line.words), _stops(line)) for line in options if _tunes(line.words)
        ),
    )


def _stops(line: stanzas.Line) -> bool:
    """Whether a command line with ethtool fails when ethtool does: the last of several commands decides."""
    last = line.raw.rpartition(";")[2]
    return line.words[0] in COMMANDS and "ethtool" in last and "||" not in last


def _tunes(words: tuple[str, ...]) -> bool:
    """Whether an option sets what a driver may refuse: of ethtool's hook, or a command line with ethtool."""
    commands = words[0] in COMMANDS and any(word.rpartition("/")[2] == "ethtool" for word in words[1:])
    return commands or words[0].startswith(
        ("offload-", "hardware-", "ethernet-", "link-speed", "link-duplex", "ethtool-")
    )


def _selection(name: str) -> Selection:
    # iface mac/52:54:00:1a:b0:01 is a pattern by address of newer versions.
    address = mac(name[4:]) if name.startswith("mac/") else ""
    return Selection(macs=(address,)) if address else Selection(names=(name,))


def _pattern(pattern: str, name: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern)


# up ip route add 10.1.0.0/16 dev ens3    pre-up ip link add link ens3 name mv0 type macvlan    up vconfig add ens3 10
def _devices(words: tuple[str, ...]) -> list[str]:
    """Names that a command line names: with ``dev``, as what a new device stands on, or as a port."""
    pairs = list(zip(words, words[1:]))
    found = [name for word, name in pairs if word == "dev" or (word == "link" and name not in LINK_COMMANDS)]
    first = list(takewhile(lambda word: not set(word) & set(";|&"), words[1:]))
    tool = first[0].rpartition("/")[2] if first else ""
    if tool == "vconfig" and first[1:2] == ["add"]:
        found += first[2:3]
    elif tool == "brctl" and first[1:2] == ["addif"]:
        found += first[3:]
    elif tool == "ifenslave":
        found += first[2:]
    return [name for name in found if "$" not in name and not name.startswith("-")]


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


def may_fail(content: str, lines: set[int]) -> str:
    """The file with the commands at `lines` followed by ``|| true``."""
    parts = []
    for one in stanzas.parse(content):
        bare = one.raw.rstrip()
        wanted = one.number in lines and bool(one.words) and _stops(one)
        parts.append(f"{bare} || true{one.raw[len(bare) :]}" if wanted else one.raw)
    return "".join(parts)
