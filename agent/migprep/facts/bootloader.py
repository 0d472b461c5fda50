"""The boot loader: which one, what its menu offers, which entry boots next, what firmware can find."""

from __future__ import annotations

import posixpath
import re

from migprep import root as files
from migprep.facts import attended
from migprep.facts.attended import Waiting
from migprep.facts.block import Block
from migprep.facts.efi import Esp, Stub
from migprep.formats import bootmenu, grubscript
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from migprep.facts import Facts

#: Where each loader keeps its menu.
GRUB = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
LEGACY = ("/boot/grub/menu.lst", "/boot/grub/grub.conf", "/boot/boot/grub/menu.lst", "/boot/boot/grub/grub.conf")
#: Red Hat's GRUB legacy reads grub.conf; others read menu.lst (grub-0.97, configfile.patch of its package).
REDHAT = "/etc/redhat-release"
EXTLINUX = (
    "/boot/extlinux/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
    "/boot/syslinux/extlinux.conf",
    "/boot/extlinux.conf",
    "/extlinux.conf",
    "/boot/extlinux/syslinux.cfg",
)
LILO = ("/etc/lilo.conf",)
ELILO = ("/etc/elilo.conf",)
ZIPL = ("/etc/zipl.conf",)
ENVIRONMENTS = ("/boot/grub/grubenv", "/boot/grub2/grubenv")
ENTRIES = tuple(f"{place}/loader/entries" for place in ("/boot", "/boot/efi", "/efi"))


class MenuEntry(NamedTuple):
    """One kernel that can be chosen, and the file in which that is written."""

    path: str
    entry: bootmenu.Entry
    is_default: bool  # boots next: the menu's default, or what was chosen for one boot

    @property
    def title(self) -> str:
        """As the menu shows it, else its name or its number."""
        return self.entry.title or self.entry.name or f"entry {self.entry.place}"

    def is_searched_in(self, block: Block) -> bool:
        """Whether its kernel is searched for by the UUID of a file system, and a device has that."""
        return bool(self.entry.searched and block.reference(f"UUID={self.entry.searched}").devices)


class Lost(NamedTuple):
    """A file that the entry that boots next names, and that is not there or holds nothing."""

    path: str  # of the menu
    line: int
    file: str
    fault: str = "there is no such file"


class Other(NamedTuple):
    """What boots next by itself, where that is no kernel of Linux."""

    path: str  # of the menu
    line: int
    title: str
    does: str  # chainloader +1


class Remembered(NamedTuple):
    """The entry that this machine's firmware keeps as the one to start, and those that start without its memory."""

    path: str  # of the variable
    entry: str
    others: str


class BootLoader(NamedTuple):
    """What was found; `kind` is "" when nothing was."""

    kind: str  # unified-image, grub, systemd-boot, grub-legacy, extlinux, lilo, elilo, zipl
    path: str
    entries: tuple[MenuEntry, ...]
    esp: Esp
    environment: str  # path of GRUB's environment block, "" for none
    once: str  # the entry that GRUB starts at the next boot alone (grub-reboot(8)), "" for none
    lost: tuple[Lost, ...]
    remembered: tuple[Remembered, ...] = ()
    others: tuple[Other, ...] = ()
    waits: tuple[Waiting, ...] = ()
    core: Stub | None = None  # what leads GRUB's core in the boot sector of BIOS to its menu, where that is a UUID

    def lost_stubs(self, block: Block, is_uefi: bool) -> tuple[Stub, ...]:
        """What leads the loader that firmware starts to a file system that no device has."""
        if is_uefi:
            return self.esp.lost_stubs(block)
        return (self.core,) if self.core and not block.reference(f"UUID={self.core.uuid}").devices else ()

    @property
    def is_missing(self) -> bool:
        """No configuration of any known loader."""
        return not self.kind

    @property
    def default_kernel(self) -> str:
        """Version of the kernel that boots next; "" when the menu does not tell."""
        return next((one.entry.version for one in self.entries if one.is_default and one.entry.version), "")

    @property
    def lasting_place(self) -> str:
        """What instead of a disk's number leads to a kernel: GRUB legacy knows nothing else."""
        if self.kind == "grub-legacy":
            return "the disks attached in this order on the target"
        return "search --no-floppy --fs-uuid --set=root UUID"

    @property
    def is_by_blocks(self) -> bool:
        """Whether the loader starts what its installer wrote down (numbers of blocks) or copied."""
        return self.kind in ("lilo", "elilo", "zipl")


def probe(facts: Facts) -> BootLoader:
    """Read the menus of every loader known; the first with a kernel in it is the machine's."""
    from migprep.facts import efi

    root = facts.root
    if not files.is_dir(root, "/boot"):
        raise Undetermined("no /boot")
    root.names("/boot")  # raises where it may not be read
    waiting = unmounted(facts)
    if "/boot" in waiting:
        raise Undetermined("/boot is in /etc/fstab and is not mounted: mount it and check again")
    esp = efi.partition(root, waiting)
    # New firmware starts the fallback loader: where that is systemd-boot, its entries count and not GRUB's menu.
    both = (("grub", _grub), ("systemd-boot", _systemd_boot))
    for kind, find in (
        ("unified-image", _image),
        *(reversed(both) if esp.first.program == "systemd-boot" else both),
        ("grub-legacy", _legacy),
        ("extlinux", _extlinux),
        ("lilo", lambda root, esp: _menu(root, LILO, bootmenu.lilo)),
        ("elilo", lambda root, esp: _menu(root, (*ELILO, *esp.named("elilo.conf")), bootmenu.lilo)),
        ("zipl", lambda root, esp: _menu(root, ZIPL, bootmenu.lilo)),
    ):
        path, entries, known, others, waits = find(root, esp)
        if entries:
            kept = _remembered(root, entries, known) if kind == "systemd-boot" else ()
            lost = tuple({one.file: one for one in _lost(root, entries)}.values())
            core = _core(root, path) if kind == "grub" else None
            once = known.get("next_entry", "")
            others = tuple(one for one in others if not _is_own(root, one))
            return BootLoader(kind, path, entries, esp, known.get("", ""), once, lost, kept, others, waits, core)
    return BootLoader("", "", (), esp, "", "", ())


def unmounted(facts: Facts) -> frozenset[str]:
    """/boot and the places of an EFI system partition that fstab has and nothing is mounted at."""
    fstab, mounts = facts.fstab, facts.mounts
    if isinstance(fstab, Unknown) or isinstance(mounts, Unknown):
        return frozenset()
    asked = {entry.mountpoint for entry in fstab.entries if entry.mountpoint in ("/boot", "/boot/efi", "/efi")}
    return frozenset(place for place in asked if mounts.at(place) is None)


# search.fs_uuid 6c1d0f4e-8a77-4f0e-9d5b-1d2c3b4a5e6f root hd0,msdos1
def _core(root: Root, menu: str) -> Stub | None:
    """What the last grub-install(8) for BIOS built into its core, which it leaves beside the modules."""
    from migprep.facts import loaders

    path = f"{menu.rpartition('/')[0]}/i386-pc/load.cfg"
    try:
        text = files.text(root, path, 65536) or ""
    except files.Unreadable:  # a capture that was made without this question
        return None
    found = re.search(loaders.SEARCH, text)
    return Stub(path, text.count("\n", 0, found.start()) + 1, "", found.group("uuid")) if found else None


class Found(NamedTuple):
    """A menu with what it offers, what is kept beside it, and what of it boots next that is no kernel."""

    path: str
    entries: tuple[MenuEntry, ...]
    known: dict[str, str]
    others: tuple[Other, ...] = ()
    waits: tuple[Waiting, ...] = ()


NOTHING = Found("", (), {})


def _environment(root: Root, menu: str) -> dict[str, str]:
    """GRUB's environment block: 1024 bytes of NAME=value lines, padded with ``#`` (info grub); "" gives its path."""
    for path in (f"{menu.rpartition('/')[0]}/grubenv", *ENVIRONMENTS):
        text = files.text(root, path, 65536)
        if text and text.startswith(grubscript.SIGNATURE):
            lines = (line for line in text.split("\n") if "=" in line and not line.startswith("#"))
            return {"": path, **dict(line.split("=", 1) for line in lines)}
    return {}


Placed = tuple[str, bootmenu.Entry]


def _marked(found: Iterable[Placed], *chosen: bootmenu.Entry | None) -> tuple[MenuEntry, ...]:
    wanted = {(one.name, one.place) for one in chosen if one}
    return tuple(MenuEntry(path, one, (one.name, one.place) in wanted) for path, one in found)


def _others(path: str, *items: bootmenu.Item | None) -> tuple[Other, ...]:
    return tuple(Other(path, one.line, one.title or one.name, one.does) for one in items if one and one.does)


def _grub(root: Root, esp: Esp) -> Found:
    for first in (*esp.menus, *GRUB):
        path, text = _led_to(root, first)
        menu = bootmenu.grub(text)
        by_blocks = "blscfg" in text
        if not menu.entries and not by_blocks:
            continue
        known = _environment(root, path)
        joined = _with_blocks(root, path, text, menu) if by_blocks else [(path, menu)]
        shown = joined[-1][1].items
        more = f"{path.rpartition('/')[0]}/custom.cfg"
        if "/custom.cfg" in text:
            count = sum(">" not in item.place for _, each in joined for item in each.items)
            joined.append((more, bootmenu.moved(bootmenu.grub(files.text(root, more) or ""), count)))
        environment = known.get("", "")
        found = [
            (where, _filled(root, path, environment, where, one)) for where, each in joined for one in each.entries
        ]
        items = sorted((one for _, each in joined for one in each.items), key=lambda one: _counted(one.place))
        menu = bootmenu.Menu(tuple(one for _, one in found), menu.default, tuple(items))
        once = known.get("next_entry", "") if "next_entry" in text else ""
        wanted = _defaults(root, path, text, known) or (menu.wanted(known.get("saved_entry", "")),)
        starting = [menu.item(one) for one in (*wanted, *([once] if once else []))]
        instead = () if any(menu.of(one) for one in starting[: len(wanted)]) else menu.entries[:1]
        entries = _marked(found, *instead, *(menu.of(one) for one in starting))
        own = tuple(one for one in starting if one in shown)
        waits = tuple(attended.of_grub(root, path, known.get("", ""), text, own))
        return Found(path, entries, {**known, "next_entry": once}, _others(path, *starting), waits)
    return NOTHING


# set default="${saved_entry}"      set default=2
DEFAULTS = r"(?m)^[ \t]*(?:set[ \t]+)?default=(?P<value>(?![^\n]*next_entry)[^\n]*)"


def _defaults(root: Root, path: str, text: str, known: dict[str, str]) -> tuple[str, ...]:
    """What a menu that sets its default several times may start by itself; () for one that does not."""
    from migprep.facts import menuvars

    if len(set(re.findall(DEFAULTS, text))) < 2:
        return ()
    return menuvars.told(root, path, known.get("", ""), "default") or ()


# configfile ($root)/boot/grub/own.cfg      source ${prefix}/menu.cfg
LEADING = r"(?m)^[ \t]*(?:configfile|source|\.)[ \t]+(?P<file>[^\s;]+)"
#: Menus that lead to each other, for one that leads to itself.
LONGEST = 8


def _led_to(root: Root, path: str) -> tuple[str, str]:
    """(path, text) of a menu, or of the first one with something in it that one without any item leads to."""
    from migprep.facts import menuvars

    waiting = [path]
    for _ in range(LONGEST):
        here = waiting.pop(0) if waiting else ""
        text = files.text(root, here) or "" if here else ""
        if re.search(r"(?m)^[ \t]*(?:menuentry|submenu|blscfg|linux\w*)\b", text):
            return here, text
        named = ((one.group("file"), one.start()) for one in re.finditer(LEADING, text))
        waiting += [found for name, at in named for found in [menuvars.place(root, here, name, at)] if found]
    return path, ""


# 2>10
def _counted(place: str) -> list[int]:
    return [int(number) for number in place.split(">")]


def _with_blocks(root: Root, path: str, text: str, menu: bootmenu.Menu) -> list[tuple[str, bootmenu.Menu]]:
    """The menu with the Boot Loader Specification entries where blscfg stands in it, the newest first."""
    blocks = _blocks(root, ENTRIES)
    found = re.search(r"(?m)^[ \t]*blscfg\b", text)
    line = text.count("\n", 0, found.start()) + 1 if found else 1
    at = sum(">" not in one.place and one.line < line for one in menu.items)
    named = [
        (where, bootmenu.Menu((one,), "", (bootmenu.Item(one.title, one.name, one.place, one.line),)))
        for where, one in ((where, one._replace(place=str(at + count))) for count, (where, one) in enumerate(blocks))
    ]
    return [*named, (path, bootmenu.moved(menu, len(blocks), at))]


def _filled(root: Root, menu: str, environment: str, path: str, entry: bootmenu.Entry) -> bootmenu.Entry:
    """An entry whose files are named by variables, with the names that these stand for."""
    if "$" not in entry.kernel + entry.initrd:
        return entry
    from migprep.facts import menuvars

    kernel, initrd = menuvars.filled(root, menu, environment, path, entry.start, entry.kernel, entry.initrd)
    return entry._replace(kernel=kernel, initrd=initrd)


def _menu(root: Root, paths: tuple[str, ...], parse: object, saved: str = "") -> Found:
    for path in paths:
        text = files.text(root, path)
        if text:
            menu: bootmenu.Menu = parse(text)  # type: ignore[operator]
            entries = _marked([(path, one) for one in menu.entries], menu.chosen(saved))
            return Found(path, entries, {}, _others(path, menu.item(menu.wanted(saved))))
    return NOTHING


def _legacy(root: Root, esp: Esp) -> Found:
    # `default saved` reads the number that savedefault wrote beside the menu.
    saved = files.value(root, "/boot/grub/default").partition("\n")[0].strip()
    own = sorted(LEGACY, key=lambda one: one.endswith("menu.lst")) if files.exists(root, REDHAT) else LEGACY
    return _menu(root, (*esp.legacy_menus, *own), bootmenu.legacy, saved)


def _extlinux(root: Root, esp: Esp) -> Found:
    for path in (*EXTLINUX, *esp.named("syslinux.cfg")):
        text = files.text(root, path)
        if not text:
            continue
        menu = bootmenu.extlinux(text)
        joined = [(path, menu)]
        for name in re.findall(r"(?im)^\s*(?:menu\s+)?include\s+(\S+)", text):
            more = name if name.startswith("/") else f"{path.rsplit('/', 1)[0]}/{name}"
            count = sum(len(each.items) for _, each in joined)
            joined.append((more, bootmenu.moved(bootmenu.extlinux(files.text(root, more) or ""), count)))
        default = next((each.default for _, each in joined if each.default), "")
        found = [(where, one) for where, each in joined for one in each.entries]
        items = tuple(one for _, each in joined for one in each.items)
        menu = bootmenu.Menu(tuple(one for _, one in found), default, items)
        return Found(path, _marked(found, menu.chosen()), {}, _others(path, menu.item(menu.default)))
    return NOTHING


def _systemd_boot(root: Root, esp: Esp) -> Found:
    from migprep.facts import systemd_boot

    found = systemd_boot.candidates(root)
    if not found:
        return NOTHING
    path, wanted = systemd_boot.default(root)
    kernels = [one for one in found if not _is_foreign(root, one.entry.kernel)]
    first = next(iter(systemd_boot.chosen(root, found, wanted)))
    others = () if first in kernels else (Other(first.path, 1, first.entry.title, first.entry.kernel),)
    auto = systemd_boot.automatic(root, found, wanted)
    if auto:
        others = (Other(path, 0, auto, f"default {wanted}"),)
    chosen = systemd_boot.chosen(root, kernels, wanted)
    entries = _marked([(one.path, one.entry) for one in kernels], *(one.entry for one in chosen))
    return Found(path, entries, {"saved": wanted}, others, attended.of_systemd_boot(root, path))


def _remembered(root: Root, entries: tuple[MenuEntry, ...], known: dict[str, str]) -> tuple[Remembered, ...]:
    from migprep.facts import nvram, systemd_boot

    path, entry = nvram.remembered(root, known["saved"] == systemd_boot.SAVED)
    ids = [systemd_boot.counted(one.path.rpartition("/")[2])[0] for one in entries if one.is_default]
    return () if not entry or entry.lower() in ids else (Remembered(path, entry, ", ".join(ids)),)


def _image(root: Root, esp: Esp) -> Found:
    """A unified kernel image where new firmware looks for a loader: it starts, whatever else is there."""
    if isinstance(esp.files, Unknown) or not esp.has_fallback:
        return NOTHING
    from migprep.facts import unified

    found = unified.started_by_itself(root, esp)
    return Found(found.path, (MenuEntry(found.path, found.entry, True),), {}) if found else NOTHING


def _blocks(root: Root, folders: tuple[str, ...]) -> list[tuple[str, bootmenu.Entry]]:
    """Boot Loader Specification entries, the newest first, as GRUB compares their names (blscfg.c of Red Hat's)."""
    found = []
    for folder in folders:
        for name in root.names(folder):
            if name.endswith(".conf"):
                entry = bootmenu.bls(files.text(root, f"{folder}/{name}") or "", name[: -len(".conf")])
                if entry:
                    found.append((f"{folder}/{name}", entry))
    return sorted(found, key=lambda one: [numbers(part) for part in one[1].name.rsplit("-", 2)], reverse=True)


def menu_text(root: Root, path: str) -> str:
    """The text in which the positions of an entry of `path` count: the file, or a unified image's arguments."""
    if not path.lower().endswith(".efi"):
        return files.text(root, path) or ""
    from migprep.facts import unified

    return unified.image(root, path).cmdline


def numbers(version: str) -> list[tuple[int, str]]:
    """A version as something that sorts: numbers as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|[a-zA-Z~]+", version)]


def _is_own(root: Root, other: Other) -> bool:
    """Whether what is started may come back to this system: its own loader, its kernel as a program of UEFI."""
    file = other.does.split()[-1].strip("\"'")
    is_program = other.does.startswith("chainloader") and file.lower().endswith(".efi")
    return is_program and bool(located(root, file)) and not _is_foreign(root, file)


def _is_foreign(root: Root, file: str) -> bool:
    """Whether a file that a menu names is a program of UEFI that starts nothing of this system."""
    from migprep.facts import loaders

    place = located(root, file) if file.lower().endswith(".efi") else ""
    if not place:
        return False
    try:
        return loaders.read(root, place).program in loaders.FOREIGN | {loaders.SHELL}
    except files.Unreadable:  # a capture that was made without this question
        return re.search(r"(?i)microsoft|bootmgfw|memtest|shell", place) is not None


def _lost(root: Root, entries: tuple[MenuEntry, ...]) -> Iterator[Lost]:
    # A copy of configuration alone, without any kernel or modules of one, tells nothing about kernels.
    kernels = any(re.match(r"vmlinu|bzImage|kernel|Image|linux", name) for name in root.names("/boot"))
    if not (kernels or root.live or any(root.names(top) for top in ("/lib/modules", "/usr/lib/modules"))):
        return
    for one in entries:
        if one.is_default and not one.path.lower().endswith(".efi"):
            for name in (one.entry.kernel, one.entry.initrd):
                place = located(root, name, one.path) if name else ""
                if name and not place and not re.search(r"(?!^)\$", name.partition(")")[2] or name):
                    yield Lost(one.path, one.entry.line, name)
                elif place and name == one.entry.kernel and _is_empty(root, place):
                    yield Lost(one.path, one.entry.line, name, "that file is empty")


def _is_empty(root: Root, path: str) -> bool:
    """Whether a kernel's file holds nothing: an update that ran out of room leaves such a one."""
    found = root.stat(path)
    return found is not None and found.size == 0


def located(root: Root, name: str, menu: str = "/boot/menu") -> str:
    """Where a path in `menu` leads, which starts at its own file system, or in the menu's folder; "" for nowhere.

    /initrd.img-6.1 on a separate /boot, /@/boot/… on btrfs, /BOOT/ubuntu_1@/… on ZFS, ($root)/… with a variable.
    """
    path = re.sub(r"^\([^)]*\)|^\$\w+", "", name.split()[0])
    beside = posixpath.normpath(f"{menu.rpartition('/')[0]}/{path}")
    if not path.startswith("/") and is_there(root, beside):
        return beside
    path = path if path.startswith("/") else f"/boot/{path}"
    parts = path.split("/")
    below = ("/".join(["", *parts[at:]]) for at in range(2, len(parts)))
    for candidate in (f"/boot{path}", path, f"/boot/efi{path}", f"/efi{path}", *below, f"/boot/{parts[-1]}"):
        if is_there(root, candidate):
            return candidate
    return ""


def is_there(root: Root, path: str) -> bool:
    """Whether a file stands there, or the listing that stands for an image in a capture."""
    from migprep.facts.initramfs import LISTINGS

    found = root.stat(path)
    return (found is not None and found.kind == "file") or files.exists(root, f"{LISTINGS}{path}")
