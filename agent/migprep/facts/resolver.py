"""Who answers names for this machine, and who writes that down: resolv.conf(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.facts import guarded, system
from migprep.formats.stanzas import split
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

PATH, HOSTS = "/etc/resolv.conf", "/etc/hosts"

#: What a path or a comment says about who wrote it.
WRITERS = (
    ("systemd-resolved", "systemd-resolved"), ("/run/systemd/resolve", "systemd-resolved"),
    ("resolvconf", "resolvconf"),
    ("NetworkManager", "NetworkManager"), ("netconfig", "netconfig"), ("dhclient", "dhclient"), ("dhcpcd", "dhcpcd"),
    ("connman", "connman"), ("cloud-init", "cloud-init"),
)  # fmt: skip


#: Settings that fix name servers whatever DHCP says: folder or file, ending, pattern.
FIXED = (
    # DNS=10.0.2.3 (resolved.conf(5)); servers of [global-dns-domain-*] (NetworkManager.conf(5))
    ("/etc/systemd/resolved.conf", "", re.compile(r"\s*DNS\s*=\s*(\S.*)")),
    ("/etc/systemd/resolved.conf.d", ".conf", re.compile(r"\s*DNS\s*=\s*(\S.*)")),
    ("/etc/NetworkManager/conf.d", ".conf", re.compile(r"\s*servers\s*=\s*(\S.*)")),
    # supersede domain-name-servers 10.0.2.3; (dhclient.conf(5))
    ("/etc/dhcp/dhclient.conf", "", re.compile(r"\s*(?:supersede|prepend)\s+domain-name-servers\s+([^;]+)")),
    ("/etc/resolvconf/resolv.conf.d", "", re.compile(r"\s*nameserver\s+(\S+)")),
    ("/etc/resolvconf.conf", "", re.compile(r"\s*name_servers\s*=\s*(\S.*)")),
)


class FixedServers(NamedTuple):
    """Name servers that a person wrote down, and where."""

    path: str
    line: int
    servers: str
    immutable: bool = False  # nobody can write the file, not even root

    @property
    def shown(self) -> str:
        """Servers and file."""
        return f"{self.servers} in {self.path}" + (", which is immutable (lsattr shows it)" if self.immutable else "")


class OwnName(NamedTuple):
    """A line of /etc/hosts that gives this machine's own name an address beyond the machine."""

    line: int
    address: str
    text: str


class Resolver(NamedTuple):
    """The resolver's configuration; `link` is where resolv.conf leads, `writer` who writes it, "" for a person."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]
    link: str
    writer: str
    fixed: tuple[FixedServers, ...] = ()
    own_names: tuple[OwnName, ...] | Unknown = ()


def parse(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(name servers, search domains); the last ``search`` or ``domain`` counts."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for line in split(text):
        words = line.split("#")[0].split(";")[0].split()
        if len(words) > 1 and words[0] == "nameserver":
            servers.append(words[1])
        elif len(words) > 1 and words[0] in ("search", "domain"):
            search = tuple(words[1:])
    return tuple(servers), search


# 10.0.2.40  web1.example.org web1
def own_names(text: str, hostname: str) -> tuple[OwnName, ...]:
    """The lines of /etc/hosts (hosts(5)) that name this machine, by its whole name or the first part of it."""
    names = {hostname.lower(), hostname.lower().partition(".")[0]} - {"", "localhost"}
    found = []
    for number, raw in enumerate(split(text), 1):
        words = raw.partition("#")[0].split()
        is_own = any(word.lower() in names or word.lower().partition(".")[0] in names for word in words[1:])
        if is_own and not words[0].startswith(("127.", "::1", "fe80:")):
            found.append(OwnName(number, words[0], " ".join(words)))
    return tuple(found)


def writer(text: str, link: str) -> str:
    """Who writes the file, by where it leads and what its comments say."""
    comments = "\n".join(line for line in split(text) if line.lstrip()[:1] in ("#", ";"))
    return next(
        (name for sign, name in WRITERS if sign in link), next((name for sign, name in WRITERS if sign in comments), "")
    )


def probe(facts: Facts) -> Resolver:
    """Read /etc/resolv.conf and what fixes name servers. Raises Undetermined where its link leads out of a tree."""
    tree = facts.root
    link = tree.link(PATH) or ""
    text = root.text(tree, PATH)
    if text is None and link and not tree.live:
        raise Undetermined(f"{PATH} leads to {link}, which is not here")
    found = Resolver(*parse(text or ""), link, writer(text or "", link))
    fixed = list(_fixed(tree))
    servers = [one for one in found.nameservers if not one.startswith(("127.", "::1"))]
    if servers and not found.writer and not link:
        line = next(number for number, raw in enumerate(split(text or ""), 1) if raw.split()[:1] == ["nameserver"])
        fixed.insert(0, FixedServers(PATH, line, " ".join(servers), _immutable(facts)))
    named = guarded(lambda: own_names(root.text(tree, HOSTS) or "", system.hostname(tree)), "the hosts table")
    return found._replace(fixed=tuple(fixed), own_names=named)


def _fixed(tree: Root) -> Iterator[FixedServers]:
    for place, ending, pattern in FIXED:
        paths = [f"{place}/{name}" for name in tree.names(place) if name.endswith(ending)] or [place]
        for path in paths:
            found = tree.stat(path)
            text = root.text(tree, path) or "" if found and found.kind == "file" else ""
            for number, line in enumerate(split(text), 1):
                told = pattern.match(line)
                if told:
                    yield FixedServers(path, number, told.group(1).strip())


def _immutable(facts: Facts) -> bool:
    """Whether resolv.conf has chattr's i; that is not so where nobody could ask."""
    from migprep.facts.observed import observed

    try:
        return PATH in observed(facts.root, "immutable")
    except MigprepError:
        return False
