"""dhcpcd as the machine's network configuration: dhcpcd.conf(5). Every card gets DHCP unless a block says otherwise."""

from __future__ import annotations

import re

from migprep.facts.configuration import Configuration, enabled, number, text
from migprep.facts.selection import Selection
from migprep.formats.stanzas import split
from migprep.root import Root, exists

PATH = "/etc/dhcpcd.conf"
#: NixOS' own unit, which names another file.
NIXOS, OWN = "/etc/NIXOS", "/etc/systemd/system/dhcpcd.service"
UNITS = ("dhcpcd.service", "dhcpcd5.service", "dhcpcd@.service")


# interface eth0
# static ip_address=10.0.2.40/24
# static routers=10.0.2.2
def parse(content: str, path: str = PATH) -> tuple[Configuration, ...]:
    """The cards that the file names, then all others."""
    found: list[Configuration] = []
    denied: list[str] = []
    allowed: list[str] = []
    inside = False
    for at, raw in enumerate(split(content), 1):
        words = raw.split("#")[0].split()
        if not words:
            continue
        if words[0] in ("interface", "profile", "ssid"):
            inside = words[0] == "interface" and len(words) > 1
            if inside:
                found.append(Configuration("dhcpcd", path, at, words[1], Selection(names=(words[1],)), "dhcp"))
        elif words[0] == "denyinterfaces":
            denied += words[1:]
        elif words[0] == "allowinterfaces":
            allowed += words[1:]
        elif inside:
            found[-1] = _with(found[-1], words)
    if allowed or not denied:
        rest = Selection(names=tuple(allowed), everything=not allowed)
    else:
        rest = Selection(names=("!" + denied[0], *denied[1:]))
    return (*found, Configuration("dhcpcd", path, 0, " ".join(allowed) or "any card", rest, "dhcp"))


def _with(one: Configuration, words: list[str]) -> Configuration:
    if words[0] in ("static", "inform") and len(words) > 1:
        key, _, value = " ".join(words[1:]).partition("=") if words[0] == "static" else ("ip_address", "", words[1])
        if key in ("ip_address", "ip6_address") and value:
            return one._replace(method="static", addresses=(*one.addresses, value))
        if key == "routers":
            return one._replace(gateway=(value.split() or [""])[0])
        if key == "domain_name_servers":
            return one._replace(dns=(*one.dns, *value.split()))
        if key == "interface_mtu":
            return one._replace(mtu=number(value))
    return one._replace(method="manual") if words[0] in ("nodhcp", "noipv4") and not one.addresses else one


def read(tree: Root) -> tuple[Configuration, ...]:
    """What dhcpcd does, or () where it is only a client of another tool."""
    if not enabled(tree, *UNITS):
        return ()
    # ExecStart=/nix/store/…-dhcpcd-10.0.6/sbin/dhcpcd --quiet --config /nix/store/…-dhcpcd.conf
    unit = text(tree, OWN) if exists(tree, NIXOS) else ""
    told = re.search(r"(?m)^ExecStart=.*?dhcpcd .*?(?:--config|-f)[ =](\S+)", unit)
    path = told.group(1) if told else PATH
    return parse(text(tree, path), path)
