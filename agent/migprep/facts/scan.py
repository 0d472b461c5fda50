"""The whole disk, searched for names of disks and for programs bound to this processor; only where it is asked for.

What starts by itself is read by every check (facts/startup.py). This looks at all the rest that people write:
scripts that somebody calls by hand, settings of programs of one's own, folders that the site has chosen.
"""

from __future__ import annotations

import re

from migprep import root
from migprep.facts import running, startup
from migprep.facts.block import NETWORK, PSEUDO
from migprep.facts.startup import MENTIONS, SIGNS, Mapped, Mention, Program, gap
from migprep.facts.startup import Scan as Scan
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where people put what no distribution ships, or change what it does.
FOLDERS = ("/etc", "/usr/local", "/opt", "/srv", "/root", "/home", "/var/spool/cron", "/usr/lib/systemd/system")
#: Bytes of a text file that are read; what is longer is a log or a dump.
SIZE = 1 << 20
PROGRAMS = 200

#: Folders that hold manuals, caches, or what a package manager of some language put there; as those with a dot do.
_FOREIGN = (
    "doc docs man info locale i18n licenses log logs cache node_modules __pycache__ site-packages dist-packages"
    " vendor_ruby gems Trash lost+found proc sys dev venv test tests testdata terminfo zoneinfo fonts icons pixmaps"
)
FOREIGN = frozenset(_FOREIGN.split())
#: The same with their whole path: read by facts of their own, or full of device names that nobody acts on.
ELSEWHERE = frozenset({
    "/etc/lvm/archive", "/etc/lvm/backup", "/etc/migprep", "/etc/ssl", "/etc/pki", "/etc/alternatives", "/etc/X11",
    "/etc/apparmor.d", "/etc/selinux", "/etc/blkid", "/usr/local/share/man", "/usr/local/include",
})  # fmt: skip
#: Endings of files that hold no statements: data, manuals, logs, archives, and what BACKUPS lists.
_ENDINGS = (
    "log gz bz2 xz zst lz4 zip tar tgz rpm deb iso img qcow2 vmdk vdi pyc pyo so a o ko jar war class png jpg jpeg gif"
    " svg ico woff woff2 ttf pdf ps md rst txt html htm css po mo pot 1 2 3 4 5 6 7 8 9 md5 sha256 sum asc sig gpg pem"
    " crt key db sqlite sqlite3 csv tsv h hpp c cc cpp rs go java map pack idx out bak old orig save swp tmp patch diff"
    " rpmsave rpmnew rpmorig pacnew pacsave disabled journal dump pcap wav mp3 mp4 ogg"
)
ENDINGS = frozenset(_ENDINGS.split())
#: Read by facts of their own.
KNOWN = frozenset({
    "/etc/fstab", "/etc/crypttab", "/etc/mtab", "/etc/default/grub", "/etc/sysconfig/grub", "/etc/mdadm.conf",
    "/etc/mdadm/mdadm.conf", "/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf", "/etc/multipath.conf", "/etc/blkid.tab",
    "/etc/sysconfig/bootloader", "/etc/default/grub_installdevice", "/etc/lilo.conf", "/etc/mke2fs.conf",
    "/etc/kernel/cmdline",
})  # fmt: skip

#: What a text must hold to name a disk. It begins with a literal, for which `re` looks as fast as `in` does.
NAMED = re.compile(
    rb"/dev/(?:(?:sd|hd|vd|xvd|dasd)[a-z]|nvme\d|mmcblk\d|pmem\d|disk/by-(?:id|path)/|(?:cciss|ida|rd|ataraid|i2o)/)"
)
#: What does it too in files of these endings.
MEANT = {
    "rules": b"KERNEL", "conf": b"block/", "service": b"dev-", "mount": b"dev-", "swap": b"dev-", "target": b"dev-",
}  # fmt: skip
ELF = b"\x7fELF"


class Interest:
    """Which entries matter; asked for every one of them."""

    __slots__ = ("files", "skipped")

    def __init__(self, skipped: frozenset[str]) -> None:
        """`skipped`: mount points of what is no local disk."""
        self.skipped = skipped
        self.files = 0

    def folder(self, path: str) -> bool:
        name = path[path.rfind("/") + 1 :]
        return name[0] != "." and name not in FOREIGN and path not in self.skipped

    def file(self, name: str) -> bool:
        return name[name.rfind(".") + 1 :] not in ENDINGS and name[-1] != "~"

    def content(self, name: str, buffer: bytes | bytearray, size: int) -> bool:
        self.files += 1
        if buffer.find(b"/dev/", 0, size) >= 0 and NAMED.search(buffer, 0, size):
            return True
        sign = MEANT.get(name[name.rfind(".") + 1 :])
        return buffer.startswith(ELF) or (sign is not None and buffer.find(sign, 0, size) >= 0)


def probe(facts: Facts) -> Scan:
    """Search FOLDERS and the site's own. What `startup` has found already is left out.

    Raises Undetermined in a root without /etc.
    """
    if not facts.root.names("/etc"):
        raise Undetermined("what names a disk: no /etc in this root")
    foreign = remote(facts)
    mapped = running.probe(facts.root, _common(facts), foreign)
    interest = Interest(ELSEWHERE | foreign)
    found: list[Mention] = []
    programs: list[Program] = []
    told = _told(facts)
    for folder in dict.fromkeys((*FOLDERS, *facts.folders)):
        try:
            for path, content in root.search(facts.root, folder, interest, SIZE):
                if isinstance(content, MigprepError):
                    found.append(gap(path, f"{path}: {content}"))
                elif content is not None and path not in told and path not in KNOWN:
                    _look(facts, path, content, found, programs)
                if len(found) > MENTIONS:
                    found.append(gap(folder, f"more than {MENTIONS} device names; the search ended at {path}"))
                    return _scan(facts, interest, found, programs, mapped)
        except MigprepError as error:
            found.append(gap(folder, str(error)))
    return _scan(facts, interest, found, programs, mapped)


def _scan(
    facts: Facts, interest: Interest, found: list[Mention], programs: list[Program], mapped: tuple[Mapped, ...]
) -> Scan:
    run = {one.path for one in mapped}
    idle = tuple(one for one in programs if one.path not in run)
    return Scan(True, interest.files, startup.ranked(facts.root, found), idle, mapped)


def _common(facts: Facts) -> int:
    """The x86-64 level that the system needs anyway, so that no single file of it is worth a word."""
    known = facts.cpu
    return 1 if isinstance(known, Unknown) or isinstance(known.required, Unknown) else known.required


def _told(facts: Facts) -> frozenset[str]:
    known = facts.startup
    if isinstance(known, Unknown):
        return frozenset()
    return frozenset(one.path for one in known.mentions if not isinstance(one.kind, Unknown))


def remote(facts: Facts) -> frozenset[str]:
    """Mount points of network and kernel file systems, into which no search may go."""
    mounts = facts.mounts
    if isinstance(mounts, Unknown):
        return frozenset()
    foreign = NETWORK | PSEUDO - {"overlay", "aufs", "ramfs", "tmpfs"}
    return frozenset(one.mountpoint for one in mounts.entries if one.fstype in foreign or one.fstype[:5] == "fuse.")


def _look(facts: Facts, path: str, content: bytes, found: list[Mention], programs: list[Program]) -> None:
    if content[:4] == ELF:
        from migprep.facts.programs import needed

        level, evidence = needed(content)
        if level > 1 and len(programs) < PROGRAMS:
            programs.append(Program(path, path, 0, level, evidence))
    elif b"\0" not in content and any(sign in content for sign in SIGNS):
        found += [one for one in startup.told(facts, path, content) if isinstance(one.kind, Unknown) or one.is_used]
