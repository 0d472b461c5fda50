"""XFS: the version of the format of each filesystem, from its superblock (XFS Algorithms & Data Structures, 3.2)."""

from __future__ import annotations

from migprep import root as files
from migprep.facts.block import BlockDevice
from migprep.model import Undetermined, Unknown
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where a capture keeps the version, instead of the superblock.
FOLDER = "/migprep/xfs"
MAGIC = b"XFSB"
#: Where the superblock has its version, whose lowest four bits tell that of the format.
VERSION = 100
#: The first version with checksums of its own data (mkfs.xfs(8), crc=1).
CHECKED = 5


class Format(NamedTuple):
    """The version of one filesystem."""

    device: BlockDevice
    version: int


class Xfs(NamedTuple):
    """Every XFS filesystem whose superblock was read; () where nothing tells."""

    formats: tuple[Format, ...]

    @property
    def old(self) -> tuple[Format, ...]:
        """Those without checksums."""
        return tuple(one for one in self.formats if one.version < CHECKED)


def probe(facts: Facts) -> Xfs:
    """Read the superblock of every XFS filesystem. Raises Undetermined where one cannot be read."""
    block = facts.block
    if not facts.root.live and not facts.root.names(FOLDER):
        return Xfs(())
    if isinstance(block, Unknown):
        raise Undetermined(block.reason)
    mine = (one for one in block.devices if one.fstype == "xfs" and not one.is_shadow)
    return Xfs(tuple(Format(one, told(facts, one)) for one in mine))


def told(facts: Facts, device: BlockDevice) -> int:
    """The version of one filesystem's format, live or from a capture. Raises Undetermined."""
    from migprep.facts import observed

    if facts.root.live:
        return version(observed.beginning(f"/dev/{device.name}", 512), device.path)
    given = files.value(facts.root, f"{FOLDER}/{device.name}")
    if not given.isdigit():
        raise Undetermined(f"only the running machine can tell the format of {device.path}")
    return int(given)


def version(content: bytes, name: str) -> int:
    """The version that a superblock tells. Raises Undetermined for what is none."""
    if content[:4] != MAGIC or len(content) < VERSION + 2:
        raise Undetermined(f"{name} has no superblock of XFS at its start")
    return int.from_bytes(content[VERSION : VERSION + 2], "big") & 0xF


def kept(facts: Facts) -> dict[str, bytes]:
    """The versions, for a capture; or a sign that they could not be told."""
    found = facts.xfs
    if isinstance(found, Unknown):
        return {f"{FOLDER}/-": b""}
    return {f"{FOLDER}/{one.device.name}": f"{one.version}\n".encode() for one in found.formats}
