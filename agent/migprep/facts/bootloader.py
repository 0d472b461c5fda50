"""The boot loader: which one, what its menu offers, which entry boots next, what firmware can find."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from migprep import root as files
from migprep.formats import bootmenu
from migprep.model import Undetermined, Unknown
from migprep.root import Root

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where each loader keeps its menu.
GRUB = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
LEGACY = ("/boot/grub/menu.lst", "/boot/grub/grub.conf", "/boot/boot/grub/menu.lst", "/boot/boot/grub/grub.conf")
EXTLINUX = (
    "/boot/extlinux/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
    "/boot/syslinux/extlinux.conf",
    "/boot/extlinux.conf",
    "/extlinux.conf",
    "/boot/extlinux/syslinux.cfg",
)
LILO = ("/etc/lilo.conf", "/etc/elilo.conf", "/boot/efi/efi/redhat/elilo.conf")
ENVIRONMENTS = ("/boot/grub/grubenv", "/boot/grub2/grubenv")
ESPS = ("/boot/efi", "/efi", "/boot")
ENTRIES = tuple(f"{place}/loader/entries" for place in ("/boot", "/boot/efi", "/efi"))
#: The fallback loader's name by architecture (UEFI specification 2.10, 3.5.1.1).
FALLBACK = {"x86_64": "bootx64.efi", "i686": "bootia32.efi", "aarch64": "bootaa64.efi", "riscv64": "bootriscv64.efi"}


class MenuEntry(NamedTuple):
    """One kernel that can be chosen, and the file in which that is written."""

    path: str
    entry: bootmenu.Entry
    is_default: bool


class BootLoader(NamedTuple):
    """What was found; `kind` is "" when nothing was."""

    kind: str  # grub, grub-legacy, systemd-boot, extlinux, lilo
    path: str
    entries: tuple[MenuEntry, ...]
    esp: str  # mount point of the EFI system partition, "" when none was found
    loaders: tuple[str, ...] | Unknown  # files on it below EFI, lower case
    saved: str

    @property
    def is_missing(self) -> bool:
        """No configuration of any known loader."""
        return not self.kind

    @property
    def default_kernel(self) -> str:
        """Version of the kernel that boots next; "" when the menu does not tell."""
        return next((one.entry.version for one in self.entries if one.is_default and one.entry.version), "")

    @property
    def has_fallback(self) -> bool:
        """Whether firmware without boot entries finds a loader (EFI/BOOT/BOOT<ARCH>.EFI)."""
        return any(f"boot/{name}" in self.loaders for name in FALLBACK.values())

    @property
    def vendors(self) -> str:
        """The folders of loaders on the EFI system partition."""
        return ", ".join(sorted({name.split("/")[0] for name in self.loaders if "/" in name})) or "none"


def probe(facts: Facts) -> BootLoader:
    """Read the menus of every loader known; the first with a kernel in it is the machine's."""
    root = facts.root
    if not files.is_dir(root, "/boot"):
        raise Undetermined("no /boot")
    root.names("/boot")  # raises where it may not be read
    esp = next(
        (place for place in ESPS if files.is_dir(root, f"{place}/EFI") or files.is_dir(root, f"{place}/efi")), ""
    )
    loaders = _loaders(root, esp)
    saved = environment(root).get("saved_entry", "")
    for kind, find in (
        ("grub", _grub),
        ("systemd-boot", _systemd_boot),
        ("grub-legacy", _legacy),
        ("extlinux", _extlinux),
        ("lilo", _lilo),
    ):
        path, entries = find(root, saved)
        if entries:
            return BootLoader(kind, path, entries, esp, loaders, saved)
    return BootLoader("", "", (), esp, loaders, saved)


def environment(root: Root) -> dict[str, str]:
    """GRUB's environment block: 1024 bytes of NAME=value lines, padded with ``#`` (info grub)."""
    for path in ENVIRONMENTS:
        text = files.text(root, path, 65536)
        if text:
            return dict(line.split("=", 1) for line in text.split("\n") if "=" in line and not line.startswith("#"))
    return {}


def _menu(root: Root, paths: tuple[str, ...], parse: object, saved: str) -> tuple[str, tuple[MenuEntry, ...]]:
    for path in paths:
        text = files.text(root, path)
        if text:
            menu: bootmenu.Menu = parse(text)  # type: ignore[operator]
            chosen = menu.chosen(saved)
            return path, tuple(MenuEntry(path, one, _same(one, chosen)) for one in menu.entries)
    return "", ()


def _same(one: bootmenu.Entry, chosen: bootmenu.Entry | None) -> bool:
    return chosen is not None and (
        one == chosen or bool(chosen.name and one.name == chosen.name and one.place == chosen.place)
    )


def _grub(root: Root, saved: str) -> tuple[str, tuple[MenuEntry, ...]]:
    path, entries = _menu(root, GRUB, bootmenu.grub, saved)
    if path and "blscfg" in (files.text(root, path) or ""):
        return path, entries + blocks(root, saved)
    return path, entries


def _legacy(root: Root, saved: str) -> tuple[str, tuple[MenuEntry, ...]]:
    return _menu(root, LEGACY, bootmenu.legacy, saved)


def _extlinux(root: Root, saved: str) -> tuple[str, tuple[MenuEntry, ...]]:
    path, entries = _menu(root, EXTLINUX, bootmenu.extlinux, saved)
    included = re.findall(r"(?im)^\s*include\s+(\S+)", files.text(root, path) or "") if path else []
    for name in included:
        folder = path.rsplit("/", 1)[0]
        more, found = _menu(root, (name if name.startswith("/") else f"{folder}/{name}",), bootmenu.extlinux, saved)
        entries += found
    return path, entries


def _lilo(root: Root, saved: str) -> tuple[str, tuple[MenuEntry, ...]]:
    return _menu(root, LILO, bootmenu.lilo, saved)


def _systemd_boot(root: Root, saved: str) -> tuple[str, tuple[MenuEntry, ...]]:
    for place in ("/boot", "/boot/efi", "/efi"):
        path = f"{place}/loader/loader.conf"
        text = files.text(root, path) or ""
        found = re.search(r"(?m)^default[ \t]+(\S+)", text)
        entries = blocks(root, found.group(1) if found else "", f"{place}/loader/entries")
        if entries:
            return path, entries
    return "", ()


def blocks(root: Root, wanted: str, only: str = "") -> tuple[MenuEntry, ...]:
    """Boot Loader Specification entries; the default is the one `wanted`, else the newest."""
    from fnmatch import fnmatchcase

    found = []
    for folder in (only,) if only else ENTRIES:
        for name in root.names(folder):
            if name.endswith(".conf"):
                entry = bootmenu.bls(files.text(root, f"{folder}/{name}") or "", name[: -len(".conf")])
                if entry:
                    found.append((f"{folder}/{name}", entry))
    newest = sorted(found, key=lambda one: ("rescue" not in one[1].name, numbers(one[1].version or one[1].name)))
    chosen = [
        one
        for one in newest
        if wanted and (fnmatchcase(one[1].name, wanted) or fnmatchcase(f"{one[1].name}.conf", wanted))
    ]
    default = (chosen or newest)[-1] if found else None
    return tuple(MenuEntry(path, entry, (path, entry) == default) for path, entry in found)


def numbers(version: str) -> list[tuple[int, str]]:
    """A version as something that sorts: numbers as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|[a-zA-Z~]+", version)]


def _loaders(root: Root, esp: str) -> tuple[str, ...] | Unknown:
    if not esp:
        return ()
    top = f"{esp}/EFI" if files.is_dir(root, f"{esp}/EFI") else f"{esp}/efi"
    try:
        return tuple(f"{folder}/{name}".lower() for folder in root.names(top) for name in root.names(f"{top}/{folder}"))
    except files.Unreadable as error:
        return Unknown(str(error))
