"""systemd-boot: its entries in its order, and which it starts (loader.conf(5), Boot Loader Specification)."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from migprep import root as files
from migprep.facts import unified
from migprep.formats import bootmenu
from migprep.root import Root
from migprep.typed import NamedTuple

PLACES = ("/boot", "/boot/efi", "/efi")
#: Asks for the entry of the last boot, which firmware keeps.
SAVED = "@saved"


class Candidate(NamedTuple):
    """One entry with what decides its place; `left` is how often it may still be tried, -1 for any number."""

    path: str
    entry: bootmenu.Entry
    id: str
    left: int
    sort_key: str = ""
    machine: str = ""
    version: str = ""


def candidates(root: Root) -> list[Candidate]:
    """All entries, the one that stands first in the menu first.

    Those with no try left stand last, those with a sort key before those without, of these the newest first.
    """
    from migprep.facts.bootloader import numbers

    found = [*_entries(root), *_images(root)]
    found.sort(key=lambda one: numbers(one.id), reverse=True)
    found.sort(key=lambda one: numbers(one.version) if one.sort_key else [], reverse=True)
    return sorted(found, key=lambda one: (one.left == 0, not one.sort_key, one.sort_key, one.machine))


def _entries(root: Root) -> list[Candidate]:
    found = []
    for place in PLACES:
        for name in root.names(f"{place}/loader/entries"):
            path = f"{place}/loader/entries/{name}"
            if name.startswith((".", "auto-")) or not name.lower().endswith(".conf"):
                continue
            text = files.text(root, path) or ""
            entry = bootmenu.bls(text, name[: -len(".conf")])
            if entry:
                told = dict(re.findall(r"(?m)^(sort-key|machine-id|version)[ \t]+(\S.*)", text))
                keys = (told.get("sort-key", "").strip(), told.get("machine-id", "").strip(), told.get("version", ""))
                found.append(Candidate(path, entry, *counted(name), *keys))
    return found


def _images(root: Root) -> list[Candidate]:
    found = []
    for place in PLACES:
        for name in root.names(f"{place}/EFI/Linux"):
            if not name.lower().endswith(".efi"):
                continue
            image = unified.image(root, f"{place}/EFI/Linux/{name}")
            told = image.system
            key = told.get("IMAGE_ID") or told.get("ID") or ""
            names = ("IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID")
            version = next((told[each] for each in names if told.get(each)), "")
            found.append(Candidate(image.path, image.entry, *counted(name), key, "", version))
    return found


# debian-6.1+3-0.conf -> debian-6.1.conf, 3
def counted(name: str) -> tuple[str, int]:
    """The name by which an entry is chosen, and how often it may still be tried; -1 for any number."""
    stem, dot, ending = name.lower().rpartition(".")
    counter = unified.COUNTER.search(stem)
    return (f"{stem[: counter.start()]}{dot}{ending}", int(counter.group("left"))) if counter else (name.lower(), -1)


def chosen(root: Root, found: list[Candidate], wanted: str) -> tuple[Candidate, ...]:
    """Those that may boot by themselves where firmware remembers nothing, given loader.conf's `default`.

    An entry whose kernel is not there is not shown. Versions before 250 match the pattern without its ending.
    """
    from migprep.facts.bootloader import located

    shown = [one for one in found if located(root, one.entry.kernel)] or found
    pattern = wanted.lower()
    first = next((one for one in shown if pattern and fnmatchcase(one.id, pattern)), None)
    if first:
        return (first,)
    old = next((one for one in shown if pattern and fnmatchcase(one.id.rpartition(".")[0], pattern)), None)
    return tuple(dict.fromkeys(one for one in (*shown[:1], old) if one))


#: What it shows by itself after all entries, and the file on its partition without which it does not.
AUTOMATIC = {
    "auto-windows": "/EFI/Microsoft/Boot/bootmgfw.efi", "auto-efi-shell": "/shellx64.efi",
    "auto-reboot-to-firmware-setup": "", "auto-poweroff": "", "auto-reboot": "",
}  # fmt: skip


def automatic(root: Root, found: list[Candidate], wanted: str) -> str:
    """The item of its own making that loader.conf's `default` means, "" where that is an entry or nothing."""
    pattern = wanted.lower()
    if not pattern or any(fnmatchcase(one.id, pattern) for one in found):
        return ""
    named = ((one, file) for one, file in AUTOMATIC.items() if fnmatchcase(one, pattern))
    places = [place for place in PLACES if files.is_dir(root, f"{place}/EFI")]
    return next((one for one, file in named if any(files.exists(root, f"{place}{file}") for place in places)), "")


def default(root: Root) -> tuple[str, str]:
    """(path, pattern) of loader.conf."""
    paths = [f"{place}/loader/loader.conf" for place in PLACES]
    path = next((one for one in paths if files.exists(root, one)), paths[0])
    told = re.findall(r"(?m)^[ \t]*default[ \t]+(\S+)", files.text(root, path) or "")
    return path, told[-1] if told else ""
