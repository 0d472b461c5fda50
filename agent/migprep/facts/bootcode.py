"""Boot code: what BIOS would start in the first sector of each disk."""

from __future__ import annotations

from migprep import root as files
from migprep.facts.block import BlockDevice
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where a capture keeps whose code a disk has, instead of its first sector.
FOLDER = "/migprep/bootcode"
#: Bytes of the sector, of its code, and the mark at its end without which BIOS starts nothing.
SECTOR, CODE, MARK = 512, 440, b"\x55\xaa"
#: What loaders write of themselves into their code; any other is that of a partition table's own tool.
SIGNS = ((b"GRUB", "GRUB"), (b"LILO", "LILO"), (b"EXTLINUX", "EXTLINUX"), (b"SYSLINUX", "SYSLINUX"))
#: Longer lists of disks without any code are not read to their end.
LIMIT = 64


class Sector(NamedTuple):
    """The first sector of one disk: whose code it has, "" for none."""

    device: BlockDevice
    code: str
    is_half: bool = False  # the boot loader's files are on this disk, and on another one that has code: a mirror


class BootCode(NamedTuple):
    """The disks in the order in which they were looked at, until one had code; () where nothing tells."""

    sectors: tuple[Sector, ...]
    unread: tuple[str, ...] = ()
    first: tuple[Sector, ...] = ()  # the disk that comes first, where it has no code and another one has

    @property
    def is_missing(self) -> bool:
        """Whether no disk has code. Raises Undetermined where one that was not read may have some."""
        if any(one.code for one in self.sectors):
            return False
        if self.unread:
            raise Undetermined(self.unread[0])
        return bool(self.sectors)

    @property
    def names(self) -> str:
        """The disks that were looked at, for a person."""
        return ", ".join(one.device.path for one in self.sectors)


def probe(facts: Facts) -> BootCode:
    """Look at the disks below the boot loader's files, and at others while none has code. Raises Undetermined."""
    firmware, block = facts.firmware, facts.block
    if isinstance(firmware, Unknown):
        raise Undetermined(firmware.reason)
    if firmware.kind != "bios" or not facts.root.live and not _is_kept(facts.root):
        return BootCode(())
    if isinstance(block, Unknown):
        raise Undetermined(block.reason)
    disks = [one for one in block.devices if one.kind == "disk" and one.size > 0]
    storage = facts.storage
    mine = () if isinstance(storage, Unknown) or isinstance(storage.boot_disks, Unknown) else storage.boot_disks
    first = min(block.disks, key=lambda one: (len(one.name), one.name), default=None)
    sectors: list[Sector] = []
    unread: list[str] = []
    for disk in sorted(disks, key=lambda one: (one not in mine, one != first))[:LIMIT]:
        if any(one.code for one in sectors) and disk not in mine and disk != first:
            break
        try:
            sectors.append(Sector(disk, told(facts, disk)))
        except Undetermined as error:
            unread.append(str(error))
    has_code = any(one.code for one in sectors)
    is_half = first in mine and any(one.code for one in sectors if one.device in mine)
    bare = tuple(
        one._replace(is_half=is_half) for one in sectors if has_code and one.device == first and not one.code
    )
    return BootCode(tuple(sectors), tuple(unread), bare)


def _is_kept(root: Root) -> bool:
    """Whether a capture holds what was read; one that an older migprep made does not know of it."""
    try:
        return bool(root.names(FOLDER))
    except files.Unreadable:
        return False


def told(facts: Facts, disk: BlockDevice) -> str:
    """Whose code a disk has, live or from a capture. Raises Undetermined."""
    from migprep.facts import observed

    if facts.root.live:
        return code(observed.beginning(f"/dev/{disk.name}", SECTOR))
    given = files.text(facts.root, f"{FOLDER}/{disk.name}", 64)
    if given is None:
        raise Undetermined(f"only the running machine can tell whether {disk.path} has boot code")
    return given.strip()


def code(sector: bytes) -> str:
    """Whose code a sector holds; "" where BIOS would not start it, or would start nothing but zeros."""
    if sector[SECTOR - 2 : SECTOR] != MARK or not any(sector[:CODE]):
        return ""
    return next((name for sign, name in SIGNS if sign in sector[:CODE]), "other code")


def kept(facts: Facts) -> dict[str, bytes]:
    """Whose code each disk has, for a capture; or a sign that this could not be told."""
    found = facts.bootcode
    if isinstance(found, Unknown):
        return {f"{FOLDER}/-": b""}
    return {f"{FOLDER}/{one.device.name}": f"{one.code}\n".encode() for one in found.sectors}
