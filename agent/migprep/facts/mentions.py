"""Disk devices in the text of scripts, units, settings and udev rules, and what is done to them there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from migprep.facts.block import Kind, Reference
from migprep.facts.startup import MENTIONS, TUNING, UNITS, Mention, Use

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
FOR = re.compile(r"\bfor\s+(\w+)\s+in\s([^;\n]{0,1000})")
VARIABLE = re.compile(r"\$\{?(\w+)")
#: Characters of a line that are kept as evidence, and devices of one line that are looked at.
SHOWN, PER_LINE = 200, 100
#: Characters on either side of a device that may belong to its command.
NEAR = 1000
DIRECTIVE = re.compile(r"\s*([A-Z][A-Za-z]+)\s*=")


def parse(path: str, text: str) -> Iterator[Mention]:
    """All mentions of disk devices in one file, in order."""
    variables: dict[str, list[Mention]] = {}
    found: list[Mention] = []
    for number, line in enumerate(text.split("\n"), 1):
        if len(found) > MENTIONS:
            break  # the caller tells the gap
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
    owners: dict[str, set[str]] = {name: {name} for name in variables}
    for loop in FOR.finditer(text):
        # for disk in $DISKS; do …: what is done to $disk is done to them
        for use in VARIABLE.finditer(loop.group(2)):
            if use.group(1) in variables:
                owners.setdefault(loop.group(1), set()).add(use.group(1))
    found: dict[str, str] = {}
    for use in VARIABLE.finditer(text):
        name = use.group(1)
        if name in owners and not owners[name] <= found.keys():
            start = max(text.rfind("\n", 0, use.start()) + 1, use.start() - NEAR)
            end = text.find("\n", use.end(), use.end() + NEAR)
            line = text[start : end if end >= 0 else use.end() + NEAR]
            verb, destroys = command(line[: use.start() - start], line[use.end() - start :])
            if destroys and not commented(line, use.start() - start):
                found.update(dict.fromkeys(owners[name], verb))
    return found


def in_line(path: str, number: int, line: str) -> Iterator[Mention]:
    """The mentions of one line."""
    shown = line.strip()[:SHOWN]
    for at, end, spec in islice(specs(line, path), PER_LINE):
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
                verb, destroys = command(line[max(0, at - NEAR) : at], line[end : end + NEAR])
                kind = Use.COMMENT if verb == "echo" else kind
            verb = _verb_of_file(path, verb)
        yield Mention(path, number, shown, spec, reference(spec), kind, verb, destroys, setting)


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
    if at > 4 * NEAR:
        return False  # no line that people write
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
    loop = LOOP.search(line[max(0, at - NEAR) : at])
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
TAG = re.compile(r"<[/\w][^<>]*>\s*$")
SEPARATORS = re.compile(r"\|\||&&|[;|&]|\$\(|`|\bthen\b|\bdo\b|\belse\b")


def command(before: str, after: str) -> tuple[str, bool]:
    """The command that a device between two parts of a line is given to, and whether that would overwrite it."""
    head = SEPARATORS.split(before)[-1]
    tail = SEPARATORS.split(after)[0]
    words = [word.strip("\"'()").rsplit("/", 1)[-1] for word in head.replace("=", "= ").split()]
    if head.rstrip().endswith(">") and not head.rstrip().endswith("2>") and not TAG.search(head):
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
