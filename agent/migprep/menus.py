"""GRUB's menu made anew by grub-mkconfig: of which files, and whether a new one may take the old one's place."""

from __future__ import annotations

import contextlib
import re

from migprep import root
from migprep.builds import ActionError, Build, Run, beside, has, prefix, size, tool
from migprep.formats import bootmenu, cmdline
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root, Tree
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where a menu lies; below the EFI system partition there are whole menus and stubs that only point elsewhere.
PATHS = ("/boot/grub2/grub.cfg", "/boot/grub/grub.cfg")
EFI = "/boot/efi/EFI/*/grub.cfg"
#: What grub-mkconfig writes around the output of each of its scripts: ### BEGIN /etc/grub.d/10_linux ###
MARK = "### BEGIN /etc/grub.d/"


def builds(facts: Facts, place: Root) -> list[Build]:
    """The menus to make anew; none where GRUB makes its menu of boot loader entries. Raises ActionError.

    With entries, grub-mkconfig may write those and the environment block too, and adds nothing to them
    (10_linux of Fedora and of Red Hat 8 and newer).
    """
    found = generated(place)
    if not found:
        written = next((path for path in PATHS if root.exists(place, path)), "")
        if written:
            raise ActionError(f"{written} was not made by grub-mkconfig: making it anew would lose what is in it")
        return []
    if any("blscfg" in (root.text(place, path) or "") for path in found):
        return []
    command = next((one for one in ("grub2-mkconfig", "grub-mkconfig") if has(place)(one)), "")
    if not command:
        raise ActionError("the boot menu cannot be made: there is no grub-mkconfig here")
    return [_build(facts, place, path, command) for path in found]


def _build(facts: Facts, place: Root, path: str, command: str) -> Build:
    made = beside(path)
    # os-prober would mount other disks and add their systems (grub-mkconfig(8)).
    argv = (*prefix(place), "env", "GRUB_DISABLE_OS_PROBER=true", command, "-o", made)
    space = size(place, path) * 2 + (1 << 20)
    return Build("grub-menu", f"regenerate {path}", path, made, argv, (f"{made}.new",), space, _roots(facts))


def _roots(facts: Facts) -> tuple[str, ...]:
    """Every way to name the root filesystem that some store of arguments names now."""
    known = facts.arguments
    found: set[str] = set()
    for one in () if isinstance(known, Unknown) else known.kept:
        with contextlib.suppress(Undetermined):
            if one.is_root:
                found.add(one.value)
                for device in one.device.devices:
                    found |= {f"UUID={device.uuid}", f"PARTUUID={device.partuuid}"}
    return tuple(sorted(found - {"", "UUID=", "PARTUUID="}))


def generated(place: Root) -> tuple[str, ...]:
    """Boot menus that grub-mkconfig made; never a stub that only points elsewhere, nor one written by hand."""
    found = []
    for path in (*PATHS, *root.glob(place, EFI)):
        try:
            text = root.text(place, path) or ""
        except MigprepError:
            continue
        if MARK in text:
            found.append(root.real(place, path))
    return tuple(dict.fromkeys(found))


# --- the environment block ---


def is_environment(path: str) -> bool:
    """Whether a file is GRUB's environment block, which only its own tool may write."""
    return path.endswith("/grubenv")


def editor(place: Root) -> str:
    """The command that writes environment blocks; "" when the machine has none."""
    return next((one for one in ("grub2-editenv", "grub-editenv") if has(place)(one)), "")


def unwritable(path: str, place: Root) -> str:
    """Why the file cannot be written as it must; "" when it can."""
    if not is_environment(path) or editor(place):
        return ""
    return f"{path} may be written by grub-editenv alone, which is not here"


def editing(place: Root, before: bytes, after: bytes) -> tuple[str, ...]:
    """The command that makes of one environment block the other; {} stands for the file."""
    old, new = (dict(_variables(one)) for one in (before, after))
    changed = [f"{name}={value}" for name, value in new.items() if old.get(name) != value]
    return (*prefix(place), editor(place), "{}", "set", *changed)


# kernelopts=root=/dev/sda1 ro quiet        (a backslash in a value is doubled in the file)
def _variables(block: bytes) -> list[tuple[str, str]]:
    lines = block.decode("utf-8", "surrogateescape").split("\n")
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return [(name, re.sub(r"\\(.)", r"\1", value)) for name, _, value in pairs]


# --- whether a new menu is as good as the old one ---


def fault(build: Build, place: Tree, run: Run) -> str:
    """Why the menu that was made may not take the old one's place; "" when it may."""
    checker = next((one for one in ("grub2-script-check", "grub-script-check") if tool(one, place)), "")
    if checker:
        outcome = run([*prefix(place), checker, build.beside], 60.0)
        if outcome.code != 0:
            return f"{checker} refuses the new menu: {outcome.stderr.decode('utf-8', 'replace').strip()}"
    old, new = root.text(place, build.path) or "", root.text(place, build.beside) or ""
    return compared(old, new, build.wanted)


class Start(NamedTuple):
    """What a menu does with one kernel, in all its entries together."""

    roots: frozenset[str]
    words: frozenset[str]  # arguments of any entry
    has_initrd: bool  # in every entry


def starts(menu: str) -> dict[str, Start]:
    """Each kernel of a GRUB menu by its file name."""
    found: dict[str, Start] = {}
    for entry in bootmenu.grub(menu).entries:
        words = [menu[one.start - len(one.key) - 1 : one.end] if one.end > one.start else one.key
                 for one in cmdline.words(menu, entry.start, entry.end)]  # fmt: skip
        values = [one.value for one in cmdline.words(menu, entry.start, entry.end) if one.key == "root"]
        name = entry.kernel.rpartition("/")[2]
        before = found.get(name, Start(frozenset(), frozenset(), True))
        found[name] = Start(
            before.roots | {values[-1] if values else ""}, before.words | set(words),
            before.has_initrd and bool(entry.initrd),
        )  # fmt: skip
    return found


def compared(old: str, new: str, roots: tuple[str, ...] = ()) -> str:
    """What a new menu has lost or changed that it must not; "" when it may take the old one's place.

    `roots` are names of the root filesystem that are as good as those in the old menu.
    """
    before, after = starts(old), starts(new)
    lost = sorted(set(before) - set(after))
    if lost:
        return f"the new menu has no entry for {', '.join(lost)}"
    if not after:
        return "the new menu has no entry that boots Linux"
    known = {*roots, *(one for start in before.values() for one in start.roots)}
    for name, start in after.items():
        wrong = sorted(start.roots - known)
        if wrong:
            return f"the new menu boots {name} from root={wrong[0] or '(none)'}, which the old one did not"
        if name in before and before[name].has_initrd and not start.has_initrd:
            return f"the new menu boots {name} without its initramfs"
        gone = sorted(before[name].words - start.words - {""}) if name in before else []
        gone = [one for one in gone if not one.startswith(("root=", "$"))]
        if gone:
            return f"the new menu boots {name} without {' '.join(gone)}, which the old one has: was it edited by hand?"
    return ""
