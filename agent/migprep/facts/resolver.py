"""Who answers names for this machine, and who writes that down: resolv.conf(5)."""

from __future__ import annotations

from migprep import root
from migprep.formats.stanzas import split
from migprep.model import Undetermined
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

PATH = "/etc/resolv.conf"

#: What a path or a comment says about who wrote it.
WRITERS = (
    ("systemd-resolved", "systemd-resolved"), ("/run/systemd/resolve", "systemd-resolved"),
    ("resolvconf", "resolvconf"),
    ("NetworkManager", "NetworkManager"), ("netconfig", "netconfig"), ("dhclient", "dhclient"), ("dhcpcd", "dhcpcd"),
    ("connman", "connman"), ("cloud-init", "cloud-init"),
)  # fmt: skip


class Resolver(NamedTuple):
    """The resolver's configuration; `link` is where resolv.conf leads, `writer` who writes it, "" for a person."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]
    link: str
    writer: str


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


def writer(text: str, link: str) -> str:
    """Who writes the file, by where it leads and what its comments say."""
    comments = "\n".join(line for line in split(text) if line.lstrip()[:1] in ("#", ";"))
    return next(
        (name for sign, name in WRITERS if sign in link), next((name for sign, name in WRITERS if sign in comments), "")
    )


def probe(facts: Facts) -> Resolver:
    """Read /etc/resolv.conf. Raises Undetermined when there is none."""
    link = facts.root.link(PATH) or ""
    text = root.text(facts.root, PATH)
    if text is None:
        raise Undetermined(f"{PATH} leads to {link}, which is not here" if link else f"no {PATH}")
    return Resolver(*parse(text), link, writer(text, link))
