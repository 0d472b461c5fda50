"""/etc/fstab: what is to be mounted, from which device, and what that text means on this machine."""

from __future__ import annotations

from migprep import root as files
from migprep.facts.block import Block, Kind, Reference, unresolved
from migprep.facts.kernels import Kernel
from migprep.facts.modprobe import Denial, Modprobe
from migprep.facts.stacks import FILESYSTEMS
from migprep.formats import columns
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.facts.mounts import Mounts

PATH = "/etc/fstab"
#: What opens devices of the device mapper at boot, each by the name in its first column (crypttab(5) and its kin).
TABLES = ("/etc/crypttab", "/etc/veritytab", "/etc/integritytab")
#: Options whose value is a device, or its unit: btrfs(5), xfs(5), ext4(5), systemd.mount(5).
OPTION_DEVICES = frozenset({"device", "logdev", "rtdev", "journal_path", "x-systemd.requires"})


#: Folders without which a machine is not up, or whose programs would go on with nothing (hier(7)).
SYSTEM = tuple(f"/{one}/" for one in ("bin", "boot", "dev", "efi", "etc", "home", "lib", "lib64", "nix", "opt", "proc",
                                      "root", "run", "sbin", "snap", "sys", "tmp", "usr", "var"))  # fmt: skip


#: Drivers of the types that a line may give a filesystem on a disk, as in stacks.FILESYSTEMS.
DRIVERS = {**FILESYSTEMS, "vfat": "vfat", "msdos": "msdos", "exfat": "exfat", "ntfs3": "ntfs3", "udf": "udf",
           "iso9660": "isofs", "nilfs2": "nilfs2"}  # fmt: skip
#: What a filesystem of one type (blkid) may be mounted as besides; a medium may be both of the last two.
ALSO = {"ext2": ("ext3", "ext4"), "ext3": ("ext2", "ext4"), "vfat": ("msdos", "fat", "umsdos"),
        "iso9660": ("udf",), "udf": ("iso9660",)}  # fmt: skip


class Entry(NamedTuple):
    """One line of fstab(5) that asks for something."""

    text: columns.Line
    spec: str
    mountpoint: str
    fstype: str
    options: tuple[str, ...]
    device: Reference
    mounted: str  # path of the device that is mounted there now, "" when none or not known
    further: tuple[Reference, ...] = ()  # devices that its options name
    path: str = PATH  # of the file: this one, or a unit's
    is_opened: bool = False  # by a table of the device mapper, at boot
    mounted_as: str = ""  # the type of what is mounted there now, "" when nothing is or that is not known

    @property
    def line(self) -> int:
        """Its line number."""
        return self.text.number

    @property
    def raw(self) -> str:
        """The line without its end."""
        return self.text.raw.strip("\r\n").lstrip(columns.BOM)

    @property
    def is_swap(self) -> bool:
        """Whether it is swap space."""
        return self.fstype == "swap"

    @property
    def is_root(self) -> bool:
        """The root filesystem: mounted by the initramfs, here only remounted."""
        return self.mountpoint == "/"

    @property
    def is_manual(self) -> bool:
        """Not mounted at boot: noauto, or only when somebody looks there."""
        return "noauto" in self.options or "x-systemd.automount" in self.options

    @property
    def is_optional(self) -> bool:
        """Boot goes on without it."""
        return "nofail" in self.options

    @property
    def is_remote(self) -> bool:
        """Waits for the network: such a mount that fails does not stop a boot (systemd.mount(5), remote-fs.target)."""
        return "_netdev" in self.options

    @property
    def is_required(self) -> bool:
        """A boot that cannot mount it ends in emergency mode."""
        if not self.mountpoint.startswith("/"):  # systemd passes over it (systemd-fstab-generator(8))
            return False
        others = self.is_root or self.is_swap or self.is_manual or self.is_optional or self.is_bind or self.is_remote
        return not others

    @property
    def holds_data(self) -> bool:
        """A boot stops without it, and could go on: nothing of the system and no usual place of a database is there.

        A service that starts on the empty folder below a missing mount may set up new data there.
        """
        return self.is_required and not f"{self.mountpoint}/".startswith(SYSTEM)

    @property
    def is_left_out(self) -> bool:
        """Its data is counted on after a boot, which goes on without it: nofail, _netdev or an automount."""
        if self.is_root or self.is_swap or self.is_bind or "noauto" in self.options:
            return False
        return self.is_optional or self.is_remote or "x-systemd.automount" in self.options

    @property
    def is_unused(self) -> bool:
        """Only mounted when somebody asks for it by hand."""
        return "noauto" in self.options and not (self.is_swap or self.is_bind)

    @property
    def is_checked(self) -> bool:
        """Whether fsck looks at the device before the mount (sixth field)."""
        passes = self.text.fields[5] if len(self.text.fields) > 5 else "0"
        return passes.lstrip("0") != "" and self.fstype not in ("xfs", "btrfs")

    @property
    def is_of_other_type(self) -> bool:
        """Whether the line says one type of filesystem, and the device has another that it cannot be mounted as."""
        types = self.fstype.split(",")
        if isinstance(self.device.devices, Unknown) or not all(one in DRIVERS for one in types):
            return False
        found = {one.fstype for one in self.device.devices}
        if len(found) != 1 or not found <= set(DRIVERS) or self.mounted_as in types:
            return False
        return not {*found, *ALSO.get(*found, ())}.intersection(types)  # type: ignore[call-overload]

    @property
    def drivers(self) -> tuple[str, ...]:
        """The kernel's driver for its filesystem, where the line or the device tells the type."""
        found = () if isinstance(self.device.devices, Unknown) else tuple(one.fstype for one in self.device.devices[:1])
        types = found if self.fstype == "auto" else (self.fstype,)
        return tuple(DRIVERS[one] for one in types if one in DRIVERS)

    def lost_further(self, prefix: str) -> str:
        """The first device that an option names, and that is gone where disks are called `prefix`; "" for none."""
        return next((one.spec for one in self.further if one.breaks_on(prefix)), "")

    def unsure_further(self, prefix: str) -> str:
        """The same for one that may be another disk there, or that is lost and only asked for later."""
        lost = "" if self.is_required or self.is_left_out else self.lost_further(prefix)
        return lost or next((one.spec for one in self.further if one.may_shift_on(prefix)), "")

    @property
    def can_be_renamed(self) -> bool:
        """Whether its stable name is known, and nothing speaks against that device being the one that is meant."""
        return bool(self.device.candidate) and not self.is_other_than_mounted

    @property
    def is_bind(self) -> bool:
        """Takes a folder, not a device."""
        return bool({"bind", "rbind"} & set(self.options))

    @property
    def subject(self) -> str:
        """What the entry is about: the mount point, or swap and its device."""
        return f"swap {self.spec}" if self.is_swap or self.mountpoint in ("none", "swap") else self.mountpoint

    @property
    def is_lost(self) -> bool:
        """Names what no device of this machine is, and what nothing opens at boot; a drive waits for its disk."""
        return self.device.is_absent and not self.device.is_drive and not self.is_opened

    @property
    def is_other_than_mounted(self) -> bool:
        """Whether another device is mounted there now than the one the entry names."""
        named = self.device.devices
        return bool(self.mounted and named and self.mounted not in {one.path for one in named})

    def with_spec(self, spec: str) -> str:
        """The whole line with another device and nothing else changed."""
        return self.text.with_field(0, columns.encode(spec))

    def with_option(self, option: str) -> str:
        """The whole line with one more mount option and nothing else changed."""
        fields = self.text.fields
        if len(fields) > 3:
            return self.text.with_field(3, f"{fields[3]},{option}")
        if len(fields) == 3:
            return self.text.with_field(2, f"{fields[2]} {option}")
        return self.text.with_field(1, f"{fields[1]} auto {option}")


class Barred(NamedTuple):
    """One mount whose driver something forbids."""

    entry: Entry
    denial: Denial

    @property
    def subject(self) -> str:
        """What is not mounted."""
        return self.entry.mountpoint


class Malformed(NamedTuple):
    """A line that libmount cannot use, and why."""

    line: int
    raw: str
    reason: str

    @property
    def subject(self) -> str:
        """Stable while lines move: its first word, and what is wrong."""
        return f"{self.raw.split()[0].lstrip(columns.BOM)} {self.reason}"


class Fstab(NamedTuple):
    """The whole file: every line, those that ask for a mount, and those that cannot be used."""

    lines: tuple[columns.Line, ...]
    entries: tuple[Entry, ...]
    malformed: tuple[Malformed, ...]
    init: str = "systemd"  # which program mounts them: System.init
    units: tuple[Entry, ...] = ()  # what the site's own mount and swap units ask for besides

    @property
    def mounts(self) -> tuple[Entry, ...]:
        """All that is mounted at boot, whoever asks for it."""
        return self.entries + self.units

    @property
    def doubled(self) -> tuple[Entry, ...]:
        """Entries of a mount point that an earlier one has too, both mounted at boot."""
        seen: set[str] = set()
        found = []
        for entry in self.entries:
            if entry.mountpoint.startswith("/") and not entry.is_swap and not entry.is_manual:
                if entry.mountpoint in seen:
                    found.append(entry)
                seen.add(entry.mountpoint)
        return tuple(found)

    def is_with_root(self, entry: Entry) -> bool:
        """Whether it is on the filesystem of the root, so that one comes with the other: subvolumes of btrfs."""
        return any(one.is_root and one.spec == entry.spec for one in self.entries)

    def render(self, items: tuple[Entry, ...]) -> str:
        """The text again, with each of `items` named by its stable candidate."""
        return self._changed({item.line: item.with_spec(item.device.candidate) for item in items})

    def with_type(self, items: tuple[Entry, ...]) -> str:
        """The text again, each of `items` with the type that its filesystem has."""
        return self._changed({item.line: item.text.with_field(2, item.device.devices[0].fstype) for item in items})

    def barred(self, modprobe: Modprobe, kernel: Kernel) -> tuple[Barred, ...]:
        """What the boot waits for or counts on, and that cannot be mounted: its driver is forbidden.

        The driver of the root is loaded by the initramfs, which goes by the configuration that it holds.
        """
        loaded = {driver for one in self.entries if one.is_root for driver in one.drivers}
        loaded |= {DRIVERS[one.mounted_as] for one in self.entries if one.is_root and one.mounted_as in DRIVERS}
        wanted = (one for one in self.mounts if one.is_required or one.is_left_out)
        later = (one for one in wanted if not loaded.issuperset(one.drivers))
        found = ((one, modprobe.denied_later(one.drivers, kernel)) for one in later)
        return tuple(Barred(one, denials[0]) for one, denials in found if denials)

    def with_option(self, items: tuple[Entry, ...], option: str) -> str:
        """The text again, with one more mount option for each of `items`."""
        return self._changed({item.line: item.with_option(option) for item in items})

    def _changed(self, changed: dict[int, str]) -> str:
        return "".join(changed.get(line.number, line.raw) for line in self.lines)


def parse(text: str, block: Block | Unknown, mounts: Mounts | Unknown) -> Fstab:
    """fstab(5): 2 fields are enough (libmount), the fifth and sixth are numbers."""
    lines = columns.parse(text)
    entries, malformed = [], []
    for line in lines:
        if not line.spans:
            continue
        reason = fault(line)
        if reason:
            malformed.append(Malformed(line.number, line.raw.strip(), reason))
        else:
            fields = [columns.decode(field) for field in line.fields]
            fstype = fields[2] if len(fields) > 2 else "auto"
            options = tuple(fields[3].split(",")) if len(fields) > 3 else ()
            entries.append(entry(line, fields[0], fields[1], fstype, options, block, mounts))
    return Fstab(lines, tuple(entries), tuple(malformed))


def fault(line: columns.Line) -> str:
    """Why libmount refuses a line; "" when it does not."""
    fields = line.fields
    if "\0" in line.raw:
        return "holds a NUL character"
    if len(fields) < 2:
        return "has no mount point"
    numbers = [field for field in fields[4:6] if not field.lstrip("-").isdigit()]
    return f"{numbers[0]!r} stands where a number must" if numbers else ""


def entry(
    line: columns.Line,
    spec: str,
    mountpoint: str,
    fstype: str,
    options: tuple[str, ...],
    block: Block | Unknown,
    mounts: Mounts | Unknown,
) -> Entry:
    """What is to be mounted, with the devices that it means now."""
    mountpoint = mountpoint.rstrip("/") or "/"
    device = _reference(spec if "=" in spec else spec.strip("\"'"), block, fstype)
    named = (option.partition("=") for option in options)
    further = tuple(_reference(_node(value), block) for key, _, value in named if key in OPTION_DEVICES)
    mounted = "" if isinstance(block, Unknown) or isinstance(mounts, Unknown) else _mounted(block, mounts, mountpoint)
    mount = None if isinstance(mounts, Unknown) else mounts.at(mountpoint)
    given = Entry(line, spec, mountpoint, fstype, options, device, mounted, further)
    return given._replace(mounted_as=mount.fstype) if mount else given


# x-systemd.requires=/dev/sdb1   x-systemd.requires=dev-sdb1.device
def _node(value: str) -> str:
    """The path that a device's unit stands for."""
    if not value.endswith(".device"):
        return value
    from migprep.facts.mentions import unescape

    return "/" + unescape(value[: -len(".device")])


def _reference(spec: str, block: Block | Unknown, fstype: str = "") -> Reference:
    return unresolved(spec, fstype, block) if isinstance(block, Unknown) else block.reference(spec, fstype)


def _mounted(block: Block, mounts: Mounts, mountpoint: str) -> str:
    mount = mounts.at(mountpoint)
    device = block.numbered(mount.number) if mount else None
    return device.path if device else ""


def probe(facts: Facts) -> Fstab:
    """Read /etc/fstab. Raises Undetermined without one."""
    text = files.text(facts.root, PATH)
    if text is None:
        raise Undetermined(f"no {PATH}")
    from migprep.facts import mount_units, system

    found, init = parse(text, facts.block, facts.mounts), system.init(facts.root)
    units = mount_units.entries(facts.root, facts.block, facts.mounts) if init == "systemd" else ()
    entries, units = (_opened(facts.root, each, facts.block) for each in (found.entries, units))
    return found._replace(entries=entries, init=init, units=units)


def _opened(root: Root, entries: tuple[Entry, ...], block: Block | Unknown) -> tuple[Entry, ...]:
    """The entries, with those marked that a table of the device mapper opens at boot, and that are closed now.

    A table's line whose own device is nowhere opens nothing.
    """
    if not any(one.device.kind is Kind.MAPPER and not one.device.devices for one in entries):
        return entries
    lines = [line for path in TABLES for line in columns.parse(files.text(root, path) or "") if len(line.spans) > 1]
    kept = [line.fields for line in lines if not _reference(columns.decode(line.fields[1]), block).is_absent]
    names = {f"/dev/mapper/{fields[0]}" for fields in kept}
    return tuple(one._replace(is_opened=one.spec in names) for one in entries)
