"""Storage stacks between disks and filesystems: LVM, md, multipath, and what their configuration lets in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from migprep import root as files
from migprep.facts.block import Block, name_prefix
from migprep.facts.crypttab import under
from migprep.model import Undetermined, Unknown

if TYPE_CHECKING:
    from migprep.facts import Facts

LVM = "/etc/lvm/lvm.conf"
DEVICES_FILE = "/etc/lvm/devices/system.devices"
MDADM = ("/etc/mdadm/mdadm.conf", "/etc/mdadm.conf")
#: Identifiers in the LVM devices file that are read from the disk's hardware or its name (lvmdevices(8)).
HARDWARE_IDS = frozenset({"sys_wwid", "sys_serial", "devname", "wwid_naa", "wwid_eui", "wwid_t10", "scsi_wwid"})


class Pattern(NamedTuple):
    """One pattern of an LVM filter: accept or reject device paths that match (lvm.conf(5))."""

    accepts: bool
    text: str
    regex: str


class Filter(NamedTuple):
    """filter or global_filter; positions are those of its opening bracket's content."""

    name: str
    line: int
    observed: str
    patterns: tuple[Pattern, ...]
    start: int  # where a further pattern can be put in

    def accepts(self, path: str) -> bool:
        """Whether LVM looks at a device; the first pattern that matches decides, none means yes."""
        for pattern in self.patterns:
            if re.search(pattern.regex, path):
                return pattern.accepts
        return True

    def shuts_out(self, prefix: str) -> bool:
        """Whether it accepts the disks of today and not those called `prefix`: /dev/vda and its partitions."""
        separator = "p" if prefix in ("nvme", "mmcblk") else ""
        disk = f"/dev/{prefix}{'0n1' if prefix == 'nvme' else 'a'}"
        return not (self.accepts(disk) and self.accepts(f"{disk}{separator}2"))


class DeviceId(NamedTuple):
    """One entry of the LVM devices file."""

    line: int
    kind: str
    name: str
    observed: str


class Line(NamedTuple):
    """One line of mdadm.conf that matters: the devices that may be members."""

    path: str
    line: int
    observed: str
    words: tuple[str, ...]
    start: int
    end: int

    def shuts_out(self, prefix: str) -> bool:
        """Whether it names devices, and none of them could be called `prefix`."""
        if {"partitions", "containers"} & set(self.words):
            return False
        names = f"/dev/{prefix}{'0n1p2' if prefix == 'nvme' else 'a2'}"
        return not any(re.fullmatch(_glob(word), names) for word in self.words)


class Stacks(NamedTuple):
    """What stands between disks and filesystems here; names are those of volume groups, arrays and maps."""

    lvm: tuple[str, ...]
    md: tuple[str, ...]
    multipath: tuple[str, ...]
    root_on: tuple[str, ...]  # kinds under the root filesystem: lvm, md, crypt, multipath
    filters: tuple[Filter, ...]
    lvm_text: str
    device_ids: tuple[DeviceId, ...]
    md_devices: tuple[Line, ...]
    md_text: str

    def shut_out(self, prefix: str) -> tuple[Filter, ...]:
        """The filters that do not accept the target's disks."""
        return tuple(one for one in self.filters if one.shuts_out(prefix)) if self.lvm else ()

    def accept(self, items: tuple[Filter, ...], prefix: str) -> str:
        """lvm.conf with the target's disks accepted first, and nothing else changed."""
        text = self.lvm_text
        for item in sorted(items, key=lambda one: -one.start):
            text = f'{text[: item.start]} "a|^/dev/{prefix}.*|",{text[item.start :]}'
        return text

    def any_partition(self, items: tuple[Line, ...]) -> str:
        """mdadm.conf with `DEVICE partitions containers`."""
        text = self.md_text
        for item in sorted(items, key=lambda one: -one.start):
            text = f"{text[: item.start]}DEVICE partitions containers{text[item.end :]}"
        return text


def _glob(word: str) -> str:
    import fnmatch

    return fnmatch.translate(word)


# global_filter = [ "a|^/dev/sd.*|", "r|.*|" ]
FILTER = re.compile(r"(?m)^[ \t]*(?:devices/)?(?P<name>global_filter|filter)[ \t]*=[ \t]*(?P<list>\[(?P<inside>[^\]]*(?:\][^\n\"]*\"[^\]]*)*)\]|\"[^\"\n]*\")")


def filters(text: str) -> tuple[Filter, ...]:
    """The filters of lvm.conf that are not commented out."""
    found = []
    for one in FILTER.finditer(text):
        patterns = tuple(_pattern(word) for word in re.findall(r"\"((?:\\.|[^\"\\])*)\"", one.group("list")) if len(word) > 2)
        start = one.start("list") + 1 if one.group("list").startswith("[") else -1
        line = text.count("\n", 0, one.start("name")) + 1
        found.append(Filter(one.group("name"), line, " ".join(one.group().split()), patterns, start))
    return tuple(found)


def _pattern(word: str) -> Pattern:
    action, separator, rest = word[0], word[1], word[2:]
    body = rest[: rest.rfind(separator)] if separator in rest else rest
    try:
        re.compile(body)
    except re.error:
        raise Undetermined(f"{LVM}: the filter pattern {word!r} cannot be understood") from None
    return Pattern(action == "a", word, body)


# IDTYPE=sys_wwid IDNAME=naa.5000c500a0b1c2d3 DEVNAME=/dev/sda2 PVID=2r6yXL… PART=2
def devices_file(text: str) -> tuple[DeviceId, ...]:
    """Entries of the LVM devices file whose identifier is not written on the device."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if words.get("IDTYPE") in HARDWARE_IDS and not line.startswith("#"):
            found.append(DeviceId(number, words["IDTYPE"], words.get("DEVNAME", words.get("IDNAME", "")), line.strip()))
    return tuple(found)


def md_devices(text: str, path: str) -> tuple[Line, ...]:
    """DEVICE lines of mdadm.conf(5); a line that begins with a blank goes on with the one before."""
    found = []
    for one in re.finditer(r"(?mi)^(?P<text>dev[a-z]*[ \t]+(?P<words>[^\n#]*(?:\n[ \t]+[^\n#]+)*))", text):
        words = tuple(one.group("words").split())
        raw = one.group("text").rstrip()
        found.append(Line(path, text.count("\n", 0, one.start()) + 1, " ".join(raw.split()), words, one.start(), one.start() + len(raw)))
    return tuple(found)


def probe(facts: Facts) -> Stacks:
    """Kinds from the block devices; lvm.conf, the devices file and mdadm.conf as they are."""
    block = facts.block
    if isinstance(block, Unknown):
        raise Undetermined(block.reason)
    lvm_text = files.text(facts.root, LVM) or ""
    md_path = next((path for path in MDADM if files.exists(facts.root, path)), MDADM[0])
    md_text = files.text(facts.root, md_path) or ""
    enabled = re.search(r"(?m)^[ \t]*use_devicesfile[ \t]*=[ \t]*0", lvm_text) is None
    ids = devices_file(files.text(facts.root, DEVICES_FILE) or "") if enabled else ()
    named = _named(block)
    names = under(block, facts.mounts, "/")
    kinds = tuple(sorted({device.kind for device in block.devices if device.name in names and device.kind in named}))
    return Stacks(
        named["lvm"], named["md"], named["multipath"], kinds, filters(lvm_text), lvm_text, ids, md_devices(md_text, md_path), md_text
    )


def _named(block: Block) -> dict[str, tuple[str, ...]]:
    kinds: dict[str, tuple[str, ...]] = {"lvm": (), "md": (), "multipath": (), "crypt": ()}
    for device in block.devices:
        if device.kind in kinds:
            kinds[device.kind] += (device.mapper or device.name,)
    return kinds


__all__ = ["Stacks", "filters", "devices_file", "md_devices", "name_prefix", "probe"]
