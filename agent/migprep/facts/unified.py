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

    Raises Unreadable.
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
    told = texts.get(b".uname", "").strip()
    system = dict(re.findall(r"(?m)^([A-Z_]+)=[\"']?([^\"'\n]*)", texts.get(b".osrel", "")))
    return Unified(path, texts.get(b".cmdline", ""), told or version_of(path), system, b".linux" in places)


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
