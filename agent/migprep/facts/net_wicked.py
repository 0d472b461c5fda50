"""wicked's own XML files, beside the ifcfg files that it reads too: wicked-config(5)."""

from __future__ import annotations

import re

from migprep.facts.configuration import Configuration, number, text
from migprep.facts.selection import Selection, mac
from migprep.model import Undetermined
from migprep.root import Root
from migprep.typed import Any

FOLDER = "/etc/wicked/ifconfig"
DHCP = ("ipv4-dhcp", "ipv6-dhcp", "ipv6-auto")


def parse(content: str, path: str) -> tuple[Configuration, ...]:
    """The interfaces of one file. Raises Undetermined for what is no XML, or declares entities of its own."""
    from xml.etree import ElementTree

    if "<!DOCTYPE" in content or "<!ENTITY" in content:
        raise Undetermined(f"{path}: a document type of its own; wicked would not read it")
    try:
        # Files may hold several documents one after the other: one root for all of them.
        body = content.lstrip("\ufeff \t\r\n")
        if body.startswith("<?xml"):
            body = body.partition("?>")[2]
        # ipv4:static looks like a namespace, and is none.
        body = re.sub(r"<(/?)([\w-]+):", r"<\1\2-", body)
        document = ElementTree.fromstring(f"<all>{body}</all>")  # noqa: S314  entities are refused above
    except (ElementTree.ParseError, ValueError) as error:
        raise Undetermined(f"{path}: not XML ({error})") from None
    return tuple(_interface(one, path) for one in document.iter("interface"))


def _interface(one: Any, path: str) -> Configuration:
    name = _text(one, "name")
    permanent = mac(_text(one, "name/permanent-address"))
    addresses = tuple(
        found.text.strip()
        for family in ("ipv4-static", "ipv6-static")
        for each in _children(one, family)
        for found in each.iter("local")
        if found.text
    )
    dhcp = any(_text(each, "enabled", "true") == "true" for kind in DHCP for each in _children(one, kind))
    gateways = [each.text.strip() for each in one.iter("gateway") if each.text]
    uses = [each.text.strip() for tag in ("slave", "port", "device") for each in one.iter(tag) if each.text]
    uses += [_text(each, "device") for tag in ("slave", "port") for each in one.iter(tag)]
    return Configuration(
        tool="wicked",
        path=path,
        line=0,
        interface=name or permanent,
        selection=Selection(
            names=(name,) if name and not permanent else (), permanent_macs=(permanent,) if permanent else ()
        ),
        method="dhcp" if dhcp else "static" if addresses else "manual",
        addresses=addresses,
        gateway=gateways[0] if gateways else "",
        uses=tuple(dict.fromkeys(each for each in uses if each and not mac(each))),
        at_boot=_text(one, "control/mode", "boot") not in ("manual", "off"),
        set_mac=mac(_text(one, "link/ethernet/address") or _text(one, "ethernet/address")),
        mtu=number(_text(one, "link/mtu")),
    )


def _children(one: Any, tag: str) -> list[Any]:
    return [child for child in one if child.tag == tag]


def _text(one: Any, path: str, default: str = "") -> str:
    return (one.findtext(path) or default).strip()


def read(tree: Root) -> tuple[Configuration, ...]:
    """Every file of the folder."""
    found: list[Configuration] = []
    for name in tree.names(FOLDER):
        if name.endswith(".xml"):
            path = f"{FOLDER}/{name}"
            found += parse(text(tree, path), path)
    return tuple(found)
