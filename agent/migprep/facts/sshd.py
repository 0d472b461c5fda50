"""sshd's configuration: the addresses on which alone it takes logins (sshd_config(5), ListenAddress)."""

from __future__ import annotations

import re

from migprep import root
from migprep.facts.configuration import is_started, started
from migprep.formats.stanzas import split
from migprep.model import Undetermined, Unknown
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

MAIN, MORE = "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf"
# ListenAddress 10.0.2.15    ListenAddress=10.0.2.15:22    ListenAddress [fe80::1]:22
LISTEN = re.compile(r"\s*ListenAddress[\s=]+\"?(?P<given>\[[^\]\s]*\]|[^\s\":]+(?=[\s\":]|$)|[^\s\"]+)", re.IGNORECASE)
UNITS = ("ssh.service", "sshd.service", "ssh.socket", "sshd.socket")


class Listening(NamedTuple):
    """One address that sshd is told to listen on."""

    path: str
    line: int
    text: str
    address: str


class Sshd(NamedTuple):
    """All of them; () where sshd takes logins on any address, or does not start by itself."""

    addresses: tuple[Listening, ...]
    cards: dict[str, str] | Unknown  # the name of the card that has an address now

    def card(self, one: Listening) -> str:
        """The card with that address, where no address is left that something else may bring; "" for none."""
        if isinstance(self.cards, Unknown):
            raise Undetermined(self.cards.reason)
        return self.cards.get(one.address, "") if all(each.address in self.cards for each in self.addresses) else ""


def parse(text: str, path: str) -> tuple[Listening, ...]:
    """Every ListenAddress: its address in numbers, "any", or "" for one that never leaves the machine."""
    found = []
    for number, line in enumerate(split(text), 1):
        given = LISTEN.match(line)
        if given:
            found.append(Listening(path, number, line.strip(), _address(given.group("given").strip("[]"))))
    return tuple(found)


def _address(given: str) -> str:
    from ipaddress import ip_address

    try:
        address = ip_address(given.partition("%")[0])
    except ValueError:
        return "any"  # a host's name: what it means is not written here
    return "any" if address.is_unspecified else "" if address.is_loopback else str(address)


def probe(facts: Facts) -> Sshd:
    """Read sshd's files. Raises Undetermined in a root without /etc."""
    tree = facts.root
    if not root.is_dir(tree, "/etc"):
        raise Undetermined("no /etc")
    listed = tuple(one for path in (MAIN, *root.glob(tree, MORE)) for one in parse(root.text(tree, path) or "", path))
    told = tuple(one for one in listed if one.address)
    if not told or any(one.address == "any" for one in told) or not is_started(tree, started(tree), *UNITS):
        return Sshd((), {})
    return Sshd(told, _cards(facts))


def _cards(facts: Facts) -> dict[str, str] | Unknown:
    network = facts.network
    if isinstance(network, Unknown):
        return network
    try:
        return {address.partition("/")[0]: one.name for one in network.cards for address in one.device.known_addresses}
    except Undetermined as error:
        return Unknown(str(error))
