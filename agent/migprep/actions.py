"""The closed list of commands that a fix may ask for, what they would come to, and how their work is checked.

Nothing here changes anything: each action becomes Builds, which write one new file *beside* the one
in use; apply.py runs them, and puts a file in place only when it passes `Build.fault`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from migprep import process, root
from migprep.model import MigprepError, Unknown
from migprep.root import Root, Tree

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.facts.initramfs import Boot

#: What a rule may name under `then`.
NAMES = ("initramfs", "grub-menu")
#: Where a listing stands for an image: in captures, in test trees, and for an image that is only planned.
LISTINGS = "/migprep/initramfs"
MODULES = ("/lib/modules", "/usr/lib/modules")
#: How a command is run: argv and seconds.
Run = Callable[[list[str], float], process.Outcome]
#: Whether the machine has a command.
Has = Callable[[str], bool]


class ActionError(MigprepError):
    """An action that cannot be run on this machine; the sentence says why."""

    code = 6


class Build(NamedTuple):
    """One file made anew by a command, beside the one in use. Paths are inside the root."""

    kind: str  # one of NAMES
    title: str
    path: str
    beside: str
    argv: tuple[str, ...]
    litter: tuple[str, ...] = ()  # files that the command may leave behind
    space: int = 0  # bytes it may need in that folder
    kernel: str = ""
    wanted: tuple[str, ...] = ()  # drivers that must be inside

    @property
    def command(self) -> str:
        """The command as a person would type it."""
        from shlex import join

        return join(self.argv)

    def fault(self, place: Tree, run: Run) -> str:
        """What is wrong with the file that was built; "" when it may be put in place."""
        found = place.stat(self.beside)
        if found is None or found.kind != "file" or found.size == 0:
            return "the command ended well but made nothing"
        return _image_fault(self, place) if self.kind == "initramfs" else _menu_fault(self, place, run)


def builds(names: tuple[str, ...], facts: Facts, place: Root) -> tuple[Build, ...]:
    """What the actions come to on this machine, as it will be. Raises ActionError.

    `facts` are those of the planned machine; `place` is the machine itself, whose tools run.
    """
    base = place.base if isinstance(place, Tree) else ""
    prefix = ("chroot", base) if base else ()
    has = _has(place)
    found: list[Build] = []
    for name in NAMES:
        if name in names:
            found += _image_builds(facts, prefix, has) if name == "initramfs" else _menu_builds(facts.root, prefix, has)
    return tuple(found)


def _has(place: Root) -> Has:
    """Which commands there are; a capture does not hold them, so there the usual ones are taken for granted."""
    if isinstance(place, Tree):
        return lambda command: bool(_tool(command, place))
    return lambda command: command in ("mkinitramfs", "dracut", "mkinitcpio", "grub-mkconfig")


def unable(name: str, facts: Facts, place: Root) -> str:
    """Why the action cannot be run on the machine `place`; "" when it can. Raises nothing."""
    if name not in NAMES:
        return f"there is no action {name!r}"
    if _boot_is_missing(place):
        return "/boot is a filesystem of its own and is not mounted"
    try:
        if name == "grub-menu":
            _menu_builds(place, (), _has(place))
        else:
            _image_builds(facts, (), _has(place))
    except MigprepError as error:
        return str(error)
    return ""


def _boot_is_missing(place: Root) -> bool:
    """Whether fstab(5) has a /boot that is not mounted: what is built would land below the mount point."""
    if not place.live:
        return False
    wanted = any(line.split()[1:2] == ["/boot"] for line in _lines(place, "/etc/fstab") if not line.startswith("#"))
    # 29 1 8:1 / /boot rw,relatime shared:1 - ext4 /dev/sda1 rw
    return wanted and not any(line.split()[4:5] == ["/boot"] for line in _lines(place, "/proc/1/mountinfo"))


def imagined(names: tuple[str, ...], facts: Facts) -> dict[str, bytes]:
    """Files that stand for what the actions would make, to judge the planned machine by.

    An initramfs is foreseen as a listing: what is inside now, and the drivers that the planned
    configuration asks for, with those that they need (modules.dep(5)).
    """
    if "initramfs" not in names:
        return {}
    found = {}
    for image in images(facts):
        try:
            inside = contents(facts, image.path)
        except MigprepError:
            continue
        more = [path for path in _asked_paths(facts.root, image) if not _is_inside(path, inside)]
        if more:
            prefix = "usr/lib/modules" if any(one.startswith("usr/lib/modules/") for one in inside) else "lib/modules"
            lines = [*_head(facts.root, image), *inside, *(f"{prefix}/{image.kernel}/{path}" for path in more), ""]
            named = {one.path for one in _boots(facts) if one.path and root.real(facts.root, one.path) == image.path}
            for path in (image.path, *named):
                found[f"{LISTINGS}{path}"] = "\n".join(lines).encode("utf-8", "surrogateescape")
    return found


def _tool(command: str, place: Root) -> str:
    """The path of a command in the fixed PATH inside the root, or ""."""
    return next((f"{one}/{command}" for one in process.PATH.split(":") if root.exists(place, f"{one}/{command}")), "")


def _beside(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.migprep-new"


# --- initramfs ---


class Image(NamedTuple):
    """The initramfs of one installed kernel; kdump and rescue images are none of these."""

    kernel: str
    path: str
    tool: str  # the family its name belongs to: initramfs-tools, dracut, mkinitcpio


def images(facts: Facts) -> tuple[Image, ...]:
    """The image in use of every installed kernel that has one, by version: by its name, else as the boot menu says."""
    place = facts.root
    found: dict[str, Image] = {}
    for folder in MODULES:
        for kernel in place.names(folder):
            if kernel not in found and root.exists(place, f"{folder}/{kernel}/modules.dep"):
                image = _image(place, kernel, folder)
                if image:
                    found[kernel] = image
    for boot in _boots(facts):
        name = boot.path.rpartition("/")[2]
        if boot.path and "rescue" not in name and "kdump" not in name and not name.endswith(".efi"):
            tool = "dracut" if isinstance(boot.image, Unknown) else boot.image.tool or "dracut"
            found.setdefault(boot.kernel.version, Image(boot.kernel.version, root.real(place, boot.path), tool))
    return tuple(found[kernel] for kernel in sorted(found))


def _boots(facts: Facts) -> tuple[Boot, ...]:
    known = facts.initramfs
    return () if isinstance(known, Unknown) else known.boots


def _image(place: Root, kernel: str, folder: str) -> Image | None:
    # Debian: initrd.img-6.1.0-13-amd64; Red Hat: initramfs-5.14.0-1.el9.x86_64.img; SUSE: initrd-5.14.21-default
    for path, tool in (
        (f"/boot/initrd.img-{kernel}", "initramfs-tools"),
        (f"/boot/initramfs-{kernel}.img", "dracut"),
        (f"/boot/initrd-{kernel}", "dracut"),
        (f"/boot/initrd-{kernel}.img", "dracut"),
    ):
        found = place.stat(path)
        if (found and found.kind == "file") or root.exists(place, f"{LISTINGS}{path}"):
            return Image(kernel, root.real(place, path), tool)
    # Arch keeps the package's name in pkgbase and names the image after it.
    name = root.value(place, f"{folder}/{kernel}/pkgbase")
    path = f"/boot/initramfs-{name}.img"
    if name and (root.exists(place, path) or root.exists(place, f"{LISTINGS}{path}")):
        return Image(kernel, root.real(place, path), "mkinitcpio")
    return None


def _image_builds(facts: Facts, prefix: tuple[str, ...], has: Has) -> list[Build]:
    place = facts.root
    found = images(facts)
    if not found and any(_tool(one, place) for one in TOOLS):
        raise ActionError("no initramfs of an installed kernel was found in /boot (is it mounted?)")
    made = []
    for image in found:
        beside = _beside(image.path)
        size = (place.stat(image.path) or root.Stat("", 0, 0, 0, 0, 0)).size
        made.append(
            Build(
                "initramfs",
                f"rebuild {image.path}",
                image.path,
                beside,
                (*prefix, *_argv(place, image, beside, has)),
                (),
                size * 3 // 2 + (8 << 20),
                image.kernel,
                asked(place, image),
            )  # fmt: skip
        )
    return made


#: Commands of which one makes the images, where there are any: a machine without them boots without.
TOOLS = ("mkinitramfs", "dracut", "mkinitcpio", "mkinitrd")


def _argv(place: Root, image: Image, beside: str, has: Has) -> tuple[str, ...]:
    """The command that builds `image` beside itself. Raises ActionError when there is no tool for it."""
    if image.tool == "mkinitcpio" and has("mkinitcpio"):
        return ("mkinitcpio", "-k", image.kernel, "-g", beside)
    if has("mkinitramfs") and image.tool == "initramfs-tools":
        return ("mkinitramfs", "-o", beside, image.kernel)
    if has("dracut") and image.tool != "mkinitcpio":
        return ("dracut", "--force", beside, image.kernel)
    if has("mkinitrd") and image.tool == "dracut":
        if root.exists(place, "/etc/SuSE-release"):
            return ("mkinitrd", "-k", f"/boot/vmlinuz-{image.kernel}", "-i", beside)
        return ("mkinitrd", "-f", beside, image.kernel)
    raise ActionError(
        f"{image.path} cannot be rebuilt: neither mkinitramfs, dracut, mkinitcpio nor mkinitrd fits it here"
    )


def contents(facts: Facts, path: str) -> tuple[str, ...]:
    """The paths inside an image, from its listing or by reading it. Raises Undetermined."""
    listing = root.text(facts.root, f"{LISTINGS}{path}", 64 << 20)
    if listing is not None:
        return tuple(one for one in listing.split("\n") if one and not one.startswith("#"))
    from migprep.facts.initramfs import paths

    return paths(facts, path)


def _head(place: Root, image: Image) -> list[str]:
    listing = root.text(place, f"{LISTINGS}{image.path}", 64 << 20) or f"# tool: {image.tool}\n"
    return [one for one in listing.split("\n") if one.startswith("#")]


def module(path: str) -> str:
    """The name of a module file, as the kernel knows it: virtio_blk for …/virtio-blk.ko.xz; "" for any other file."""
    name, dot, rest = path.rpartition("/")[2].partition(".ko")
    return name.replace("-", "_") if dot and rest in ("", ".gz", ".xz", ".zst") else ""


def _is_inside(path: str, inside: tuple[str, ...]) -> bool:
    name = module(path)
    return any(module(one) == name for one in inside if ".ko" in one)


def _dependencies(place: Root, kernel: str) -> dict[str, tuple[str, ...]]:
    """modules.dep(5): module name to its file and those it needs, relative to the kernel's folder."""
    for folder in MODULES:
        text = root.text(place, f"{folder}/{kernel}/modules.dep", 64 << 20)
        if text is not None:
            found = {}
            for line in text.split("\n"):
                # kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz …
                path, _, needs = line.partition(":")
                if path:
                    found[module(path)] = (path, *needs.split())
            return found
    return {}


def asked(place: Root, image: Image) -> tuple[str, ...]:
    """Drivers that the configuration asks for by name and that this kernel has as modules."""
    known = _dependencies(place, image.kernel)
    return tuple(sorted({one.replace("-", "_") for one in configured(place)} & set(known)))


def _asked_paths(place: Root, image: Image) -> list[str]:
    known = _dependencies(place, image.kernel)
    names = {one.replace("-", "_") for one in configured(place)}
    paths: list[str] = []
    for name in sorted(names & set(known)):
        paths += known[name]
    if _is_generic(place):
        paths += [files[0] for files in known.values() if files[0].startswith(GENERIC)]
    return list(dict.fromkeys(paths))


#: Where the drivers lie that a generic image holds (auto_add_modules of initramfs-tools, dracut's --no-hostonly).
GENERIC = tuple(
    f"kernel/drivers/{one}/" for one in ("ata", "block", "hv", "net", "nvme", "scsi", "virtio", "xen", "message/fusion")
)


def configured(place: Root) -> tuple[str, ...]:
    """Every driver that some configuration of an initramfs names; none where it cannot be read."""
    from migprep.facts.configured import drivers

    try:
        return drivers(place)
    except MigprepError:
        return ()


def _is_generic(place: Root) -> bool:
    """Whether the configuration asks for the drivers of all common hardware; the last word counts."""
    most = False
    for path in ("/etc/initramfs-tools/initramfs.conf", *_in(place, "/etc/initramfs-tools/conf.d", "")):
        for line in _lines(place, path):
            name, equals, value = line.strip().partition("=")
            most = value.strip("\"' ") == "most" if equals and name == "MODULES" else most
    hostonly = True
    for path in ("/etc/dracut.conf", *_in(place, "/etc/dracut.conf.d", ".conf")):
        for line in _lines(place, path):
            name, equals, value = line.strip().partition("=")
            hostonly = value.strip("\"' ") != "no" if equals and name == "hostonly" else hostonly
    return most or (not hostonly and root.exists(place, "/etc/dracut.conf"))


def _in(place: Root, folder: str, ending: str) -> list[str]:
    return [f"{folder}/{name}" for name in place.names(folder) if name.endswith(ending) and not name.startswith(".")]


def _lines(place: Root, path: str) -> list[str]:
    try:
        return (root.text(place, path) or "").split("\n")
    except MigprepError:
        return []


def _image_fault(build: Build, place: Tree) -> str:
    """Whether the new image holds what it must and is not suspiciously small."""
    from migprep.facts import Facts

    facts = Facts(place)
    try:
        inside = {module(one) for one in contents(facts, build.beside)} - {""}
    except (MigprepError, OSError) as error:
        return f"the new image cannot be read: {error}"
    missing = [name for name in build.wanted if name not in inside]
    if missing:
        return f"the new image has not {', '.join(missing)}"
    old, new = place.stat(build.path), place.stat(build.beside)
    if old and new and new.size * 10 < old.size * 6:
        try:
            lost = {module(one) for one in contents(facts, build.path)} - inside - {""}
        except (MigprepError, OSError):
            lost = {"?"}
        if lost:
            return (
                f"the new image has only {new.size >> 10} KiB, "
                f"the old one {old.size >> 10} KiB with {len(lost)} more drivers"
            )
    return ""


# --- the boot menu ---


def _menu_builds(place: Root, prefix: tuple[str, ...], has: Has) -> list[Build]:
    found = menus(place)
    if not found:
        raise ActionError("no boot menu made by grub-mkconfig was found")
    command = next((one for one in ("grub2-mkconfig", "grub-mkconfig") if has(one)), "")
    if not command:
        raise ActionError("the boot menu cannot be made: there is no grub-mkconfig here")
    return [_menu_build(place, path, command, prefix) for path in found]


def _menu_build(place: Root, path: str, command: str, prefix: tuple[str, ...]) -> Build:
    beside = _beside(path)
    size = (place.stat(path) or root.Stat("", 0, 0, 0, 0, 0)).size
    # os-prober would mount other disks and add their systems (grub-mkconfig(8)).
    argv = (*prefix, "env", "GRUB_DISABLE_OS_PROBER=true", command, "-o", beside)
    return Build("grub-menu", f"regenerate {path}", path, beside, argv, (f"{beside}.new",), size * 2 + (1 << 20))


def menus(place: Root) -> tuple[str, ...]:
    """Boot menus that grub-mkconfig made; never a stub that only points elsewhere, nor one written by hand."""
    paths = ["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg", *root.glob(place, "/boot/efi/EFI/*/grub.cfg")]
    found = []
    for path in paths:
        try:
            text = root.text(place, path) or ""
        except MigprepError:
            continue
        # ### BEGIN /etc/grub.d/10_linux ###
        if "### BEGIN /etc/grub.d/" in text:
            found.append(root.real(place, path))
    return tuple(dict.fromkeys(found))


class Entry(NamedTuple):
    """One kernel line of a menu."""

    kernel: str
    root: str


# linux	/boot/vmlinuz-6.1.0-13-amd64 root=UUID=0a1b… ro  quiet      (linux16, linuxefi on some)
_KERNEL = re.compile(r"^\s*linux(?:16|efi)?\s+(\S+)(.*)$", re.MULTILINE)
_ROOT = re.compile(r"(?:^|\s)root=(\S+)")


def entries(menu: str) -> tuple[Entry, ...]:
    """The kernel lines of a GRUB menu, with their root= (the last one counts)."""
    return tuple(
        Entry(kernel.rpartition("/")[2], (_ROOT.findall(rest) or [""])[-1]) for kernel, rest in _KERNEL.findall(menu)
    )


def _menu_fault(build: Build, place: Tree, run: Run) -> str:
    old, new = root.text(place, build.path) or "", root.text(place, build.beside) or ""
    checker = next((one for one in ("grub2-script-check", "grub-script-check") if _tool(one, place)), "")
    if checker:
        prefix = ["chroot", place.base] if place.base else []
        outcome = run([*prefix, checker, build.beside], 60.0)
        if outcome.code != 0:
            return f"{checker} refuses the new menu: {outcome.stderr.decode('utf-8', 'replace').strip()}"
    return compared(old, new)


def compared(old: str, new: str) -> str:
    """What a new menu has lost or changed that it must not; "" when it may take the old one's place."""
    before, after = entries(old), entries(new)
    lost = {one.kernel for one in before} - {one.kernel for one in after}
    if lost:
        return f"the new menu has no entry for {', '.join(sorted(lost))}"
    if "blscfg" in old and "blscfg" not in new:
        return "the new menu does not read the boot loader entries (blscfg)"
    if not after and "blscfg" not in new:
        return "the new menu has no entry that boots Linux"
    known = {one.root for one in before}
    for one in after:
        if one.root not in known and not one.root.startswith(
            ("UUID=", "PARTUUID=", "LABEL=", "PARTLABEL=", "/dev/mapper/")
        ):
            return f"the new menu boots {one.kernel} from root={one.root or '(none)'}, which the old one did not"
    return ""
