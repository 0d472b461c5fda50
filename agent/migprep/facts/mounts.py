"""What is mounted, from /proc/1/mountinfo: the machine's mounts even inside a sandboxed unit."""

from __future__ import annotations

from migprep import root as files
from migprep.formats import columns
from migprep.model import Undetermined
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts


class Mount(NamedTuple):
    """One mount; `number` is major:minor, `source` what the kernel calls the device."""

    mountpoint: str
    fstype: str
    source: str
    number: str
    subtree: str
    is_read_only: bool

    @property
    def is_local(self) -> bool:
        """Whether it stands on a block device of this machine."""
        return self.source.startswith("/dev/")


class Mounts(NamedTuple):
    """All mounts in the order in which they were made."""

    entries: tuple[Mount, ...]
    visible: dict[str, Mount]

    def at(self, mountpoint: str) -> Mount | None:
        """What is visible at a mount point: the last mount there."""
        return self.visible.get(mountpoint)

    def over(self, path: str) -> Mount | None:
        """What is visible at `path`, which has no links in it."""
        while path not in self.visible and path not in ("/", ""):
            path = path.rpartition("/")[0] or "/"
        return self.visible.get(path)


# 24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
def parse(text: str) -> Mounts:
    """/proc/PID/mountinfo (proc_pid_mountinfo(5))."""
    entries = []
    for line in text.split("\n"):
        before, separator, after = line.partition(" - ")
        head, tail = before.split(" "), after.split(" ")
        if separator and len(head) >= 6 and len(tail) >= 2:
            flags = ",".join([head[5], *tail[2:3]])  # of the mount, of the filesystem
            read_only = "ro" in flags.split(",")
            mountpoint, source, subtree = (columns.decode(text) for text in (head[4], tail[1], head[3]))
            entries.append(Mount(mountpoint, tail[0], source, head[2], subtree, read_only))
    return Mounts(tuple(entries), {entry.mountpoint: entry for entry in entries})


def probe(facts: Facts) -> Mounts:
    """Init's mounts; own ones where init's may not be read."""
    for path in ("/proc/1/mountinfo", "/proc/self/mountinfo"):
        try:
            text = files.text(facts.root, path)
        except files.Unreadable:
            continue
        if text:
            return parse(text)
    raise Undetermined("no /proc/1/mountinfo: what is mounted cannot be told")
