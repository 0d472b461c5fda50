"""The EFI system partition: what firmware finds there with its own memory, and without it."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts import loaders, nvram
from migprep.facts.block import Block, BlockDevice
from migprep.facts.loaders import Loader
from migprep.facts.mounts import Mounts
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
#: What shim starts beside it, and what it starts when that is there too: names of today, SUSE's, Red Hat 7's.
SECONDS, HELPERS = ("grub{}.efi", "grub.efi"), ("fb{}.efi", "fallback.efi")


class Stub(NamedTuple):
    """A grub.cfg on the EFI system partition that only leads to the real one, by the UUID of its file system."""

    path: str
    line: int
    folder: str  # lower case: debian
    uuid: str


class Foreign(NamedTuple):
    """Where it can be seen that the loader which firmware starts by itself is none of this system's, and why."""

    path: str
    line: int
    told: str


class Copy(NamedTuple):
    """A file on the EFI system partition, and where else it is needed."""

    source: str
    path: str


class Esp(NamedTuple):
    """What lies on it; `place` is "" when none was found."""

    place: str
    files: dict[str, str]  # or an Unknown: path below EFI in lower case -> path as it is
    loaders: dict[str, Loader]  # path below EFI in lower case -> what the loader tells
    menus: tuple[str, ...]  # grub.cfg of GRUB 2 that hold a menu, or lead to one (then that one)
    legacy_menus: tuple[str, ...]
    stubs: tuple[Stub, ...]
    used: str  # folder of the loader that started this machine, lower case; "" when it cannot be told
    machine: str
    dead_end: str = ""  # why the fallback loader, which is there, starts nothing; "" when nothing speaks against it

    @property
    def fallback(self) -> str:
        """The loader that firmware without boot entries starts, as people write it."""
        return f"EFI/BOOT/BOOT{FALLBACK.get(self.machine, 'x64').upper()}.EFI"

    @property
    def has_fallback(self) -> bool:
        """Whether firmware without boot entries finds a loader."""
        return self.fallback[len("EFI/") :].lower() in self.files

    @property
    def arch(self) -> str:
        """How names of loaders tell the architecture: x64."""
        return FALLBACK.get(self.machine, "x64")

    @property
    def first(self) -> Loader:
        """What firmware without boot entries starts."""
        return self.loaders.get(self.fallback[len("EFI/") :].lower(), loaders.UNKNOWN)

    @property
    def last(self) -> Loader:
        """What that comes down to: shim starts the loader beside it, where no helper goes through the folders."""
        if self.first.program != "shim" or _beside(self.files, HELPERS, self.arch):
            return self.first
        return self.loaders.get(_beside(self.files, SECONDS, self.arch), loaders.UNKNOWN)

    @property
    def lead(self) -> str:
        """The folder, lower case, that has the menu at the next boot: the fallback loader's, else the one of today."""
        return self.last.folder or self.used

    @property
    def copies(self) -> tuple[Copy, ...]:
        """What added to EFI/BOOT lets firmware without boot entries start the loader that there is; () for no way.

        shim starts grub<arch>.efi, and mm<arch>.efi for its keys, beside it; GRUB and systemd-boot start alone, and
        bootctl(1) makes that copy too. The loader that firmware starts comes last; nothing is replaced.
        """
        boot, arch = self.fallback.rpartition("/")[2], self.arch
        shim, grub, keys = (f"{self._starter}/{name}{arch}.efi" for name in ("shim", "grub", "mm"))
        wanted = [(keys, f"mm{arch}.efi"), (grub, f"grub{arch}.efi")]
        if self.has_fallback:
            is_alone = self.first.program == "shim" and not _beside(self.files, (*HELPERS, *SECONDS), arch)
            wanted = wanted if is_alone else []
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
        """A path as `files` and `loaders` have it: below EFI, in lower case."""
        return "/".join(path.lower().rsplit("/", 2)[1:])

    @property
    def stale(self) -> tuple[str, ...]:
        """Loaders in EFI/BOOT of another version than every one of that kind elsewhere, as both say themselves."""
        found = []
        for name, told in sorted(self.loaders.items()):
            kin = [
                of.sbat
                for other, of in self.loaders.items()
                if of.sbat and not other.startswith("boot/") and of.program == told.program
            ]
            if name.startswith("boot/") and told.sbat and kin and told.sbat not in kin:
                found.append(self.files[name])
        return tuple(found)

    def named(self, name: str) -> tuple[str, ...]:
        """The files of that name, in whatever folder and spelling; none where there is no such partition."""
        if isinstance(self.files, Unknown):
            return ()
        return tuple(path for key, path in sorted(self.files.items()) if key.endswith(f"/{name}"))

    @property
    def vendors(self) -> str:
        """The folders of loaders on the EFI system partition."""
        return ", ".join(sorted({name.split("/")[0] for name in self.files if "/" in name})) or "none"

    def lost_stubs(self, block: Block) -> tuple[Stub, ...]:
        """Those that look for a file system that no device has; none while one of several leads somewhere."""
        mine = self._leading
        lost = [one for one in mine if not block.reference(f"UUID={one.uuid}").devices]
        return tuple(lost) if len(lost) == len(mine) else ()

    def foreign(self, block: Block, mounts: Mounts) -> tuple[Foreign, ...]:
        """How the fallback loader starts another system: by what it is, or by the file system of its menu.

        A menu by which this boot began is this system's, whatever is mounted now.
        """
        if self.last.program in loaders.FOREIGN:
            return (Foreign(f"{self.place}/EFI/BOOT", 0, f"is {self.last.program}"),)
        own = {one.uuid.lower() for place in ("/boot", "/") for one in [_device(block, mounts, place)] if one}
        told = self.last.folder not in ("", self.used) or self.last.searched
        return tuple(
            Foreign(one.path, one.line, f"takes its menu from UUID {one.uuid}, which is another system's")
            for one in (self._leading if told and own else ())
            if one.uuid.lower() not in own and block.reference(f"UUID={one.uuid}").devices
        )

    @property
    def _leading(self) -> tuple[Stub, ...]:
        """Those that the next boot goes by, as far as that can be told; all of them where it cannot."""
        if self.last.searched:
            return (Stub(f"{self.place}/{self.fallback}", 0, "boot", self.last.searched),)
        return tuple(one for one in self.stubs if one.folder == self.lead) or self.stubs


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


def _device(block: Block, mounts: Mounts, place: str) -> BlockDevice | None:
    """The device of the file system at a place."""
    mount = mounts.over(place)
    return (block.numbered(mount.number) or next(iter(block.by_name.get(mount.source, ())), None)) if mount else None


def _beside(names: dict[str, str], wanted: tuple[str, ...], arch: str) -> str:
    """The first of `wanted` that lies beside the fallback loader; "" for none."""
    return next((name for one in wanted for name in [f"boot/{one.format(arch)}"] if name in names), "")


def _top(root: Root, place: str) -> str:
    return next((name for name in ("EFI", "efi") if files.is_dir(root, f"{place}/{name}")), "")


def _read(root: Root, place: str, names: dict[str, str], machine: str) -> Esp:
    is_uefi = files.is_dir(root, "/sys/firmware/efi")
    said = {name: loaders.read(root, path) for name, path in names.items() if name.endswith(".efi")} if is_uefi else {}
    legacy = tuple(path for name, path in sorted(names.items()) if name.endswith(("/grub.conf", "/menu.lst")))
    esp = Esp(place, names, said, (), legacy, (), nvram.started_from(root) if is_uefi else "", machine)
    if not is_uefi:
        return esp
    menus: list[str] = []
    stubs: list[Stub] = []
    found = sorted(names, key=lambda one: (not one.startswith(f"{esp.lead}/"), one))
    places = {names[name]: name.rpartition("/")[0] for name in found if name.endswith("/grub.cfg")}
    # GRUB of Photon OS and Azure Linux looks for /boot/grub2 on the partition that it was started from.
    outside = f"{place}/boot/grub2/grub.cfg"
    places |= {outside: ""} if "grub2" in _names(root, f"{place}/boot") else {}
    for path, folder in places.items():
        text = files.text(root, path) or ""
        leading = stub(text, path, folder)
        stubs += [leading] if leading else []
        menus += [named for named in [_led_to(text, path)] if named]
    esp = esp._replace(menus=tuple(dict.fromkeys(menus)), stubs=tuple(stubs))
    return esp._replace(dead_end=_dead_end(root, esp)) if esp.has_fallback else esp


def _names(root: Root, folder: str) -> tuple[str, ...]:
    try:
        return tuple(root.names(folder))
    except files.Unreadable:  # a capture that was made without this question
        return ()


def _dead_end(root: Root, esp: Esp) -> str:
    """Why the fallback loader starts nothing.

    shim starts its helper where that lies beside it, else GRUB beside it; the helper starts what a BOOTX64.CSV or
    BOOT.CSV in another folder names (shim: README.fallback).
    """
    if esp.first.program == "shim":
        helper = _beside(esp.files, HELPERS, esp.arch)
        if helper:
            lists = (f"/boot{esp.arch}.csv", "/boot.csv")
            found = any(one.endswith(lists) and not one.startswith("boot/") for one in esp.files)
            name = helper.rpartition("/")[2]
            return "" if found else f"it is shim, and {name} finds no BOOT{esp.arch.upper()}.CSV in any folder"
        if not _beside(esp.files, SECONDS, esp.arch):
            return f"it is shim, with no grub{esp.arch}.efi beside it"
    last = esp.last
    if last.program == "grub" and not _has_menu(root, esp, last):
        return f"GRUB looks for its menu in {last.prefix}, and no grub.cfg is there"
    if last.program == "systemd-boot" and not _has_entries(root, esp):
        return "systemd-boot finds no entry and no unified kernel image"
    if last.program == loaders.SHELL and not files.exists(root, f"{esp.place}/startup.nsh"):
        return "it is the UEFI shell, and there is no startup.nsh"
    return ""


def _has_menu(root: Root, esp: Esp, grub: Loader) -> bool:
    """Whether a menu is where GRUB looks; a folder without a device is one of the partition it was started from.

    Red Hat's and Debian's also look where the loader itself lies.
    """
    if not grub.prefix.startswith("/") or grub.decides or "boot/grub.cfg" in esp.files:
        return True
    # SUSE's grub2-bls has its menu built in, and shows the entries of the partition (sdbootutil).
    if not any(one.endswith("/grub.cfg") for one in esp.files) and root.names(f"{esp.place}/loader/entries"):
        return True
    if grub.folder:
        return f"{grub.folder}/grub.cfg" in esp.files
    return files.exists(root, f"{esp.place}{grub.prefix}/grub.cfg")


def _has_entries(root: Root, esp: Esp) -> bool:
    """Whether systemd-boot has something to show; /boot may be the partition that it also looks at."""
    images = any(one.startswith("linux/") and one.endswith(".efi") for one in esp.files)
    return images or any(root.names(f"{place}/loader/entries") for place in dict.fromkeys((esp.place, "/boot")))


def named(facts: Facts) -> dict[str, bytes]:
    """What the loaders tell, for a capture."""
    loader = facts.bootloader
    if isinstance(loader, Unknown) or isinstance(loader.esp.files, Unknown):
        return {}
    esp = loader.esp
    return {
        f"{loaders.NAMES}{esp.files[name]}": told.text.encode("utf-8", "surrogateescape")
        for name, told in esp.loaders.items()
    }


def stub(text: str, path: str, folder: str) -> Stub | None:
    """A menu's text that leads to another one elsewhere; None for one that is a menu itself."""
    found = re.search(loaders.SEARCH, text)
    if not found or not _leads(text):
        return None
    return Stub(path, text.count("\n", 0, found.start()) + 1, folder, found.group("uuid"))


# configfile $prefix/grub.cfg (Debian, Red Hat)     source "${prefix}/grub.cfg" (SUSE 15)     normal (SLES 12)
def _leads(text: str) -> bool:
    goes_on = re.search(r"(?m)^[ \t]*(?:configfile|source|normal)\b", text)
    return goes_on is not None and "menuentry " not in text and "blscfg" not in text


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
