"""Which text in which file means which device: every UUID, label, name and link that a boot depends on."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts.block import Block, BlockDevice, Kind, Reference
from migprep.facts.loaders import SEARCH
from migprep.model import Unknown
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migprep.facts import Facts

#: How an identifier is written back to what has lost it, unmounted: by type (tune2fs(8), xfs_admin(8), mkswap(8) …).
#: An array's is on each of its members: written on one alone, it splits the array. ext4 refuses without a check since
#: it was last mounted. mlabel would drop a vfat's label.
WRITERS = {
    "ext2": "tune2fs -U {uuid} {path}", "ext3": "tune2fs -U {uuid} {path}",
    "ext4": "e2fsck -f {path}; tune2fs -U {uuid} {path}", "xfs": "xfs_admin -U {uuid} {path}",
    "btrfs": "btrfstune -U {uuid} {path}", "swap": "swaplabel -U {uuid} {path}", "vfat": "fatlabel -i {path} {short}",
    "crypto_LUKS": "cryptsetup luksUUID --uuid {uuid} {path}",
    "LVM2_member": "pvcreate --uuid {uuid} --restorefile /etc/lvm/backup/VG {path}; vgcfgrestore VG",
    "linux_raid_member": "mdadm --assemble --update=uuid --uuid={uuid} /dev/mdX EVERY_MEMBER",
    "jfs": "jfs_tune -U {uuid} {path}", "reiserfs": "reiserfstune -u {uuid} {path}",
    "ntfs": "ntfslabel --new-serial={uuid} {path}", "exfat": "exfatlabel -i {path} 0x{short}",
    "nilfs2": "nilfs-tune -U {uuid} {path}", "gfs2": "tunegfs2 -U {uuid} {path}",
    "ocfs2": "tunefs.ocfs2 --uuid-reset={short} {path}", "udf": "udflabel --uuid={uuid} {path}",
}  # fmt: skip
#: The same for a label.
LABELLERS = {
    "ext2": "e2label {path} {label}", "ext3": "e2label {path} {label}", "ext4": "e2label {path} {label}",
    "xfs": "xfs_admin -L {label} {path}", "btrfs": "btrfs filesystem label {path} {label}",
    "swap": "swaplabel -L {label} {path}", "vfat": "fatlabel {path} {label}",
    "crypto_LUKS": "cryptsetup config --label {label} {path}", "jfs": "jfs_tune -L {label} {path}",
    "reiserfs": "reiserfstune -l {label} {path}", "ntfs": "ntfslabel {path} {label}",
    "exfat": "exfatlabel {path} {label}", "nilfs2": "nilfs-tune -L {label} {path}",
    "ocfs2": "tunefs.ocfs2 -L {label} {path}", "udf": "udflabel {path} {label}",
}  # fmt: skip
#: What gives a new identifier, by type: whoever does this must change what refers to it, or write the old one back.
CHANGERS = {
    **dict.fromkeys(("ext2", "ext3", "ext4"), "mkfs, tune2fs -U"), "xfs": "mkfs, xfs_admin -U",
    "btrfs": "mkfs, btrfstune -u or -m", "swap": "mkswap, swaplabel -U", "vfat": "mkfs, fatlabel -i, mlabel -n or -N",
    "crypto_LUKS": "luksFormat, reencrypt --init-only, luksUUID --uuid",
    "LVM2_member": "pvcreate, pvchange -u, vgimportclone", "linux_raid_member": "mdadm --create, --update=uuid",
    "jfs": "mkfs, jfs_tune -U", "reiserfs": "mkfs, reiserfstune -u", "ntfs": "mkfs, ntfslabel --new-serial",
    "exfat": "mkfs, exfatlabel -i", "nilfs2": "mkfs, nilfs-tune -U", "gfs2": "mkfs, tunegfs2 -U",
    "ocfs2": "mkfs, tunefs.ocfs2 -U", "udf": "mkfs, udflabel --uuid",
}  # fmt: skip
#: Where LVM puts dashes into its 32 letters.
CUTS = (0, 6, 10, 14, 18, 22, 26, 32)
#: Where others put them into 32 digits.
UUID_CUTS = (0, 8, 12, 16, 20, 32)
ARRAY = "array UUID"
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
        *_table(facts), *_arguments(facts), *_awaited(facts, block), *_crypttab(facts, block), *_menus(facts, block),
        *_arrays(facts, block), *_tracked(facts, block), *_frozen(facts), *_installer(facts), *_startup(facts),
    ]  # fmt: skip
    return tuple(sorted(dict.fromkeys(found)))


def _mention(path: str, line: int, reference: Reference, is_other: bool = False) -> Mention:
    many = len(reference.devices) > 1 and not reference.is_content or reference.is_ambiguous
    state = "ambiguous" if many else "missing" if not reference.devices else "other" if is_other else "found"
    return Mention(
        path, line, reference.spec, reference.kind.value, tuple(one.path for one in reference.devices), state
    )


def _named(path: str, line: int, text: str, kind: str, devices: tuple[BlockDevice, ...]) -> Mention:
    """A text of a form of its own, which may well mean several devices."""
    return Mention(path, line, text, kind, tuple(one.path for one in devices), "found" if devices else "missing")


def _is_silent(reference: Reference) -> bool:
    """Whether it means no device, or a drive into which something may be put."""
    return reference.kind in SILENT and not reference.is_absent or reference.is_drive and not reference.devices


def _table(facts: Facts) -> Iterator[Mention]:
    fstab = facts.fstab
    for entry in () if isinstance(fstab, Unknown) else fstab.mounts:
        if not _is_silent(entry.device):
            yield _mention(entry.path, entry.line, entry.device, entry.is_other_than_mounted)
        yield from (_mention(entry.path, entry.line, one) for one in entry.further if not _is_silent(one))


def _arguments(facts: Facts) -> Iterator[Mention]:
    arguments = facts.arguments
    for one in () if isinstance(arguments, Unknown) else arguments.kept:
        yield _mention(one.path, one.line, one.device)


# rd.lvm.lv=rhel/root rd.md.uuid=a1b2c3d4:00004000:80000000:00000001 rd.luks.uuid=luks-6c1d0f4e-…
def _awaited(facts: Facts, block: Block) -> Iterator[Mention]:
    from migprep.facts import awaited

    for one in awaited.of_boot(facts):
        yield _named(one.path, one.line, one.text, one.kind, awaited.devices(one, block))


# cryptdata /dev/sda3 /key:/dev/disk/by-label/stick luks,header=/dev/sdb1
def _crypttab(facts: Facts, block: Block) -> Iterator[Mention]:
    crypttab = facts.crypttab
    for entry in () if isinstance(crypttab, Unknown) else crypttab.entries:
        for one in (entry.device, entry.header, entry.key_place):
            if not _is_silent(one):
                yield _mention("/etc/crypttab", entry.line, one)


# search --no-floppy --fs-uuid --set=root --hint-bios=hd0,msdos1  6c1d0f4e-…
# search --no-floppy --label --set=root BOOT        cryptomount -u 6c1d0f4e1ab04000800000000000cafe
# set root='mduuid/a1b2c3d4000040008000000000000001'        set root='lvmid/Yx2kQ2-…/d0gH1s-…'
SEARCHED = r"(?m)^[ \t]*(?P<search>search[ \t.][^\n]*)$"
OPENED = r"(?m)^[ \t]*cryptomount[ \t]+-u[ \t]+(?P<uuid>[0-9A-Fa-f]{32})\b"
PLACED = r"(?m)^[ \t]*set[ \t]+root=['\"]?(?:mduuid/(?P<array>[0-9a-f]{32})|lvmid/(?P<volume>[\w-]{38}/[\w-]{38}))"


def _menus(facts: Facts, block: Block) -> Iterator[Mention]:
    loader = facts.bootloader
    if isinstance(loader, Unknown):
        return
    for one in loader.esp.stubs:
        yield _mention(one.path, one.line, block.reference(f"UUID={one.uuid}"))
    text = (files.text(facts.root, loader.path) or "") if loader.kind == "grub" else ""
    known: dict[str, Mention] = {}
    for pattern in (SEARCH, SEARCHED, OPENED, PLACED):
        for found in re.finditer(pattern, text):
            told = {name: value or "" for name, value in found.groupdict().items()}
            for mention in _searched(loader.path, text.count("\n", 0, found.start()) + 1, told, block):
                known.setdefault(mention.text, mention)
    yield from known.values()


def _searched(path: str, line: int, told: dict[str, str], block: Block) -> Iterator[Mention]:
    """What a command of GRUB looks for."""
    uuid, array, volume = (told.get(name, "") for name in ("uuid", "array", "volume"))
    if uuid:
        yield _mention(path, line, block.reference(f"UUID={dashed(uuid, UUID_CUTS) if len(uuid) == 32 else uuid}"))
    elif array:
        yield _named(path, line, f"mduuid/{array}", ARRAY, block.array(array))
    elif volume:
        link = volume.replace("-", "").replace("/", "")
        mention = _mention(path, line, block.reference(f"/dev/disk/by-id/dm-uuid-LVM-{link}"))
        yield mention._replace(text=f"lvmid/{volume}", kind="volume UUID")
    else:
        label = _label(told.get("search", "").split())
        if label:
            yield _mention(path, line, block.reference(f"LABEL={label}"))


def _label(words: list[str]) -> str:
    """The label that a search command is given; "" where it is given another thing."""
    if words[:1] == ["search.fs_label"]:
        return words[1] if len(words) > 1 else ""
    return words[-1].strip("'\"") if {"--label", "-l"} & set(words) and words[-1][:1] not in "-$" else ""


def dashed(text: str, cuts: tuple[int, ...]) -> str:
    """The text with dashes at these places."""
    return "-".join(text[start:end] for start, end in zip(cuts, cuts[1:]))


# ARRAY /dev/md0 metadata=1.2 UUID=a1b2c3d4:00004000:80000000:00000001
def _arrays(facts: Facts, block: Block) -> Iterator[Mention]:
    from migprep.facts.stacks import arrays

    for path, text in arrays(facts.root):
        for found in re.finditer(r"(?im)^ARRAY\s[^\n]*\bUUID=(?P<uuid>[0-9a-f:]+)", text):
            uuid, line = found.group("uuid"), text.count("\n", 0, found.start()) + 1
            yield _named(path, line, f"UUID={uuid}", ARRAY, block.array(uuid))


# IDTYPE=sys_wwid IDNAME=naa.6000c29 DEVNAME=/dev/sda2 PVID=Yx2kQ2… PART=2
def _tracked(facts: Facts, block: Block) -> Iterator[Mention]:
    stacks = facts.stacks
    for entry in () if isinstance(stacks, Unknown) else stacks.tracked:
        if len(entry.pvid) == 32:
            link = f"/dev/disk/by-id/lvm-pv-uuid-{dashed(entry.pvid, CUTS)}"
            mention = _mention(entry.path, entry.line, block.reference(link))
            yield mention._replace(text=f"PVID={entry.pvid}", kind="volume UUID")


def _frozen(facts: Facts) -> Iterator[Mention]:
    """What the images that boot next hold of names; there no line can be told."""
    frozen = facts.frozen
    if isinstance(frozen, Unknown):
        return
    for word in (*frozen.opened, *frozen.roots, *frozen.resumes, *frozen.waits):
        if word.device.kind not in SILENT:
            yield _mention(word.image, 0, word.device)._replace(text=f"{word.text} ({word.file})")


def _installer(facts: Facts) -> Iterator[Mention]:
    installer = facts.installer
    for one in () if isinstance(installer, Unknown) else (*installer.disks, *installer.maps):
        yield _mention(one.path, one.line, one.device)


def _startup(facts: Facts) -> Iterator[Mention]:
    """What scripts, units and settings of this machine's own name at boot or by the clock."""
    startup = facts.startup
    for one in () if isinstance(startup, Unknown) else startup.mentions:
        if not isinstance(one.kind, Unknown) and one.is_own and one.is_present:
            yield _mention(one.path, one.line, one.device)


def changers(device: BlockDevice) -> str:
    """What would give a device another UUID; "" for a type that is not known, or has none."""
    return CHANGERS.get(device.fstype, "") if device.uuid else ""


# 0badcafe-01 (its disk's own number, and the partition's)      4c1d0f4e-… (GPT)
def partition_writer(device: BlockDevice) -> str:
    """The command that gives a partition made anew the PARTUUID of this one; "" where there is none."""
    found = re.match(r"([0-9a-f]{8})-[0-9a-f]{2}$", device.partuuid)
    if found:
        return f"sfdisk --disk-id DISK 0x{found.group(1)}"
    number = re.search(r"\d+$", device.mapper or device.name)
    if not (device.partuuid and number):
        return ""
    return f"sgdisk --partition-guid={number.group()}:{_word(device.partuuid)} DISK"


def writer(device: BlockDevice) -> str:
    """The command that gives a device made anew the UUID of this one; "" where there is none, or no UUID."""
    return _filled(WRITERS, device) if device.uuid else ""


def labeller(device: BlockDevice) -> str:
    """The command that gives a device made anew the label of this one; "" where there is none, or no label."""
    return _filled(LABELLERS, device) if device.label else ""


def _filled(commands: dict[str, str], device: BlockDevice) -> str:
    short = device.uuid.replace("-", "")
    words = {"uuid": _word(device.uuid), "short": _word(short), "label": _word(device.label), "path": "DEVICE"}
    return commands.get(device.fstype, "").format(**words)


def _word(text: str) -> str:
    """What the device holds as one word of a shell: it may hold anything."""
    if re.fullmatch(r"[\w.:+-]+", text, re.ASCII):
        return text
    import shlex

    return shlex.quote(text)
