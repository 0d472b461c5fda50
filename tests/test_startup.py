"""Start-up files: literal, comment, pattern, assignment; what a command does to the disk it is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.facts import Facts, mentions, programs, startup
from migprep.facts.startup import Mention, Startup, Use
from migprep.model import Undetermined, Unknown
from migprep.root import Files, Tree, Unreadable

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))


def _told(text: str, path: str = "/etc/rc.local") -> list[tuple[str, str, str, bool]]:
    return [
        (one.spec, one.kind.value, one.verb, one.destroys)
        for one in mentions.parse(path, text)
        if isinstance(one.kind, Use)
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("mount /dev/sdb1 /data", [("/dev/sdb1", "literal", "mount", False)]),
        ("/bin/mount -t ext4 /dev/nvme0n1p2 /data", [("/dev/nvme0n1p2", "literal", "mount", False)]),
        ("# mount /dev/sdb1 /data", [("/dev/sdb1", "comment", "other", False)]),
        ("true # /dev/sdb1", [("/dev/sdb1", "comment", "other", False)]),
        ("echo '# ' /dev/sdb1", [("/dev/sdb1", "comment", "echo", False)]),
        ("mount '/data#1' /dev/sdb1", [("/dev/sdb1", "literal", "mount", False)]),
        ("ls /dev/sd[a-z] /dev/sd*", [("/dev/sd[a-z]", "pattern", "other", False), ("/dev/sd*", "pattern", "other", False)]),
        ("ls /dev/sd$x /dev/sda${n}", [("/dev/sd$x", "pattern", "other", False), ("/dev/sda${n}", "pattern", "other", False)]),
        ("DISK=/dev/sda", [("/dev/sda", "assignment", "other", False)]),
        ("export DISKS=\"/dev/sda /dev/sdb\"", [("/dev/sda", "assignment", "other", False), ("/dev/sdb", "assignment", "other", False)]),
        ("LANG=C mount /dev/sda1 /x", [("/dev/sda1", "literal", "mount", False)]),
        ("dd if=/dev/sda of=/dev/sdb", [("/dev/sda", "literal", "dd", False), ("/dev/sdb", "literal", "dd", True)]),
        ("wipefs /dev/sda", [("/dev/sda", "literal", "wipefs", False)]),
        ("wipefs /dev/sda -a", [("/dev/sda", "literal", "wipefs", True)]),
        ("wipefs -a /dev/sda; wipefs /dev/sdb", [("/dev/sda", "literal", "wipefs", True), ("/dev/sdb", "literal", "wipefs", False)]),
        ("x && mkfs.ext4 -q /dev/vdb || y", [("/dev/vdb", "literal", "mkfs", True)]),
        ("mdadm --detail /dev/sda", [("/dev/sda", "literal", "mdadm", False)]),
        ("mdadm -C /dev/md0 -n 1 /dev/sda", [("/dev/sda", "literal", "mdadm", True)]),
        ("cryptsetup luksFormat /dev/sda key", [("/dev/sda", "literal", "cryptsetup", True)]),
        ("cryptsetup open /dev/sda x", [("/dev/sda", "literal", "cryptsetup", False)]),
        ("sfdisk -d /dev/sda", [("/dev/sda", "literal", "sfdisk", False)]),
        ("sfdisk /dev/sda < table", [("/dev/sda", "literal", "sfdisk", True)]),
        ("fdisk /dev/sda <<EOF", [("/dev/sda", "literal", "fdisk", True)]),
        ("printf 'n\\n\\n' | fdisk /dev/sda", [("/dev/sda", "literal", "fdisk", True)]),
        ("fdisk -l /dev/sda | mail root", [("/dev/sda", "literal", "fdisk", False)]),
        ("sfdisk --dump /dev/sda > table", [("/dev/sda", "literal", "sfdisk", False)]),
        ("cryptsetup open --type plain -d /dev/urandom /dev/sda2 swap", [("/dev/sda2", "literal", "cryptsetup", True)]),
        ("innodb_data_file_path = /dev/sdb1:10Gnewraw", [("/dev/sdb1", "literal", "mysqld", True)]),
        ("innodb_data_file_path = /dev/sdb1:10Graw", [("/dev/sdb1", "literal", "other", False)]),
        ("vgextend vg0 /dev/sdb", [("/dev/sdb", "literal", "vgextend", True)]),
        ("echo none > /sys/block/sda/queue/scheduler", [("/dev/sda", "literal", "sysfs", False)]),
        ("cat /sys/block/sd*/size /sys/block/$d/size", [("/dev/sd*", "pattern", "other", False)]),
        ("data      -fstype=ext4  :/dev/sdb1", [("/dev/sdb1", "literal", "other", False)]),
        ("device: /dev/{{ disk }} /dev/sd{{ x }}", []),
        ("zcat image > /dev/sda", [("/dev/sda", "literal", "redirection", True)]),
        ("<volume path=\"/dev/sda1\"/> <b>/dev/sda2</b>", [("/dev/sda1", "literal", "other", False), ("/dev/sda2", "literal", "other", False)]),
        ("hdparm -S 120 /dev/hda", [("/dev/hda", "literal", "hdparm", False)]),
        ("swapon /dev/cciss/c0d0p2", [("/dev/cciss/c0d0p2", "literal", "swapon", False)]),
        ("mount /dev/disk/by-id/ata-QEMU_HARDDISK_1-part1 /x", [("/dev/disk/by-id/ata-QEMU_HARDDISK_1-part1", "literal", "mount", False)]),
        ("for d in /dev/sda /dev/sdb; do", [("/dev/sda", "assignment", "other", False), ("/dev/sdb", "assignment", "other", False)]),
        ("ls /mnt/dev/sda $ROOT/dev/sda /dev/null /dev/mapper/x /dev/md0 /dev/sdram /dev/video0", []),
    ],
)  # fmt: skip
def test_one_line(line: str, told: list[tuple[str, str, str, bool]]) -> None:
    assert _told(line) == told


def test_what_is_done_to_a_variable_is_done_to_its_device() -> None:
    assert _told('A=/dev/sda\nB=/dev/sdb\nmkfs.xfs "${A}1"\n# mkfs $B\n') == [
        ("/dev/sda", "assignment", "mkfs", True),
        ("/dev/sdb", "assignment", "other", False),
    ]
    assert _told("for d in /dev/sda /dev/sdb; do\n  wipefs -a $d\ndone\n")[0] == (
        "/dev/sda",
        "assignment",
        "wipefs",
        True,
    )


def _units(text: str) -> list[tuple[str, str]]:
    return [(one.spec, one.setting) for one in mentions.parse("/etc/systemd/system/x.mount", text) if one.is_wait]


def test_what_a_unit_waits_for() -> None:
    assert _units("[Mount]\nWhat=/dev/sdb1\n") == [("/dev/sdb1", "What")]
    assert _units("[Unit]\nAfter=network.target dev-sdb1.device\n") == [("/dev/sdb1", "After")]
    assert _units("BindsTo=dev-disk-by\\x2did-ata\\x2dX.device\n") == [("/dev/disk/by-id/ata-X", "BindsTo")]
    assert _units("#What=/dev/sdb1\n;What=/dev/sdb1\nDescription=/dev/sdb1\nAfter=dev-mapper-x.device\n") == []


def test_a_udev_rule() -> None:
    rules = 'KERNEL=="sda", ATTR{x}="1"\nKERNEL=="sd[a-z]"\nKERNEL!="sda"\n#KERNEL=="sda"\n'
    assert [one[:2] for one in _told(rules, "/etc/udev/rules.d/60-x.rules")] == [
        ("/dev/sda", "literal"),
        ("/dev/sd[a-z]", "pattern"),
        ("/dev/sda", "comment"),
    ]


def _probed(files: dict[str, bytes | str]) -> tuple[Mention, ...]:
    found = startup.probe(Facts(Files({"/etc/hostname": b"x", **files})))
    assert isinstance(found, Startup)
    return found.mentions


def test_a_file_of_one_program_speaks_for_it() -> None:
    assert _told("raw /dev/sda5\next4 /dev/sda6\n", "/etc/kdump.conf") == [
        ("/dev/sda5", "literal", "kdump", True),
        ("/dev/sda6", "literal", "other", False),
    ]
    assert _told("block/sda/queue/scheduler = none", "/etc/sysfs.conf")[0][2] == "sysfs"
    assert _told("w /sys/block/sda/queue/rotational - - - - 0", "/etc/tmpfiles.d/x.conf")[0][2] == "sysfs"
    assert _told("command[disk]=check_disk -p /dev/sda1", "/etc/nagios/nrpe.cfg")[0][2] == "monitoring"
    assert _told("  disk /dev/sdb1;", "/etc/drbd.d/r0.res")[0][2] == "other"


def test_which_folders_of_etc_are_read() -> None:
    line = b"x /dev/sdb1\n"
    read = (
        "/etc/cloud/cloud.cfg.d/x.cfg", "/etc/docker/daemon.json", "/etc/drbd.d/r0.res", "/etc/init.d/a",
        "/etc/mysql/mariadb.conf.d/x.cnf", "/etc/rc.d/rc3.d/S99x", "/etc/sv/x/run", "/etc/target/saveconfig.json",
        "/etc/systemd/system-generators/x", "/etc/systemd/system/x.service.d/y.conf",
    )  # fmt: skip
    left = ("/etc/fonts/x", "/etc/lvm/archive/x.vg", "/etc/ssl/x", "/etc/default/sub/x", "/root/x")
    different = {path: line + path.encode() for path in (*read, *left)}
    assert sorted({one.path for one in _probed(different)}) == sorted(read)


def test_files_that_are_left_out() -> None:
    line = b"mount /dev/sdb1 /data\n"
    left = (
        "/etc/rc.local~",
        "/etc/init.d/x.dpkg-old",
        "/etc/cron.d/.placeholder",
        "/etc/default/grub",
        "/etc/kernel/cmdline",
        "/etc/init.d/README",
    )
    assert _probed(dict.fromkeys(left, line)) == ()
    assert _probed({"/etc/init.d/binary": b"\x7fELF\0\0" + line}) == ()
    assert _probed({"/etc/init.d/large": b"\0" * startup.SIZE + line}) == ()
    (large,) = _probed({"/etc/init.d/large": b"#" * startup.SIZE + line})
    assert isinstance(large.kind, Unknown) and "larger than 2 MiB" in large.kind.reason
    assert len(_probed({"/etc/rc.local": line, "/etc/rc.d/rc.local": line})) == 2


def test_a_link_that_enables_a_unit_is_no_second_mention() -> None:
    unit = "/etc/systemd/system/data.mount"
    files: dict[str, bytes | str] = {unit: b"What=/dev/sdb1\n", "/etc/systemd/system/a.mount": unit}
    assert [one.path for one in _probed(files)] == [unit]


class _Locked:
    """A root in which one folder and one file cannot be read."""

    live = False

    def __init__(self) -> None:
        self._files = Files({"/etc/rc.local": b"mount /dev/sdb1 /data\n", "/etc/crontab": b"secret"})
        self.stat, self.link = self._files.stat, self._files.link

    def names(self, path: str) -> list[str]:
        if path == "/var/spool/cron/crontabs":
            raise Unreadable(f"{path}: permission denied")
        return self._files.names(path)

    def open(self, path: str):  # type: ignore[no-untyped-def]
        if path == "/etc/crontab":
            raise Unreadable(f"{path}: permission denied")
        return self._files.open(path)


def test_what_cannot_be_read_is_a_gap_and_not_an_absence() -> None:
    found = startup.probe(Facts(_Locked())).mentions
    gaps = [one.path for one in found if isinstance(one.kind, Unknown)]
    assert gaps == ["/etc/crontab", "/var/spool/cron/crontabs"]
    with pytest.raises(Undetermined, match="permission denied"):
        assert next(one for one in found if one.path == "/etc/crontab").is_used
    assert [one.spec for one in found if not isinstance(one.kind, Unknown)] == ["/dev/sdb1"]


def test_an_empty_root_is_unknown() -> None:
    assert isinstance(Facts(Files({})).startup, Unknown)


PIECES = st.sampled_from(
    [
        "/dev/sda",
        "/dev/nvme0n1",
        "dev-sda.device",
        " ",
        "\n",
        "#",
        "'",
        '"',
        "mkfs ",
        "dd of=",
        "D=",
        "$D",
        "for D in ",
        ";",
        "\\x2d",
        "\udc80",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join)))
def test_any_text_is_read(text: str) -> None:
    lines = text.split("\n")
    for path in ("/etc/rc.local", "/etc/systemd/system/x.service", "/etc/udev/rules.d/x.rules"):
        for one in mentions.parse(path, text):
            assert one.text == lines[one.line - 1].strip()[:200]


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus here")
def test_real_files_are_read() -> None:
    for path in CORPUS.rglob("*"):
        if path.is_file():
            list(mentions.parse(f"/etc/{path.name}", path.read_bytes().decode("utf-8", "surrogateescape")))
    smartd = (CORPUS / "devrefs/czender__sw__linux-smartd.conf").read_bytes().decode("utf-8", "surrogateescape")
    used = [one.line for one in mentions.parse("/etc/smartd.conf", smartd) if one.is_tuning]
    assert used == [38, 39]


def test_this_machine() -> None:
    found = startup.probe(Facts(Tree("/", live=True)))
    assert found.files > 10


ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44)
VPXOR = b"\xc5\xfd\xef\xc0"


@pytest.mark.parametrize(
    ("code", "level"),
    [
        (VPXOR, 3),
        (b"\x0f\xa2" + VPXOR, 1),  # asks first
        (b"\x48\x89\xc5\xb8", 1),  # mov rbp, rax
        (b"\x90" * 8192 + VPXOR, 1),  # once in a large program is chance
        ((b"\x90" * 1024 + VPXOR) * 8, 3),
        (b"\xc4\xe2\x7d\x58\xc0", 3),  # vpbroadcastd
    ],
)
def test_the_level_that_a_program_needs(code: bytes, level: int) -> None:
    assert programs.needed(ELF + code)[0] == level


def test_paths_that_may_be_programs() -> None:
    text = 'ExecStart=-/usr/local/bin/x --log=/opt/x.log --key /root/.ssh/id --to=/opt/y\n# /opt/no\n"/opt/a b/c" $(/srv/y) /usr/bin/z /opt/\n'
    assert list(programs.called(text)) == [(1, "/usr/local/bin/x"), (1, "/opt/y"), (3, "/opt/a"), (3, "/srv/y")]


def test_scripts_that_call_each_other_end() -> None:
    loop: dict[str, bytes | str] = {
        "/etc/rc.local": b"/opt/a\n",
        "/opt/a": b"#!/bin/sh\n/opt/b\n",
        "/opt/b": b"#!/bin/sh\n/opt/a /dev/sdb\n",
    }
    assert [(one.path, one.spec) for one in _probed(loop)] == [("/opt/b", "/dev/sdb")]


@pytest.mark.parametrize(
    "text",
    [
        "/dev/sda " * 100_000,
        "D=/dev/sda\n" + "mkfs $D " * 100_000,
        "for a in " * 50_000 + "/dev/sda",
        "mount /dev/sda /x\n" * 50_000,
    ],
)
def test_what_nobody_writes_ends_soon(text: str) -> None:
    assert len(_probed({"/etc/rc.local": text.encode()})) <= startup.MENTIONS + 2
