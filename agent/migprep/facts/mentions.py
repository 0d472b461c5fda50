"""Disk devices in the text of scripts, units, settings and udev rules, and what is done to them there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from migprep.facts.block import Kind, Reference
from migprep.facts.startup import MENTIONS, SIGNS, TUNING, UNITS, Mention, Use

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
# /sys/block/sda/queue/scheduler   and in sysfs.conf: block/sda/queue/scheduler = none
SYSFS = re.compile(r"(?:/sys/(?:class/)?|^\s*)block/((?:hd|sd|xvd|vd|dasd|nvme|mmcblk)[^/\s\"']*)")
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
# echo /dev/sdb > /sys/fs/bcache/register
KERNEL = re.compile(r"[\"']?\s*>+\s*[\"']?/sys/")
DIRECTIVE = re.compile(r"\s*([A-Z][A-Za-z]+)\s*=")


def parse(path: str, text: str) -> Iterator[Mention]:
    """All mentions of disk devices in one file, in order."""
    variables: dict[str, list[Mention]] = {}
    found: list[Mention] = []
    for number, line in _lines(text):
        if len(found) > MENTIONS:
            break  # the caller tells the gap
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


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(number, line) of every line that may name a disk, in order: looking for words is faster than for lines."""
    starts = set()
    for sign in SIGNS:
        word = sign.decode()
        at = text.find(word)
        while at >= 0:
            starts.add(text.rfind("\n", 0, at) + 1)
            end = text.find("\n", at)
            at = text.find(word, end) if end >= 0 else -1
    number, counted = 1, 0
    for start in sorted(starts):
        number += text.count("\n", counted, start)
        counted = start
        end = text.find("\n", start)
        yield number, text[start : end if end >= 0 else len(text)]


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
        if "{{" in spec or "{%" in spec:
            continue  # a template of somebody's configuration management
        if commented(line, at, path):
            kind = Use.COMMENT
        elif kind is Use.LITERAL:
            kind, setting = _setting(path, line, at)
            if kind is Use.LITERAL and "block/" in line[at:end]:
                verb = "sysfs"
            elif kind is Use.LITERAL:
                verb, destroys = command(line[max(0, at - NEAR) : at], line[end : end + NEAR])
                kind = Use.COMMENT if verb == "echo" and not KERNEL.match(line[end : end + NEAR]) else kind
            verb, destroys = _of_file(path, line, verb, destroys)
        yield Mention(path, number, shown, spec, reference(spec), kind, verb, destroys, setting)


def specs(line: str, path: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, spec) of everything in a line that looks like a disk device or a pattern of them."""
    for found in DEVICE.finditer(line):
        spec = found.group().rstrip(".:;!\\")
        if spec:
            yield found.start(), found.start() + len(spec), spec
    for found in UNIT.finditer(line):
        yield found.start(), found.end(), "/dev/" + unescape(found.group(1))
    if "block/" in line:
        for found in SYSFS.finditer(line):
            yield found.start(), found.end(), "/dev/" + found.group(1)
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


SAYING = frozenset({"echo", "printf", "logger", "log", "die", "warn", "info", "error", "fatal", "usage"})
#: Commands that write over a device; the words of which one must stand beside them, () for none.
DESTROYERS: dict[str, tuple[str, ...]] = {
    "mke2fs": (), "mkswap": (), "mkdosfs": (), "mkntfs": (), "mkreiserfs": (), "newfs": (), "shred": (),
    "blkdiscard": (), "wipefs": ("-a", "--all", "-af", "-fa", "-o"), "badblocks": ("-w", "-wsv", "-wv", "-ws"),
    "dd": ("of=",), "mdadm": ("--create", "-C", "--zero-superblock"),
    "cryptsetup": ("luksFormat", "erase", "luksErase", "format", "/dev/urandom", "/dev/random"),
    "parted": ("mklabel", "mktable", "mkpart", "rm"), "pvcreate": (), "vgcreate": (), "vgextend": (), "pvremove": (),
    "sgdisk": ("-Z", "-o", "-n", "-d", "--zap-all", "--clear", "--zap"), "zpool": ("create", "add", "replace"),
    "btrfs": ("add", "replace"), "ceph-volume": ("create", "prepare", "zap"), "ceph-disk": (), "nvme": ("format",),
    "sg_format": (), "dcfldd": ("of=",), "ddrescue": ("-f", "--force"), "tee": (), "ntfsclone": ("--overwrite", "-O"),
    "partclone.restore": (),
}  # fmt: skip
ACTORS = frozenset({
    "mount", "swapon", "swapoff", "umount", "fsck", "e2fsck", "tune2fs", "resize2fs", "grub-install", "cat", "pv",
    "grub2-install", "losetup", "growpart", "partprobe", "sfdisk", "fdisk", "gdisk", "kpartx",
})  # fmt: skip
#: Partition editors that take their orders from standard input.
EDITORS = frozenset({"sfdisk", "fdisk", "gdisk"})
READING = frozenset({"-d", "-l", "--dump", "--list", "-s", "--show-size", "-J", "--json", "-V", "--verify"})
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
    if after.startswith(":") and "newraw" in after:
        return "mysqld", True  # innodb_data_file_path = /dev/sdb:3Gnewraw is initialized at the next start
    for verb in reversed(words):
        if verb.startswith("mkfs"):
            return "mkfs", True
        if verb in DESTROYERS:
            return verb, _destroys(verb, head, tail)
        if verb in EDITORS:
            ordered = verb == "sfdisk" or "<" in tail or before[: len(before) - len(head)].rstrip().endswith("|")
            return verb, ordered and not READING & {*words, *tail.split()}
        if verb in ACTORS or verb in TUNING:
            return verb, False
    return "other", False


def _destroys(verb: str, head: str, tail: str) -> bool:
    needed = DESTROYERS[verb]
    if verb in ("dd", "dcfldd"):
        return head.rstrip("\"'").endswith("of=")
    return not needed or bool(set(needed) & set((head + " " + tail).replace("'", " ").replace('"', " ").split()))


#: Files and folders of programs that tune or watch disks, and what to call that.
WATCHERS = {
    "hdparm": "hdparm", "smartd": "smartd", "smartmontools": "smartd", "sysfs": "sysfs", "tuned": "tuned",
    "laptop-mode": "laptop-mode", "tlp": "laptop-mode", "nagios": "monitoring", "nrpe": "monitoring",
    "zabbix": "monitoring", "collectd": "monitoring", "munin": "monitoring", "snmp": "monitoring",
    "telegraf": "monitoring", "netdata": "monitoring", "monit": "monitoring", "monitrc": "monitoring",
    "prometheus": "monitoring",
}  # fmt: skip


def _of_file(path: str, line: str, verb: str, destroys: bool) -> tuple[str, bool]:
    """A file of one program's settings speaks for that program."""
    if path.endswith("/kdump.conf") and line.lstrip().startswith("raw "):
        return "kdump", True  # kdump.conf(5): the dump is written over whatever is on that device
    if "/zram-generator.conf" in path and line.lstrip().startswith("writeback-device"):
        return "zram", True  # its pages are written over whatever is on that device
    if verb == "other":
        for name in re.split(r"[/._]", path):
            if name in WATCHERS:
                return WATCHERS[name], False
    return verb, destroys
