"""Who else names a network card: firewalls, services, routes and scripts that no network tool knows of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.facts.block import unescape
from migprep.facts.card import Card
from migprep.facts.configuration import LEFT, UNITS, is_started, started, unit_of
from migprep.formats.stanzas import split
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Bytes of a file that is looked into, files of one folder, lines that are told of one file.
LARGEST, FILES, LINES = 1 << 18, 300, 20


class Place(NamedTuple):
    """Where a kind of user keeps its settings; `units` must start at boot, () for always."""

    kind: str  # firewall, service, route, script
    pattern: str
    units: tuple[str, ...] = ()


PLACES = (
    Place("firewall", "/etc/nftables.conf", ("nftables.service",)),
    Place("firewall", "/etc/nftables.d/*", ("nftables.service",)),
    Place("firewall", "/etc/nftables/*.nft", ("nftables.service",)),
    Place("firewall", "/etc/sysconfig/nftables.conf", ("nftables.service",)),
    Place("firewall", "/etc/iptables/rules.v?", ("netfilter-persistent.service", "iptables-persistent.service")),
    Place("firewall", "/etc/iptables/*.rules", ("iptables.service", "ip6tables.service")),
    Place("firewall", "/etc/sysconfig/iptables", ("iptables.service",)),
    Place("firewall", "/etc/sysconfig/ip6tables", ("ip6tables.service",)),
    Place("firewall", "/etc/firewalld/zones/*.xml", ("firewalld.service",)),
    Place("firewall", "/etc/firewalld/direct.xml", ("firewalld.service",)),
    Place("firewall", "/etc/firewalld/policies/*.xml", ("firewalld.service",)),
    Place("firewall", "/etc/ufw/*.rules", ("ufw.service",)),
    Place("firewall", "/etc/shorewall*/*", ("shorewall.service", "shorewall6.service")),
    Place("firewall", "/etc/sysconfig/SuSEfirewall2", ("SuSEfirewall2.service",)),
    Place("service", "/etc/keepalived/keepalived.conf", ("keepalived.service",)),
    Place("service", "/etc/keepalived/conf.d/*", ("keepalived.service",)),
    Place("service", "/var/lib/pacemaker/cib/cib.xml", ("pacemaker.service",)),
    Place("service", "/etc/default/isc-dhcp-server", ("isc-dhcp-server.service", "isc-dhcp-server6.service")),
    Place("service", "/etc/sysconfig/dhcpd", ("dhcpd.service",)),
    Place("service", "/etc/dhcp/dhcpd.conf", ("isc-dhcp-server.service", "dhcpd.service")),
    Place("service", "/etc/kea/*.conf", ("kea-dhcp4-server.service", "kea-dhcp4.service", "kea-dhcp6-server.service")),
    Place("service", "/etc/dnsmasq.conf", ("dnsmasq.service",)),
    Place("service", "/etc/dnsmasq.d/*", ("dnsmasq.service",)),
    Place("service", "/etc/hostapd/*.conf", ("hostapd.service",)),
    Place("service", "/etc/radvd.conf", ("radvd.service",)),
    Place("service", "/etc/frr/*.conf", ("frr.service",)),
    Place("service", "/etc/quagga/*.conf", ("quagga.service", "zebra.service")),
    Place("service", "/etc/bird*.conf", ("bird.service", "bird6.service")),
    Place("service", "/etc/bird/*.conf", ("bird.service", "bird6.service")),
    Place("service", "/etc/conntrackd/conntrackd.conf", ("conntrackd.service",)),
    Place("service", "/etc/docker/daemon.json", ("docker.service",)),
    Place("service", "/etc/cni/net.d/*"),
    Place("service", "/etc/default/kubelet", ("kubelet.service",)),
    Place("service", "/etc/sysconfig/kubelet", ("kubelet.service",)),
    Place("service", "/var/lib/kubelet/kubeadm-flags.env", ("kubelet.service",)),
    Place("service", "/etc/rancher/k3s/config.yaml", ("k3s.service", "k3s-agent.service")),
    Place("service", "/etc/kubernetes/manifests/*"),
    Place("service", "/etc/libvirt/qemu/networks/*.xml"),
    Place("service", "/etc/libvirt/qemu/*.xml"),
    Place("service", "/var/lib/lxc/*/config"),
    Place("service", "/etc/lxc/default.conf"),
    Place("service", "/etc/wireguard/*.conf"),
    Place("service", "/etc/openvpn/*.conf"),
    Place("service", "/etc/suricata/suricata.yaml", ("suricata.service",)),
    Place("service", "/etc/snort/*.conf", ("snort.service",)),
    Place("route", "/etc/sysconfig/static-routes"),
    Place("route", "/etc/sysconfig/network"),
    Place("route", "/etc/sysconfig/network-scripts/route*-*"),
    Place("route", "/etc/sysconfig/network-scripts/rule*-*"),
    Place("route", "/etc/sysconfig/network/routes"),
    Place("route", "/etc/sysconfig/network/ifroute-*"),
    Place("script", "/etc/sysctl.conf"),
    Place("script", "/etc/sysctl.d/*.conf"),
    Place("script", "/etc/rc.local"),
    Place("script", "/etc/rc.d/rc.local"),
    Place("script", "/etc/init.d/boot.local"),
    Place("script", "/etc/init.d/after.local"),
    Place("script", "/etc/network/if-*.d/*"),
    Place("script", "/etc/NetworkManager/dispatcher.d/*"),
    Place("script", "/etc/NetworkManager/dispatcher.d/*/*"),
    Place("script", "/etc/networkd-dispatcher/*/*"),
    Place("script", "/etc/sysconfig/network/scripts/*"),
    Place("script", "/sbin/ifup-local"),
    Place("script", "/etc/crontab"),
    Place("script", "/etc/cron.d/*"),
    Place("script", "/var/spool/cron/crontabs/*"),
    Place("script", "/etc/systemd/system/*.service"),
    Place("script", "/etc/systemd/system/*.d/*.conf"),
    Place("script", "/usr/local/bin/*"),
    Place("script", "/usr/local/sbin/*"),
    Place("script", "/etc/default/*"),
    Place("script", "/etc/snmp/snmpd.conf"),
    Place("script", "/etc/vnstat.conf"),
    Place("script", "/etc/ntp.conf"),
)

# BindsTo=sys-subsystem-net-devices-ens3.device   ExecStart=/lib/systemd/systemd-networkd-wait-online --interface=ens3
#: What makes a unit fail without the card of this name (systemd.unit(5), systemd-networkd-wait-online.service(8)).
WAITS = re.compile(r"^(?:BindsTo|Requires|Requisite)=.*net-devices-|wait-online\b.*(?:-i\s*|--interface[= ])")
# /etc/systemd/system/multi-user.target.wants/dhcpcd@ens3.service
INSTANCES = "/etc/systemd/system/*.wants/*@*.service"

#: What says that a firewall keeps out whatever it does not let in, and a line that lets in on any card.
DROPS = re.compile(
    r"hook\s+input\b[^{}]*policy\s+drop|^:INPUT\s+DROP|-P\s+INPUT\s+DROP|-A\s+INPUT\s+-j\s+(?:DROP|REJECT)"
    r"|^DEFAULT_INPUT_POLICY=\"?(?:DROP|REJECT)",
    re.MULTILINE,
)
LETS_IN = re.compile(r"\baccept\b|-j\s+ACCEPT\b|\blimit\b.*\baccept\b", re.IGNORECASE)
#: Lines that let in nothing new, or only on some card.
PARTLY = re.compile(
    r"\b(?:iif|iifname|oif|oifname|related|established|icmp\w*|ipv6-icmp|output|forward|lo)\b|(?:^|\s)-[io]\s"
    r"|OUTPUT|FORWARD|policy\s+accept|--state|ctstate",
    re.IGNORECASE,
)


class User(NamedTuple):
    """One file that names one card."""

    card: Card
    kind: str
    path: str
    line: int
    text: str  # of the first line that names it
    others: tuple[int, ...]  # further lines
    shuts_out: bool  # a firewall that would let nothing in on a card of another name

    @property
    def where(self) -> str:
        """Line 8, or lines 8, 12 and 14."""
        if not self.line:
            return "in its name"
        numbers = [str(number) for number in (self.line, *self.others)]
        return f"line {numbers[0]}" if len(numbers) == 1 else f"lines {', '.join(numbers[:-1])} and {numbers[-1]}"


class NameUsers(NamedTuple):
    """All files that name a card whose name nothing ties to its MAC address."""

    users: tuple[User, ...]

    @property
    def firewalls(self) -> tuple[User, ...]:
        """Firewalls that would let nothing in under another name."""
        return tuple(one for one in self.users if one.shuts_out)

    @property
    def services(self) -> tuple[User, ...]:
        """Other firewalls, services and routes."""
        return tuple(one for one in self.users if one.kind != "script" and not one.shuts_out)

    @property
    def scripts(self) -> tuple[User, ...]:
        """Scripts and settings of which nobody can say what becomes of them."""
        return tuple(one for one in self.users if one.kind == "script")


def probe(facts: Facts) -> NameUsers:
    """Look for the cards' names where such names stand. Raises Undetermined where the cards are not known."""
    network = facts.network
    if isinstance(network, Unknown):
        raise Undetermined(network.reason)
    cards = {card.name: card for card in network.cards if not card.is_pinned}
    if not cards:
        return NameUsers(())
    tree, pattern = facts.root, named(tuple(cards))
    wanted = started(tree)
    names = tuple(name.encode("utf-8", "surrogateescape") for name in cards)
    found: list[User] = []
    for place in _present(tree, wanted):
        for path in root.glob(tree, place.pattern)[:FILES]:
            content = _content(tree, path, names)
            if content and not (path.startswith("/etc/ufw/") and not _ufw(tree)):
                waits = path.startswith(UNITS) and is_started(tree, wanted, unit_of(path))
                found += _users(place, path, content, cards, pattern, waits)
    return NameUsers((*found, *_instances(tree, cards)))


def _instances(tree: Root, cards: dict[str, Card]) -> Iterator[User]:
    """Instances of units that are started for a card."""
    for path in root.glob(tree, INSTANCES)[:FILES]:
        unit = path.rpartition("/")[2]
        card = cards.get(unescape(unit.partition("@")[2][: -len(".service")]))
        if card:
            yield User(card, "service", path, 0, unit, (), False)


def _present(tree: Root, wanted: frozenset[str]) -> Iterator[Place]:
    """Places whose first two folders are there, and that something reads at boot: most are not."""
    inside: dict[str, list[str]] = {}
    for place in PLACES:
        _, first, second, _ = f"{place.pattern}//".split("/", 3)
        if first not in inside:
            inside[first] = tree.names(f"/{first}")
        if (second in inside[first] or "*" in second) and (not place.units or is_started(tree, wanted, *place.units)):
            yield place


def named(names: tuple[str, ...]) -> re.Pattern[str]:
    """Finds one of `names` as a word of its own, also before .10, :1 and a slash, and as a card's unit."""
    either = "|".join(re.escape(one) for one in names)
    return re.compile(rf"(?<![\w-])(?:sys-subsystem-net-devices-)?({either})(?![\w-])")


def parse(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[str, int, str]]:
    """(name, line, text) of each mention outside of comments."""
    for number, line in enumerate(split(text), 1):
        bare = line.strip()
        if bare[:1] in ("#", ";", "!") and not bare.startswith("#!") or bare.startswith(("//", "<!--")):
            continue
        for name in dict.fromkeys(pattern.findall(line.split(" #")[0])):
            yield name, number, bare[:200]


def _users(
    place: Place, path: str, content: str, cards: dict[str, Card], pattern: re.Pattern[str], waits: bool
) -> Iterator[User]:
    """`waits`: the file is of a unit that starts at boot, and may not start without the card."""
    mentions: dict[str, list[tuple[int, str]]] = {}
    for name, number, text in parse(content, pattern):
        mentions.setdefault(name, []).append((number, text))
    for name, lines in mentions.items():
        kind = "service" if waits and any(WAITS.search(text) for _, text in lines) else place.kind
        shuts_out = place.kind == "firewall" and shuts_out_others(content, lines)
        further = tuple(number for number, _ in lines[1:LINES])
        yield User(cards[name], kind, path, lines[0][0], lines[0][1], further, shuts_out)


def shuts_out_others(content: str, lines: list[tuple[int, str]]) -> bool:
    """Whether a firewall that lets in on a card by name keeps out all that comes in on any other."""
    if not DROPS.search(content) or not any(LETS_IN.search(text) for _, text in lines):
        return False
    return not any(
        LETS_IN.search(line) and not PARTLY.search(line) for line in split(content) if not line.lstrip().startswith("#")
    )


def _ufw(tree: Root) -> bool:
    return "ENABLED=yes" in (root.text(tree, "/etc/ufw/ufw.conf") or "ENABLED=yes")


def _content(tree: Root, path: str, names: tuple[bytes, ...]) -> str:
    """The text of a small text file that holds one of `names`; "" for everything else."""
    if LEFT.search(path):
        return ""
    found = tree.stat(path)
    if found is None or found.kind != "file" or found.size > LARGEST:
        return ""
    try:
        content = root.read(tree, path, LARGEST) or b""
    except MigprepError:
        return ""  # of a thousand scripts one that cannot be read is no reason to know nothing
    if b"\0" in content or not any(name in content for name in names):
        return ""
    return content.decode("utf-8", "surrogateescape")
