"""What runs at boot or by the clock and names a disk device in its text: scripts, units, cron, settings, udev rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from migprep import root
from migprep.facts.block import Kind, Reference
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Bytes of one file that are looked at: start-up files are small, what is larger is data.
SIZE = 256 << 10
#: Files that are looked at in all, and mentions that are kept.
FILES = 2000
MENTIONS = 1000

#: Folders whose files are read, not those below them.
FOLDERS = (
    "/etc/init.d", "/etc/rc.d", "/etc/rc.d/init.d", "/etc/init", "/etc/local.d", "/etc/conf.d",
    "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly",
    "/var/spool/cron", "/var/spool/cron/crontabs", "/var/spool/cron/tabs",
    "/etc/default", "/etc/sysconfig", "/etc/udev/rules.d", "/etc/grub.d", "/etc/dracut.conf.d",
    "/etc/initramfs-tools/scripts/init-top", "/etc/initramfs-tools/scripts/init-premount",
    "/etc/initramfs-tools/scripts/local-top", "/etc/initramfs-tools/scripts/local-premount",
    "/etc/initramfs-tools/scripts/local-block", "/etc/initramfs-tools/scripts/local-bottom",
    "/etc/initramfs-tools/scripts/init-bottom", "/etc/network/if-up.d", "/etc/network/if-pre-up.d",
    "/etc/NetworkManager/dispatcher.d", "/etc/autofs", "/etc/auto.master.d", "/etc/tmpfiles.d",
)  # fmt: skip
PLAIN = (
    "/etc/rc.local", "/etc/rc.conf", "/etc/boot.local", "/etc/inittab", "/etc/crontab", "/etc/anacrontab",
    "/etc/hdparm.conf", "/etc/smartd.conf", "/etc/smartmontools/smartd.conf", "/etc/kdump.conf",
    "/etc/dracut.conf", "/etc/mkinitcpio.conf", "/etc/uswsusp.conf", "/etc/security/pam_mount.conf.xml",
)  # fmt: skip
UNITS = ("/etc/systemd/system", "/usr/local/lib/systemd/system")
#: Read by facts of their own (kernel arguments, network), or shipped by packages and full of patterns.
OTHERS = frozenset({
    "/etc/default/grub", "/etc/default/grub.ucf-dist", "/etc/sysconfig/grub", "/etc/sysconfig/bootloader",
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

# /dev/sda1  /dev/nvme0n1p2  /dev/cciss/c0d0p1  /dev/disk/by-id/ata-X-part1  and, as a pattern, /dev/sd[a-z] /dev/nvme*
DEVICE = re.compile(
    r"(?<![\w./}\])-])/dev/(?:disk/by-(?:path|id)/[^\s\"'`;,|&<>(){}]+"
    r"|(?:cciss|ida|rd|ataraid|i2o)/[^\s\"'`;,|&<>():]+"
    r"|(?:nvme|mmcblk|pmem)(?=[\d\[*?{$.]|$)[^\s\"'`;,|&<>():]*"
    r"|(?:hd|sd|xvd|vd|dasd)(?=[a-z\[*?{$.]|$)[^\s\"'`;,|&<>():]*)"
)
# dev-sda1.device  dev-disk-by\x2did-ata\x2dX.swap
UNIT = re.compile(
    r"(?<![\w\\-])dev-((?:hd|sd|xvd|vd|dasd)[a-z]+\d*|nvme\d+n\d+(?:p\d+)?|mmcblk\d+(?:p\d+)?|disk-by\\x2d(?:id|path)-"
    r"[^\s\"']+?)\.(?:device|swap)\b"
)
# KERNEL=="sda"  KERNELS=="sd?1"
UDEV = re.compile(r"KERNELS?==\"((?:hd|sd|xvd|vd|nvme|mmcblk|dasd)[^\"]*)\"")
NAME = re.compile(
    r"/dev/(?:(?:hd|sd|xvd|vd|dasd)[a-z]{1,2}\d*|nvme\d+n\d+(?:p\d+)?|(?:mmcblk|pmem)\d+(?:p\d+)?"
    r"|(?:cciss|ida|rd|ataraid|i2o)/[a-z0-9]+)$"
)
ASSIGNMENT = re.compile(r"\s*(?:export\s+|declare\s+-\w+\s+|readonly\s+|local\s+)?([A-Za-z_]\w*)\+?=(?:\(|\"|')?")
LOOP = re.compile(r"\bfor\s+(\w+)\s+in\s[^;]*$")
DIRECTIVE = re.compile(r"\s*([A-Z][A-Za-z]+)\s*=")


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
    def is_destructive(self) -> bool:
        """Whether the command would overwrite whatever bears that name."""
        return self.is_used and self.destroys

    @property
    def is_wait(self) -> bool:
        """Whether a unit waits for the device or will not start without it."""
        return self.is_used and self.is_present and self.setting in WAITS

    @property
    def is_tuning(self) -> bool:
        """Whether it only tunes or watches a physical disk (hdparm, smartd), which a virtual disk does not need."""
        return self.is_used and self.is_present and not self.destroys and self.verb in TUNING

    @property
    def is_plain(self) -> bool:
        """Whether it is used in any other way."""
        return self.is_used and self.is_present and not (self.destroys or self.is_wait or self.is_tuning)

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
        return re.sub(rf"(?<![\w./]){re.escape(self.spec)}(?![\w/-])", lambda _: self.stable, line)


class Startup(NamedTuple):
    """Every mention in every file that was read; a file that could not be read is a mention of unknown kind."""

    mentions: tuple[Mention, ...]
    files: int


def probe(facts: Facts) -> Startup:
    """Read the start-up files. Raises Undetermined in a root without /etc."""
    place = facts.root
    if not place.names("/etc"):
        raise Undetermined("what starts at boot: no /etc in this root")
    found: list[Mention] = []
    number = 0
    seen: set[tuple[int, int]] = set()
    for number, path in enumerate(paths(place), 1):
        if isinstance(path, Mention):
            found.append(path)
        elif number > FILES or len(found) > MENTIONS:
            found.append(gap("/etc", f"more than {FILES} start-up files or {MENTIONS} device names"))
            break
        else:
            found += _mentions(facts, path, seen)
    return Startup(tuple(found), number)


def gap(path: str, reason: str) -> Mention:
    """What stands for a file or folder that could not be read, so that no rule passes over it."""
    return Mention(path, 0, "", "", Reference("", Kind.OTHER), Unknown(reason))


def paths(place: Root) -> Iterator[str | Mention]:
    """The files worth looking at, or gaps, in a fixed order."""
    yield from PLAIN
    for name in place.names("/etc"):
        if name.startswith("auto.") and not name.endswith(BACKUPS):
            yield f"/etc/{name}"
    for folder in FOLDERS:
        yield from _folder(place, folder)
    for folder in UNITS:
        for path in _folder(place, folder):
            yield path
            if isinstance(path, str) and path.endswith(".d"):  # drop-ins: name.service.d/
                yield from _folder(place, path)


def _folder(place: Root, folder: str) -> Iterator[str | Mention]:
    try:
        names = place.names(folder)
    except MigprepError as error:
        yield gap(folder, str(error))
        return
    for name in names:
        path = f"{folder}/{name}"
        if not name.endswith(BACKUPS) and name[0] not in ".#" and path not in OTHERS:
            yield path


def _mentions(facts: Facts, path: str, seen: set[tuple[int, int]]) -> Iterator[Mention]:
    place = facts.root
    try:
        # Links among the units are what enables them; the file behind one is read in its own place.
        if path.startswith(UNITS) and place.link(path) is not None:
            return
        stat = place.stat(path)
        if stat is None or stat.kind != "file" or stat.size > SIZE or (stat.device, stat.inode) in seen:
            return
        seen.add((stat.device, stat.inode))
        content = root.read(place, path, SIZE) or b""
    except MigprepError as error:
        yield gap(path, str(error))
        return
    if (b"/dev/" in content or b"dev-" in content or b"KERNEL" in content) and b"\0" not in content:
        for mention in parse(path, content.decode("utf-8", "surrogateescape")):
            yield resolved(facts, mention)


def resolved(facts: Facts, mention: Mention) -> Mention:
    """The mention with the devices that its name means now, as far as that is known."""
    block = facts.block
    if isinstance(block, Unknown):
        return mention
    device = block.reference(mention.spec)
    return mention._replace(device=device, is_present=bool(device.devices))


def parse(path: str, text: str) -> Iterator[Mention]:
    """All mentions of disk devices in one file, in order."""
    variables: dict[str, list[Mention]] = {}
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if "/dev/" in line or "dev-" in line or "KERNEL" in line:
            for mention in in_line(path, number, line):
                found.append(mention)
                if mention.kind is Use.ASSIGNMENT:
                    variables.setdefault(mention.setting, []).append(mention)
    destroyed = _destroyed(text, variables) if variables else {}
    for mention in found:
        if mention.kind is Use.ASSIGNMENT and mention.setting in destroyed:
            yield mention._replace(destroys=True, verb=destroyed[mention.setting])
        else:
            yield mention


def _destroyed(text: str, variables: dict[str, list[Mention]]) -> dict[str, str]:
    """The variables of `variables` that a destructive command is given, and that command."""
    found: dict[str, str] = {}
    for name in variables:
        # for disk in $DISKS; do …: what is done to $disk is done to them
        names = [name, *re.findall(rf"\bfor\s+(\w+)\s+in\s[^;\n]*\$\{{?{name}\b", text)]
        for use in re.finditer(rf"\$\{{?(?:{'|'.join(names)})\b", text):
            start = text.rfind("\n", 0, use.start()) + 1
            end = text.find("\n", use.end())
            line = text[start : end if end >= 0 else len(text)]
            verb, destroys = command(line[: use.start() - start], line[use.end() - start :])
            if destroys and not commented(line, use.start() - start):
                found[name] = verb
    return found


def in_line(path: str, number: int, line: str) -> Iterator[Mention]:
    """The mentions of one line."""
    for at, end, spec in specs(line, path):
        pattern = any(sign in spec for sign in "*?[$\\^|")
        if not (pattern or "/disk/by-" in spec or NAME.match(spec)):
            continue  # /dev/sdram, /dev/vdpa-0
        kind = Use.PATTERN if pattern else Use.LITERAL
        setting, verb, destroys = "", "other", False
        if commented(line, at, path):
            kind = Use.COMMENT
        elif kind is Use.LITERAL:
            kind, setting = _setting(path, line, at)
            if kind is Use.LITERAL:
                verb, destroys = command(line[:at], line[end:])
                kind = Use.COMMENT if verb == "echo" else kind
            verb = _verb_of_file(path, verb)
        yield Mention(path, number, line.strip(), spec, reference(spec), kind, verb, destroys, setting)


def specs(line: str, path: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, spec) of everything in a line that looks like a disk device or a pattern of them."""
    for found in DEVICE.finditer(line):
        spec = found.group().rstrip(".:;!\\")
        if spec:
            yield found.start(), found.start() + len(spec), spec
    for found in UNIT.finditer(line):
        yield found.start(), found.end(), "/dev/" + unescape(found.group(1))
    if path.endswith(".rules"):
        for found in UDEV.finditer(line):
            yield found.start(), found.end(), "/dev/" + found.group(1).replace("|", "*")


def unescape(name: str) -> str:
    r"""A path from its form in a unit's name: - is /, \x2d is - (systemd-escape(1))."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found.group(1), 16)), name.replace("-", "/"))


def reference(spec: str) -> Reference:
    """The text as a reference that no device is known for yet."""
    kind = Kind.PATH if "/by-path/" in spec else Kind.ID if "/by-id/" in spec else Kind.NAME
    stable = "/by-id/dm-uuid-", "/by-id/md-uuid-", "/by-id/lvm-pv-uuid-"
    return Reference(spec, Kind.CONTENT if any(sign in spec for sign in stable) else kind)


def commented(line: str, at: int, path: str = "") -> bool:
    """Whether position `at` of a line lies behind a # that begins a comment (or a ; or // at the line's start)."""
    head = line[:at]
    start = head.lstrip()
    if start.startswith(("#", "//")) or (start.startswith(";") and path.startswith(UNITS)):
        return True
    quote = ""
    for index, sign in enumerate(head):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and (index == 0 or head[index - 1] != "\\"):
            quote = sign
        elif sign == "#" and head[index - 1] in " \t":
            return True
    return False


def _setting(path: str, line: str, at: int) -> tuple[Use, str]:
    """Whether the device stands in a variable's value or in a unit's directive, and which."""
    if path.startswith(UNITS) or path.endswith((".service", ".mount", ".swap", ".automount", ".path")):
        found = DIRECTIVE.match(line)
        return Use.LITERAL, found.group(1) if found and found.end() <= at else ""
    loop = LOOP.search(line[:at])
    if loop:
        return Use.ASSIGNMENT, loop.group(1)
    found = ASSIGNMENT.match(line)
    if not found or found.end() > at:
        return Use.LITERAL, ""
    between = line[found.end() : at]
    quoted = line[found.end() - 1] in "\"'("
    if quoted and line[found.end() - 1] not in between and ")" not in between:
        return Use.ASSIGNMENT, found.group(1)
    return (Use.LITERAL, "") if between.strip() != between or " " in between else (Use.ASSIGNMENT, found.group(1))


TUNING = frozenset({"hdparm", "smartd", "smartctl", "sdparm", "blockdev"})
SAYING = frozenset({"echo", "printf", "logger", "log", "die", "warn"})
#: Commands that write over a device; the words that must stand beside them, () for none.
DESTROYERS: dict[str, tuple[str, ...]] = {
    "mke2fs": (), "mkswap": (), "mkdosfs": (), "mkntfs": (), "mkreiserfs": (), "shred": (), "blkdiscard": (),
    "wipefs": ("-a", "--all", "-af", "-fa", "-o"), "badblocks": ("-w", "-wsv", "-wv", "-ws"), "dd": ("of=",),
    "mdadm": ("--create", "-C", "--zero-superblock"), "cryptsetup": ("luksFormat", "erase", "luksErase", "format"),
    "parted": ("mklabel", "mktable", "mkpart", "rm"), "pvcreate": (),
    "sgdisk": ("-Z", "-o", "-n", "-d", "--zap-all", "--clear", "--zap"), "zpool": ("create",),
    "vgcreate": (), "nvme": ("format",), "dcfldd": ("of=",), "pv": (), "cat": (),
}  # fmt: skip
ACTORS = frozenset({
    "mount", "swapon", "swapoff", "umount", "fsck", "e2fsck", "tune2fs", "resize2fs", "grub-install",
    "grub2-install", "losetup", "growpart", "partprobe", "sfdisk", "fdisk", "kpartx",
})  # fmt: skip
SEPARATORS = re.compile(r"\|\||&&|[;|&]|\$\(|`|\bthen\b|\bdo\b|\belse\b")


def command(before: str, after: str) -> tuple[str, bool]:
    """The command that a device between two parts of a line is given to, and whether that would overwrite it."""
    head = SEPARATORS.split(before)[-1]
    tail = SEPARATORS.split(after)[0]
    words = [word.strip("\"'()").rsplit("/", 1)[-1] for word in head.replace("=", "= ").split()]
    if head.rstrip().endswith(">") and not head.rstrip().endswith("2>"):
        return "redirection", True
    if any(word in SAYING or word in ("/bin/echo", "/usr/bin/logger", "/usr/bin/printf") for word in head.split()):
        return "echo", False
    for verb in reversed(words):
        if verb.startswith("mkfs"):
            return "mkfs", True
        if verb in DESTROYERS:
            return verb, _destroys(verb, head, tail)
        if verb in ACTORS or verb in TUNING:
            return verb, verb == "sfdisk" and not {"-d", "-l", "--dump", "--list"} & set(words)
    return "other", False


def _destroys(verb: str, head: str, tail: str) -> bool:
    needed = DESTROYERS[verb]
    if verb in ("dd", "dcfldd"):
        return head.rstrip("\"'").endswith("of=")
    if verb in ("pv", "cat"):
        return False
    return not needed or bool(set(needed) & set((head + " " + tail).replace("'", " ").replace('"', " ").split()))


def _verb_of_file(path: str, verb: str) -> str:
    """A file of one program's settings speaks for that program."""
    for name in ("hdparm", "smartd", "smartmontools"):
        if name in path:
            return "smartd" if name == "smartmontools" else name
    return verb
