"""One rule of udev: what it asks of a device, and the names that it gives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from migprep.facts import selection
from migprep.facts.selection import Selection, Traits
from migprep.formats.stanzas import split
from migprep.typed import NamedTuple

# SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="52:54:00:1a:b0:01", NAME="eth0"
# SUBSYSTEM=="net", ACTION=="add", KERNELS=="0000:02:01.0", ATTR{type}=="1", KERNEL=="eth*", NAME="eth1"
TOKEN = re.compile(r'([A-Z_]+)(?:\{([^}]*)\})?\s*(==|!=|\+=|-=|:=|=)\s*[ei]?"((?:[^"\\]|\\.)*)"')

#: Keys that tie a rule to the place of a card: the bus address, the sysfs path, udev's path.
PLACES = frozenset(
    {"KERNELS", "ID", "DEVPATH", "ENV{ID_PATH}", "ENV{ID_PATH_TAG}", "ENV{ID_NET_NAME_SLOT}", "ENV{ID_NET_NAME_PATH}"}
)

#: What ties a rule to one disk, its maker or its way to the machine: none of it is on the target.
HARDWARE = re.compile(
    r"(?:ENV\{(?:ID_SERIAL(?:_SHORT)?|ID_PATH|ID_WWN\w*|ID_SCSI_SERIAL|ID_MODEL)\}|RESULT|ATTRS?\{(?:serial|model|wwid)\}"
    r"|KERNELS)[ \t]*==[ \t]*\"(?!\"|\*\"|\?\*\")"
    r"|ENV\{DM_(?:UUID|NAME)\}[ \t]*==[ \t]*\"[^\"]*mpath-?[^\"*?\[-]"  # a disk of several paths, one of which is there
)
# KERNEL=="sd?1", SUBSYSTEM=="block", PROGRAM=="/usr/lib/udev/scsi_id -g -u -d /dev/$parent", RESULT=="36000c29…", …
# ENV{ID_SERIAL}=="0QEMU_QEMU_HARDDISK_drive1", SYMLINK+="oracleasm/data1", OWNER="grid"
DISKS = re.compile(
    r"SUBSYSTEMS?==\"(?:block|scsi)\"|KERNEL==\"(?:sd|dm-|vd|xvd|hd|nvme|\[?sv)|scsi_id|oracleasm|asm"
    r"|ENV\{DM_(?:UUID|NAME)\}"
)
FAMILY, GIVEN = re.compile(r"hd|sd|vd|xvd|nvme|cciss"), ("OWNER", "GROUP", "SYMLINK", "NAME")
#: What udev's own rules give, wherever a copy of them stands (50-udev-default.rules, 60-persistent-storage.rules).
USUAL = re.compile(r"OWNER=root$|GROUP=(?:disk|cdrom|floppy)$|NAME=.*(?:%k|\$kernel)|SYMLINK=(?:disk/by-|mapper/)\S+$")
# SUBSYSTEMS=="usb"   ENV{ID_BUS}=="usb"   ATTRS{idVendor}=="0781"   ATTRS{removable}=="1"
STICKS = re.compile(r"(?:SUBSYSTEMS|ENV\{ID_BUS\}|BUS|DRIVERS)==usb|ATTRS\{idVendor\}==|ATTRS?\{removable\}==1")
# SYMLINK+="oracleasm/data%n"   SYMLINK+="$env{ID_NAME}"
SUBSTITUTION = re.compile(r"%n|\$number|%[a-zA-Z](?:\{[^}]*\})?|\$[a-z]+(?:\{[^}]*\})?")


def takes(pattern: str, prefix: str) -> bool:
    """Whether KERNEL=="pattern" of a udev rule holds for a disk or partition of this family (vd, sd, nvme …)."""
    disks = [f"nvme{n}n1" for n in range(4)] if prefix == "nvme" else [f"{prefix}{letter}" for letter in "abcd"]
    part = "p" if prefix == "nvme" else ""
    names = [*disks, *(f"{disk}{part}{number}" for disk in disks for number in range(1, 17))]
    return any(fnmatchcase(name, one) for one in pattern.split("|") for name in names)


class Token(NamedTuple):
    """One comparison or assignment; `key` is ``ATTR{address}`` or ``NAME``."""

    key: str
    operator: str
    value: str


class Rule(NamedTuple):
    """One rule of a file; `raw` is its logical line with its end."""

    path: str
    line: int
    raw: str
    tokens: tuple[Token, ...]

    def asked(self, *keys: str) -> tuple[str, ...]:
        """Values that one of `keys` is compared with."""
        return tuple(token.value for token in self.tokens if token.key in keys and token.operator == "==")

    @property
    def is_net(self) -> bool:
        """Whether it can be about network devices."""
        return all("net" in one.split("|") for one in self.asked("SUBSYSTEM", "SUBSYSTEMS"))

    @property
    def name(self) -> str:
        """The name that it gives, "" when it gives none or a computed one."""
        for token in self.tokens:
            if token.key == "NAME" and token.operator in ("=", ":="):
                return "" if "$" in token.value or "%" in token.value else token.value
        return ""

    @property
    def macs(self) -> tuple[str, ...]:
        """The addresses of which it asks for one, in the kernel's form."""
        asked = self.asked("ATTR{address}", "ATTRS{address}", "SYSFS{address}")[:1]
        return tuple(filter(None, (selection.mac(word) for value in asked for word in value.split("|"))))

    @property
    def mac(self) -> str:
        """The first address that it asks for; "" for none."""
        return next(iter(self.macs), "")

    @property
    def is_slot_bound(self) -> bool:
        """Whether it asks for the place of the card."""
        return any(t.key in PLACES and t.operator == "==" and t.value.strip("*?") for t in self.tokens)

    @property
    def place(self) -> str:
        """The place it asks for, as written."""
        return ", ".join(f'{t.key}=="{t.value}"' for t in self.tokens if t.key in PLACES and t.operator == "==")

    @property
    def drivers(self) -> tuple[str, ...]:
        """Drivers that it asks for; () when any will do."""
        asked = self.asked("DRIVERS", "DRIVER", "ENV{ID_NET_DRIVER}")
        return tuple(word for one in asked for word in one.split("|") if word.strip("?*"))

    @property
    def hardware(self) -> str:
        """What it asks for of serial numbers, models and places, as written."""
        written = (f'{token.key}{token.operator}"{token.value}"' for token in self.tokens)
        return ", ".join(one for one in written if HARDWARE.match(one))

    @property
    def is_by_hardware(self) -> bool:
        """Whether it asks for a serial number, a model or a place."""
        return bool(self.hardware)

    @property
    def names(self) -> tuple[str, ...]:
        """Kernel names of several disks that it asks for, as patterns (sd?1, sdb1|sdc1); one name is no pattern."""
        return tuple(one for one in self.asked("KERNEL") if FAMILY.match(one) and set(one) & set("*?[|"))

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the device mapper that it asks for, as patterns (data*)."""
        return tuple(one for one in self.asked("ENV{DM_NAME}") if one.strip("?*"))

    @property
    def named(self) -> str:
        """The disks that it asks for, in words."""
        paths = ("mpath-…",) if self.is_of_paths and not self.maps else ()
        return " and ".join((*self.names, *self.maps, *paths))

    @property
    def is_of_paths(self) -> bool:
        """Whether it asks for a disk that multipathd has made."""
        return any("mpath-" in one for one in self.asked("ENV{DM_UUID}"))

    @property
    def is_of_sticks(self) -> bool:
        """Whether it is for what is put in while the machine runs."""
        return any(STICKS.match(f"{token.key}{token.operator}{token.value}") for token in self.tokens)

    @property
    def gifts(self) -> frozenset[Token]:
        """The names and the owner that it gives, where udev gives another by itself."""
        given = (one for one in self.tokens if one.key in GIVEN and one.operator in ("=", "+=", ":="))
        return frozenset(one for one in given if not USUAL.match(f"{one.key}={one.value}"))

    def holds_on(self, prefix: str) -> bool:
        """Whether its names are some of disks called `prefix` (vd, sd, nvme …)."""
        return not (self.maps or self.is_of_paths) and all(takes(one, prefix) for one in self.names)

    @property
    def is_about_disks(self) -> bool:
        """Whether it says of itself that it is for disks, or is one of those that databases are given."""
        return bool(DISKS.search(self.raw))

    @property
    def text(self) -> str:
        """The rule in one line."""
        return self.raw.strip().replace("\\\n", " ")

    def makes(self, link: str) -> bool:
        """Whether it gives a disk this name below /dev."""
        given = (t.value for t in self.tokens if t.key in ("SYMLINK", "NAME") and t.operator in ("=", "+=", ":="))
        return any(_pattern(name).fullmatch(link) for value in given for name in value.split())

    def takes(self, drivers: Iterable[str]) -> bool:
        """Whether it holds for a card with one of `drivers` (each ``a`` or ``a|b``)."""
        return Selection(drivers=self.drivers).allows_driver(drivers)

    def means(self, device: Traits) -> bool:
        """Whether it names `device` by its address now; udev compares addresses letter by letter."""
        addresses = self.asked("ATTR{address}", "ATTRS{address}", "SYSFS{address}")
        return bool(addresses) and all(
            any(fits(value, have) for have in (device.mac, device.permanent_mac) if have) for value in addresses
        )


def with_address(line: str, mac: str) -> str:
    """A rule's line asking for an address where it asked for the place of the card, and for no driver by name."""
    addressed = "ATTR{address}" in line

    def changed(found: re.Match[str]) -> str:
        nonlocal addressed
        key = f"{found.group(1)}{{{found.group(2)}}}" if found.group(2) else found.group(1)
        if key in ("DRIVERS", "DRIVER", "ENV{ID_NET_DRIVER}") and found.group(3) == "==":
            return 'DRIVERS=="?*"'
        if key not in PLACES or found.group(3) != "==" or not found.group(4).strip("*?"):
            return found.group()
        if addressed:
            return 'DRIVERS=="?*"'
        addressed = True
        return f'ATTR{{address}}=="{mac}"'

    return TOKEN.sub(changed, line)


def _pattern(name: str) -> re.Pattern[str]:
    """What a name with udev's substitutions may become."""
    text, at = "", 0
    for found in SUBSTITUTION.finditer(name):
        text += re.escape(name[at : found.start()]) + (r"\d*" if found.group() in ("%n", "$number") else r"[^/\s]+")
        at = found.end()
    return re.compile(text + re.escape(name[at:]))


def fits(pattern: str, value: str) -> bool:
    """Whether a value is one of those that a comparison of udev asks for (sd?1|sd?2)."""
    return any(fnmatchcase(value, one) for one in pattern.split("|"))


def parse(text: str, path: str) -> tuple[Rule, ...]:
    """Rules of one file; comments, blanks and labels stay inside `raw` of no rule."""
    found = []
    raw, first, number = "", 1, 0
    for piece in split(text):
        number += 1
        if not raw:
            first = number
        raw += piece
        if piece.rstrip("\r\n").endswith("\\") and not raw.lstrip().startswith("#"):
            continue
        found += _rule(path, first, raw)
        raw = ""
    return tuple(found + _rule(path, first, raw))


def _rule(path: str, line: int, raw: str) -> list[Rule]:
    if not raw.strip() or raw.lstrip().startswith("#"):
        return []
    tokens = tuple(
        Token(f"{key}{{{part}}}" if part else key, operator, value)
        for key, part, operator, value in TOKEN.findall(raw.replace("\\\n", " "))
    )
    return [Rule(path, line, raw, tokens)] if tokens else []
