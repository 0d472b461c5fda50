"""One piece of network configuration, the same for every tool that has its own way to write it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from migprep import root
from migprep.facts import conditions as machine
from migprep.facts.conditions import Condition
from migprep.facts.selection import Selection, Traits
from migprep.root import Root
from migprep.typed import Any, NamedTuple, Protocol

#: Files that a backup or a package manager left beside the live ones.
LEFT = re.compile(r"(?:~|\.(?:bak|old|orig|rpmnew|rpmorig|rpmsave|dpkg-\w+|ucf-\w+|swp|save))$")

#: How the names of files begin that cloud-init writes, for netplan, ifupdown, networkd and NetworkManager.
CLOUD_INIT = ("50-cloud-init", "10-cloud-init-", "cloud-init-")

#: Tools whose files can be turned to DHCP by a change of a few lines.
CHANGEABLE = ("ifupdown", "ifcfg", "suse-ifcfg", "netplan", "networkmanager", "networkd")

UNITS = "/etc/systemd/system"
#: Where some distributions start units without asking.
SHIPPED = ("/usr/lib/systemd/system/multi-user.target.wants", "/lib/systemd/system/multi-user.target.wants")


class Device(Traits, Protocol):
    """What is asked of a device here: all its names too."""

    @property
    def predictable(self) -> tuple[str, ...]: ...


class Setting(NamedTuple):
    """One setting that a driver or a network may refuse, as it stands there."""

    line: int
    text: str
    stops: bool = False  # a command whose failure keeps the interface down


class Configuration(NamedTuple):
    """What one stanza, file or section says of one interface. Texts are "" where it says nothing."""

    tool: str  # ifupdown, ifcfg, suse-ifcfg, wicked, netplan, networkmanager, networkd, dhcpcd, connman, kernel
    path: str
    line: int
    interface: str  # the name as written, or what stands for it
    selection: Selection
    method: str  # dhcp, static, manual, disabled
    addresses: tuple[str, ...] = ()  # 10.0.0.5/24
    gateway: str = ""
    dns: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()  # names of the devices below a bond, bridge or VLAN
    at_boot: bool = True
    given_name: str = ""  # the name it gives to what it selects by address
    devices: tuple[str, ...] = ()  # names of the cards that it means now
    families: tuple[str, ...] = ()  # inet, inet6 where the tool writes them apart
    over: tuple[str, ...] = ()  # names of the bond, bridge, VRF or VLANs that stand on this one
    owner: str = ""  # cloud-init, where it wrote the file
    set_mac: str = ""  # the MAC address that it gives the device
    mtu: int = 0  # bytes; 0 where it says nothing
    tuning: tuple[Setting, ...] = ()  # offloads, rings and other settings for ethtool
    key: str = ""  # what others of its tool call it instead of a device's name: a profile's UUID, netplan's key
    conditions: tuple[Condition, ...] = ()  # what its file asks of the machine
    spares: tuple[Configuration, ...] = ()  # files of its tool for the same device, if they asked for no hardware

    @property
    def is_static(self) -> bool:
        """Whether it sets an address of its own."""
        return self.method == "static" and bool(self.addresses)

    @property
    def is_dhcp(self) -> bool:
        """Whether the address comes from the network."""
        return self.method == "dhcp"

    @property
    def is_by_mac(self) -> bool:
        """Whether it asks for an address of the card."""
        return self.selection.by_mac

    @property
    def is_by_hardware(self) -> bool:
        """Whether it asks for a driver, a place or another property of the present card or machine."""
        return bool(self.hardware)

    @property
    def is_by_cloud_init(self) -> bool:
        """Whether cloud-init wrote it, and writes it anew when it thinks that it must."""
        return self.owner == "cloud-init" or self.path.rpartition("/")[2].startswith(CLOUD_INIT)

    @property
    def macs(self) -> str:
        """The addresses that it asks for."""
        return ", ".join(self.asked_macs)

    @property
    def asked_macs(self) -> tuple[str, ...]:
        """The addresses that it asks for, each once."""
        return self.selection.asked_macs

    @property
    def hardware(self) -> str:
        """What it asks for of the present hardware: a driver, a place, a hypervisor."""
        asked = [one.text for one in self.conditions if one.is_hardware]
        return ", ".join([*self.selection.drivers, *self.selection.places, *self.selection.properties, *asked])

    @property
    def where(self) -> str:
        """path:line."""
        return f"{self.path}:{self.line}" if self.line else self.path

    @property
    def device(self) -> str:
        """The cards it means now, or the name it is written for."""
        return ", ".join(self.devices) or self.interface

    @property
    def summary(self) -> str:
        """10.0.0.5/24, gateway 10.0.0.1, DNS 10.0.0.2."""
        parts = [" ".join(self.addresses)]
        parts += [f"gateway {self.gateway}"] if self.gateway else []
        parts += [f"DNS {' '.join(self.dns)}"] if self.dns else []
        return ", ".join(part for part in parts if part)

    @property
    def can_become_dhcp(self) -> bool:
        """Whether this tool's file can be turned to DHCP by a change of a line or two."""
        return self.is_static and self.tool in CHANGEABLE

    def breaks_with(self, drivers: tuple[str, ...]) -> bool:
        """Whether no card with one of `drivers`, in whatever place, can be selected by hardware."""
        chosen = self.selection
        return bool(chosen.places or chosen.traits) or not chosen.allows_driver(drivers)

    def is_shut_out_on(self, drivers: tuple[str, ...], platform: str) -> bool:
        """Whether a card with one of `drivers`, on a machine of that platform, is surely or possibly not meant."""
        if self.devices and self.breaks_with(drivers):
            return True
        if not any(one.is_hardware for one in self.conditions):
            return False
        return not machine.surely(self.conditions, platform)

    def is_replaced_on(self, drivers: tuple[str, ...], platform: str) -> bool:
        """Whether another file that is meant for that hardware, or says the same, has the device there."""
        return any(
            (one.is_by_hardware or one.summary_of_all == self.summary_of_all)
            and not one._replace(devices=self.devices).is_shut_out_on(drivers, platform)
            for one in self.spares
        )

    def gives_way_on(self, drivers: tuple[str, ...], platform: str) -> bool:
        """Whether it is not for that hardware, and another file is."""
        return self.is_shut_out_on(drivers, platform) and self.is_replaced_on(drivers, platform)

    def is_lost_on(self, drivers: tuple[str, ...], platform: str) -> bool:
        """Whether its device is left without it there, and without another in its place."""
        return self.is_shut_out_on(drivers, platform) and not self.is_replaced_on(drivers, platform)

    def offered_by(self, drivers: tuple[str, ...], platform: str) -> str:
        """What the target has where this asks for other hardware, in words."""
        card = f"has {', '.join(drivers)}" if self.devices and self.breaks_with(drivers) else ""
        asked = any(one.is_hardware for one in self.conditions)
        return " and ".join(filter(None, (card, f"is {platform or 'any hypervisor'}" if asked else "")))

    @property
    def hardware_line(self) -> int:
        """Where it asks for the present hardware, as far as that is known; else where it begins."""
        return next((one.line for one in self.conditions if one.is_hardware), self.line)

    @property
    def summary_of_all(self) -> tuple[str, ...]:
        """What it gives its device, to compare with another."""
        return (self.method, *self.addresses, self.gateway, *self.over)

    def means(self, device: Device) -> bool:
        """Whether it selects `device` as it is now; networkd knows a device by each of its names."""
        if self.selection.means(device):
            return True
        others = device.predictable if self.tool == "networkd" and self.selection.names else ()
        nameless = self.selection._replace(names=(), everything=True)
        return any(self.selection.allows_name(one) for one in others) and nameless.means(device)

    def names(self, device: Device) -> bool:
        """Whether it depends on the name of `device`: written for it, or for something on top of it."""
        return device.name in self.uses or (bool(self.selection.names) and self.means(device))


def linked(found: Iterable[Configuration]) -> tuple[Configuration, ...]:
    """All of `found`, each that is named by its key standing below or above the one that names it.

    A key is no name of a device: what asks for it still finds it where the device has another name.
    """
    found = tuple(found)
    keyed = {one.key: one for one in found if one.key}
    above: dict[str, list[Configuration]] = {}
    for one in found:
        for key in one.uses:
            if key in keyed and key != one.key:
                above.setdefault(key, []).append(one)
    return tuple(
        one._replace(
            uses=tuple(name for name in one.uses if name not in keyed),
            over=tuple(
                dict.fromkeys(
                    [keyed[name].interface if name in keyed else name for name in one.over]
                    + [upper.interface for upper in above.get(one.key, ())]
                )
            ),
            at_boot=one.at_boot or any(upper.at_boot for upper in above.get(one.key, ())),
        )
        for one in found
    )


def yaml_loader(content: str) -> Any:
    """A YAML loader that leaves every scalar a text, whatever bytes the file had; the caller disposes of it."""
    import yaml

    return getattr(yaml, "CBaseLoader", yaml.BaseLoader)(
        content.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    )


def masked(tree: Root, *units: str) -> bool:
    """Whether systemd is told never to start any of `units`."""
    return all(tree.link(f"{UNITS}/{unit}") == "/dev/null" for unit in units)


def enabled(tree: Root, *units: str) -> bool:
    """Whether one of `units` starts at boot. Where nothing says so of any unit, it counts as started."""
    return is_started(tree, started(tree), *units)


def started(tree: Root) -> frozenset[str]:
    """Every unit that something wants at boot; empty where nothing says so of any unit."""
    own = tree.names(UNITS)
    folders = [f"{UNITS}/{name}" for name in own if name.endswith((".wants", ".requires"))]
    if not folders:
        return frozenset()
    return frozenset(name for folder in folders + list(SHIPPED) for name in tree.names(folder)) | frozenset(own)


def is_started(tree: Root, wanted: frozenset[str], *units: str) -> bool:
    """`enabled`, when `started` is known already."""
    if not wanted:
        return not masked(tree, *units)
    return any(unit in wanted and not masked(tree, unit) for unit in units)


def unit_of(path: str) -> str:
    """The unit that a file of systemd's folders is about: ssh.service also for ssh.service.d/a.conf."""
    folder, _, name = path.rpartition("/")
    return folder.rpartition("/")[2][: -len(".d")] if folder.endswith(".d") else name


def installed(tree: Root, *programs: str) -> bool:
    """Whether one of `programs` is there. Where no programs can be seen at all, it counts as there."""
    return not root.is_dir(tree, "/usr/sbin") or any(root.exists(tree, path) for path in programs)


def prefix(address: str, netmask: str) -> str:
    """10.0.0.5 and 255.255.255.0 (or 24, or nothing) as 10.0.0.5/24."""
    address = address.strip()
    if not address or "/" in address or not netmask:
        return address
    if "." in netmask:
        parts = netmask.split(".")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
            return address
        netmask = str(sum(bin(int(part)).count("1") for part in parts))
    return f"{address}/{netmask}"


def number(text: str) -> int:
    """A number of at most nine digits, else 0."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def below(name: str) -> tuple[str, ...]:
    """The device that a VLAN's or alias's name stands on: ens3.10 and ens3:1 on ens3."""
    base = re.split(r"[.:]", name, maxsplit=1)[0]
    return (base,) if base and base != name else ()


def text(tree: Root, path: str) -> str:
    """A configuration file's text; it was just listed, so one that is gone is empty."""
    return root.text(tree, path) or ""
