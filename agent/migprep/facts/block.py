"""Block devices: their names and links, what they hold, what they stand on, and who names them."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Iterable, NamedTuple

from migprep import root as files
from migprep import udevdb
from migprep.model import Undetermined
from migprep.root import Root

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
    CONTENT = "content-derived link"  # dm-uuid-*, md-uuid-*, lvm-pv-uuid-*
    MAPPER = "device-mapper name"
    MD = "md name"
    NETWORK = "network"
    PSEUDO = "pseudo"
    FILE = "file"
    OTHER = "other"


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

    @property
    def path(self) -> str:
        """Its node: /dev/sda1, or /dev/mapper/vg0-root."""
        return f"/dev/mapper/{self.mapper}" if self.mapper else f"/dev/{self.name}"


class Reference(NamedTuple):
    """One text that names a device, and which devices of this machine it means now."""

    spec: str
    kind: Kind
    devices: tuple[BlockDevice, ...] = ()
    candidate: str = ""  # the stable way to name it: UUID=…, or "" when there is none
    disks: int = 0  # how many disks this machine has

    @property
    def is_volatile(self) -> bool:
        """Named by its place on this hardware: kernel name, by-path, by-id with a serial."""
        return self.kind in (Kind.NAME, Kind.PATH, Kind.ID)

    @property
    def is_content(self) -> bool:
        """Named by an identifier that is written on the device itself."""
        return self.kind in (Kind.UUID, Kind.LABEL, Kind.PARTUUID, Kind.PARTLABEL)

    @property
    def is_missing(self) -> bool:
        """Names a content identifier that no device of this machine has."""
        return self.is_content and not self.devices

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
        return self.candidate or "a UUID or label of the device"

    def breaks_on(self, prefix: str) -> bool:
        """Whether the name surely means nothing where disks are called `prefix` (vd, sd, nvme …)."""
        return self.is_volatile and (self.kind is not Kind.NAME or name_prefix(self.spec) != prefix)

    def may_shift_on(self, prefix: str) -> bool:
        """Whether the same sort of name exists there but, with several disks, may mean another one."""
        return self.is_volatile and not self.breaks_on(prefix) and self.disks > 1


# /dev/sda1 /dev/vdb /dev/xvda2 /dev/hdc3 /dev/nvme0n1p2 /dev/mmcblk0p1 /dev/cciss/c0d0p1 /dev/dasda1
NAME = re.compile(
    r"/dev/(?:(?P<letters>hd|sd|xvd|vd|dasd|ubd)[a-z]+\d*|(?P<nvme>nvme)\d+n\d+(?:p\d+)?"
    r"|(?P<mmc>mmcblk|pmem)\d+(?:p\d+)?|(?P<raid>cciss|ida|rd|ataraid|i2o)/[a-z0-9]+)$"
)


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
PSEUDO = frozenset({"proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "debugfs", "tracefs", "securityfs", "cgroup", "cgroup2",
                    "mqueue", "hugetlbfs", "fusectl", "configfs", "binfmt_misc", "overlay", "aufs", "usbfs", "bpf", "ramfs",
                    "virtiofs", "autofs", "rpc_pipefs", "nfsd", "efivarfs", "pstore"})  # fmt: skip
#: Stacked devices are named by what is written on them: never to be renamed to a filesystem UUID.
STACKED = frozenset({"lvm", "crypt", "multipath", "dm", "md"})


class Block(NamedTuple):
    """All block devices of the machine, and an index of every name that means one of them."""

    devices: tuple[BlockDevice, ...]
    index: dict[str, tuple[BlockDevice, ...]]

    @property
    def disks(self) -> tuple[BlockDevice, ...]:
        """Whole fixed disks."""
        return tuple(device for device in self.devices if device.kind == "disk" and device.size and not device.removable)

    def named(self, name: str) -> BlockDevice | None:
        """The device of a kernel name (sda1)."""
        return next(iter(self.index.get(f"/dev/{name}", ())), None)

    def numbered(self, number: str) -> BlockDevice | None:
        """The device of a major:minor pair."""
        return next(iter(self.index.get(number, ())), None)

    def reference(self, spec: str, fstype: str = "") -> Reference:
        """Which device a text means; `spec` as written, without the octal escapes of fstab(5)."""
        kind, key = classify(spec, fstype)
        found = self.index.get(key, ()) if kind not in (Kind.NETWORK, Kind.PSEUDO, Kind.FILE) else ()
        if kind is Kind.OTHER and found and found[0].kind in STACKED:
            kind = Kind.MAPPER
        return Reference(spec, kind, found, self.candidate(found[0]) if len(found) == 1 else "", len(self.disks))

    def candidate(self, device: BlockDevice) -> str:
        """The stable name of a device: its filesystem's UUID, else partition UUID, else label; "" when none is unique."""
        if device.kind in STACKED:
            return ""
        for tag, text in (("UUID", device.uuid), ("PARTUUID", device.partuuid), ("LABEL", device.label)):
            if text and len(self.index.get(f"{tag}={text}", ())) == 1:
                return f"{tag}={text}" if " " not in text else ""
        return ""

    @property
    def identifiers(self) -> str:
        """Which device holds which filesystem UUID now, for a person to compare."""
        return ", ".join(f"{device.path} has UUID={device.uuid}" for device in self.devices if device.uuid) or "none has a UUID"


def classify(spec: str, fstype: str = "") -> tuple[Kind, str]:
    """How a text names a device, and its key in the index."""
    tag, equals, text = spec.partition("=")
    if equals and tag in TAGS:
        return Kind[tag], f"{tag}={_normal(tag, text.strip(chr(34) + chr(39)))}"
    for tag, folder in TAGS.items():
        prefix = f"/dev/disk/{folder}/"
        if spec.startswith(prefix):
            return Kind[tag], f"{tag}={_normal(tag, unescape(spec[len(prefix):]))}"
    if fstype in NETWORK or spec.startswith("//") or re.match(r"[^/\s]+:/", spec):
        return Kind.NETWORK, ""
    if fstype in PSEUDO or (spec and not spec.startswith("/")):
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
        return Kind.CONTENT if spec[len("/dev/disk/by-id/") :].startswith(CONTENT_IDS) else Kind.ID
    if re.match(r"/dev/md(\d|/)", spec):
        return Kind.MD
    return Kind.MAPPER if spec.startswith(("/dev/mapper/", "/dev/dm-")) else Kind.OTHER


def _normal(tag: str, text: str) -> str:
    return text.lower() if tag in ("UUID", "PARTUUID") else text


# ID_FS_LABEL_ENC=my\\x20disk, /dev/disk/by-label/my\\x20disk
def unescape(text: str) -> str:
    """A name with udev's \\xNN escapes resolved."""
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found.group(1), 16)), text)


def probe(facts: Facts) -> Block:
    """Read the udev database and /sys/class/block. Raises Undetermined when udev has told nothing."""
    found = udevdb.devices(facts.root, "block")
    if not udevdb.has_database(facts.root):
        raise Undetermined(f"no udev database ({udevdb.DATABASE}): UUIDs and labels of disks cannot be read")
    return collect(device_of(facts.root, one) for one in found)


def collect(devices: Iterable[BlockDevice]) -> Block:
    """A Block with its index; linear in the number of devices."""
    known = tuple(devices)
    index: dict[str, list[BlockDevice]] = {}
    btrfs: set[str] = set()
    for device in known:
        keys = [f"/dev/{device.name}", device.number, *device.links]
        if device.mapper:
            keys.append(f"/dev/mapper/{device.mapper}")
        if device.partuuid:
            keys.append(f"PARTUUID={device.partuuid.lower()}")
        if device.partlabel:
            keys.append(f"PARTLABEL={device.partlabel}")
        if not device.fstype.endswith("_member") and not _under_multipath(device):
            # The devices of one btrfs share its UUID by design: they are one file system.
            if device.uuid and not (device.fstype == "btrfs" and device.uuid in btrfs):
                keys.append(f"UUID={device.uuid.lower()}")
            if device.label and not (device.fstype == "btrfs" and device.uuid in btrfs):
                keys.append(f"LABEL={device.label}")
            if device.fstype == "btrfs":
                btrfs.add(device.uuid)
        for key in dict.fromkeys(keys):
            index.setdefault(key, []).append(device)
    return Block(known, {key: tuple(found) for key, found in index.items() if key})


def _under_multipath(device: BlockDevice) -> bool:
    return device.fstype == "mpath_member"


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
        mapper=told.get("DM_NAME", ""),
        removable=files.value(root, f"{disk}/removable") == "1",
        number=files.value(root, f"{folder}/dev"),
    )


def _kind(name: str, dm_uuid: str, partition: bool) -> str:
    if partition:
        return "partition"
    for prefix, kind in (("LVM-", "lvm"), ("CRYPT-", "crypt"), ("mpath-", "multipath")):
        if dm_uuid.startswith(prefix):
            return kind
    for prefix, kind in (("dm-", "dm"), ("md", "md"), ("loop", "loop"), ("sr", "rom"), ("zram", "other"), ("ram", "other"), ("fd", "other")):
        if name.startswith(prefix):
            return kind
    return "disk"


def _bus(syspath: str) -> str:
    for part, bus in (("/virtio", "virtio"), ("/nvme", "nvme"), ("/mmc", "mmc"), ("/vbd-", "xen"), ("/ata", "ata"), ("/usb", "usb"), ("/host", "scsi")):
        if part in syspath:
            return bus
    return ""
