"""What stands in the way of a change: a link, a mount, a flag, a filesystem without room. Reads only."""

from __future__ import annotations

import os
import stat

from migprep import root
from migprep.root import Tree

#: Bytes and inodes that must stay free beside what is written.
SPARE_BYTES, SPARE_INODES = 1 << 20, 16


def obstacle(place: Tree, path: str) -> str:
    """Why the file at `path` (resolved in its root) cannot be replaced or made; "" when it can."""
    where = place.base + path
    try:
        found: os.stat_result | None = os.lstat(where)
    except (FileNotFoundError, NotADirectoryError):
        found = None
    folder = existing(os.path.dirname(where))
    if found:
        if not stat.S_ISREG(found.st_mode):
            return f"{path} is not a regular file"
        if found.st_nlink > 1:
            return f"{path} has {found.st_nlink} hard links, and replacing it would part it from the others"
        if _mount(where) != _mount(folder):
            return f"{path} is mounted by itself"
        if _flags(where) & FIXED:
            return f"{path} is immutable (lsattr shows it; chattr -i -a allows the change)"
    if _flags(folder) & FIXED:
        return f"{folder} is immutable (lsattr -d shows it)"
    if os.statvfs(folder).f_flag & os.ST_RDONLY and not _is_only_our_view(place, folder):
        return f"{path} is on a filesystem that is mounted read-only"
    return ""


def _is_only_our_view(place: Tree, folder: str) -> bool:
    """Whether only this process sees the folder read-only, as in a sandboxed unit (systemd.exec(5), ProtectSystem=)."""
    from migprep.facts import mounts

    seen = mounts.parse(root.text(place, "/proc/1/mountinfo") or "").over(folder) if place.live else None
    return seen is not None and not seen.is_read_only


# pos:	0
# flags:	012500000
# mnt_id:	29
def _mount(path: str) -> int:
    """The number of the mount that a file or folder is on (proc_pid_fdinfo(5)); its device where none is told."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as stream:
            told = [line.split()[1] for line in stream if line.startswith("mnt_id:")]
        return int(told[0]) if told else os.fstat(descriptor).st_dev
    except OSError:
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)


def existing(folder: str) -> str:
    """The folder itself, or the nearest above it that there is."""
    while not os.path.isdir(folder) and folder != "/":
        folder = os.path.dirname(folder)
    return folder or "/"


#: Inode flags that forbid replacing (ioctl_iflags(2)): FS_IMMUTABLE_FL, FS_APPEND_FL.
FIXED = 0x10 | 0x20


def _flags(path: str) -> int:
    """The inode flags of a file or folder; 0 on filesystems that have none."""
    import fcntl
    import platform
    import struct

    # FS_IOC_GETFLAGS is _IOR('f', 1, long); the direction bits differ by architecture (asm/ioctl.h).
    reading = 1 << 30 if platform.machine().startswith(("ppc", "mips", "sparc", "alpha")) else 2 << 30
    request = reading | struct.calcsize("l") << 16 | ord("f") << 8 | 1
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int(struct.unpack("l", fcntl.ioctl(descriptor, request, struct.pack("l", 0)))[0]) & 0xFFFFFFFF
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def shortage(needs: dict[str, int]) -> str:
    """Which filesystem has not the bytes or inodes, "" for none; `needs` is bytes by existing folder."""
    by_device: dict[int, list[str]] = {}
    for folder in needs:
        by_device.setdefault(os.stat(folder).st_dev, []).append(folder)
    for folders in by_device.values():
        size = sum(needs[folder] for folder in folders) + SPARE_BYTES
        count = 2 * len(folders) + SPARE_INODES
        free, where = os.statvfs(folders[0]), ", ".join(sorted(folders))
        if free.f_bavail * free.f_frsize < size:
            told = f"{_shown(size)} are needed there and {_shown(free.f_bavail * free.f_frsize)} are free"
            return f"no room in {where}: {told}"
        if free.f_files and free.f_favail < count:
            return f"no room in {where}: {count} inodes are needed there and {free.f_favail} are free"
    return ""


def _shown(size: int) -> str:
    return f"{size >> 20} MiB" if size >> 20 > 9 else f"{size >> 10} KiB"
