"""The EFI system partition: what firmware finds there with its own memory, and without it."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts import nvram
from migprep.facts.block import Block
from migprep.model import Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

ESPS = ("/boot/efi", "/efi", "/boot")
#: The fallback loader's name by architecture (UEFI specification 2.10, 3.5.1.1); virtual x86 machines have
#: 64-bit firmware whatever the machine had before.
FALLBACK = {"x86_64": "x64", "i686": "x64", "aarch64": "aa64", "riscv64": "riscv64"}
#: Folders of loaders that find their menu wherever they are started from: its place is written into them.
MOVABLE = ("debian", "ubuntu", "systemd")
#: Where a capture keeps what a loader says of itself, instead of the loader.
NAMES = "/migprep/loaders"


class Stub(NamedTuple):
    """A grub.cfg on the EFI system partition that only leads to the real one, by the UUID of its file system."""

    path: str
    line: int
    folder: str  # lower case: debian
    uuid: str


class Copy(NamedTuple):
    """A file on the EFI system partition, and where else it is needed."""

    source: str
    path: str


class Esp(NamedTuple):
    """What lies on it; `place` is "" when none was found."""

    place: str
    files: dict[str, str]  # or an Unknown: path below EFI in lower case -> path as it is
    names: dict[str, str]  # what loaders say of themselves: path in lower case -> SBAT text, "" for none
    menus: tuple[str, ...]  # grub.cfg of GRUB 2 that hold a menu, or lead to one (then that one)
    legacy_menus: tuple[str, ...]
    stubs: tuple[Stub, ...]
    used: str  # folder of the loader that started this machine, lower case; "" when it cannot be told
    machine: str

    @property
    def fallback(self) -> str:
        """The loader that firmware without boot entries starts, as people write it."""
        return f"EFI/BOOT/BOOT{FALLBACK.get(self.machine, 'x64').upper()}.EFI"

    @property
    def has_fallback(self) -> bool:
        """Whether firmware without boot entries finds a loader."""
        return self.fallback[len("EFI/") :].lower() in self.files

    @property
    def dead_end(self) -> str:
        """Why the fallback loader, which is there, starts nothing; "" when nothing speaks against it.

        shim in EFI/BOOT starts fbx64.efi where that lies beside it, else grubx64.efi beside it; the former
        starts what a BOOTX64.CSV in another folder names.
        """
        name = self.fallback[len("EFI/") :].lower()
        arch = name[len("boot/boot") : -len(".efi")]
        if "\nshim," not in self.names.get(name, ""):
            return ""
        if f"boot/fb{arch}.efi" in self.files:
            lists = [one for one in self.files if one.endswith(f"/boot{arch}.csv") and not one.startswith("boot/")]
            return "" if lists else f"fb{arch}.efi finds no BOOT{arch.upper()}.CSV in any folder"
        return "" if f"boot/grub{arch}.efi" in self.files else f"no grub{arch}.efi beside it"

    @property
    def copies(self) -> tuple[Copy, ...]:
        """What added to EFI/BOOT lets firmware without boot entries start the loader that there is; () for no way.

        shim starts grub<arch>.efi, and mm<arch>.efi for its keys, beside it; GRUB and systemd-boot start alone, and
        bootctl(1) makes that copy too. The loader that firmware starts comes last; nothing is replaced.
        """
        boot = self.fallback.rpartition("/")[2]
        arch = boot[len("BOOT") : -len(".EFI")].lower()
        shim, grub, keys = (f"{self._starter}/{name}{arch}.efi" for name in ("shim", "grub", "mm"))
        wanted = [(keys, f"mm{arch}.efi"), (grub, f"grub{arch}.efi")]
        if self.has_fallback:
            wanted = wanted if self.dead_end.startswith("no grub") else []
        elif shim in self.files:
            wanted = [*wanted, (shim, boot)] if grub in self.files else []
        else:
            wanted = [(one, boot) for one in (grub, f"{self._starter}/systemd-boot{arch}.efi") if one in self.files]
        folder = next((self.files[one].rpartition("/")[0] for one in self.files if one.startswith("boot/")), "")
        return tuple(
            Copy(self.files[one], f"{folder or self.files[one].rsplit('/', 2)[0] + '/BOOT'}/{name}")
            for one, name in wanted
            if one in self.files and f"boot/{name.lower()}" not in self.files
        )

    @property
    def _starter(self) -> str:
        """The folder, lower case, whose loader starts this machine and may be copied; "" when that is not known."""
        found = sorted({name.split("/")[0] for name in self.files if name.split("/")[0] in MOVABLE})
        return self.used if self.used in found else found[0] if len(found) == 1 and not self.used else ""

    def key(self, path: str) -> str:
        """A path as `files` and `names` have it: below EFI, in lower case."""
        return "/".join(path.lower().rsplit("/", 2)[1:])

    @property
    def stale(self) -> tuple[str, ...]:
        """Loaders in EFI/BOOT of another version than every one of that kind elsewhere, as both say themselves."""
        found = []
        for name, told in sorted(self.names.items()):
            kin = [
                of
                for other, of in self.names.items()
                if of and not other.startswith("boot/") and _kind(of) == _kind(told)
            ]
            if name.startswith("boot/") and told and kin and told not in kin:
                found.append(self.files[name])
        return tuple(found)

    @property
    def vendors(self) -> str:
        """The folders of loaders on the EFI system partition."""
        return ", ".join(sorted({name.split("/")[0] for name in self.files if "/" in name})) or "none"

    def lost_stubs(self, block: Block) -> tuple[Stub, ...]:
        """Those that look for a file system that no device has; none while one of several leads somewhere."""
        mine = [one for one in self.stubs if one.folder == self.used] or list(self.stubs)
        lost = [one for one in mine if not block.reference(f"UUID={one.uuid}").devices]
        return tuple(lost) if len(lost) == len(mine) else ()


def partition(root: Root, waiting: frozenset[str]) -> Esp:
    """Look at the EFI system partition; `waiting` are mount points that nothing is mounted at."""
    place = next((one for one in ESPS if _top(root, one) and one not in waiting), "")
    machine = files.value(root, "/proc/sys/kernel/arch")
    late = [one for one in ESPS if one in waiting]
    if not place:
        reason = (
            f"{late[0]} is in /etc/fstab and is not mounted"
            if late
            else "no EFI system partition was found below /boot"
        )
        return _empty("", Unknown(reason), machine)
    top = f"{place}/{_top(root, place)}"
    try:
        names = {
            f"{folder}/{name}".lower(): f"{top}/{folder}/{name}"
            for folder in root.names(top)
            for name in root.names(f"{top}/{folder}")
        }
        return _read(root, place, names, machine)
    except files.Unreadable as error:
        return _empty(place, Unknown(str(error)), machine)


def _empty(place: str, unknown: Unknown, machine: str) -> Esp:
    gap: dict[str, str] = unknown  # type: ignore[assignment]
    return Esp(place, gap, {}, (), (), (), "", machine)


def _top(root: Root, place: str) -> str:
    return next((name for name in ("EFI", "efi") if files.is_dir(root, f"{place}/{name}")), "")


def _read(root: Root, place: str, names: dict[str, str], machine: str) -> Esp:
    is_uefi = files.is_dir(root, "/sys/firmware/efi")
    said = {name: _name(root, path) for name, path in names.items() if name.endswith(".efi")} if is_uefi else {}
    menus: list[str] = []
    stubs: list[Stub] = []
    used = nvram.started_from(root) if is_uefi else ""
    for name in sorted(names, key=lambda one: (not one.startswith(f"{used}/"), one)) if is_uefi else ():
        if name.endswith("/grub.cfg"):
            text = files.text(root, names[name]) or ""
            found = stub(text, names[name], name.rpartition("/")[0])
            stubs += [found] if found else []
            menus += [named for named in [_led_to(text, names[name])] if named]
    legacy = tuple(path for name, path in sorted(names.items()) if name.endswith(("/grub.conf", "/menu.lst")))
    return Esp(place, names, said, tuple(dict.fromkeys(menus)), legacy, tuple(stubs), used, machine)


# sbat,1,SBAT Version,…   shim,4,UEFI shim,shim,1,https://github.com/rhboot/shim
# grub,4,Free Software Foundation,grub,2.06,…   grub.debian,4,Debian,grub2,2.06-13+deb12u1,…
def _name(root: Root, path: str) -> str:
    """What a loader says of itself in its SBAT section (shim's SBAT.md); shim before 15.3 has none, but its name."""
    from migprep.formats import pe

    given = files.text(root, f"{NAMES}{path}", 65536)
    if given is not None:
        return given
    with root.open(path) as raw:
        places = pe.sections(raw.read(4096))
        if b".sbat" in places:
            offset, size = places[b".sbat"]
            raw.seek(offset)
            return raw.read(min(size, 65536)).rstrip(b"\0").decode("utf-8", "surrogateescape")
        if not places or b"mods" in places:  # GRUB's modules
            return ""
        raw.seek(0)
        return "\nshim,0" if b"UEFI SHIM" in raw.read(4 << 20) else ""


def _kind(told: str) -> str:
    """The program that an SBAT text names after its own first line: shim, grub, systemd-boot."""
    return told.partition("\n")[2].partition(",")[0]


def named(facts: Facts) -> dict[str, bytes]:
    """What the loaders say of themselves, for a capture."""
    loader = facts.bootloader
    if isinstance(loader, Unknown) or isinstance(loader.esp.files, Unknown):
        return {}
    esp = loader.esp
    return {f"{NAMES}{esp.files[name]}": told.encode("utf-8", "surrogateescape") for name, told in esp.names.items()}


# search.fs_uuid 6c1d0f4e-… root hd0,gpt2            (Debian, Ubuntu)
# search --no-floppy --root-dev-only --fs-uuid --set=dev 6c1d0f4e-…     (Red Hat)
SEARCH = r"(?m)^[ \t]*search(?:\.fs_uuid[ \t]+|[ \t][^\n]*--fs-uuid[^\n]*?[ \t])(?P<uuid>[0-9A-Fa-f][0-9A-Fa-f-]{7,})"


def stub(text: str, path: str, folder: str) -> Stub | None:
    """A menu's text that leads to another one elsewhere; None for one that is a menu itself."""
    found = re.search(SEARCH, text)
    if not found or not _leads(text):
        return None
    return Stub(path, text.count("\n", 0, found.start()) + 1, folder, found.group("uuid"))


def _leads(text: str) -> bool:
    return "configfile" in text and "menuentry " not in text and "blscfg" not in text


# set prefix=($root)'/boot/grub'         set prefix=($dev)/grub2         configfile $prefix/grub.cfg
def _led_to(text: str, path: str) -> str:
    """The menu that is shown: `path` itself, or where it leads; "" when that cannot be told."""
    if not _leads(text):
        return path if "menuentry " in text or "blscfg" in text else ""
    found = re.search(r"(?m)^[ \t]*set[ \t]+prefix=\([^)]*\)['\"]?(?P<folder>[^'\"\s]+)", text)
    if not found:
        return ""
    folder = found.group("folder").rstrip("/")
    return f"/boot/{folder.rpartition('/')[2]}/grub.cfg"
