"""What runs at boot or by the clock and names a disk device in its text: scripts, units, cron, settings, udev rules."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from migprep import root
from migprep.facts.block import Kind, Reference
from migprep.facts.configuration import unit_of
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Bytes that a start-up file may have before it is told as a gap; real ones have a few kilobytes.
SIZE = 2 << 20
#: Files that are looked at in all, and mentions that are kept.
FILES = 2000
MENTIONS = 1000

#: Entries of /etc that are read; of a folder its files, not those in folders below it, unless DEEP has it too.
_ENTRIES = (
    # what runs at boot or by the clock
    "rc.local rc.conf boot.local inittab crontab anacrontab init.d rc.d init sv runit s6 local.d conf.d cron.d"
    " cron.hourly cron.daily cron.weekly cron.monthly default sysconfig grub.d dracut.conf dracut.conf.d"
    " mkinitcpio.conf uswsusp.conf tmpfiles.d initramfs-tools network NetworkManager dhcp pm acpi logrotate.d"
    # the settings of programs that are told which disks there are
    " rear kernel hdparm.conf smartd.conf smartmontools kdump.conf sysfs.conf sysfs.d autofs auto.master.d"
    " mtools.conf rawdevices vdoconf.yml integritytab veritytab repart.d"
    " drbd.conf drbd.d my.cnf my.cnf.d mysql samba exports exports.d target tgt scst.conf ceph docker cloud"
    " bacula bareos amanda borgmatic fsarchiver restic monit monitrc nagios nrpe.cfg zabbix collectd collectd.conf"
    " collectd.d munin snmp telegraf netdata tuned tlp.conf laptop-mode libvirt sbd btrbk btrbk.conf snapper iscsi"
    " containerd openv"
)
ENTRIES = frozenset(_ENTRIES.split())
_DEEP = (
    "rc.d sv runit s6 initramfs-tools network NetworkManager dhcp pm mysql target cloud bacula bareos"
    " monit nagios zabbix collectd munin telegraf tuned laptop-mode libvirt rear kernel snapper"
)
DEEP = frozenset(_DEEP.split())
FOLDERS = (
    "/var/spool/cron", "/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/etc/udev/rules.d",
    "/etc/systemd/system-generators", "/usr/local/lib/systemd/system-generators", "/etc/systemd/system-sleep",
)  # fmt: skip
PLAIN = ("/etc/security/pam_mount.conf.xml",)
UNITS = ("/etc/systemd/system", "/usr/local/lib/systemd/system")
#: Read by facts of their own (kernel arguments, network), or shipped by packages and full of patterns.
OTHERS = frozenset({
    "/etc/default/grub", "/etc/default/grub.ucf-dist", "/etc/sysconfig/grub", "/etc/sysconfig/bootloader",
    "/etc/default/grub_installdevice", "/etc/kernel/cmdline",
    "/etc/initramfs-tools/conf.d/resume", "/etc/initramfs-tools/initramfs.conf",
    "/etc/grub.d/00_header", "/etc/grub.d/10_linux", "/etc/grub.d/20_linux_xen", "/etc/grub.d/30_os-prober",
    "/etc/grub.d/README", "/etc/rc.d/rc.sysinit", "/etc/init.d/README", "/etc/init.d/skeleton",
})  # fmt: skip
BACKUPS = (
    "~", ".dpkg-old", ".dpkg-dist", ".dpkg-new", ".dpkg-bak", ".rpmsave", ".rpmnew", ".rpmorig", ".bak", ".orig",
    ".old", ".save", ".swp", ".pacnew", ".pacsave", ".ucf-old", ".ucf-dist", ".YaST2save", ".disabled",
)  # fmt: skip

#: Directives of a unit that make it wait for a device, or not start without it (systemd.unit(5), systemd.mount(5)).
WAITS = frozenset({
    "What", "BindsTo", "Requires", "Requisite", "Wants", "After", "RequiresMountsFor", "WantedBy", "RequiredBy",
    "ConditionPathExists", "AssertPathExists", "ConditionPathExistsGlob", "PathExists",
})  # fmt: skip

#: Those that keep the unit from starting, and the targets without which there is no boot (bootup(7)).
HARD = frozenset({"What", "BindsTo", "Requires", "Requisite", "AssertPathExists"})
NEEDED = ("local-fs.target", "sysinit.target", "basic.target")

#: Commands and settings that tune or watch a disk and lose nothing when it is not there.
TUNING = frozenset({
    "hdparm", "smartd", "smartctl", "sdparm", "blockdev", "sysfs", "tuned", "laptop-mode", "monitoring",
})  # fmt: skip
#: A file without one of these names no disk, which saves reading it line by line.
SIGNS = (
    b"/dev/sd", b"/dev/hd", b"/dev/vd", b"/dev/xvd", b"/dev/nvme", b"/dev/mmcblk", b"/dev/pmem", b"/dev/dasd",
    b"/dev/disk/by-", b"/dev/cciss/", b"/dev/ida/", b"/dev/rd/", b"/dev/ataraid/", b"/dev/i2o/", b"dev-", b"KERNEL",
    b"block/",
)  # fmt: skip

#: Where programs live that no distribution compiled; those of packages run wherever the system itself does.
CALLED = (b"/usr/local/", b"/opt/", b"/srv/", b"/root/", b"/home/")
#: Folders below a folder of DEEP that are read too.
DEPTH = 2


class Use(Enum):
    """What a text that looks like a device is in its place."""

    LITERAL = "literal"
    COMMENT = "comment"
    PATTERN = "pattern"
    ASSIGNMENT = "assignment"


class Mention(NamedTuple):
    """One place that names a device. `verb` is the command it is given to, or "other"."""

    path: str
    line: int
    text: str
    spec: str
    device: Reference
    kind: Use | Unknown
    verb: str = "other"
    destroys: bool = False
    setting: str = ""  # the directive of a unit, or the variable that it is assigned to
    is_present: bool = True  # False where this machine is known to have no such device
    is_needed: bool = False  # in a unit that the boot requires
    origin: str | Unknown = "local"  # packaged: as its package brought it; changed: edited since; local: of no package

    @property
    def subject(self) -> str:
        """Stable while lines move: the file and the device."""
        return f"{self.path}: {self.spec}"

    @property
    def is_used(self) -> bool:
        """Whether something acts on exactly this device: no comment, no pattern."""
        if isinstance(self.kind, Unknown):
            raise Undetermined(self.kind.reason)
        return self.kind in (Use.LITERAL, Use.ASSIGNMENT)

    @property
    def is_own(self) -> bool:
        """Whether somebody of this machine wrote it, or may have: a package's own file runs on any hardware."""
        return self.is_used and (isinstance(self.origin, Unknown) or self.origin != "packaged")

    @property
    def is_packaged(self) -> bool:
        """Whether it stands in a file that is as its package brought it. Raises Undetermined."""
        return self.is_used and self.is_present and self.origin == "packaged"

    @property
    def is_destructive(self) -> bool:
        """Whether the command would overwrite whatever bears that name."""
        return self.is_own and self.destroys

    @property
    def is_wait(self) -> bool:
        """Whether a unit waits for the device or will not start without it."""
        return self.is_own and self.is_present and self.setting in WAITS

    @property
    def stops_boot(self) -> bool:
        """Whether the boot requires the unit that will not start without the device."""
        return self.is_wait and self.is_needed and self.setting in HARD

    @property
    def is_tuning(self) -> bool:
        """Whether it only tunes or watches a physical disk (hdparm, smartd), which a virtual disk does not need."""
        return self.is_own and self.is_present and not self.destroys and self.verb in TUNING

    @property
    def is_plain(self) -> bool:
        """Whether it is used in any other way."""
        return self.is_own and self.is_present and not (self.destroys or self.is_wait or self.is_tuning)

    def goes_wrong_on(self, prefix: str) -> bool:
        """Whether the name means nothing, or may mean another disk, where disks are called `prefix`."""
        return self.device.breaks_on(prefix) or self.device.may_shift_on(prefix)

    @property
    def stable(self) -> str:
        """The link under /dev/disk that is written on the device itself, or "" when there is none."""
        key, _, value = self.device.candidate.partition("=")
        folder = {"UUID": "by-uuid", "PARTUUID": "by-partuuid"}.get(key, "")
        return f"/dev/disk/{folder}/{value}" if folder and value else ""

    @property
    def expected(self) -> str:
        """What should stand there instead."""
        return self.stable or self.device.candidate or "a name under /dev/disk/by-uuid or /dev/disk/by-label"

    @property
    def replaceable(self) -> bool:
        """Whether one word of a mount unit can be replaced: What= of a .mount file, by a name that lasts."""
        return self.setting == "What" and self.path.endswith((".mount", ".conf")) and bool(self.stable)

    @property
    def is_mounted(self) -> bool:
        """Whether a command that takes any name of a device, and nothing else, is given this one."""
        return self.kind is Use.LITERAL and self.verb in ("mount", "swapon") and bool(self.stable)

    def mended(self, line: str) -> str:
        """The line with the lasting name in place of this one; /dev/sda1 is not /dev/sda10."""
        import re

        return re.sub(rf"(?<![\w./]){re.escape(self.spec)}(?![\w/-])", lambda _: self.stable, line)


class Program(NamedTuple):
    """An x86-64 program that a start-up file calls; `level` is the x86-64 level that its code needs (1 to 4)."""

    path: str
    named_in: str
    line: int
    level: int
    evidence: str

    @property
    def level_name(self) -> str:
        """x86-64-v3."""
        return f"x86-64-v{self.level}"


class Mapped(NamedTuple):
    """A file with code for some processors only that a running program uses; or programs that could not be asked."""

    path: str
    program: str
    needed: int | Unknown
    evidence: str = ""

    @property
    def level(self) -> int:
        """The x86-64 level that it needs, 2 to 4. Raises Undetermined."""
        if isinstance(self.needed, Unknown):
            raise Undetermined(self.needed.reason)
        return self.needed

    @property
    def level_name(self) -> str:
        """x86-64-v3."""
        return f"x86-64-v{self.level}"

    @property
    def is_chosen(self) -> bool:
        """Whether the loader chose it for this processor, and will choose another at the next start elsewhere."""
        return "/glibc-hwcaps/" in self.path


class Startup(NamedTuple):
    """Every mention in every file that was read; a file that could not be read is a mention of unknown kind."""

    mentions: tuple[Mention, ...]
    files: int
    programs: tuple[Program, ...] = ()


class Scan(NamedTuple):
    """What the whole disk says beyond what starts by itself; nothing unless it was asked for."""

    asked: bool = False
    files: int = 0
    mentions: tuple[Mention, ...] = ()
    programs: tuple[Program, ...] = ()
    running: tuple[Mapped, ...] = ()


class Call(NamedTuple):
    """A path that a start-up file names and that may be a program of the machine's own."""

    path: str
    named_in: str
    line: int


class Notes(NamedTuple):
    """What has been read, and what that calls: grows while files are read."""

    seen: set[tuple[int, int]]
    calls: list[Call]
    own: list[Program]


def probe(facts: Facts) -> Startup:
    """Read the start-up files and the scripts they call. Raises Undetermined in a root without /etc."""
    if not facts.root.names("/etc"):
        raise Undetermined("no /etc: what starts at boot cannot be told")
    found: list[Mention] = []
    notes = Notes(set(), [], [])
    number = 0
    for number, path in enumerate(paths(facts.root), 1):
        if isinstance(path, Mention):
            found.append(path)
        elif number > FILES or len(found) > MENTIONS:
            found.append(gap("/etc", f"more than {FILES} start-up files or {MENTIONS} device names"))
            break
        else:
            found += _mentions(facts, path, notes)
    for call in notes.calls:  # grows while it is walked: scripts call scripts
        number += 1
        if number > FILES or len(found) > MENTIONS:
            found.append(gap(call.path, f"more than {FILES} start-up files or {MENTIONS} device names"))
            break
        found += _followed(facts, call, notes)
    return Startup(ranked(facts.root, _needed(facts.root, found)), number, tuple(notes.own))


def _needed(place: Root, found: list[Mention]) -> list[Mention]:
    """The mentions, those marked that stand in a unit which the boot requires, or in its drop-ins."""
    if not any(one.setting in HARD and one.path.startswith(UNITS) for one in found):
        return found
    names = {*NEEDED, *(name for one in NEEDED for folder in UNITS for name in place.names(f"{folder}/{one}.requires"))}
    return [one._replace(is_needed=one.path.startswith(UNITS) and unit_of(one.path) in names) for one in found]


def ranked(place: Root, found: list[Mention]) -> tuple[Mention, ...]:
    """The mentions with where their files come from, which is looked up only for what matters."""
    used = {one.path for one in found if not isinstance(one.kind, Unknown) and one.is_used}
    if not used:
        return tuple(found)
    from migprep.facts import packaged

    origins = packaged.origins(place, used)
    return tuple(one._replace(origin=origins.get(one.path, "local")) for one in found)


def _followed(facts: Facts, call: Call, notes: Notes) -> Iterator[Mention]:
    """What a called file says if it is a script; a program goes to `own`, anything else is data and left alone."""
    from migprep.facts import programs

    try:
        stat = facts.root.stat(call.path)
        if stat is None or stat.kind != "file" or (stat.device, stat.inode) in notes.seen:
            return
        notes.seen.add((stat.device, stat.inode))
        code = programs.head(facts.root, call.path)
        if code[:2] == b"#!":
            yield from _parsed(facts, call.path, root.read(facts.root, call.path, SIZE) or b"", notes)
        elif code[:4] == b"\x7fELF":
            notes.own.append(Program(call.path, call.named_in, call.line, *programs.needed(code)))
    except MigprepError as error:
        yield gap(call.path, str(error))


def gap(path: str, reason: str) -> Mention:
    """What stands for a file or folder that could not be read, so that no rule passes over it."""
    return Mention(path, 0, "", "", Reference("", Kind.OTHER), Unknown(reason))


def paths(place: Root) -> Iterator[str | Mention]:
    """The files worth looking at, or gaps, in a fixed order; folders among them are to be left out."""
    yield from PLAIN
    yield from _zram(place)
    for name in place.names("/etc"):
        path = f"/etc/{name}"
        if name.startswith("auto.") and not name.endswith(BACKUPS):
            yield path
        elif name in ENTRIES:
            yield from _below(place, path, DEPTH if name in DEEP else 0) if root.is_dir(place, path) else (path,)
    for folder in FOLDERS:
        yield from _below(place, folder)
    for folder in UNITS:
        for path in _below(place, folder):  # type: ignore[assignment]
            yield path
            # name.service.d/ holds drop-ins; name.target.wants/ links to units that start at boot
            if isinstance(path, str) and path.endswith((".d", ".wants", ".requires")):
                yield from _below(place, path)


def _zram(place: Root) -> Iterator[str | Mention]:
    """Where zram is told on which disk to put what does not compress (zram-generator.conf(5))."""
    try:
        names = place.names("/etc/systemd")
    except root.Unreadable:  # a capture that was made without this question
        return
    for name in names:
        path = f"/etc/systemd/{name}"
        if name == "zram-generator.conf":
            yield path
        elif name == "zram-generator.conf.d":
            yield from _below(place, path)


def _below(place: Root, folder: str, depth: int = 0) -> Iterator[str | Mention]:
    try:
        names = place.names(folder)
    except MigprepError as error:
        yield gap(folder, str(error))
        return
    for name in names:
        path = f"{folder}/{name}"
        if not name.endswith(BACKUPS) and name[0] not in ".#" and path not in OTHERS:
            if depth and root.is_dir(place, path) and place.link(path) is None:
                yield from _below(place, path, depth - 1)
            else:
                yield path


def _mentions(facts: Facts, path: str, notes: Notes) -> Iterator[Mention]:
    place = facts.root
    try:
        if path.startswith(UNITS):
            # A link enables or aliases a unit, which is read in its own place if that is one of UNITS.
            target = place.link(path)
            path = path if target is None else target if target[:1] == "/" else root.real(place, path)
            if target is not None and path.startswith(UNITS):
                return
        stat = place.stat(path)
        if stat is None or stat.kind == "dir" or (stat.device, stat.inode) in notes.seen:
            return
        notes.seen.add((stat.device, stat.inode))
        if stat.kind != "file" and root.real(place, path) == "/dev/null":
            return  # a link that switches the file off
        if stat.size > SIZE and is_binary(place, path):
            return
        content = root.read(place, path, SIZE) or b""
    except MigprepError as error:
        yield gap(path, str(error))
        return
    yield from _parsed(facts, path, content, notes)


def _parsed(facts: Facts, path: str, content: bytes, notes: Notes) -> Iterator[Mention]:
    """The mentions in a text; the paths it names are added to the calls."""
    if b"\0" in content:
        return
    if any(sign in content for sign in CALLED):
        from migprep.facts import programs

        text = content.decode("utf-8", "surrogateescape")
        notes.calls.extend(Call(called, path, line) for line, called in programs.called(text))
    if any(sign in content for sign in SIGNS):
        yield from told(facts, path, content)


def told(facts: Facts, path: str, content: bytes) -> Iterator[Mention]:
    """The mentions of one text, each with the devices that it means now."""
    from migprep.facts import mentions

    for number, mention in enumerate(mentions.parse(path, content.decode("utf-8", "surrogateescape"))):
        if number == MENTIONS:
            yield gap(path, f"{path} names more than {MENTIONS} devices")
            return
        yield resolved(facts, mention)


def is_binary(place: Root, path: str) -> bool:
    """Whether the first kilobytes of a file hold a zero byte, which no text does."""
    with place.open(path) as stream:
        return b"\0" in stream.read(4096)


def resolved(facts: Facts, mention: Mention) -> Mention:
    """The mention with the devices that its name means now, as far as that is known."""
    block = facts.block
    if isinstance(block, Unknown):
        return mention
    device = block.reference(mention.spec)
    return mention._replace(device=device, is_present=bool(device.devices))
