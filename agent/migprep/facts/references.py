"""Which text in which file means which device: every UUID, label, name and link that a boot depends on."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts.block import Block, BlockDevice, Kind, Reference
from migprep.model import Unknown
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migprep.facts import Facts

#: How an identifier is written back to what has lost it, unmounted: by type (tune2fs(8), xfs_admin(8), mkswap(8) …).
WRITERS = {
    "ext2": "tune2fs -U {uuid} {path}", "ext3": "tune2fs -U {uuid} {path}", "ext4": "tune2fs -U {uuid} {path}",
    "xfs": "xfs_admin -U {uuid} {path}", "btrfs": "btrfstune -U {uuid} {path}", "swap": "swaplabel -U {uuid} {path}",
    "vfat": "mlabel -N {short} -i {path} ::", "crypto_LUKS": "cryptsetup luksUUID --uuid {uuid} {path}",
    "LVM2_member": "pvcreate --uuid {uuid} --restorefile /etc/lvm/backup/VG {path}",
    "linux_raid_member": "mdadm --assemble --update=uuid --uuid={uuid} /dev/mdX {path}",
    "jfs": "jfs_tune -U {uuid} {path}", "reiserfs": "reiserfstune -u {uuid} {path}",
}  # fmt: skip
#: What gives a new identifier, by type: whoever does this must change what refers to it, or write the old one back.
CHANGERS = {
    **dict.fromkeys(("ext2", "ext3", "ext4"), "mkfs, tune2fs -U"), "xfs": "mkfs, xfs_admin -U",
    "btrfs": "mkfs, btrfstune -u or -m", "swap": "mkswap, swaplabel -U", "vfat": "mkfs, mlabel -n or -N",
    "crypto_LUKS": "luksFormat, reencrypt --init-only, luksUUID --uuid",
    "LVM2_member": "pvcreate, pvchange -u, vgimportclone", "linux_raid_member": "mdadm --create, --update=uuid",
    "jfs": "mkfs, jfs_tune -U", "reiserfs": "mkfs, reiserfstune -u",
}  # fmt: skip
#: Where LVM puts dashes into its 32 letters.
CUTS = (0, 6, 10, 14, 18, 22, 26, 32)
#: What a reference can mean besides a device.
SILENT = frozenset({Kind.NETWORK, Kind.PSEUDO, Kind.FILE, Kind.OTHER})


class Mention(NamedTuple):
    """One reference in one file; `state` is found, missing, ambiguous or other (than what is mounted there)."""

    path: str
    line: int
    text: str
    kind: str
    devices: tuple[str, ...]
    state: str


def of(facts: Facts) -> tuple[Mention, ...]:
    """Every reference, in the order of files and lines. Raises Undetermined where devices are not known."""
    block = facts.block
    if isinstance(block, Unknown):
        return block  # type: ignore[return-value]
    found = [
        *_table(facts), *_arguments(facts), *_crypttab(facts), *_menus(facts, block), *_arrays(facts, block),
        *_tracked(facts, block), *_frozen(facts),
    ]  # fmt: skip
    return tuple(sorted(dict.fromkeys(found)))


def _mention(path: str, line: int, reference: Reference, is_other: bool = False) -> Mention:
    many = len(reference.devices) > 1 and not reference.is_content or reference.is_ambiguous
    state = "ambiguous" if many else "missing" if not reference.devices else "other" if is_other else "found"
    return Mention(
        path, line, reference.spec, reference.kind.value, tuple(one.path for one in reference.devices), state
    )


def _table(facts: Facts) -> Iterator[Mention]:
    fstab = facts.fstab
    for entry in () if isinstance(fstab, Unknown) else fstab.mounts:
        if entry.device.kind not in SILENT:
            yield _mention(entry.path, entry.line, entry.device, entry.is_other_than_mounted)


def _arguments(facts: Facts) -> Iterator[Mention]:
    arguments = facts.arguments
    for one in () if isinstance(arguments, Unknown) else arguments.kept:
        yield _mention(one.path, one.line, one.device)


def _crypttab(facts: Facts) -> Iterator[Mention]:
    crypttab = facts.crypttab
    for entry in () if isinstance(crypttab, Unknown) else crypttab.entries:
        if entry.device.kind not in SILENT:
            yield _mention("/etc/crypttab", entry.line, entry.device)


# search --no-floppy --fs-uuid --set=root --hint-bios=hd0,msdos1  6c1d0f4e-…
def _menus(facts: Facts, block: Block) -> Iterator[Mention]:
    loader = facts.bootloader
    if isinstance(loader, Unknown):
        return
    for one in loader.esp.stubs:
        yield _mention(one.path, one.line, block.reference(f"UUID={one.uuid}"))
    text = (files.text(facts.root, loader.path) or "") if loader.kind == "grub" else ""
    known: set[str] = set()
    for found in re.finditer(
        r"(?m)^[ \t]*search[ \t][^\n]*--fs-uuid[^\n]*[ \t](?P<uuid>[0-9A-Fa-f-]{8,})[ \t]*$", text
    ):
        if found.group("uuid") not in known:
            known.add(found.group("uuid"))
            line = text.count("\n", 0, found.start()) + 1
            yield _mention(loader.path, line, block.reference(f"UUID={found.group('uuid')}"))


# ARRAY /dev/md0 metadata=1.2 UUID=a1b2c3d4:00004000:80000000:00000001
def _arrays(facts: Facts, block: Block) -> Iterator[Mention]:
    from migprep.facts.stacks import MDADM

    for path in MDADM:
        text = files.text(facts.root, path) or ""
        for found in re.finditer(r"(?im)^ARRAY\s[^\n]*\bUUID=(?P<uuid>[0-9a-f:]+)", text):
            link = f"/dev/disk/by-id/md-uuid-{found.group('uuid').lower()}"
            mention = _mention(path, text.count("\n", 0, found.start()) + 1, block.reference(link))
            yield mention._replace(text=f"UUID={found.group('uuid')}", kind="array UUID")


# IDTYPE=sys_wwid IDNAME=naa.6000c29 DEVNAME=/dev/sda2 PVID=Yx2kQ2… PART=2
def _tracked(facts: Facts, block: Block) -> Iterator[Mention]:
    stacks = facts.stacks
    for entry in () if isinstance(stacks, Unknown) else stacks.tracked:
        if len(entry.pvid) == 32:
            link = "-".join(entry.pvid[start:end] for start, end in zip(CUTS, CUTS[1:]))
            mention = _mention(entry.path, entry.line, block.reference(f"/dev/disk/by-id/lvm-pv-uuid-{link}"))
            yield mention._replace(text=f"PVID={entry.pvid}", kind="volume UUID")


def _frozen(facts: Facts) -> Iterator[Mention]:
    """What the images that boot next hold of names; there no line can be told."""
    frozen = facts.frozen
    if isinstance(frozen, Unknown):
        return
    for word in (*frozen.opened, *frozen.roots, *frozen.resumes, *frozen.waits):
        if word.device.kind not in SILENT:
            yield _mention(word.image, 0, word.device)._replace(text=f"{word.text} ({word.file})")


def changers(device: BlockDevice) -> str:
    """What would give a device another UUID; "" for a type that is not known, or has none."""
    return CHANGERS.get(device.fstype, "") if device.uuid else ""


# 0badcafe-01 (its disk's own number, and the partition's)      4c1d0f4e-… (GPT)
def partition_writer(device: BlockDevice) -> str:
    """The command that gives a partition made anew the PARTUUID of this one; "" where there is none."""
    found = re.match(r"([0-9a-f]{8})-[0-9a-f]{2}$", device.partuuid)
    if found:
        return f"sfdisk --disk-id DISK 0x{found.group(1)}"
    number = re.search(r"\d+$", device.name)
    return f"sgdisk --partition-guid={number.group()}:{device.partuuid} DISK" if device.partuuid and number else ""


def writer(device: BlockDevice) -> str:
    """The command that gives a device made anew the UUID of this one; "" where there is none, or no UUID."""
    words = {"uuid": device.uuid, "short": device.uuid.replace("-", ""), "path": "DEVICE"}
    return WRITERS.get(device.fstype, "").format(**words) if device.uuid else ""
