"""Block devices: their names and links, what they hold, what they stand on, and who names them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from itertools import islice

from migprep import root as files
from migprep import udevdb
from migprep.facts.udev import Udev
from migprep.facts.udev_rules import Rule, fits, takes
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.udevdb import Device


class Kind(Enum):
    """How a text names a device, which decides whether it will still mean the same one."""

    UUID = "UUID"
    LABEL = "LABEL"
    PARTUUID = "PARTUUID"
    PARTLABEL = "PARTLABEL"
    NAME = "kernel name"
    PATH = "by-path link"
    ID = "by-id link"
    RULE = "link that a udev rule makes by hardware"
    CONTENT = "content-derived link"  # dm-uuid-*, md-uuid-*, lvm-pv-uuid-*
    MAPPER = "device-mapper name"
    MD = "md name"
    NETWORK = "network"
    PSEUDO = "pseudo"
    FILE = "file"
    OTHER = "other"


#: Kinds that say nothing where no device has the name; a kernel name or a place of a disk is another matter.
NAMED = frozenset({Kind.OTHER, Kind.RULE, Kind.MAPPER, Kind.MD, Kind.CONTENT})
#: What stands in the by-path link of a disk that is no part of the machine (udev's path_id).
WAYS = (("-usb-", "USB"), ("-fc-", "Fibre Channel"), ("-fcp-", "Fibre Channel"))


class BlockDevice(NamedTuple):
    """One block device; texts are "" and tuples empty when it has none. `size` is in bytes."""

    name: str
    kind: str  # disk, partition, lvm, crypt, multipath, dm, md, loop, rom, zram, other
    size: int = 0
    links: tuple[str, ...] = ()
    fstype: str = ""
    uuid: str = ""
    label: str = ""
    partuuid: str = ""
    partlabel: str = ""
    parents: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    bus: str = ""
    driver: str = ""
    model: str = ""
    serial: str = ""
    mapper: str = ""  # device-mapper name: vg0-root
    removable: bool = False
    number: str = ""  # major:minor
    is_shadow: bool = False  # holds a copy of what another device shows: a path of a multipath disk, an LVM snapshot

    @property
    def path(self) -> str:
        """Its node: /dev/sda1, or /dev/mapper/vg0-root."""
        return f"/dev/mapper/{self.mapper}" if self.mapper else f"/dev/{self.name}"

    @property
    def way(self) -> str:
        """How it is reached when it stands outside the machine: USB, Fibre Channel; else ""."""
        # /dev/disk/by-path/pci-0000:05:00.0-fc-0x50060e80-lun-1   pci-0000:00:14.0-usb-0:3:1.0-scsi-0:0:0:0
        paths = [link for link in self.links if "/by-path/" in link]
        return next((ways for sign, ways in WAYS for path in paths if sign in path), "")


class Reference(NamedTuple):
    """One text that names a device, and which devices of this machine it means now.

    Where the devices could not be read, `devices`, `candidate` and `disks` are an Unknown: what the
    text alone tells (its kind, whether it breaks elsewhere) can still be asked.
    """

    spec: str
    kind: Kind
    devices: tuple[BlockDevice, ...] = ()
    candidate: str = ""  # the stable way to name it: UUID=…, or "" when there is none
    disks: int = 0  # how many disks this machine has
    names: tuple[str, ...] = ()  # kernel names that the udev rules which make the link ask for

    @property
    def is_volatile(self) -> bool:
        """Named by its place on this hardware: kernel name, by-path, by-id with a serial, a udev rule, multipath."""
        return self.kind in (Kind.NAME, Kind.PATH, Kind.ID, Kind.RULE) or self.is_multipath

    @property
    def is_multipath(self) -> bool:
        """A disk that multipathd made of several paths: on a virtual disk it makes none (multipath.conf(5))."""
        if self.kind is not Kind.MAPPER:
            return False
        if isinstance(self.devices, Unknown) or not self.devices:
            return self.spec.startswith("/dev/mapper/mpath")
        return self.devices[0].kind == "multipath"

    @property
    def is_drive(self) -> bool:
        """Whether it names a drive for disks that are put in: a CD, a floppy."""
        if DRIVE.match(self.spec):
            return True
        return self.kind is Kind.OTHER and bool(self.devices) and self.devices[0].kind == "rom"

    @property
    def present(self) -> str:
        """The devices that it means now, for a person."""
        return ", ".join(device.path for device in self.devices) or "no device"

    @property
    def is_content(self) -> bool:
        """Named by an identifier that is written on the device itself."""
        return self.kind in (Kind.UUID, Kind.LABEL, Kind.PARTUUID, Kind.PARTLABEL)

    @property
    def is_missing(self) -> bool:
        """Names a content identifier that no device of this machine has."""
        return self.is_content and not self.devices

    @property
    def is_miswritten(self) -> bool:
        """Whether it is the UUID of a device but for capital and small letters: no link is called so."""
        value = re.split("[=/]", self.spec)[-1].strip("\"'")
        known = [text for one in self.devices for text in (one.uuid, one.partuuid)]
        return value not in known and value.lower() in [text.lower() for text in known]

    @property
    def is_absent(self) -> bool:
        """Names an identifier, a link, a volume or an array that no device of this machine has."""
        if self.is_missing:
            return True
        return self.kind in NAMED and self.spec[:5] == "/dev/" and not self.is_multipath and not self.devices

    @property
    def is_gone(self) -> bool:
        """As `is_absent`, for an initramfs: what it calls /dev/nfs, /dev/root or /dev/ram0 is no link of any device."""
        is_link = self.kind in (Kind.OTHER, Kind.RULE)
        return self.is_absent and (not is_link or self.spec.count("/") > 2)

    @property
    def is_ambiguous(self) -> bool:
        """Names a content identifier that two devices have."""
        return self.is_content and len(self.devices) > 1

    @property
    def holders(self) -> str:
        """The devices it means."""
        return ", ".join(device.path for device in self.devices) or "none"

    @property
    def expected(self) -> str:
        """What should stand there instead."""
        known = not isinstance(self.candidate, Unknown) and self.candidate
        return known or "a UUID or label of the device"

    @property
    def _prefix(self) -> str:
        """The family of the name: of the number, where that is fixed, else of the device that has it now."""
        found = number(self.spec)
        if not found:
            return name_prefix(self.spec)
        now = () if isinstance(self.devices, Unknown) else self.devices
        return MAJORS.get(int(found.partition(":")[0])) or next((name_prefix(f"/dev/{one.name}") for one in now), "")

    def breaks_on(self, prefix: str) -> bool:
        """Whether the name surely means nothing where disks are called `prefix` (vd, sd, nvme …)."""
        if self.kind is Kind.RULE:
            return not any(takes(name, prefix) for name in self.names)
        return self.is_volatile and (self.kind is not Kind.NAME or self._prefix != prefix)

    def may_shift_on(self, prefix: str) -> bool:
        """Whether the same sort of name exists there but, with several disks, may mean another one."""
        return (self.is_counted or self.is_volatile and not self.breaks_on(prefix)) and self.disks > 1

    @property
    def is_counted(self) -> bool:
        """Named by a number that the device mapper gives in the order in which its devices come up: /dev/dm-0."""
        return self.spec.startswith("/dev/dm-") and not self.is_multipath


# /dev/sda1 /dev/vdb /dev/xvda2 /dev/hdc3 /dev/nvme0n1p2 /dev/mmcblk0p1 /dev/cciss/c0d0p1 /dev/dasda1
NAME = re.compile(
    r"/dev/(?:(?P<letters>hd|sd|xvd|vd|dasd|ubd)[a-z]+\d*|(?P<nvme>nvme)\d+n\d+(?:p\d+)?"
    r"|(?P<mmc>mmcblk|pmem)\d+(?:p\d+)?|(?P<raid>cciss|ida|rd|ataraid|i2o)/[a-z0-9]+)$"
)

#: The fixed major numbers of disks (the kernel's devices.txt); those of virtio, NVMe and device-mapper are given out.
MAJORS = {
    **dict.fromkeys((3, 22, 33, 34, 56, 57, 88, 89, 90, 91), "hd"),
    **dict.fromkeys((8, *range(65, 72), *range(128, 136)), "sd"), 94: "dasd", 202: "xvd",
}  # fmt: skip


# 8:1   801   0801 (LILO)   0x801
def number(spec: str) -> str:
    """The major:minor pair that a device number means to the kernel (block/early-lookup.c); "" where it is none."""
    found = re.match(r"(?:(?P<major>\d+):(?P<minor>\d+)(?::\d+:?)?|(?:0x)?(?P<hex>[0-9a-fA-F]{3,8}))$", spec)
    if not found:
        return ""
    if found.group("major"):
        return f"{int(found.group('major'))}:{int(found.group('minor'))}"
    packed = int(found.group("hex"), 16)
    return f"{packed >> 8 & 0xFFF}:{packed & 0xFF | packed >> 12 & 0xFFF00}"


DRIVE = re.compile(r"/dev/(?:sr|scd|fd)\d+$|/dev/(?:cdrom|cdrw|dvd|dvdrw|floppy)\d*$")


def name_prefix(spec: str) -> str:
    """The family of a kernel name: sd for /dev/sda1; "" when it is none."""
    found = NAME.match(spec)
    return next((group for group in found.groups() if group), "") if found else ""


#: Content identifiers: how they are written, and their folder of links.
TAGS = {"UUID": "by-uuid", "LABEL": "by-label", "PARTUUID": "by-partuuid", "PARTLABEL": "by-partlabel"}
#: Links below /dev/disk/by-id that are derived from what is written on the device, not from its hardware.
CONTENT_IDS = ("dm-uuid-", "dm-name-", "md-uuid-", "md-name-", "lvm-pv-uuid-")
#: File systems whose first field names a host or nothing at all (mount(8)).
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "afs", "9p", "ocfs2_dlmfs", "ncpfs",
                     "davfs", "sshfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "lustre", "beegfs"})  # fmt: skip
PSEUDO = frozenset({"proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "debugfs", "tracefs", "securityfs", "cgroup",
                    "cgroup2", "mqueue", "hugetlbfs", "fusectl", "configfs", "binfmt_misc", "overlay", "aufs", "usbfs",
                    "bpf", "ramfs", "virtiofs", "autofs", "rpc_pipefs", "nfsd", "efivarfs", "pstore"})  # fmt: skip
#: Stacked devices are named by what is written on them: never to be renamed to a filesystem UUID.
STACKED = frozenset({"lvm", "crypt", "dm", "md"})


class Block(NamedTuple):
    """All block devices of the machine, and an index of every name that means one of them."""

    devices: tuple[BlockDevice, ...]
    by_name: dict[str, tuple[BlockDevice, ...]]
    disk_count: int = 0  # of whole fixed disks
    udev: Udev | Unknown = Unknown("udev's rules were not read")

    @property
    def disks(self) -> tuple[BlockDevice, ...]:
        """Whole fixed disks."""
        return tuple(device for device in self.devices if _is_fixed(device))

    def named(self, name: str) -> BlockDevice | None:
        """The device of a kernel name (sda1)."""
        return next(iter(self.by_name.get(f"/dev/{name}", ())), None)

    def numbered(self, number: str) -> BlockDevice | None:
        """The device of a major:minor pair."""
        return next(iter(self.by_name.get(number, ())), None)

    def is_met(self, rule: Rule) -> bool:
        """Whether a rule of udev that asks for names means a disk of this machine: of several paths, or by its own."""
        if rule.maps or rule.is_of_paths:
            several = [device.mapper for device in self.devices if device.kind == "multipath"]
            return any(all(fits(one, name) for one in rule.maps) for name in several)
        return any(all(fits(one, device.name) for one in rule.names) for device in self.devices)

    def reference(self, spec: str, fstype: str = "") -> Reference:
        """Which device a text means; `spec` as written, without the octal escapes of fstab(5)."""
        kind, key = classify(spec, fstype)
        found = self.by_name.get(key, ()) if kind not in (Kind.NETWORK, Kind.PSEUDO, Kind.FILE) else ()
        if kind is Kind.OTHER and found and found[0].kind in (*STACKED, "multipath"):
            kind = Kind.MAPPER
        names: tuple[str, ...] = ()
        if kind is Kind.OTHER:
            kind, names = self._made(spec)
        candidate = self.candidate(found[0]) if len(found) == 1 else ""
        if spec.startswith("/dev/dm-") and len(found) == 1 and found[0].kind in STACKED and found[0].mapper:
            candidate = found[0].path
        return Reference(spec, kind, found, candidate, self.disk_count, names)

    def _made(self, spec: str) -> tuple[Kind, tuple[str, ...]]:
        """Whether this machine's udev rules make this link, all by names or hardware; the names they ask for."""
        makers = () if isinstance(self.udev, Unknown) else self.udev.makers(spec)
        asked = [rule.asked("KERNEL") for rule in makers]
        if not makers or not all(rule.is_by_hardware or names for rule, names in zip(makers, asked)):
            return Kind.OTHER, ()
        return Kind.RULE, tuple(n for rule, names in zip(makers, asked) for n in names[:1] if not rule.is_by_hardware)

    def candidate(self, device: BlockDevice) -> str:
        """The stable name of a device: filesystem UUID, else partition UUID, else label; "" when none is unique."""
        if device.kind in STACKED:
            return ""
        for tag, text in (("UUID", device.uuid), ("PARTUUID", device.partuuid), ("LABEL", device.label)):
            if text and len(self.by_name.get(f"{tag}={_normal(tag, text)}", ())) == 1:
                return f"{tag}={text}" if " " not in text else ""
        return ""

    def is_stable(self, link: str) -> bool:
        """Whether a link is made of what is written on the device, and means only one."""
        kind = classify(link)[0]
        return kind not in (Kind.NAME, Kind.PATH, Kind.ID, Kind.OTHER) and len(self.by_name.get(link, ())) == 1

    def stack(self, device: BlockDevice) -> tuple[BlockDevice, ...]:
        """The device and all that it stands on, down to the disks."""
        found = {device.name: device}
        todo = list(device.parents)
        while todo:
            name = todo.pop()
            parent = self.named(name)
            if parent and name not in found:
                found[name] = parent
                todo.extend(parent.parents)
        return tuple(found.values())

    def array(self, uuid: str) -> tuple[BlockDevice, ...]:
        """The array of md with this UUID, in whatever spelling or a part of it; its members while it does not run."""
        wanted = plain(uuid)
        if not wanted:
            return ()
        running = (one for one in self.devices for link in one.links if "/md-uuid-" in link
                   if wanted in plain(link.rpartition("/md-uuid-")[2]))  # fmt: skip
        members = (one for one in self.devices if one.fstype == "linux_raid_member" and wanted in plain(one.uuid))
        return tuple(dict.fromkeys(running)) or tuple(members)

    def outside(self, reference: Reference) -> str:
        """/dev/sdb1 (USB): what of a device, or of what it stands on, is no part of the machine; "" for nothing."""
        below = {one.name: one for device in reference.devices for one in self.stack(device) if one.way}
        lowest = [one for one in below.values() if not below.keys() & set(one.parents)]
        return ", ".join(sorted(f"{one.path} ({one.way})" for one in lowest))

    @property
    def identifiers(self) -> str:
        """Which device holds which filesystem UUID now, for a person to compare; the first eight."""
        some = islice((device for device in self.devices if device.uuid), 9)
        told = [f"{device.path} has UUID={device.uuid}" for device in some]
        return ", ".join([*told[:8], *(["…"] if len(told) > 8 else [])]) or "no device has a UUID"


def classify(spec: str, fstype: str = "") -> tuple[Kind, str]:
    """How a text names a device, and its key in the index."""
    tag, equals, text = spec.partition("=")
    if equals and tag == "ID":
        return (Kind.CONTENT if _is_content_id(text) else Kind.ID), f"/dev/disk/by-id/{text}"
    if equals and tag in TAGS:
        return Kind[tag], f"{tag}={_normal(tag, text.strip(chr(34) + chr(39)))}"
    for tag, folder in TAGS.items():
        prefix = f"/dev/disk/{folder}/"
        if spec.startswith(prefix):
            return Kind[tag], f"{tag}={_normal(tag, unescape(spec[len(prefix) :]))}"
    if not fstype and number(spec):
        return Kind.NAME, number(spec)
    if fstype in NETWORK or spec.startswith("//") or re.match(r"[^/\s]+:/", spec):
        return Kind.NETWORK, ""
    if fstype in PSEUDO or spec == "/dev/fuse" or (spec and not spec.startswith("/")):
        return Kind.PSEUDO, ""
    if not spec.startswith("/dev/"):
        return Kind.FILE, ""
    return _device_kind(spec), spec


def _device_kind(spec: str) -> Kind:
    if NAME.match(spec):
        return Kind.NAME
    if spec.startswith("/dev/disk/by-path/"):
        return Kind.PATH
    if spec.startswith("/dev/disk/by-id/"):
        return Kind.CONTENT if _is_content_id(spec[len("/dev/disk/by-id/") :]) else Kind.ID
    if re.match(r"/dev/md(\d|/)", spec):
        return Kind.MD
    return Kind.MAPPER if spec.startswith(("/dev/mapper/", "/dev/dm-")) else Kind.OTHER


# dm-uuid-LVM-…  md-uuid-…; but dm-uuid-mpath-3600…, dm-uuid-part1-mpath-3600… and dm-name-mpatha come from the hardware
def _is_content_id(name: str) -> bool:
    hardware = ("dm-uuid-mpath-", "dm-uuid-part", "dm-name-mpath")
    return name.startswith(CONTENT_IDS) and not (name.startswith(hardware) and "mpath" in name)


def unresolved(spec: str, fstype: str, why: Unknown) -> Reference:
    """What the text alone tells where the devices could not be read."""
    unknown: Any = why
    return Reference(spec, classify(spec, fstype)[0], unknown, unknown, unknown)


def plain(uuid: str) -> str:
    """The digits and letters of a UUID alone, which is written with dashes, colons or none."""
    return re.sub(r"[^0-9a-z]", "", uuid.lower())


def _normal(tag: str, text: str) -> str:
    return text.lower() if tag in ("UUID", "PARTUUID") else text


# ID_FS_LABEL_ENC=my\\x20disk, /dev/disk/by-label/my\\x20disk
def unescape(text: str) -> str:
    r"""A name with udev's \xNN escapes resolved."""
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found.group(1), 16)), text)


def probe(facts: Facts) -> Block:
    """Read the udev database and /sys/class/block. Raises Undetermined when udev has told nothing."""
    if not udevdb.has_database(facts.root, "block"):
        raise Undetermined(f"no udev database ({udevdb.DATABASE}): UUIDs and labels of disks cannot be read")
    found = collect(device_of(facts.root, one) for one in udevdb.devices(facts.root, "block", facts.cache))
    return found._replace(udev=facts.udev)


def collect(devices: Iterable[BlockDevice]) -> Block:
    """A Block with its index; linear in the number of devices."""
    known = tuple(devices)
    index: dict[str, list[BlockDevice]] = {}
    btrfs: set[str] = set()
    paths = _paths(known)
    for device in known:
        keys = [f"/dev/{device.name}", device.number, *device.links]
        if device.mapper:
            keys.append(f"/dev/mapper/{device.mapper}")
        if device.partuuid:
            keys.append(f"PARTUUID={device.partuuid.lower()}")
        if device.partlabel:
            keys.append(f"PARTLABEL={device.partlabel}")
        on_path = device.kind == "partition" and bool(paths.intersection(device.parents))
        shadow = device.is_shadow or on_path or device.name in paths
        if not device.fstype.endswith("_member") and not shadow:
            # The devices of one btrfs share its UUID by design: they are one file system.
            if device.uuid and not (device.fstype == "btrfs" and device.uuid in btrfs):
                keys.append(f"UUID={device.uuid.lower()}")
            if device.label and not (device.fstype == "btrfs" and device.uuid in btrfs):
                keys.append(f"LABEL={device.label}")
            if device.fstype == "btrfs":
                btrfs.add(device.uuid)
        for key in dict.fromkeys(keys):
            index.setdefault(key, []).append(device)
    fixed = sum(1 for device in known if _is_fixed(device))
    return Block(known, {key: tuple(found) for key, found in index.items() if key}, fixed)


def _is_fixed(device: BlockDevice) -> bool:
    return device.kind == "disk" and device.size > 0 and not device.removable


def _paths(known: tuple[BlockDevice, ...]) -> frozenset[str]:
    """The disks that multipath disks are made of: what they hold is shown by the multipath disk."""
    return frozenset(parent for device in known if device.kind == "multipath" for parent in device.parents)


def device_of(root: Root, device: Device) -> BlockDevice:
    """One block device from its udev properties and its folder in /sys."""
    told, folder = device.properties, f"/sys/class/block/{device.name}"
    partition = told.get("DEVTYPE") == "partition" or files.exists(root, f"{folder}/partition")
    parent = device.syspath.rsplit("/", 2)[-2] if partition and device.syspath.count("/") > 3 else ""
    disk = f"/sys/class/block/{parent}" if parent and parent != "block" else folder
    stacked = device.name.startswith(("dm-", "md"))
    size = files.value(root, f"{folder}/size")
    return BlockDevice(
        name=device.name,
        kind=_kind(device.name, told.get("DM_UUID", ""), partition),
        size=int(size) * 512 if size.isdigit() else 0,  # sectors of 512 bytes whatever the disk (block/stat docs)
        links=device.links,
        fstype=told.get("ID_FS_TYPE", ""),
        uuid=told.get("ID_FS_UUID", ""),
        label=unescape(told.get("ID_FS_LABEL_ENC", "")) or told.get("ID_FS_LABEL", ""),
        partuuid=told.get("ID_PART_ENTRY_UUID", ""),
        partlabel=unescape(told.get("ID_PART_ENTRY_NAME", "")),
        parents=tuple(root.names(f"{folder}/slaves")) if stacked else ((parent,) if disk != folder else ()),
        holders=tuple(root.names(f"{folder}/holders")),
        bus=told.get("ID_BUS", "") or _bus(device.syspath),
        driver=files.target(root, f"{disk}/device/driver").rsplit("/", 1)[-1],
        model=told.get("ID_MODEL", ""),
        serial=told.get("ID_SERIAL_SHORT", "") or told.get("ID_SERIAL", ""),
        mapper=told.get("DM_NAME", "") or (files.value(root, f"{folder}/dm/name") if stacked else ""),
        removable=files.value(root, f"{disk}/removable") == "1",
        number=files.value(root, f"{folder}/dev"),
        is_shadow=told.get("DM_UDEV_LOW_PRIORITY_FLAG") == "1",
    )


#: What a device is, by how its kernel name begins; any other is a disk.
KINDS = (("dm-", "dm"), ("md", "md"), ("loop", "loop"), ("sr", "rom"), ("zram", "other"), ("ram", "other"),
         ("fd", "other"))  # fmt: skip
#: The bus of a disk, by what stands in its path in /sys; the first that does.
BUSES = (("/virtio", "virtio"), ("/nvme", "nvme"), ("/mmc", "mmc"), ("/vbd-", "xen"), ("/ata", "ata"), ("/usb", "usb"),
         ("/host", "scsi"))  # fmt: skip


def _kind(name: str, dm_uuid: str, partition: bool) -> str:
    if partition:
        return "partition"
    if re.match(r"part\d+-mpath-", dm_uuid):
        return "multipath"
    for prefix, kind in (("LVM-", "lvm"), ("CRYPT-", "crypt"), ("mpath-", "multipath")):
        if dm_uuid.startswith(prefix):
            return kind
    for prefix, kind in KINDS:
        if name.startswith(prefix):
            return kind
    return "disk"


def _bus(syspath: str) -> str:
    for part, bus in BUSES:
        if part in syspath:
            return bus
    return ""
