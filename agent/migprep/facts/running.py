"""What running programs have mapped that only some processors run: themselves, and their libraries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.facts.cpu import HWCAPS, isa_needed
from migprep.facts.programs import CALLED, head, needed
from migprep.facts.startup import Mapped
from migprep.model import MigprepError, Unknown
from migprep.root import Root, Unreadable
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

#: Processes that are looked into, and bytes of what one has mapped.
PROCESSES = 5000
SIZE = 4 << 20
# 7f2c1a028000-7f2c1a17e000 r-xp 00028000 fe:00 260131                     /usr/lib/x86_64-linux-gnu/libc.so.6
CODE = re.compile(rb"(?m)^[0-9a-f]+-[0-9a-f]+ ..x. [0-9a-f]+ [0-9a-f:]+ ([1-9]\d*) +(/.*)$")


def probe(place: Root, level: int = 1, skipped: Collection[str] = ()) -> tuple[Mapped, ...]:
    """All above `level`, by path; nothing in a root where nothing runs. `skipped`: mount points not to go into."""
    files: dict[str, tuple[int, str]] = {}
    closed = 0
    for number in [name for name in place.names("/proc") if name.isdecimal()][:PROCESSES]:
        try:
            maps = root.read(place, f"/proc/{number}/maps", SIZE) or b""
        except Unreadable:
            closed += root.exists(place, f"/proc/{number}")  # else it ended meanwhile
            continue
        fresh = [(inode, path) for inode, path in mapped(maps) if path not in files]
        if fresh:
            name = root.value(place, f"/proc/{number}/comm") or number
            files.update((path, (inode, name)) for inode, path in fresh)
    bound = _bound(place, {path: files[path] for path in sorted(files) if not _is_below(path, skipped)})
    reason = f"processes whose mapped files may not be read: {closed} (permission denied)"
    unseen = (Mapped("/proc", "", Unknown(reason)),) if closed else ()
    return (*(one for one in bound if one.level > level), *unseen)


def mapped(maps: bytes) -> Iterator[tuple[int, str]]:
    """(inode, path) of each file whose code is mapped, as proc_pid_maps(5) lists them; deleted ones are left out."""
    for inode, path in dict.fromkeys(CODE.findall(maps)):
        if not path.endswith(b" (deleted)"):
            yield int(inode), path.decode("utf-8", "surrogateescape")


def _is_below(path: str, folders: Collection[str]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


def _bound(place: Root, files: dict[str, tuple[int, str]]) -> Iterator[Mapped]:
    for path, (inode, program) in files.items():
        try:
            level, evidence = _needed(place, path, inode)
        except (MigprepError, FileNotFoundError):  # replaced or gone meanwhile
            continue
        if level > 1:
            yield Mapped(path, program, level, evidence)


def _needed(place: Root, path: str, inode: int) -> tuple[int, str]:
    """The level a file asks for, and how that is known; code itself is read where no distribution compiled it."""
    found = place.stat(path)
    if found is None or found.kind != "file" or (place.live and found.inode != inode):  # a container's, by that name
        return 1, ""
    code = head(place, path)
    if CALLED.match(path):
        return needed(code)
    folder = re.search(rf"/{HWCAPS}/x86-64-v([234])/", path)
    if folder:
        return int(folder.group(1)), "the loader chose it for this processor"
    return max(1, isa_needed(code)), "its ELF note says so"
