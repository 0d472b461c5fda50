"""Which network devices a piece of configuration means: by name, address, driver, place or kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from migprep.formats import ini
from migprep.typed import NamedTuple, Protocol

#: 52:54:00:1a:b0:01, 52-54-00-1a-b0-01, 5254.001a.b001, and the 20 bytes of InfiniBand.
MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}(?:(?::[0-9a-f]{2}){14})?$")


def mac(text: str) -> str:
    """A hardware address in the kernel's own form, "" for what is none."""
    text = text.strip().strip("'\"").lower()
    digits = text.replace("-", "").replace(":", "").replace(".", "")
    if len(digits) not in (12, 40) or len(text) not in (12, 14, 17, 59):
        return ""
    plain = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
    return plain if MAC.match(plain) else ""


#: An address inside a text, in the spellings with separators.
WRITTEN = re.compile(r"(?<![\w:.-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])")


def with_macs(text: str, macs: dict[str, str]) -> str:
    """`text` with each address of `macs` replaced by its new one, in the spelling that stands there."""

    def new(found: re.Match[str]) -> str:
        wanted = macs.get(mac(found.group()))
        if wanted is None:
            return found.group()
        spelled = wanted.replace(":", found.group(1))
        return spelled.upper() if found.group() != found.group().lower() else spelled

    return WRITTEN.sub(new, text)


#: udev's property for the driver of a network device.
DRIVER = "ID_NET_DRIVER"


class Traits(Protocol):
    """What a device is selected by."""

    @property
    def name(self) -> str: ...
    @property
    def mac(self) -> str: ...
    @property
    def permanent_mac(self) -> str: ...
    @property
    def driver(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def properties(self) -> dict[str, str]: ...


class Selection(NamedTuple):
    """Conditions that must all hold; within one, any word may. A first word with ``!`` turns it round."""

    names: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()  # the current or the permanent address
    permanent_macs: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    places: tuple[str, ...] = ()  # ID_PATH: pci-0000:02:01.0
    kinds: tuple[str, ...] = ()  # ether, wlan, bond, vlan, loopback …
    originals: tuple[str, ...] = ()  # the kernel's first name, which is not known afterwards
    properties: tuple[str, ...] = ()  # of udev, which must all be so: ID_VENDOR_ID=0x8086
    everything: bool = False

    @property
    def by_mac(self) -> bool:
        """Whether an address is asked for."""
        return bool(self.macs or self.permanent_macs)

    @property
    def asked_macs(self) -> tuple[str, ...]:
        """The addresses that are asked for, each once."""
        return tuple(dict.fromkeys(self.macs + self.permanent_macs))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for, which selects no device unless `everything` says so."""
        return not (any(self[:8]) or self.everything)

    def means(self, device: Traits) -> bool:
        """Whether this selects `device` as it is now."""
        return not self.is_empty and (
            _any(self.names, device.name)
            and _address(self.macs, (device.mac, device.permanent_mac))
            and _address(self.permanent_macs, (device.permanent_mac,))
            and _any(self.drivers, device.driver)
            and _any(self.places, device.place)
            and _any(self.kinds, device.kind)
            and (_any(self.originals, device.name) or _any(self.originals, "eth0"))
            and _all(self.properties, device.properties)
        )

    def allows_name(self, name: str) -> bool:
        """Whether a device of that name would still be selected, as far as its name goes."""
        return _any(self.names, name)

    def allows_driver(self, drivers: Iterable[str]) -> bool:
        """Whether a device with one of `drivers` (each ``a`` or ``a|b``) would still be selected."""
        asked = tuple(value for key, _, value in (one.partition("=") for one in self.properties) if key == DRIVER)
        known = [one for each in drivers for one in each.split("|")]
        return all(not words or any(_any(words, one) for one in known) for words in (self.drivers, asked))

    @property
    def traits(self) -> tuple[str, ...]:
        """Properties of the present hardware that it asks for; what udev knows of a driver or an address is none."""
        turned = self.properties[:1] and self.properties[0].startswith("!")
        lasting = (f"{DRIVER}=", "ID_NET_NAME_MAC=", "INTERFACE=")
        return () if turned else tuple(one for one in self.properties if not one.startswith(lasting))


def _any(patterns: tuple[str, ...], value: str) -> bool:
    if not patterns:
        return True
    turned = patterns[0].startswith("!")
    words = (patterns[0][1:], *patterns[1:]) if turned else patterns
    return any(fnmatchcase(value, word) for word in words) != turned


def _all(wanted: tuple[str, ...], have: dict[str, str]) -> bool:
    if not wanted:
        return True
    turned = wanted[0].startswith("!")
    pairs = [one.lstrip("!").partition("=") for one in wanted]
    return all(fnmatchcase(have.get(key, ""), value) for key, _, value in pairs) != turned


def _address(wanted: tuple[str, ...], have: tuple[str, ...]) -> bool:
    return not wanted or any(one and one in wanted for one in have)


def of_match_section(lines: Iterable[ini.Line]) -> Selection:
    """The [Match] section of .link (systemd.link(5)) and .network files (systemd.network(5))."""
    lines = tuple(lines)

    def words(key: str) -> tuple[str, ...]:
        return tuple(word.strip('"') for value in ini.values(lines, "Match", key) for word in value.split())

    def addresses(key: str) -> tuple[str, ...]:
        # A word that is no address still asks for one: it selects nothing.
        return tuple(mac(word) or word for word in words(key))

    return Selection(
        words("Name"), addresses("MACAddress"), addresses("PermanentMACAddress"), words("Driver"), words("Path"),
        (*words("Type"), *words("Kind")), words("OriginalName"), _quoted(ini.values(lines, "Match", "Property")),
    )  # fmt: skip


# Property=ID_MODEL_ID=0x100e "ID_VENDOR_FROM_DATABASE=Intel Corporation"
def _quoted(values: Iterable[str]) -> tuple[str, ...]:
    found = [each for value in values for each in re.finditer(r'(!?)(?:"((?:[^"\\]|\\.)*)"|(\S+))', value)]
    return tuple(each.group(1) + (each.group(2) or each.group(3) or "") for each in found)
