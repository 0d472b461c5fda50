"""What a loader on the EFI system partition is, as its own file tells, and what it starts in turn."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.formats import grubcore, pe
from migprep.root import Root
from migprep.typed import BinaryIO, NamedTuple

#: Where a capture keeps what a loader says of itself, instead of the loader.
NAMES = "/migprep/loaders"
#: Bytes that are searched of a loader without a name in the usual place.
SEARCHED = 4 << 20
#: Programs by the first component of an SBAT text, where the two differ.
COMPONENTS = {"systemd": "systemd-boot", "memtest86+": "Memtest86+", "refind": "rEFInd", "ipxe": "iPXE"}
WINDOWS, SHELL, UNIFIED = "Windows Boot Manager", "the UEFI shell", "a unified kernel image"
#: Programs that start nothing of this system, whatever else is there.
FOREIGN = frozenset({WINDOWS, "Memtest86+", "MemTest86"})


def _wide(text: str) -> bytes:
    return text.encode("utf-16-le")


#: What stands in the code or the texts of programs without an SBAT section. Windows' has a version resource.
VERSION = _wide("VS_VERSION_INFO")
SIGNS = (
    ("shim", b"UEFI SHIM"), ("systemd-boot", b"#### LoaderInfo: systemd-boot"), ("rEFInd", _wide("rEFInd")),
    ("Memtest86+", b"Memtest86+"), ("MemTest86", _wide("MemTest86")), (SHELL, _wide("UEFI Interactive Shell")),
    ("iPXE", b"iPXE"),
)  # fmt: skip


class Loader(NamedTuple):
    """One loader; texts are "" where it does not tell."""

    sbat: str  # its SBAT text (shim's SBAT.md)
    name: str = ""  # what it is by another sign
    prefix: str = ""  # the folder in which GRUB looks for its menu: /EFI/debian, (hd0,gpt2)/boot/grub
    script: str = ""  # what GRUB does before that

    @property
    def component(self) -> str:
        """The first program that its SBAT text names after its own first line: shim, grub, systemd-boot."""
        return self.sbat.partition("\n")[2].partition(",")[0]

    @property
    def program(self) -> str:
        """What it is: shim, grub, systemd-boot, Windows Boot Manager …; "" when that is not known."""
        return self.name or COMPONENTS.get(self.component, self.component)

    @property
    def text(self) -> str:
        """What stands for it in a capture."""
        told = [("name", self.name), ("prefix", self.prefix), *(("script", one) for one in self.script.split("\n"))]
        return "".join([self.sbat, *(f"\n# {key}: {value}" for key, value in told if value)])

    @property
    def searched(self) -> str:
        """The UUID of the file system that GRUB takes its menu from, where its own script tells it."""
        found = re.search(SEARCH, self.script)
        return found.group("uuid") if found else ""

    @property
    def folder(self) -> str:
        """The folder below EFI that GRUB takes its menu from, lower case; "" for another place."""
        found = re.match(r"/efi/([^/]+)/*$", self.prefix.lower())
        return found.group(1) if found and not self.decides else ""

    @property
    def decides(self) -> bool:
        """Whether GRUB's own script looks for the menu; Debian's signed one goes on with its folder."""
        return re.search(r"\b(?:search|prefix|configfile|blscfg)\b", self.script) is not None


UNKNOWN = Loader("")

# search.fs_uuid 6c1d0f4e-… root hd0,gpt2            (Debian, Ubuntu)
# search --no-floppy --root-dev-only --fs-uuid --set=dev 6c1d0f4e-…     (Red Hat)
# search -n -u 6c1d0f4e-… -s     (Photon OS, Azure Linux)
SEARCH = (
    r"(?m)^[ \t]*search(?:\.fs_uuid[ \t]+|[ \t][^\n]*(?:--fs-uuid|(?<=[ \t])-u)[^\n]*?[ \t])"
    r"(?P<uuid>[0-9A-Fa-f][0-9A-Fa-f-]{7,})"
)


# sbat,1,SBAT Version,…   shim,4,UEFI shim,shim,1,https://github.com/rhboot/shim
# grub,4,Free Software Foundation,grub,2.06,…   grub.debian,4,Debian,grub2,2.06-13+deb12u1,…
# # prefix: /EFI/debian
def parse(text: str) -> Loader:
    """A loader from the text that stands for it in a capture."""
    sbat, *told = text.split("\n# ")
    known = [one.partition(": ") for one in told]
    script = "\n".join(value for key, _, value in known if key == "script")
    name, prefix = (next((value for key, _, value in known if key == wanted), "") for wanted in ("name", "prefix"))
    return Loader(sbat, name, prefix, script)


def read(root: Root, path: str) -> Loader:
    """What the file tells. shim before 15.3 and others have no SBAT section. Raises Unreadable."""
    given = files.text(root, f"{NAMES}{path}", 1 << 20)
    if given is not None:
        return parse(given)
    with root.open(path) as raw:
        places = pe.sections(raw.read(4096))
        sbat = _section(raw, places[b".sbat"]) if b".sbat" in places else ""
        if b".linux" in places:  # what starts the kernel inside is systemd's too, and says so
            return Loader(sbat, UNIFIED)
        if b"mods" in places:
            prefix, script = grubcore.told(raw, places[b"mods"][0])
            return Loader(sbat, "" if sbat else "grub", prefix, "\n".join(filter(None, script.split("\n"))))
        if sbat or not places:
            return Loader(sbat)
        raw.seek(0)
        return Loader("", named(raw.read(SEARCHED)))


def _section(raw: BinaryIO, place: tuple[int, int]) -> str:
    offset, size = place
    raw.seek(offset)
    return raw.read(min(size, 65536)).rstrip(b"\0").decode("utf-8", "surrogateescape")


def named(content: bytes) -> str:
    """What a program without an SBAT section is, by what stands in it; "" when that tells nothing."""
    at = content.find(VERSION)
    if at >= 0 and _wide("Microsoft Corporation") in content[at : at + 2048]:
        return WINDOWS
    return next((name for name, sign in SIGNS if sign in content), "")
