"""Addresses that DHCP servers have lent, by the files in which each client keeps them."""

from __future__ import annotations

import re

from migprep import root
from migprep.formats.stanzas import split
from migprep.model import MigprepError, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

NETWORKD = "/run/systemd/netif/leases"
MANAGER = "/var/lib/NetworkManager"
DHCLIENT = ("/var/lib/dhcp", "/var/lib/dhclient", "/var/lib/NetworkManager")
# internal-7a0c…-ens3.lease
MANAGED = re.compile(r"internal-[0-9a-f-]{36}-(.+)\.lease$")
# interface "ens3";  fixed-address 10.0.2.15;  option dhcp-server-identifier 10.0.2.2;
OPTION = re.compile(r'\s*(?:option\s+)?([\w-]+)\s+"?([^";]+)"?;')


class Lease(NamedTuple):
    """One lease in force, or the last one; texts are "" where the client does not write them down."""

    interface: str
    address: str
    server: str
    gateway: str
    identity: str  # by what the server knows the machine: MAC address, DUID, a text of its own, "" for unknown
    path: str


class Leases(NamedTuple):
    """One lease for each interface that has one."""

    leases: tuple[Lease, ...]

    def of(self, name: str) -> tuple[Lease, ...]:
        """The lease of an interface, if any."""
        return tuple(one for one in self.leases if one.interface == name)


def probe(facts: Facts) -> Leases:
    """Read what is there; a client's file that cannot be read tells nothing."""
    found: dict[str, Lease] = {}
    for lease in (*_dhclient(facts.root), *_managed(facts.root), *_networkd(facts)):
        found[lease.interface] = lease
    return Leases(tuple(found[name] for name in sorted(found)))


def parse(text: str, interface: str, path: str) -> Lease:
    """A file of KEY=value lines, as networkd and NetworkManager's own client write them."""
    given = dict(line.strip().partition("=")[::2] for line in split(text) if line[:1] != "#" and "=" in line)
    identity = given.get("CLIENTID", "").lower()
    # RFC 2132, 9.14: the first byte is a hardware type, or 255 before an IAID and a DUID (RFC 4361).
    known = "DUID" if identity.startswith("ff") else "MAC address" if identity.startswith("01") else identity
    router = given.get("ROUTER", "").split()
    return Lease(
        interface, given.get("ADDRESS", ""), given.get("SERVER_ADDRESS", ""), router[0] if router else "", known, path
    )


def parse_dhclient(text: str, path: str) -> tuple[Lease, ...]:
    """The newest lease of each interface in one file of dhclient.leases(5)."""
    found: dict[str, Lease] = {}
    for block in text.split("lease {")[1:]:
        given = {key: value.strip() for key, value in OPTION.findall(block.partition("}")[0])}
        name = given.get("interface", "")
        if name:
            identity = given.get("dhcp-client-identifier", "MAC address")
            found[name] = Lease(
                name,
                given.get("fixed-address", ""),
                given.get("dhcp-server-identifier", ""),
                given.get("routers", "").split(",")[0],
                "DUID" if identity.startswith("ff:") else identity,
                path,
            )
    return tuple(found.values())


def _text(tree: Root, path: str) -> str:
    try:
        return root.text(tree, path) or ""
    except MigprepError:
        return ""


def _dhclient(tree: Root) -> list[Lease]:
    found: list[Lease] = []
    for folder in DHCLIENT:
        for name in tree.names(folder):
            if name.startswith("dhclient") and name.endswith((".leases", ".lease")):
                found += parse_dhclient(_text(tree, f"{folder}/{name}"), f"{folder}/{name}")
    return found


def _managed(tree: Root) -> list[Lease]:
    return [
        parse(_text(tree, f"{MANAGER}/{name}"), named.group(1), f"{MANAGER}/{name}")
        for name in tree.names(MANAGER)
        for named in [MANAGED.match(name)]
        if named
    ]


def _networkd(facts: Facts) -> list[Lease]:
    names = facts.root.names(NETWORKD)
    interfaces = facts.interfaces
    if not names or isinstance(interfaces, Unknown):
        return []
    by_index = {root.value(facts.root, f"/sys/class/net/{one.name}/ifindex"): one.name for one in interfaces.devices}
    return [
        parse(_text(facts.root, f"{NETWORKD}/{name}"), by_index[name], f"{NETWORKD}/{name}")
        for name in names
        if name in by_index
    ]
