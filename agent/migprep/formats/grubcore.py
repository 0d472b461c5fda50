"""GRUB's core for UEFI: where it looks for its menu, and what it does first (GRUB: include/grub/kernel.h)."""

from __future__ import annotations

from migprep.typed import BinaryIO

MAGIC = b"mimg"
#: What a part of the section `mods` holds: a script that runs before any menu, and the folder of menu and modules.
CONFIG, PREFIX = 2, 3
#: Parts that are walked over, and bytes of one that are read.
PARTS, LIMIT = 1024, 65536


def told(raw: BinaryIO, start: int) -> tuple[str, str]:
    """(folder, script) of the section that begins at `start`; "" for what it does not have.

    A 64-bit core has, after its magic and four bytes of nothing, the offset and size of its parts in 8 bytes each, a
    32-bit one in 4 each right after the magic. A part is its kind and its size with this head, in 4 bytes each.
    """
    raw.seek(start)
    head = raw.read(24)
    if head[:4] != MAGIC:
        return "", ""
    width = 4 if any(head[4:8]) else 8
    at, size = (int.from_bytes(head[first : first + width], "little") for first in (width, 2 * width))
    found = {PREFIX: "", CONFIG: ""}
    for _ in range(PARTS):
        if not 0 < at < size:
            break
        raw.seek(start + at)
        part = raw.read(8)
        length = int.from_bytes(part[4:], "little")
        if length < 8:
            break
        if part[0] in found:
            content = raw.read(min(length - 8, LIMIT))
            found[part[0]] = content.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        at += length
    return found[PREFIX], found[CONFIG]
