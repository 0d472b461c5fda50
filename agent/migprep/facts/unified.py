"""Unified kernel images: kernel, initramfs and arguments in one file that UEFI starts (uapi-group.org, UKI)."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.formats import bootmenu, pe
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts.efi import Esp

#: Bytes that a text inside may have, and how far from the start it may begin.
LIMIT, DEEPEST = 65536, 4 << 20
#: Bytes at the start of a kernel that hold its set-up code, and with it its version.
SETUP = 32768
#: What systemd appends to a name while it counts how often an entry may still be tried: x+3.efi, x+2-1.efi.
COUNTER = re.compile(r"\+(?P<left>\d+)(?:-(?P<done>\d+))?$")


class Unified(NamedTuple):
    """What an image says of itself; texts are "" where it has no such section."""

    path: str
    cmdline: str
    release: str  # of its kernel, as uname -r tells it
    system: dict[str, str]  # os-release of what it belongs to
    has_kernel: bool

    @property
    def entry(self) -> bootmenu.Entry:
        """The image as an entry of a boot menu; positions are those in its arguments."""
        name = self.path.rpartition("/")[2]
        return bootmenu.Entry(name, name, "", self.path, self.path, 1, 0, len(self.cmdline), self.release)


def image(root: Root, path: str) -> Unified:
    """Read the small sections of an image, which lie before its kernel: up to there, so that a capture holds them.

    The kernel itself is asked for its version where neither a section nor the name tells it. Raises Unreadable.
    """
    with root.open(path) as raw:
        head = raw.read(4096)
        places = pe.sections(head)
        wanted = {name: places[name] for name in (b".cmdline", b".uname", b".osrel") if name in places}
        wanted = {
            name: (offset, size) for name, (offset, size) in wanted.items() if size <= LIMIT and offset <= DEEPEST
        }
        if b".linux" in places and wanted:
            head += raw.read(max(offset + size for offset, size in wanted.values()) - len(head))
        texts = {
            name: head[offset : offset + size].rstrip(b"\0\n ").decode("utf-8", "surrogateescape")
            for name, (offset, size) in wanted.items()
        }
        told = texts.get(b".uname", "").strip() or version_of(path)
        start = places.get(b".linux", (0, 0))[0]
        if not told and 0 < start <= DEEPEST:
            head += raw.read(max(0, start + SETUP - len(head)))
            told = version_in(head[start:])
    system = dict(re.findall(r"(?m)^([A-Z_]+)=[\"']?([^\"'\n]*)", texts.get(b".osrel", "")))
    return Unified(path, texts.get(b".cmdline", ""), told, system, b".linux" in places)


def version_in(kernel: bytes) -> str:
    """The version in the set-up code of a kernel for x86 (kernel.org, x86/boot.rst: kernel_version); "" for others."""
    # 6.1.0-18-amd64 (debian-kernel@lists.debian.org) #1 SMP …
    at = int.from_bytes(kernel[0x20E:0x210], "little")
    if kernel[0x202:0x206] != b"HdrS" or not at:
        return ""
    found = re.match(rb"\S{1,64}", kernel[0x200 + at :].partition(b"\0")[0])
    return found.group().decode("ascii", "replace") if found else ""


# 6c1d0f4e…-6.1.0-18-amd64+3-0.efi      arch-linux.efi
def version_of(path: str) -> str:
    """The kernel's version, where kernel-install(8) wrote it into the file name; else ""."""
    found = re.search(r"(?:^|-)(\d+\.\d.*)", COUNTER.sub("", path.rpartition("/")[2][: -len(".efi")]))
    return found.group(1) if found else ""


def started_by_itself(root: Root, esp: Esp) -> Unified | None:
    """The image that lies where firmware without boot entries looks for a loader; None for a loader, or nothing."""
    name = esp.fallback[len("EFI/") :].lower()
    if not files.is_dir(root, "/sys/firmware/efi") or esp.first.program in ("shim", "grub"):
        return None
    if not files.exists(root, esp.files[name]):
        return None
    found = image(root, esp.files[name])
    return found if found.has_kernel else None
