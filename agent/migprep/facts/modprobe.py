"""Drivers that are kept from loading: modprobe.d(5), kernel arguments, dracut."""

from __future__ import annotations

import re

from migprep import root as files
from migprep.facts.kernels import Kernel, numbers
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: In order of precedence: of two files with one name the first is read, the other not at all (modprobe.d(5)).
FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
#: Kernel arguments that name drivers not to load (modprobe(8), kernel-parameters.rst, dracut.cmdline(7)).
ARGUMENTS = ("modprobe.blacklist", "module_blacklist", "rd.driver.blacklist", "rdblacklist")
#: The functions with which drivers begin, by the names that initcall_blacklist= takes (kernel-parameters.rst): the
#: symbol at init_module of each module of Debian's kernels, and which of a target's drivers do not run without it.
FUNCTIONS = {
    "virtio_init": ("virtio_pci",), "virtio_pci_driver_init": ("virtio_pci",), "virtio_blk_init": ("virtio_blk",),
    "virtio_scsi_init": ("virtio_scsi",), "virtio_net_driver_init": ("virtio_net",), "init_scsi": ("sd_mod",),
    "init_sd": ("sd_mod",), "ata_init": ("ahci",), "ahci_pci_driver_init": ("ahci",), "nvme_core_init": ("nvme",),
    "nvme_init": ("nvme",), "hv_acpi_init": ("hv_vmbus",), "storvsc_drv_init": ("hv_storvsc",),
    "netvsc_drv_init": ("hv_netvsc",), "pvscsi_init": ("vmw_pvscsi", "pvscsi"), "vmxnet3_init_module": ("vmxnet3",),
    "xlblk_init": ("xen_blkfront",), "netif_init": ("xen_netfront",), "e1000_init_module": ("e1000", "e1000e"),
    "ena_init": ("ena",), "gvnic_driver_init": ("gve",), "gve_driver_init": ("gve",),
}  # fmt: skip
#: Since when such a function of a module is passed over, too, and not only that of a driver built in.
OF_MODULES = [(4, ""), (8, "")]
#: Commands that stand for a driver and do nothing: `install virtio_blk /bin/false`.
NOTHING = re.compile(r"(?:/usr)?(?:/s?bin/)?(?:true|false|:|/dev/null|echo|exit)\b|:$|/dev/null$")


class Line(NamedTuple):
    """One statement of a modprobe configuration; words are normalised (_ for -) where they name modules."""

    path: str
    line: int
    verb: str  # alias, blacklist, install, options, remove, softdep …
    module: str
    rest: str
    raw: str


class Denial(NamedTuple):
    """One driver that something keeps from loading, or from an initramfs."""

    module: str
    path: str
    line: int
    text: str
    early_only: bool = False  # holds in the initramfs, and no more once the root filesystem is mounted
    by_function: bool = False  # the function with which it begins is passed over, which a driver built in has, too

    @property
    def subject(self) -> str:
        """What is denied, and by which file."""
        return f"{self.module} in {self.path}"

    def holds(self, kernel: Kernel) -> bool:
        """Whether it keeps `kernel` from having the driver."""
        if kernel.has_builtin(self.module):
            return self.by_function
        is_late = not self.by_function or numbers(kernel.version) >= OF_MODULES
        return is_late and bool(kernel.module(self.module))


class Omission(NamedTuple):
    """One word of dracut's omit_drivers: an expression that the names of modules are held against."""

    path: str
    line: int
    text: str
    word: str
    is_whole: bool  # since release 058 the whole name must be meant; before, any part of the name or the file would do

    def takes(self, module: str, kernel: Kernel) -> bool:
        """Whether images are made without this module."""
        from migprep.formats import expression

        try:
            found = expression.parse(f"^({self.word})$" if self.is_whole else self.word)
        except ValueError:
            return self.word == module
        return found.found_in(module) or not self.is_whole and found.found_in(kernel.module(module))


class Modprobe(NamedTuple):
    """What the configuration of modules says."""

    lines: tuple[Line, ...]
    denials: tuple[Denial, ...]
    omissions: tuple[Omission, ...] = ()  # but those of a driver that is asked for by just that word, which counts more

    def aliases(self, disk: tuple[str, ...], nic: tuple[str, ...]) -> tuple[Line, ...]:
        """Names of old that stand for the first card or disk, and bind it to none of the drivers of a target.

        alias eth0 pcnet32, alias scsi_hostadapter mptspi
        """
        named = re.compile(r"(?:eth\d+|scsi_hostadapter\d*)$")
        wanted = {"off", *(one for each in (*disk, *nic) for one in each.split("|"))}
        lines = (one for one in self.lines if one.verb == "alias" and named.match(one.module))
        return tuple(one for one in lines if one.rest.partition(" ")[0].replace("-", "_") not in wanted)

    def denied(self, drivers: tuple[str, ...], kernel: Kernel) -> tuple[Denial, ...]:
        """What keeps `kernel` from loading `drivers`; of alternatives ``a|b`` all must be denied."""
        return self._of(drivers, kernel, self.denials)

    def denied_later(self, drivers: tuple[str, ...], kernel: Kernel) -> tuple[Denial, ...]:
        """As `denied`, after the initramfs has done its work: what a network card needs."""
        return tuple(one for one in self.denied(drivers, kernel) if not one.early_only)

    def omitted(self, drivers: tuple[str, ...], kernel: Kernel) -> tuple[Denial, ...]:
        """What keeps `drivers` out of the next initramfs."""
        names = dict.fromkeys(name for each in drivers for name in each.split("|"))
        told = tuple(
            Denial(name, one.path, one.line, one.text)
            for name in names for one in self.omissions if one.takes(name, kernel)
        )  # fmt: skip
        return self._of(drivers, kernel, told)

    def withheld(self, drivers: tuple[str, ...], kernel: Kernel) -> bool:
        """Whether some of `drivers` stay out of it although they are asked for by name."""
        others = self._replace(omissions=tuple(one for one in self.omissions if one.word not in drivers))
        return bool(others.omitted(drivers, kernel))

    def _of(self, drivers: tuple[str, ...], kernel: Kernel, denials: tuple[Denial, ...]) -> tuple[Denial, ...]:
        by_module: dict[str, list[Denial]] = {}
        for one in denials:
            by_module.setdefault(one.module, []).append(one)
        found: list[Denial] = []
        for each in drivers:
            choices = [one for one in each.split("|") if one in by_module or kernel.has(one)]
            if choices and all(one in by_module for one in choices):
                found += [denial for one in choices for denial in by_module[one] if denial.holds(kernel)]
        return tuple(dict.fromkeys(found))


def parse(text: str, path: str) -> tuple[Line, ...]:
    """The statements of one file; a backslash at the end of a line joins the next to it."""
    found = []
    number = 0
    lines = iter(text.split("\n"))
    for raw in lines:
        number += 1
        first = number
        joined = raw.rstrip("\r")
        while joined.endswith("\\"):
            more = next(lines, None)
            if more is None:
                joined = joined[:-1]
                break
            number += 1
            joined = joined[:-1] + more.rstrip("\r")
        words = joined.split(None, 2)
        if len(words) > 1 and not words[0].startswith("#"):
            found.append(
                Line(
                    path,
                    first,
                    words[0],
                    words[1].replace("-", "_"),
                    words[2] if len(words) > 2 else "",
                    joined.strip(),
                )
            )
    return tuple(found)


def probe(facts: Facts) -> Modprobe:
    """Read every modprobe configuration, the kernel arguments and dracut's. Raises Unreadable."""
    root = facts.root
    lines: tuple[Line, ...] = ()
    for path in sources(root):
        lines += parse(files.text(root, path) or "", path)
    return Modprobe(lines, (*statements(lines), *_arguments(facts)), tuple(_omissions(root)))


def sources(root: Root) -> tuple[str, ...]:
    """The files that modprobe reads, in its order."""
    old = files.exists(root, "/etc/modprobe.conf")  # then names without .conf count too (module-init-tools)
    named: dict[str, str] = {}
    for folder in FOLDERS:
        for name in root.names(folder):
            if name.endswith(".conf") or (old and not name.startswith(".") and "." not in name):
                named.setdefault(name, f"{folder}/{name}")
    return (*(named[name] for name in sorted(named)), *(("/etc/modprobe.conf",) if old else ()))


def statements(lines: tuple[Line, ...]) -> list[Denial]:
    """Lines that keep a driver from loading: a blacklist, or a command that does nothing instead."""
    return [
        Denial(one.module, one.path, one.line, one.raw)
        for one in lines
        if one.verb == "blacklist" or (one.verb == "install" and NOTHING.match(one.rest))
    ]


def _arguments(facts: Facts) -> list[Denial]:
    """Kernel arguments of every menu entry that boots next, else of the running kernel."""
    from migprep.facts.arguments import following

    found = []
    for one in following(facts):
        names = [name for name in one.word.value.split(",") if name]
        if one.word.key == "initcall_blacklist":
            names = [driver for name in names for driver in FUNCTIONS.get(name, ())]
            found += [Denial(name, one.path, one.word.line, one.text, by_function=True) for name in names]
        elif one.word.key in ARGUMENTS or one.word.key == "blacklist" and _is_initramfs_tools(facts.root):
            early = one.word.key.startswith(("rd", "blacklist"))
            named = (name.replace("-", "_") for name in names)
            found += [Denial(name, one.path, one.word.line, one.text, early_only=early) for name in named]
    return found


def _is_initramfs_tools(root: Root) -> bool:
    """Whether the init of the initramfs is the one that reads blacklist= (initramfs-tools(7))."""
    from migprep.facts.configured import tool

    return tool(root) == "initramfs-tools"


# omit_drivers+=" virtio_blk i2o_scsi "   add_drivers+=" virtio_blk "
GIVEN = re.compile(r"^[ \t]*(omit|add|force)_drivers\+?=[\"']?([^\"'\n]*)", re.MULTILINE)
#: What dracut itself says where the whole name must be meant, which distributions have taken over into older releases.
WHOLE = '"^$d$|"'


def _omissions(root: Root) -> list[Omission]:
    from migprep.facts.configured import _dracut

    found, asked = [], set()
    for path in _dracut(root):
        text = files.text(root, path) or ""
        for given in GIVEN.finditer(text):
            line = text.count("\n", 0, given.start()) + 1
            words = [one if re.search(r"[^\w-]", one) else one.replace("-", "_") for one in given.group(2).split()]
            if given.group(1) == "omit":
                found += [Omission(path, line, given.group().strip(), word, is_whole=False) for word in words]
            else:
                asked.update(words)
    found = [one for one in found if one.word not in asked]
    return [one._replace(is_whole=True) for one in found] if found and _means_whole(root) else found


def _means_whole(root: Root) -> bool:
    program = next((path for path in ("/usr/bin/dracut", "/sbin/dracut") if files.exists(root, path)), "")
    return bool(program) and WHOLE in (files.text(root, program) or "")
