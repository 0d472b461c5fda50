"""What must move along, and in what state it is: the disks below the root, arrays, file systems, what is not local."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts.block import Block, BlockDevice, Kind
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Signatures that controllers of mainboards write on the disks of their arrays (libblkid); md's own is none of them.
CONTROLLERS = {
    "isw_raid_member": "Intel (IMSM, VROC)", "ddf_raid_member": "DDF", "nvidia_raid_member": "NVIDIA",
    "silicon_medley_raid_member": "Silicon Image", "via_raid_member": "VIA", "promise_fasttrack_raid_member": "Promise",
    "lsi_mega_raid_member": "LSI MegaRAID", "adaptec_raid_member": "Adaptec", "highpoint_raid_member": "HighPoint",
    "hpt37x_raid_member": "HighPoint", "hpt45x_raid_member": "HighPoint", "jmicron_raid_member": "JMicron",
}  # fmt: skip
#: What stands in the path of a disk in /sys that another machine serves (scsi_transport_iscsi, scsi_transport_fc …).
SERVED = (("/session", "iSCSI"), ("/rport-", "Fibre Channel"), ("/nvme-fabrics/", "NVMe over fabrics"), ("/nbd", "NBD"),
          ("/rbd", "Ceph RBD"), ("/drbd", "DRBD"), ("/fcoe", "FCoE"))  # fmt: skip
NETWORK = frozenset({"nfs", "nfs4", "cifs", "9p", "ceph", "glusterfs"})
ARRAYS = re.compile(r"^ARRAY\s+(?P<name>\S+)(?P<rest>.*)$", re.IGNORECASE | re.MULTILINE)


class Served(NamedTuple):
    """Something below the root that is not a disk of this machine."""

    name: str
    how: str  # iSCSI, nfs …


class Faulty(NamedTuple):
    """A file system whose driver has counted errors since it was last checked."""

    device: str
    path: str
    errors: int


class Degraded(NamedTuple):
    """An array of md that runs with members missing."""

    device: str
    path: str
    missing: int


class Storage(NamedTuple):
    """Members that the block devices tell may be an Unknown."""

    root_type: str  # ext4, xfs, zfs, nfs …
    root_disks: tuple[BlockDevice, ...]  # fixed disks below /, /boot, /usr and /var
    boot_disks: tuple[BlockDevice, ...]  # fixed disks below the folder that the boot loader reads
    first_disk: BlockDevice  # by name, of all fixed disks; or an Unknown
    disk_count: int
    served: tuple[Served, ...]
    firmware_arrays: tuple[BlockDevice, ...]  # members below the root
    spare_firmware_arrays: tuple[BlockDevice, ...]  # other members
    multipath: tuple[BlockDevice, ...]  # below the root
    suspended: tuple[BlockDevice, ...]
    degraded: tuple[Degraded, ...]
    faulty: tuple[Faulty, ...]
    unlisted: tuple[BlockDevice, ...]  # arrays that something calls by number, and no ARRAY line knows

    @property
    def boots_late(self) -> bool:
        """Whether the loader lies on no disk that comes first."""
        return bool(self.boot_disks) and self.first_disk.name not in {one.name for one in self.boot_disks}

    @property
    def root_disk_names(self) -> str:
        """The disks below the root as a person tells them apart."""
        return described(self.root_disks)

    @property
    def boot_disk_names(self) -> str:
        """The disks with the boot loader's files as a person tells them apart."""
        return described(self.boot_disks)


def described(disks: tuple[BlockDevice, ...]) -> str:
    """Disks as a person tells them apart: sda (20.0 GiB, serial QM00001), sdb (…)."""
    return ", ".join(
        f"{one.name} ({one.size / (1 << 30):.1f} GiB{', serial ' + one.serial if one.serial else ''})" for one in disks
    )


def probe(facts: Facts) -> Storage:
    """Follow what is mounted down to the disks. Raises Undetermined where nothing tells what is mounted."""
    root, block, mounts = facts.root, facts.block, facts.mounts
    if isinstance(mounts, Unknown):
        raise Undetermined(mounts.reason)
    top = mounts.at("/")
    kind = top.fstype if top else ""
    served = [Served(top.source, kind)] if top and kind in NETWORK else []
    from migprep.facts import guarded

    # A detail that cannot be told must not hide what decides a boot.
    faulty: tuple[Faulty, ...] = guarded(lambda: tuple(_faulty(root)), "/sys/fs/ext4")  # type: ignore[assignment]
    degraded: tuple[Degraded, ...] = guarded(lambda: tuple(_degraded(root)), "/sys/class/block")  # type: ignore[assignment]
    if isinstance(block, Unknown):
        gap: tuple[()] = block  # type: ignore[assignment]
        parts = (gap, gap, gap, gap)
        served_by: tuple[Served, ...] = tuple(served) or gap
        return Storage(kind, *parts, served_by, gap, gap, gap, gap, degraded, faulty, gap)  # type: ignore[arg-type]
    below = {one.name: one for place in ("/", "/boot", "/usr", "/var") for one in _stack(facts, block, place)}
    fixed = sorted(block.disks, key=lambda one: (len(one.name), one.name))
    loader = _stack(facts, block, "/boot/efi") or _stack(facts, block, "/efi") or _stack(facts, block, "/boot")
    found = tuple(below.values())
    mine = tuple(one for one in fixed if one.name in below)
    return Storage(
        kind,
        mine,
        tuple(one for one in fixed if one in loader),
        fixed[0] if fixed else Unknown("no fixed disk was found"),  # type: ignore[arg-type]
        len(fixed),
        (*served, *_served(root, mine)),
        tuple(one for one in found if one.fstype in CONTROLLERS),
        tuple(one for one in block.devices if one.fstype in CONTROLLERS and one.name not in below),
        tuple(one for one in found if one.kind == "multipath"),
        tuple(one for one in block.devices if one.fstype == "swsuspend" and not one.is_shadow),
        degraded,
        faulty,
        tuple(_unlisted(facts, block)),
    )


def _stack(facts: Facts, block: Block, place: str) -> tuple[BlockDevice, ...]:
    """The device mounted at a place, or at the nearest folder above it, and all that it stands on."""
    mounts = facts.mounts
    mount = None
    while not isinstance(mounts, Unknown) and mount is None and place:
        mount = mounts.at(place)
        place = place.rpartition("/")[0] or ("/" if place != "/" else "")
    if mount is None:
        return ()
    device = block.numbered(mount.number) or next(iter(block.by_name.get(mount.source, ())), None)
    if device is None:
        return ()
    tops = [device]
    if device.fstype == "btrfs":  # one file system on several devices, which all have its UUID
        tops += [one for one in block.devices if one.fstype == "btrfs" and one.uuid == device.uuid and one != device]
    return tuple({below.name: below for one in tops for below in block.stack(one)}.values())


def _served(root: Root, disks: tuple[BlockDevice, ...]) -> list[Served]:
    found = []
    for disk in disks:
        path = files.real(root, f"/sys/class/block/{disk.name}")
        found += [Served(disk.path, how) for part, how in SERVED if part in path][:1]
    return found


# /sys/fs/ext4/sda1/errors_count: 0
def _faulty(root: Root) -> list[Faulty]:
    found = []
    for name in root.names("/sys/fs/ext4"):
        path = f"/sys/fs/ext4/{name}/errors_count"
        told = files.value(root, path)
        if told.isdigit() and int(told):
            found.append(Faulty(name, path, int(told)))
    return found


# /sys/class/block/md0/md/degraded: 1
def _degraded(root: Root) -> list[Degraded]:
    found = []
    for name in root.names("/sys/class/block"):
        if name.startswith("md"):
            path = f"/sys/class/block/{name}/md/degraded"
            told = files.value(root, path)
            if told.isdigit() and int(told):
                found.append(Degraded(name, path, int(told)))
    return found


def _unlisted(facts: Facts, block: Block) -> list[BlockDevice]:
    """Arrays that fstab or the next boot calls /dev/md0, and whose UUID no ARRAY line has (mdadm.conf(5))."""
    from migprep.facts.stacks import arrays

    called = [entry.device for entry in facts.fstab.entries] if not isinstance(facts.fstab, Unknown) else []
    if not isinstance(facts.arguments, Unknown):
        called += [one.device for one in facts.arguments.deciding if not isinstance(one.device.devices, Unknown)]
    named = {
        device.name: device
        for reference in called
        if reference.kind is Kind.MD and re.match(r"/dev/md\d+$", reference.spec)
        for device in reference.devices
    }
    if not named:
        return []
    lines = [found for _, text in arrays(facts.root) for found in ARRAYS.finditer(text)]
    # With a UUID, that decides, and the name is only what such an array is to be called.
    known = {one.group("name") for one in lines if "uuid=" not in one.group("rest").lower()}
    told = " ".join(one.group("rest") for one in lines).lower()
    return [one for one in named.values() if f"/dev/{one.name}" not in known and array_uuid(one) not in told]


def array_uuid(device: BlockDevice) -> str:
    """The UUID of an array as mdadm writes it; a sign that stands in no line when udev does not tell."""
    link = next((one for one in device.links if "/md-uuid-" in one), "")
    return link.rpartition("/md-uuid-")[2].lower() or "\0"
