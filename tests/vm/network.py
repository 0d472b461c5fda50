"""The network a guest has unless its scenario says otherwise: DHCP on whatever card there is."""

from __future__ import annotations

from .scenario import Scenario

_NETWORKD = "[Match]\nName=e*\n\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n"
_IFUPDOWN = """\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

auto ens3
iface ens3 inet dhcp
"""
_NETPLAN = """\
network:
  version: 2
  renderer: networkd
  ethernets:
    any:
      match: {name: "e*"}
      dhcp4: true
"""
FILES = {
    "networkd": {"etc/systemd/network/20-wired.network": _NETWORKD},
    "ifupdown": {"etc/network/interfaces": _IFUPDOWN},
    "netplan": {"etc/netplan/01-netcfg.yaml": _NETPLAN},
    "networkmanager": {},
}
PACKAGES = {
    "networkd": (),
    "ifupdown": ("ifupdown", "isc-dhcp-client"),
    "netplan": ("netplan.io",),
    "networkmanager": ("network-manager",),
}
ENABLE = {
    "networkd": "systemd-networkd",
    "netplan": "systemd-networkd",
    "ifupdown": "networking",
    "networkmanager": "NetworkManager",
}


def files(scenario: Scenario) -> dict[str, str]:
    """The default configuration, left out where the scenario brings its own for the same tool."""
    own = [path for path, _ in scenario.files]
    folders = ("etc/systemd/network/", "etc/network/interfaces", "etc/netplan/")
    brings_own = any(path.startswith(folders) and not path.endswith(".link") for path in own)
    return {} if brings_own else dict(FILES[scenario.network])
