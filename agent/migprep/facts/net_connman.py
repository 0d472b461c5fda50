"""ConnMan: DHCP on every wired card, and settings kept for each card by its MAC address (connman-service.config(5))."""

from __future__ import annotations

import re

from migprep.facts.configuration import Configuration, enabled, prefix, text
from migprep.facts.selection import Selection, mac
from migprep.formats import ini
from migprep.root import Root

FOLDER = "/var/lib/connman"
# ethernet_5254001ab001_cable
SERVICE = re.compile(r"ethernet_([0-9a-f]{12})_cable$")


def parse(content: str, path: str) -> tuple[Configuration, ...]:
    """Settings that ConnMan keeps, and .config files that an administrator wrote."""
    lines = ini.parse(content, continues=False)
    found = []
    for section in dict.fromkeys(line.section for line in lines if line.section):
        given = {line.key: line.value for line in lines if line.section == section and line.key}
        service = SERVICE.match(section)
        address = mac(service.group(1) if service else given.get("MAC", ""))
        name = given.get("DeviceName", "")
        if not service and given.get("Type") != "ethernet":
            continue
        own, gateway = _address(given)
        found.append(
            Configuration(
                tool="connman",
                path=path,
                line=next((line.number for line in lines if line.section == section), 0),
                interface=name or address or "any card",
                selection=Selection(
                    names=(name,) if name else (), macs=(address,) if address else (), everything=not (name or address)
                ),
                method="static" if own else "dhcp",
                addresses=own,
                gateway=gateway,
                dns=tuple(re.split(r"[;,\s]+", given.get("Nameservers", "").strip(" ;,")))
                if given.get("Nameservers")
                else (),
            )
        )
    return tuple(found)


# IPv4=10.0.2.40/24/10.0.2.2      IPv4.method=manual / IPv4.local_address= / IPv4.netmask_prefixlen= / IPv4.gateway=
def _address(given: dict[str, str]) -> tuple[tuple[str, ...], str]:
    words = given.get("IPv4", "").split("/")
    if len(words) > 1:
        return (prefix(words[0], words[1]),), words[2] if len(words) > 2 else ""
    if given.get("IPv4.method") == "manual" and given.get("IPv4.local_address"):
        own = prefix(given["IPv4.local_address"], given.get("IPv4.netmask_prefixlen", ""))
        return (own,), given.get("IPv4.gateway", "")
    return (), ""


def read(tree: Root) -> tuple[Configuration, ...]:
    """What ConnMan does, or () where it does not start."""
    if not enabled(tree, "connman.service"):
        return ()
    found: list[Configuration] = []
    for name in tree.names(FOLDER):
        if name.endswith(".config"):
            found += parse(text(tree, f"{FOLDER}/{name}"), f"{FOLDER}/{name}")
        elif SERVICE.match(name):
            found += parse(text(tree, f"{FOLDER}/{name}/settings"), f"{FOLDER}/{name}/settings")
    return (*found, Configuration("connman", "/etc/connman", 0, "any card", Selection(everything=True), "dhcp"))
