"""What is inside the initramfs of every kernel, which tool makes it, and what it will hold next time."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts.configured import DracutModule, Policy
from migprep.facts.kernels import Kernel, called, starts
from migprep.facts.modprobe import Denial, Line, Modprobe, statements
from migprep.facts.modprobe import parse as parse_modprobe
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from migprep.compression import Raw
    from migprep.facts import Facts
    from migprep.facts.bootloader import MenuEntry

#: Where a capture keeps the names inside an image, instead of the image.
LISTINGS = "/migprep/initramfs"
#: How what stands there for an image begins that is cut short or damaged; the rest says where.
DAMAGED = "# damaged: "
#: Seconds for one image; one of 500 MB takes about 5.
SECONDS = 12.0
#: Small files inside that bind an image to a machine (initramfs-tools(7), dracut(8), mkinitcpio(8)).
KEPT = re.compile(
    r"(?:conf/(?:conf\.d/[^/]+|modules|arch\.conf|initramfs\.conf)|(?:etc|cryptroot)/(?:fstab|crypttab|fstab\.sys|mdadm\.conf|mdadm/mdadm\.conf"
    r"|lvm/(?:lvm(?:local)?\.conf|devices/system\.devices)|multipath\.conf|cmdline\.d/[^/]+|conf\.d/[^/]+)|cryptroot/crypttab|config|(?:etc|(?:usr/)?lib)/modprobe\.d/[^/]+)$"
)
#: How an image's file is called (Debian, Red Hat, SUSE, older Red Hat, Alpine and genkernel).
IMAGES = ("initrd.img-{}", "initramfs-{}.img", "initrd-{}", "initrd-{}.img", "initramfs-{}")
#: A file that only images of one tool have.
MARKS = (
    ("initramfs-tools", ("conf/initramfs.conf", "scripts/functions")),
    ("dracut", ("usr/lib/dracut/build-parameter.txt", "lib/dracut/build-parameter.txt", "usr/lib/dracut-lib.sh",
                "lib/dracut-lib.sh")),
    ("mkinitcpio", ("init_functions", "buildconfig", "usr/lib/initcpio/functions")),
    ("mkinitrd", ("run_all.sh", "bin/nash", "mkinitrd.config", "config/start.sh")),
)  # fmt: skip


#: Where an image has a root of its own, and how it is told: ROOT=UUID=…, BOOT=nfs, root=UUID=…, netroot=iscsi:….
OWN_ROOTS: dict[str, tuple[tuple[str, ...], str]] = {
    "initramfs-tools": (("conf/",), r"(?m)^[ \t]*(?:export[ \t]+)?(?:ROOT=[\"']?[^\s\"']|BOOT=[\"']?(?!local\b)\w)"),
    "dracut": (("etc/cmdline", "etc/conf.d/"), r"(?:^|\s)(?:net)?root="),
}


#: An image of initramfs-tools with udev's rule of LVM 2.03.12 and later opens every volume group that is complete; the
#: rule before left that to systemd, which is not inside. dracut's lvm_scan opens what arguments name, else everything.
EVERY, TOLD = "every", "told"
EVENT_RULE, LVM_SCAN = "rules.d/69-lvm.rules", "bin/lvm_scan"


class Damaged(Undetermined):
    """An image that is cut short or whose content is damaged; the sentence says where."""


class Image(NamedTuple):
    """One image. `texts` are the small configuration files inside; of a listing, those that bear on drivers."""

    path: str
    tool: str  # initramfs-tools, dracut, mkinitcpio, mkinitrd, "" when it cannot be told
    compression: str  # of its last part; "" for none
    modules: frozenset[str]  # names as the kernel knows them
    texts: dict[str, str]
    versions: tuple[str, ...] = ()  # kernels whose modules are inside; () where folders name none
    waits: tuple[str, ...] = ()  # devices that it waits for before it goes on (dracut's initqueue hooks)
    has_splash: bool = False  # plymouth is inside
    is_foreseen: bool = False  # stands for an image that is only planned: its configuration is that of the machine
    lvm: str = ""  # which volumes it opens: EVERY or TOLD; "" where that cannot be told, or none


class Boot(NamedTuple):
    """One kernel and the image it starts with, if any."""

    kernel: Kernel
    path: str  # of its image, "" when it has none
    image: Image | Unknown
    is_alone: bool = False  # or an Unknown: no initramfs is loaded, and none is part of the kernel either
    damage: str = ""  # why the image, which could be read, cannot be used by the kernel; "" when nothing was seen

    def missing(self, drivers: tuple[str, ...]) -> tuple[str, ...]:
        """Modules that the kernel has and its image has not, one for each of `drivers` that it needs and would miss.

        A driver that the kernel has in no form is the business of another rule.
        """
        found = []
        for each in drivers:
            choices = each.split("|")
            if any(self.kernel.has_builtin(one) for one in choices) or (self.path and self._is_inside(choices)):
                continue
            found += [one for one in choices if self.kernel.module(one)][:1]
        return tuple(found)

    def _is_inside(self, choices: list[str]) -> bool:
        if isinstance(self.image, Unknown):
            raise Undetermined(self.image.reason)
        if self.image.versions and self.kernel.version not in self.image.versions:
            return False
        return any(one.replace("-", "_") in self.image.modules for one in choices)

    def denied(self, drivers: tuple[str, ...]) -> tuple[Denial, ...]:
        """What inside the image keeps `drivers` from being loaded: its own copy of the modprobe configuration."""
        if not self.path:
            return ()
        if isinstance(self.image, Unknown):
            raise Undetermined(self.image.reason)
        lines: tuple[Line, ...] = ()
        for name, text in sorted(self.image.texts.items()):
            if "modprobe.d/" in name:
                lines += parse_modprobe(text, self.path)
        # What conf/modules names is loaded by name, and that no blacklist forbids (modprobe.d(5)).
        named = set(self.image.texts.get("conf/modules", "").replace("-", "_").split())
        kept = tuple(one for one in lines if one.verb != "blacklist" or one.module not in named)
        return Modprobe(kept, tuple(statements(kept))).denied(drivers, self.kernel)

    @property
    def wants_root(self) -> bool:
        """Whether it is of initramfs-tools or dracut, with no root of its own: it asks for root=. Undetermined."""
        if isinstance(self.image, Unknown):
            if not self.path:
                return False
            raise Undetermined(self.image.reason)
        places, own = OWN_ROOTS.get(self.image.tool, ((), ""))
        inside = (text for name, text in self.image.texts.items() if name.startswith(places))
        return bool(places) and not any(re.search(own, text) for text in inside)

    @property
    def reads_partition_table(self) -> bool:
        """Whether systemd inside may find the root by its type in the partition table of UEFI. Raises Undetermined."""
        return self.wants_root and not isinstance(self.image, Unknown) and self.image.tool == "dracut"

    @property
    def lacks_cipher(self) -> bool:
        """Whether the generic xts is a module of the kernel and not inside: aesni_intel brings its own."""
        return bool(self.path and self.missing(("xts",)))

    @property
    def has_splash(self) -> bool:
        """Whether plymouth is inside. Raises Undetermined."""
        if isinstance(self.image, Unknown):
            return bool(self.path) and bool(self.image)
        return self.image.has_splash

    @property
    def is_unified(self) -> bool:
        """Whether it is part of a unified kernel image, which no tool makes anew by itself."""
        return self.path.lower().endswith(".efi")

    @property
    def where(self) -> str:
        """The file to look at."""
        return self.path or self.kernel.image or self.kernel.path

    @property
    def shown(self) -> str:
        """Its file name, or that there is none."""
        return self.path or f"kernel {self.kernel.version} starts without an initramfs and"


class Room(NamedTuple):
    """Space in /boot: what is free, and what the largest image wants to be written beside itself. Bytes."""

    free: int
    files: int  # that may still be made; -1 where they are not counted
    largest: int

    @property
    def wanted(self) -> int:
        """For an image half as large again, with more drivers in it."""
        return self.largest * 8 // 5

    @property
    def is_short(self) -> bool:
        """Whether a new image may not find room."""
        return self.free < self.wanted or 0 <= self.files < 10

    @property
    def shown(self) -> str:
        """For a person."""
        told = f"{self.free >> 20} MiB free, {self.wanted >> 20} MiB wanted"
        return f"{told}, room for {self.files} files" if 0 <= self.files < 10 else told


class Images(NamedTuple):
    """The images of all kernels, and the configuration that the next ones are made from."""

    boots: tuple[Boot, ...]
    tool: str  # the one installed here, "" when none was found
    host_only: str  # path of the file that asks for this machine's drivers alone; "" when none does
    host_line: int
    configured: tuple[str, ...]  # drivers that some configuration names
    drop_in: str  # the file in which drivers are named; "" when there is no tool
    inside: tuple[str, ...]  # drivers in use here, which a host-only image gets by itself
    absent_modules: tuple[DracutModule, ...] = ()  # that dracut is asked for and has not
    placed: tuple[Policy, ...] = ()  # how dracut is told to wait for devices by their place
    room: Room = None  # type: ignore[assignment]  # or an Unknown
    tools: tuple[str, ...] = ()  # every one that runs at a kernel update, where several may

    @property
    def next(self) -> tuple[Boot, ...]:
        """The kernel that boots next, with its image."""
        return tuple(one for one in self.boots if one.kernel.is_default)

    @property
    def are_alone(self) -> bool:
        """Whether the next boot has no initramfs at all. Raises Undetermined."""
        return bool(self.next) and all(not one.path and one.is_alone for one in self.next)

    @property
    def made_by(self) -> str:
        """The tool that made the image that boots next; "" where none is known to. Raises Undetermined."""
        for one in self.next:
            if one.path and isinstance(one.image, Unknown):
                raise Undetermined(one.image.reason)
        return next((one.image.tool for one in self.next if one.path), "")

    @property
    def others(self) -> tuple[Boot, ...]:
        """Kernels that boot only when somebody chooses them."""
        return tuple(one for one in self.boots if not one.kernel.is_default)

    def denied(self, drivers: tuple[str, ...], modprobe: Modprobe) -> tuple[Denial, ...]:
        """What only the image that boots next forbids, and the machine's own configuration does not."""
        inside = ((one, boot.kernel) for boot in self.next for one in boot.denied(drivers))
        found = (one for one, kernel in inside if not modprobe.denied((one.module,), kernel))
        return tuple({one.module: one for one in found}.values())

    def forgotten(self, boot: Boot, drivers: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `drivers` that are in the image of today, and that one made anew would not get."""
        found = []
        for each in drivers:
            choices = each.split("|")
            kept = {*self.configured, *self.inside}
            if any(boot.kernel.has_builtin(one) or one in kept for one in choices):
                continue
            found += [one for one in choices if boot.kernel.module(one)][:1]
        return tuple(found)

    def asking(self, text: str, drivers: tuple[str, ...]) -> str:
        """`text` of the drop-in, with `drivers` named in it as its tool wants it; those named already are left out."""
        from migprep.facts.configured import with_drivers

        return with_drivers(self.drop_in, text, tuple(one for one in drivers if one not in self.configured))


def probe(facts: Facts) -> Images:
    """Read the image of every kernel; one that cannot be read is Unknown by itself."""
    from migprep.facts import configured

    kernels = facts.kernels
    if isinstance(kernels, Unknown):
        raise Undetermined(kernels.reason)
    boots = tuple(_boot(facts, kernel) for kernel in kernels.kernels)
    made = [one.image.tool for one in boots if one.kernel.is_default and not isinstance(one.image, Unknown)]
    tool = configured.tool(facts.root, *made[:1])
    path, line = configured.host_only(facts.root, tool)
    return Images(
        boots,
        tool,
        path,
        line,
        configured.drivers(facts.root),
        configured.drop_in(facts.root, tool),
        _loaded(facts.root),
        _absent(facts.root) if tool == "dracut" else (),
        configured.placed(facts.root) if tool == "dracut" else (),
        _room(facts.root, boots),
        configured.hooked(facts.root),
    )


def _absent(root: Root) -> tuple[DracutModule, ...]:
    from migprep.facts import configured, guarded

    return guarded(lambda: configured.absent_modules(root), "dracut's modules")  # type: ignore[return-value]


def _room(root: Root, boots: tuple[Boot, ...]) -> Room:
    from migprep.facts import observed

    found = [root.stat(one.path) for one in boots if one.path and not one.is_unified]
    try:
        told = observed.observed(root, "room")
        return Room(int(told["bytes"]), int(told["files"]), max((one.size for one in found if one), default=0))
    except MigprepError as error:
        return Unknown(str(error))  # type: ignore[return-value]


def _loaded(root: Root) -> tuple[str, ...]:
    """Drivers that run now: /sys/module holds built-in ones with parameters too, which does no harm here."""
    text = files.text(root, "/proc/modules", 1 << 20)
    # virtio_blk 20480 2 - Live 0x0000000000000000
    return tuple(line.split(" ", 1)[0] for line in text.split("\n") if line) if text else ()


def _boot(facts: Facts, kernel: Kernel) -> Boot:
    from migprep.facts import guarded

    try:
        path = image_path(facts, kernel)
    except MigprepError as error:
        return Boot(kernel, f"/boot (the initramfs of {kernel.version})", Unknown(str(error)))
    if not path:
        return Boot(kernel, "", Unknown(f"kernel {kernel.version} has no initramfs"), _is_alone(facts.root, kernel))

    damage = ""

    def look() -> Image:
        nonlocal damage
        try:
            return image(facts, path)
        except Damaged as error:
            damage = str(error)
            raise

    found = guarded(look, path, SECONDS)
    return Boot(kernel, path, found, damage=damage)


# CONFIG_INITRAMFS_SOURCE="/usr/src/initramfs"
def _is_alone(root: Root, kernel: Kernel) -> bool:
    """Whether no initramfs was built into the kernel, as its configuration tells."""
    for path in (f"/boot/config-{kernel.version}", f"{kernel.folder}/config", f"{kernel.folder}/build/.config"):
        text = files.text(root, path, 1 << 20)
        if text:
            return not re.search(r"(?m)^CONFIG_INITRAMFS_SOURCE=\"[^\"]", text)
    return Unknown(f"no /boot/config-{kernel.version} tells what is built into that kernel")  # type: ignore[return-value]


def image_path(facts: Facts, kernel: Kernel) -> str:
    """The image a kernel starts with: what the boot menu says, else by its name; "" for none. Raises Unreadable."""
    from migprep.facts.bootloader import is_there, located

    root = facts.root
    loader = facts.bootloader
    if not isinstance(loader, Unknown):
        starting = [one for one in loader.entries if starts(root, one, kernel)]
        for one in sorted(starting, key=lambda one: not one.is_default):
            found = located(root, one.entry.initrd, one.path) if one.entry.initrd else ""
            if found and "ucode" not in found:
                return found
        if starting and all(_has_no_initrd(root, one, loader.kind) for one in starting):
            return ""
    root.names("/boot")  # raises where it may not be read
    for end in called(root, kernel.folder, kernel.version):
        for name in IMAGES:
            if is_there(root, f"/boot/{name.format(end)}"):
                return f"/boot/{name.format(end)}"
    return _unified(root, kernel.version)


def _has_no_initrd(root: Root, one: MenuEntry, kind: str) -> bool:
    """Whether an entry loads none; in GRUB's script, in whatever words: nothing before its end speaks of one."""
    if one.entry.initrd or kind != "grub" or one.path.endswith(".conf"):
        return not (one.entry.initrd or one.entry.kernel.lower().endswith(".efi"))
    text = files.text(root, one.path) or ""
    end = re.search(r"(?m)^\s*\}", text[one.entry.end :])
    return end is not None and "initrd" not in text[one.entry.end : one.entry.end + end.start()]


def _unified(root: Root, version: str) -> str:
    """A unified kernel image of this version, where kernel-install(8) puts it; "" for none."""
    from migprep.facts.unified import version_of

    for folder in ("/boot/efi/EFI/Linux", "/boot/EFI/Linux", "/efi/EFI/Linux"):
        for name in root.names(folder):
            if name.lower().endswith(".efi") and version_of(name) == version:
                return f"{folder}/{name}"
    return ""


def image(facts: Facts, path: str) -> Image:
    """What is inside, from its listing, from the cache, or by reading it. Raises Undetermined."""
    listing = _given(facts, path)
    if listing is not None:
        return parse(path, listing)
    where = files.real(facts.root, path)
    identity = _identity(facts.root, path)
    kept = facts.cache.get(f"image {where}", identity) if facts.cache else None
    if isinstance(kept, dict) and "lvm" in kept:  # else an older migprep kept it
        modules, versions, waits = frozenset(kept["modules"]), tuple(kept["versions"]), tuple(kept["waits"])
        told = Image(path, kept["tool"], kept["compression"], modules, kept["texts"], versions, waits, kept["splash"])
        return told._replace(lvm=kept["lvm"])
    found, _ = scan(facts, path)
    if facts.cache:
        value = {
            "tool": found.tool,
            "compression": found.compression,
            "modules": sorted(found.modules),
            "texts": found.texts,
            "versions": found.versions,
            "waits": found.waits,
            "splash": found.has_splash,
            "lvm": found.lvm,
        }
        facts.cache.put(f"image {where}", identity, value)
    return found


def _identity(root: Root, path: str) -> list[int]:
    found = root.stat(path)
    if found is None:
        raise Undetermined(f"no {path}")
    return [found.inode, found.size, found.mtime, found.device]


# # tool: initramfs-tools
# # compression: zstd
# usr/lib/modules/6.1.0-18-amd64/kernel/drivers/block/virtio_blk.ko
def parse(path: str, listing: str) -> Image:
    """An image from the text that stands for it in a capture."""
    lines = [line for line in listing.split("\n") if line]
    head = {
        key: value.strip()
        for key, colon, value in (line[2:].partition(":") for line in lines if line[:1] == "#")
        if colon
    }
    paths = [line for line in lines if not line.startswith("#")]
    tool = head.get("tool") or tool_of(frozenset(paths))
    found = _made(path, tool, head.get("compression", ""), _texts(lines), paths)
    return found._replace(is_foreseen=True, waits=()) if "foreseen" in head else found


def _made(path: str, tool: str, compression: str, texts: dict[str, str], names: list[str]) -> Image:
    splash = any(name.endswith("bin/plymouthd") for name in names)
    made = Image(path, tool, compression, modules_of(names), texts, versions_of(names), waits_of(names), splash)
    return made._replace(lvm=lvm_of(tool, names))


def lvm_of(tool: str, names: list[str]) -> str:
    """Which volumes of LVM an image of that tool opens: EVERY, TOLD, or ""."""
    if tool == "initramfs-tools" and any(name.endswith(EVENT_RULE) for name in names):
        return EVERY
    return TOLD if tool == "dracut" and any(name.endswith(LVM_SCAN) for name in names) else ""


# # in etc/modprobe.d/x.conf: blacklist virtio_blk
def _texts(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, colon, text = line[5:].partition(": ")
        if line.startswith("# in ") and colon:
            found[name] = f"{found.get(name, '')}{text}\n"
    return found


def _told(texts: dict[str, str]) -> list[str]:
    """The lines of a listing that keep the configuration inside, without its secrets."""
    from migprep.redact import redacted

    found = []
    for name, text in sorted(texts.items()):
        plain = redacted(f"/{name}", text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
        found += [f"# in {name}: {line}" for line in plain.split("\n") if line]
    return found


def listing(facts: Facts, path: str) -> str:
    """The text that stands for an image in a capture. Raises Undetermined."""
    given = _given(facts, path)
    if given is not None:
        return given
    found, names = scan(facts, path)
    head = [f"# tool: {found.tool}", f"# compression: {found.compression}", *_told(found.texts)]
    return "\n".join([*head, *names, ""])


# # damaged: /boot/initrd.img-6.1.0-18-amd64: the zstd stream ends too early
def _given(facts: Facts, path: str) -> str | None:
    """The text that stands for an image in this capture, None where there is none. Raises Damaged where it says so."""
    given = files.text(facts.root, f"{LISTINGS}{path}", 64 << 20)
    if given and given.startswith(DAMAGED):
        raise Damaged(given[len(DAMAGED) :].strip())
    return given


def listings(facts: Facts) -> dict[str, bytes]:
    """Path and content of the listing of every image that can be read or is damaged, for a capture."""
    images = facts.initramfs
    found: dict[str, bytes] = {}
    if isinstance(images, Unknown):
        return found
    for boot in images.boots:
        if boot.damage:
            found[f"{LISTINGS}{boot.path}"] = f"{DAMAGED}{boot.damage}\n".encode("utf-8", "surrogateescape")
        elif boot.path and not isinstance(boot.image, Unknown):
            found[f"{LISTINGS}{boot.path}"] = listing(facts, boot.path).encode("utf-8", "surrogateescape")
    return found


def paths(facts: Facts, path: str) -> tuple[str, ...]:
    """Every path inside an image, in order. Raises Undetermined."""
    return tuple(line for line in listing(facts, path).split("\n") if line and not line.startswith("#"))


def scan(facts: Facts, path: str) -> tuple[Image, tuple[str, ...]]:
    """Read an image from its first byte to its last. Raises Undetermined when it is damaged or cannot be expanded."""
    from migprep import cpio
    from migprep.compression import Broken

    def wanted(name: str) -> bool:
        return KEPT.match(name) is not None

    names, texts = [], {}
    with facts.root.open(path) as raw:
        archive = cpio.Archive(_seek_archive(raw), wanted)
        try:
            for entry in archive:
                names.append(entry.path)
                if entry.content is not None:
                    texts[entry.path] = _spoken(entry.content.decode("utf-8", "surrogateescape"))
        except Broken as error:
            raise Damaged(f"{path}: {error}") from None
        except Undetermined as error:
            raise Undetermined(f"{path}: {error}") from None
    compression = archive.compressions[-1] if archive.compressions else ""
    return _made(path, tool_of(frozenset(names)), compression, texts, names), tuple(names)


def _spoken(text: str) -> str:
    """A configuration without its comments and empty lines: of lvm.conf's hundred kilobytes, what is set."""
    lines = (line.rstrip() for line in text.split("\n"))
    return "".join(f"{line}\n" for line in lines if line and not line.lstrip().startswith("#"))


def _seek_archive(raw: BinaryIO) -> Raw:
    """Go to where the image begins: in a unified kernel image, its section .initrd (uapi-group.org, UKI)."""
    from migprep.formats import pe

    head = raw.read(4096)
    raw.seek(0)
    if head[:2] != b"MZ":
        return raw
    place = pe.sections(head).get(b".initrd")
    if place is None:
        raise Undetermined("a unified kernel image without an initramfs")
    raw.seek(place[0])
    return _Part(raw, place[1])


class _Part:
    """The next `size` bytes of a file, as a file."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw, self._left = raw, size

    def read(self, size: int) -> bytes:
        data = self._raw.read(min(size, self._left))
        self._left -= len(data)
        return data

    def seek(self, offset: int, whence: int) -> int:
        offset = min(offset, self._left)
        self._left -= offset
        return self._raw.seek(offset, whence)


def tool_of(names: frozenset[str]) -> str:
    """The tool that made an image with these files; "" when none is known to."""
    return next(
        (tool for tool, marks in MARKS if any(mark in names for mark in marks)),
        "dracut" if "etc/cmdline.d" in names else "",
    )


def modules_of(names: list[str]) -> frozenset[str]:
    """Names of the kernel modules among `names`, with _ for -: virtio_blk for …/virtio-blk.ko.xz."""
    found = set()
    for name in names:
        at = name.rfind(".ko")
        if at > 0 and name[at + 3 :] in ("", ".gz", ".xz", ".zst"):
            found.add(name[name.rfind("/", 0, at) + 1 : at].replace("-", "_"))
    return frozenset(found)


def versions_of(names: list[str]) -> tuple[str, ...]:
    """The kernels for which there are modules among `names`: 6.1.0 of usr/lib/modules/6.1.0/kernel/fs/ext4/ext4.ko."""
    found = {name.partition("lib/modules/")[2].partition("/")[0] for name in names if ".ko" in name}
    return tuple(sorted(found - {""}))


# usr/lib/dracut/hooks/initqueue/finished/devexists-\\x2fdev\\x2fdisk\\x2fby-uuid\\x2f6c1d0f4e.sh
def waits_of(names: list[str]) -> tuple[str, ...]:
    """The devices without which a dracut image does not go on: /dev/disk/by-uuid/6c1d0f4e."""
    from migprep.facts.block import unescape

    found = (name.rpartition("/devexists-")[2] for name in names if "/devexists-" in name and name.endswith(".sh"))
    return tuple(sorted({unescape(name[: -len(".sh")]) for name in found}))
