"""Portable executables as UEFI runs them: where a section lies (Microsoft's PE format, "Section Table")."""

from __future__ import annotations

from migprep.typed import BinaryIO


def section(raw: BinaryIO, name: bytes) -> tuple[int, int] | None:
    """(offset, size) of a section's content in a file read from its start; None when it has none of that name."""
    return sections(raw.read(4096)).get(name)


def sections(head: bytes) -> dict[bytes, tuple[int, int]]:
    """(offset, size) by name, from the first bytes of a file; empty for what is no such executable."""
    start = _number(head, 60)
    if head[:2] != b"MZ" or head[start : start + 4] != b"PE\0\0":
        return {}
    count, optional = _number(head, start + 6, 2), _number(head, start + 20, 2)
    table = start + 24 + optional
    found = {}
    for at in range(table, min(table + 40 * count, len(head) - 39), 40):
        # The virtual size is that of the content; the size in the file is rounded up.
        size, stored = _number(head, at + 8), _number(head, at + 16)
        found[head[at : at + 8].rstrip(b"\0")] = (_number(head, at + 20), min(filter(None, (size, stored)), default=0))
    return found


def _number(head: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(head[at : at + size], "little")
