"""Initramfs images made anew: by which tool, what they will hold, and whether one may take the old one's place."""

from __future__ import annotations

from migprep import root
from migprep.builds import ActionError, Build, Has, beside, has, prefix, size
from migprep.facts import configured, initramfs
from migprep.facts.kernels import Kernel
from migprep.model import MigprepError, Unknown
from migprep.root import Root, Tree
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: The command that makes one image, by the tool's name; in the order in which they are looked for.
COMMANDS = {"initramfs-tools": "mkinitramfs", "dracut": "dracut", "mkinitcpio": "mkinitcpio", "mkinitrd": "mkinitrd"}
#: Where the drivers of disks lie in a kernel's folder: what the root of some machine needs.
STORAGE = tuple(
    f"kernel/drivers/{one}/" for one in ("ata", "block", "hv", "md", "message", "mmc", "nvme", "scsi", "virtio", "xen")
)


#: Where a tool lays out an image before it packs it, and how often all of it lies there at once: as files, and with
#: initramfs-tools as an archive too (mkinitramfs(8), dracut(8), mkinitcpio(8)).
LAID_OUT = {"mkinitramfs": ("/var/tmp", 2), "dracut": ("/var/tmp", 1), "mkinitcpio": ("/tmp", 1)}  # noqa: S108


class Image(NamedTuple):
    """The initramfs of one installed kernel; kdump, rescue and unified images are none of these."""

    kernel: Kernel
    path: str
    tool: str  # what makes it, "" when nothing here does
    inside: initramfs.Image | Unknown

    def lacking(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `names` that its kernel has as modules and that are not inside."""
        modules = frozenset() if isinstance(self.inside, Unknown) else self.inside.modules
        return tuple(name for name in self.offered(names) if name not in modules)

    def offered(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `names` that its kernel has as modules."""
        if isinstance(self.kernel.modules, Unknown):
            return ()
        return tuple(name for name in names if self.kernel.module(name))


#: Where ostree keeps the kernels of its deployments (ostree-admin-deploy(1)).
DEPLOYED = "/boot/ostree/"


def _is_others(boot: initramfs.Boot) -> bool:
    """Whether only the way in which it was made can make it anew."""
    return boot.is_unified or boot.path.startswith(DEPLOYED)


def images(facts: Facts, tools: Has) -> tuple[Image, ...]:
    """The image of every installed kernel that has one, in the order of their versions.

    Those of ostree's deployments are none of ours: each lies in a folder that is called after its content.
    """
    known = facts.initramfs
    found: dict[str, Image] = {}
    for boot in () if isinstance(known, Unknown) else known.boots:
        name = boot.path.rpartition("/")[2]
        if boot.path and not _is_others(boot) and "rescue" not in name and "kdump" not in name:
            path = root.real(facts.root, boot.path)
            made = "" if isinstance(boot.image, Unknown) else boot.image.tool
            found.setdefault(path, Image(boot.kernel, path, _tool(made, facts, tools), boot.image))
    return tuple(found.values())


def _tool(made: str, facts: Facts, tools: Has) -> str:
    """What made the image, when it is still here; else what is."""
    known = facts.initramfs
    wanted = (made, "" if isinstance(known, Unknown) else known.tool, *COMMANDS)
    return next((one for one in wanted if one and tools(COMMANDS[one])), "")


def builds(now: Facts, planned: Facts, place: Root, everything: bool) -> list[Build]:
    """The images to make anew: all, or those that lack a driver that is asked for then. Raises ActionError."""
    tools = has(place)
    found = images(now, tools)
    if not found:
        _refuse(now, tools)
    names = _configured(planned)
    return [_build(now, place, one, names) for one in found if everything or _is_poor(one, names)]


def _is_poor(image: Image, names: tuple[str, ...]) -> bool:
    return isinstance(image.inside, Unknown) or bool(image.lacking(names))


def _refuse(facts: Facts, tools: Has) -> None:
    """Say why there is no image to make; a machine without any tool boots without one."""
    known = facts.initramfs
    boots = () if isinstance(known, Unknown) else known.boots
    unified = [one.path for one in boots if one.is_unified]
    if any(one.path.startswith(DEPLOYED) for one in boots):
        command = "rpm-ostree initramfs --enable --arg=--add-drivers --arg='DRIVERS'"
        raise ActionError(f"the initramfs belongs to a deployment of ostree: {command}")
    if unified:
        raise ActionError(f"{unified[0]} is a unified kernel image, which only the way it was made can make anew")
    if any(map(tools, COMMANDS.values())):
        raise ActionError("no initramfs of an installed kernel was found in /boot (is it mounted?)")


def _configured(facts: Facts) -> tuple[str, ...]:
    known = facts.initramfs
    return () if isinstance(known, Unknown) else known.configured


def _build(facts: Facts, place: Root, image: Image, names: tuple[str, ...]) -> Build:
    made = beside(image.path)
    return Build(
        "initramfs", f"rebuild {image.path}", image.path, made,
        (*prefix(place), *_argv(place, image, made)), (), size(place, image.path) * 3 // 2 + (8 << 20),
        tuple(sorted({*image.offered(names), *_kept(facts, image)})),
    )  # fmt: skip


def _argv(place: Root, image: Image, made: str) -> tuple[str, ...]:
    """The command that builds `image` beside itself. Raises ActionError when there is no tool for it."""
    version = image.kernel.version
    if image.tool == "initramfs-tools":
        return ("mkinitramfs", "-o", made, version)
    if image.tool == "dracut":
        return ("dracut", "--force", made, version)
    if image.tool == "mkinitcpio":
        return ("mkinitcpio", "-k", version, "-g", made)
    if image.tool == "mkinitrd":
        if root.exists(place, "/etc/SuSE-release"):
            # -B: it would otherwise have update-bootloader(8) write the boot menu anew.
            return ("mkinitrd", "-B", "-k", f"/boot/vmlinuz-{version}", "-i", made)
        return ("mkinitrd", "-f", made, version)
    raise ActionError(f"{image.path} cannot be rebuilt: there is neither {', '.join(COMMANDS.values())} here")


def _kept(facts: Facts, image: Image) -> list[str]:
    """Drivers that the new image must hold because the old one does: those in use here, else those of disks.

    What is loaded is known of a running machine only; without one of these the source might not boot again.
    """
    known = facts.initramfs
    if isinstance(image.inside, Unknown) or isinstance(known, Unknown):
        return []
    modules = image.inside.modules
    if known.inside:
        return sorted(modules.intersection(known.inside))
    return sorted(one for one in image.offered(tuple(modules)) if image.kernel.module(one).startswith(STORAGE))


def imagined(facts: Facts, place: Root, everything: bool) -> dict[str, bytes]:
    """Listings that stand for the images that would be made, to judge the planned machine by.

    An image holds what it holds now, and the drivers that the planned configuration asks for with those that they
    need (modules.dep(5)); its copies of configuration files are then those of the machine.
    """
    found = {}
    names = _configured(facts)
    for image in images(facts, has(place)):
        if isinstance(image.inside, Unknown) or not (everything or image.lacking(names)):
            continue
        listing = _listing(image.inside, image.kernel, sorted({*image.inside.modules, *_with_needs(image, names)}))
        for path in (image.path, image.inside.path):
            found[f"{initramfs.LISTINGS}{path}"] = listing.encode("utf-8", "surrogateescape")
    return found


def _listing(inside: initramfs.Image, kernel: Kernel, modules: list[str]) -> str:
    head = [f"# tool: {inside.tool}", f"# compression: {inside.compression}", "# foreseen: yes"]
    return "\n".join([*head, *(f"usr/lib/modules/{kernel.version}/kernel/{one}.ko" for one in modules), ""])


def _with_needs(image: Image, names: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    text = "" if isinstance(image.kernel.modules, Unknown) else f"\n{image.kernel.modules}"
    for name in image.offered(names):
        # kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz …
        at = text.find(f"\n{image.kernel.module(name)}:") + 1
        found |= initramfs.modules_of(text[at : text.find("\n", at)].replace(":", " ").split())
    return found


def workspace(build: Build, place: Tree) -> tuple[str, int]:
    """The folder in which the tool lays out the new image, and the bytes that one like the present one takes there.

    ("", 0) for a tool of which that is not known, or an image that cannot be read.
    """
    from migprep import cpio

    tool = next((one for one in build.argv if one in LAID_OUT), "")
    if not tool:
        return "", 0
    folder, copies = LAID_OUT[tool]
    try:
        with place.open(build.path) as raw:
            laid_out = sum(entry.size for entry in cpio.Archive(raw))
        folder = configured.dracut_tmpdir(place) if tool == "dracut" else folder
    except (MigprepError, OSError):
        return "", 0
    return root.real(place, folder), laid_out * copies + size(place, build.path)


def fault(build: Build, place: Tree) -> str:
    """Why the image that was built may not take the old one's place; "" when it may."""
    from migprep.facts import Facts

    facts = Facts(place)
    try:
        inside = initramfs.image(facts, build.beside).modules
    except (MigprepError, OSError) as error:
        return f"the new image cannot be read: {error}"
    missing = [name for name in build.wanted if name not in inside]
    if missing:
        return f"the new image has not {', '.join(missing)}"
    old, new = size(place, build.path), size(place, build.beside)
    if new * 10 < old * 6:
        try:
            lost = initramfs.image(facts, build.path).modules - inside
        except (MigprepError, OSError):
            lost = frozenset({"?"})
        if lost:
            return f"the new image has only {new >> 10} KiB, the old one {old >> 10} KiB with {len(lost)} more drivers"
    return ""
