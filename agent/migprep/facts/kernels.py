"""Installed kernels: which drivers each one has, and which one boots next."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.facts.bootloader import MenuEntry

#: Where kernels keep their modules; one is often a link to the other.
FOLDERS = ("/lib/modules", "/usr/lib/modules")
#: Where NixOS has those of the system that is current, and of the one that was booted.
NIXOS = ("/run/current-system/kernel-modules/lib/modules", "/run/booted-system/kernel-modules/lib/modules")
#: What Red Hat's kernel packages read when they are updated; SUSE has other settings in a file of this name.
UPDATES = "/etc/sysconfig/kernel"
#: Bytes that modules.dep or modules.builtin may have; the largest seen is 900 kB.
LIMIT = 16 << 20
#: How a kernel's file begins (kernel-install(8), Debian's and SUSE's packages for other architectures).
IMAGES = ("vmlinuz-", "vmlinux-", "Image-", "bzImage-", "image-", "kernel-")
#: Options by which old kernels, without modules.builtin, tell that a driver is built in (drivers/*/Kconfig).
OPTIONS = {
    "virtio_pci": "VIRTIO_PCI", "virtio_blk": "VIRTIO_BLK", "virtio_net": "VIRTIO_NET", "virtio_scsi": "SCSI_VIRTIO",
    "sd_mod": "BLK_DEV_SD", "ahci": "SATA_AHCI", "nvme": "BLK_DEV_NVME", "xen_blkfront": "XEN_BLKDEV_FRONTEND",
    "xen_netfront": "XEN_NETDEV_FRONTEND", "xen_vbd": "XEN_BLKDEV_FRONTEND", "xen_vnif": "XEN_NETDEV_FRONTEND",
    "vmw_pvscsi": "VMWARE_PVSCSI", "pvscsi": "VMWARE_PVSCSI", "vmxnet3": "VMXNET3", "e1000": "E1000",
    "e1000e": "E1000E", "ena": "ENA_ETHERNET", "hv_vmbus": "HYPERV", "hv_storvsc": "HYPERV_STORAGE",
    "hv_netvsc": "HYPERV_NET", "gve": "GVE", "mptspi": "FUSION_SPI",
    "ext2": "EXT2_FS", "ext3": "EXT3_FS", "ext4": "EXT4_FS", "xfs": "XFS_FS", "btrfs": "BTRFS_FS", "f2fs": "F2FS_FS",
    "jfs": "JFS_FS", "reiserfs": "REISERFS_FS", "bcachefs": "BCACHEFS_FS", "dm_mod": "BLK_DEV_DM",
    "dm_crypt": "DM_CRYPT", "raid0": "MD_RAID0", "raid1": "MD_RAID1", "raid10": "MD_RAID10", "raid456": "MD_RAID456",
    "raid5": "MD_RAID5", "raid6": "MD_RAID6", "linear": "MD_LINEAR",
}  # fmt: skip


class Kernel(NamedTuple):
    """One installed kernel. `modules` is the text of modules.dep(5), `builtin` of modules.builtin."""

    version: str
    folder: str
    image: str  # /boot/vmlinuz-6.1.0-18-amd64; "" when it lies elsewhere
    modules: str | Unknown
    builtin: str | Unknown
    config: str | Unknown
    is_default: bool
    is_running: bool
    is_xen_only: bool = False  # or an Unknown: made for a paravirtual Xen host, runs nowhere else

    def module(self, name: str) -> str:
        """The file of a module, relative to `folder`; "" when the kernel has none of that name."""
        return _entry(self.modules, name, ":")

    def has_builtin(self, name: str) -> bool:
        """Whether the driver is part of the kernel itself."""
        if not isinstance(self.builtin, Unknown):
            return bool(_entry(self.builtin, name, "\n"))
        if name in OPTIONS and not isinstance(self.config, Unknown):
            return f"\nCONFIG_{OPTIONS[name]}=y\n" in f"\n{self.config}"
        if self.module(name):
            return False  # nothing is both
        raise Undetermined(self.builtin.reason)

    def has(self, name: str) -> bool:
        """Whether the kernel can drive it, as a module or by itself."""
        return bool(self.module(name)) or self.has_builtin(name)

    def lacks(self, drivers: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `drivers` (each a name or alternatives ``a|b``) that the kernel has in no form."""
        return tuple(each for each in drivers if not any(self.has(one) for one in each.split("|")))

    @property
    def shown(self) -> str:
        """Its version, and what is special about it."""
        marks = [word for word, said in (("boots next", self.is_default), ("running", self.is_running)) if said]
        return f"{self.version} ({', '.join(marks)})" if marks else self.version

    @property
    def path(self) -> str:
        """Where its modules are listed."""
        return f"{self.folder}/modules.dep"


class Kernels(NamedTuple):
    """All installed kernels, oldest first; never empty."""

    kernels: tuple[Kernel, ...]
    foreign: tuple[str, ...] = ()  # modules that run now and were not built with their kernel
    package: str = ""  # whose updates become the default (Red Hat's DEFAULTKERNEL); "" where nothing tells, or none do
    package_line: int = 0

    @property
    def is_package_xen(self) -> bool:
        """Whether updates of the kernel for paravirtual Xen hosts become the default: kernel-xen, kernel-xenU."""
        return self.package.startswith("kernel-xen")

    @property
    def running(self) -> str:
        """The version that runs; "" where none of them does."""
        return next((one.version for one in self.kernels if one.is_running), "")

    @property
    def is_untried(self) -> bool:
        """Whether one of them runs and another boots next."""
        return self.running not in ("", self.default.version)

    @property
    def default(self) -> Kernel:
        """The one that boots next, as far as the boot menu tells; else the newest."""
        return next((one for one in self.kernels if one.is_default), self.kernels[-1])

    @property
    def next(self) -> tuple[Kernel, ...]:
        """Those that boot next: the menu's default, and what was chosen for one boot."""
        return tuple(one for one in self.kernels if one.is_default) or (self.default,)

    @property
    def others(self) -> tuple[Kernel, ...]:
        """Those that boot only when somebody chooses them."""
        return tuple(one for one in self.kernels if one not in self.next)


# kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko …      (modules.dep)
# kernel/drivers/virtio/virtio_pci.ko                                        (modules.builtin)
def _entry(text: str | Unknown, name: str, end: str) -> str:
    """The path at the start of a line whose file is the module `name`, with - and _ alike; "" when there is none."""
    if isinstance(text, Unknown):
        raise Undetermined(text.reason)
    name = name.replace("-", "_")
    for spelt in dict.fromkeys((name, name.replace("_", "-"))):
        at = text.find(f"/{spelt}.ko")
        while at >= 0:
            found = _path(text, at, end)
            if found:
                return found
            at = text.find(f"/{spelt}.ko", at + 1)
    if name.count("_") > 1:
        found_mixed = re.search("/" + name.replace("_", "[-_]") + r"\.ko(?:\.gz|\.xz|\.zst)?" + end, text)
        return _path(text, found_mixed.start(), end) if found_mixed else ""
    return ""


def _path(text: str, at: int, end: str) -> str:
    start = text.rfind("\n", 0, at) + 1
    stop = text.find(end, at)
    line_end = text.find("\n", at)
    stop = len(text) if stop < 0 else stop
    path = text[start:stop]
    inside = (line_end < 0 or stop <= line_end) and " " not in path
    return path if inside and path.partition(".ko")[2] in ("", ".gz", ".xz", ".zst") else ""


def numbers(version: str) -> list[tuple[int, str]]:
    """A version as something that sorts as package managers sort it: numbers as numbers, ``~`` first."""
    return [
        (int(part), "") if part.isdigit() else (-2 if part == "~" else -1, part)
        for part in re.findall(r"\d+|[a-zA-Z]+|~", version)
    ]


def probe(facts: Facts) -> Kernels:
    """Look through the folders of modules and /boot. Raises Undetermined when there is no kernel."""
    root = facts.root
    names = _boot(root)
    running = files.value(root, "/proc/sys/kernel/osrelease")
    found: dict[str, Kernel] = {}
    tops = FOLDERS if any(map(root.names, FOLDERS)) else NIXOS
    for top in tops:
        for version in _names(root, top):
            kernel = _kernel(root, f"{top}/{version}", version, names, running)
            if kernel and version not in found:
                found[version] = kernel
    if not found:
        if isinstance(names, Unknown):
            raise Undetermined(names.reason)
        raise Undetermined("no kernel is installed: no folder below /lib/modules belongs to one")
    ordered = sorted(found.values(), key=lambda one: numbers(one.version))
    default = _default(facts, ordered)
    marked = tuple(one._replace(is_default=one.version in default) for one in ordered)
    return Kernels(marked, _foreign(root), *_package(root))


def _names(root: Root, folder: str) -> tuple[str, ...]:
    try:
        return tuple(root.names(folder))
    except files.Unreadable:
        if folder in NIXOS:  # a capture that was made without this question
            return ()
        raise


# UPDATEDEFAULT=yes
# DEFAULTKERNEL=kernel-xen
def _package(root: Root) -> tuple[str, int]:
    """The package whose new kernels are put first in the menu, and the line that says so (new-kernel-pkg(8))."""
    text = files.text(root, UPDATES) or ""
    told = {one.group(1): one for one in re.finditer(r"(?m)^(UPDATEDEFAULT|DEFAULTKERNEL)=[\"']?([\w.+-]*)", text)}
    asked = told.get("DEFAULTKERNEL")
    if not asked or "UPDATEDEFAULT" in told and told["UPDATEDEFAULT"].group(2) != "yes":
        return "", 0
    return asked.group(2), text.count("\n", 0, asked.start()) + 1


def _boot(root: Root) -> tuple[str, ...] | Unknown:
    try:
        return tuple(root.names("/boot"))
    except files.Unreadable as error:
        return Unknown(str(error))


def _kernel(root: Root, folder: str, version: str, names: tuple[str, ...] | Unknown, running: str) -> Kernel | None:
    modules = _text(root, f"{folder}/modules.dep")
    image = "" if isinstance(names, Unknown) else _image(root, folder, version, names)
    if isinstance(modules, Unknown) and not image:
        return None  # left behind by a kernel that was removed
    return Kernel(
        version, folder, image, modules, _text(root, f"{folder}/modules.builtin"),
        _config(root, folder, version), False, version == running, _is_xen_only(root, folder, version),
    )  # fmt: skip


# kernel-xen-2.6.18-398.el5   3.0.101-63-xen      CONFIG_X86_XEN=y (32 bits)   CONFIG_X86_64_XEN=y
def _is_xen_only(root: Root, folder: str, version: str) -> bool:
    """Whether it is of the XenLinux line; kernels since 2.6.24 that run on Xen too (pvops) have no such option."""
    if "xen" not in version:
        return False
    text = _text(root, f"/boot/config-{version}")
    text = _text(root, f"{folder}/config") if isinstance(text, Unknown) else text
    if isinstance(text, Unknown):
        return text  # type: ignore[return-value]
    return re.search(r"(?m)^CONFIG_X86(?:_64)?_XEN=y$", text) is not None


# nvidia 56000000 12 - Live 0x0000000000000000 (POE)
def _foreign(root: Root) -> tuple[str, ...]:
    """Modules that the kernel calls out of tree (O): by DKMS, or of another package (tainted-kernels.rst)."""
    text = files.text(root, "/proc/modules", 1 << 20) or ""
    rows = (line.split() for line in text.split("\n") if line.endswith(")"))
    return tuple(sorted(row[0] for row in rows if "O" in row[-1]))


def _image(root: Root, folder: str, version: str, names: tuple[str, ...]) -> str:
    for name in called(root, folder, version):
        for start in IMAGES:
            if f"{start}{name}" in names:
                return f"/boot/{start}{name}"
    return f"{folder}/vmlinuz" if files.exists(root, f"{folder}/vmlinuz") else ""


# 6.1.0-18-amd64     linux-lts (pkgbase, Arch)     lts of 6.6.31-0-lts (/usr/share/kernel/lts/kernel.release, Alpine)
def called(root: Root, folder: str, version: str) -> tuple[str, ...]:
    """What may follow the first dash in the names of a kernel's file and of its initramfs."""
    package, flavour = files.value(root, f"{folder}/pkgbase"), version.rpartition("-")[2]
    is_flavour = not package and files.value(root, f"/usr/share/kernel/{flavour}/kernel.release") == version
    return (version, *((package,) if package else ()), *((flavour,) if is_flavour else ()))


def _text(root: Root, path: str) -> str | Unknown:
    try:
        found = files.text(root, path, LIMIT)
    except files.Unreadable as error:
        return Unknown(str(error))
    return Unknown(f"no {path}") if found is None else found


def _config(root: Root, folder: str, version: str) -> str | Unknown:
    if files.exists(root, f"{folder}/modules.builtin"):
        return Unknown("not read: modules.builtin tells")
    found = _text(root, f"/boot/config-{version}")
    return _text(root, f"{folder}/config") if isinstance(found, Unknown) else found


def _default(facts: Facts, kernels: list[Kernel]) -> frozenset[str]:
    """The versions that the boot menu starts; the newest that has a file when the menu does not tell."""
    loader = facts.bootloader
    chosen = () if isinstance(loader, Unknown) else tuple(one for one in loader.entries if one.is_default)
    found = {next((kernel.version for kernel in kernels if starts(facts.root, one, kernel)), "") for one in chosen} - {
        ""
    }
    return frozenset(found or {next((one.version for one in reversed(kernels) if one.image), kernels[-1].version)})


def starts(root: Root, menu: MenuEntry, kernel: Kernel) -> bool:
    """Whether an entry of the boot menu starts a kernel: by its version, its file, or what the file itself tells."""
    if menu.entry.version == kernel.version:
        return True
    name = menu.entry.kernel.rpartition("/")[2]
    if not name:
        return False
    if kernel.image and (
        name == kernel.image.rpartition("/")[2]
        or files.real(root, f"/boot/{name}") == files.real(root, kernel.image)
    ):
        return True
    return menu.is_default and "rescue" in name and told_version(root, menu) == kernel.version


# vmlinuz-0-rescue-0123456789abcdef0123456789abcdef, a copy of the kernel that ran when it was made
def told_version(root: Root, menu: MenuEntry) -> str:
    """The version that a kernel's file has in its set-up code; "" where it cannot be read (a capture has none)."""
    from migprep.facts import unified
    from migprep.facts.bootloader import located

    place = located(root, menu.entry.kernel, menu.path)
    if not place:
        return ""
    try:
        with root.open(place) as raw:
            return unified.version_in(raw.read(unified.SETUP))
    except files.Unreadable:
        return ""
