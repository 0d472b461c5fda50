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
#: What nobody may lose, whichever part it stands in.
KEPT = re.compile(
    r"(?:password\w*|set superusers=|set default=|set timeout=|serial|terminal_(?:in|out)put|chainloader|configfile"
    r"|multiboot2?|loopback)\b"
)


def builds(now: Facts, planned: Facts, place: Root) -> list[Build]:
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
    texts = {path: root.text(place, path) or "" for path in found}
    if any("blscfg" in text for text in texts.values()):
        return []
    for path, text in texts.items():
        lost = unmade(text, place)
        if lost:
            raise ActionError(f"{path} would lose {lost}")
    command = next((one for one in ("grub2-mkconfig", "grub-mkconfig") if has(place)(one)), "")
    if not command:
        raise ActionError("the boot menu cannot be made: there is no grub-mkconfig here")
    wanted = (*_roots(planned), *_added(now, planned))
    return [_build(place, path, command, wanted) for path in found]


def _build(place: Root, path: str, command: str, wanted: tuple[str, ...]) -> Build:
    made = beside(path)
    # os-prober would mount other disks and add their systems (grub-mkconfig(8)).
    argv = (*prefix(place), "env", "GRUB_DISABLE_OS_PROBER=true", command, "-o", made)
    space = size(place, path) * 2 + (1 << 20)
    return Build("grub-menu", f"regenerate {path}", path, made, argv, (f"{made}.new",), space, wanted)


def _added(now: Facts, planned: Facts) -> tuple[str, ...]:
    """The arguments that a plan asks for, beyond those of today."""
    return tuple(sorted(_defaults(planned) - _defaults(now)))


def _defaults(facts: Facts) -> set[str]:
    """Every word that some file puts into the arguments of a menu made anew."""
    from migprep.facts.arguments import ASSIGNMENT, DEFAULTS, DROP_INS

    paths = (DEFAULTS, *root.glob(facts.root, DROP_INS))
    texts = [root.text(facts.root, path) or "" for path in paths]
    given = [found.group("value") for text in texts for found in re.finditer(ASSIGNMENT, text)]
    return {word.strip("\"'") for value in given for word in value.split() if "$" not in word}


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


# --- what a menu holds that its scripts would not write again ---

BEGIN = re.compile(r"### (?P<word>BEGIN|END) (?P<script>/etc/grub\.d/\S+) ###")


def parts(menu: str) -> list[tuple[str, str]]:
    """(script, line) of every line that does something; "" for the script of what stands between their parts."""
    found, script = [], ""
    for line in menu.split("\n"):
        mark = BEGIN.match(line)
        if mark:
            script = mark.group("script") if mark.group("word") == "BEGIN" else ""
        elif line.strip() and not line.lstrip().startswith("#"):
            found.append((script, " ".join(line.split())))
    return found


def unmade(menu: str, place: Root) -> str:
    """What of a menu no script here would write again; "" for nothing that can be told before one is made."""
    found = parts(menu)
    by_hand = next((line for script, line in found if not script), "")
    if by_hand:
        return f"what was written into it by hand: {by_hand}"
    if any(script.endswith("_os-prober") and line.startswith("menuentry ") for script, line in found):
        return "the entries of other systems, for which os-prober would have to mount their disks"
    gone = sorted({script for script, _ in found if not _runs(place, script)})
    return f"the part of {gone[0]}, which is not there or not executable any more" if gone else ""


def _runs(place: Root, script: str) -> bool:
    known = place.stat(script)
    # A capture does not hold scripts, but for those with kernel arguments in them.
    return bool(known.mode & 0o111) if known else not isinstance(place, Tree) or not root.is_dir(place, "/etc/grub.d")


def _is_shipped(script: str) -> bool:
    return script.rpartition("/")[2][3:] in bootmenu.SHIPPED


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
    return compared(old, new, build.wanted, _saved(place, build.path))


def _saved(place: Root, menu: str) -> str:
    """The entry that GRUB's environment block names as the default."""
    for path in (f"{menu.rpartition('/')[0]}/grubenv", "/boot/grub/grubenv", "/boot/grub2/grubenv"):
        found = re.search(r"(?m)^saved_entry=(.*)$", root.text(place, path, 65536) or "")
        if found:
            return found.group(1)
    return ""


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


def compared(old: str, new: str, wanted: tuple[str, ...] = (), saved: str = "") -> str:
    """What a new menu has lost or changed that it must not; "" when it may take the old one's place.

    `wanted` are names of the root filesystem that are as good as those in the old menu, and arguments that were
    asked for; `saved` is the default entry that the environment block names.
    """
    return _fault_of_kernels(starts(old), starts(new), wanted) or _fault_of_lines(old, new) or _moved(old, new, saved)


def _fault_of_lines(old: str, new: str) -> str:
    """The first line that was lost, of those that no version of a distribution's script would leave out."""
    there = {line for _, line in parts(new)}
    lost = [line for script, line in parts(old) if line not in there and (not _is_shipped(script) or KEPT.match(line))]
    return f"the new menu has no line {lost[0]!r}, which the old one has: was it edited by hand?" if lost else ""


def _moved(old: str, new: str, saved: str) -> str:
    """Whether another kernel would boot by itself than does now."""
    then, now = (bootmenu.grub(menu).chosen(saved) for menu in (old, new))
    names = [one.kernel.rpartition("/")[2] if one else "" for one in (then, now)]
    return "" if names[0] == names[1] else f"the new menu would boot {names[1]} by itself, the old one boots {names[0]}"


def _fault_of_kernels(before: dict[str, Start], after: dict[str, Start], wanted: tuple[str, ...]) -> str:
    lost = sorted(set(before) - set(after))
    if lost:
        return f"the new menu has no entry for {', '.join(lost)}"
    if not after:
        return "the new menu has no entry that boots Linux"
    known = {*wanted, *(one for start in before.values() for one in start.roots)}
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
        come = sorted(start.words - before[name].words - {"", *wanted}) if name in before else []
        come = [one for one in come if not one.startswith(("root=", "$"))]
        if come:
            return f"the new menu boots {name} with {' '.join(come)}, which the old one has not: was it edited by hand?"
    return ""
