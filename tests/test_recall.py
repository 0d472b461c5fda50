"""A report is given again only while the machine would answer every question as it did."""

import os
import time

import pytest

from migprep import recall, witness
from migprep.cache import Cache
from migprep.root import Tree, read
from migprep.witness import Witness, settled, unchanged


@pytest.fixture
def folder(tmp_path):
    """What a check looked at: a file, a folder, a link, something that is not there."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/a.conf").write_text("root=/dev/sda1\n")
    (tmp_path / "other.conf").write_text("root=/dev/sdb1\n")
    (tmp_path / "link").symlink_to("conf.d/a.conf")
    return tmp_path


def asked(folder):
    """The notes of a check that asked in every way."""
    place = Witness()
    with place.open(f"{folder}/conf.d/a.conf") as stream:
        stream.read()
    assert place.names(f"{folder}/conf.d") == ["a.conf"]
    assert place.link(f"{folder}/link") == "conf.d/a.conf"
    assert place.stat(f"{folder}/link").kind == "file"
    assert place.stat(f"{folder}/missing") is None
    assert place.names(f"{folder}/none") == []
    return place.notes


def in_place(folder):
    """As many bytes, and the old time written back (utime(2) cannot set ctime)."""
    path = folder / "conf.d/a.conf"
    before = path.stat()
    path.write_text("root=/dev/sdz1\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(folder):
    (folder / "new").write_text("root=/dev/sda1\n")
    (folder / "new").rename(folder / "conf.d/a.conf")


def repointed(folder):
    (folder / "link").unlink()
    (folder / "link").symlink_to("other.conf")


CHANGES = {
    "written": in_place,
    "replaced": replaced,
    "removed": lambda folder: (folder / "conf.d/a.conf").unlink(),
    "made": lambda folder: (folder / "missing").write_text(""),
    "made a folder": lambda folder: (folder / "none").mkdir(),
    "joined": lambda folder: (folder / "conf.d/b.conf").write_text(""),
    "repointed": repointed,
    "forbidden": lambda folder: (folder / "conf.d/a.conf").chmod(0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(change, folder):
    notes = asked(folder)
    assert unchanged(notes)
    time.sleep(0.02)  # times of files are kept in steps of the clock tick, up to 10 ms
    CHANGES[change](folder)
    assert not unchanged(notes)


def test_what_the_kernel_tells_is_compared_by_content(folder):
    place = Witness()
    for path in ("/proc/cpuinfo", "/proc/cmdline", "/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/osrelease"):
        assert read(place, path) == read(Tree("/", live=True), path) != b""
    assert unchanged(place.notes)
    (folder / "through").symlink_to("/proc/uptime")
    with place.open(f"{folder}/through") as stream:
        assert stream.read()
    time.sleep(0.02)
    assert not unchanged(place.notes)


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("/proc/cpuinfo", b"model\t: x\ncpu MHz\t\t: 2649.998\n", b"model\t: x\ncpu MHz\t\t: 1500.1\n"),
        ("/proc/modules", b"ext4 999 1 - Live 0x0\n", b"ext4 999 2 - Live 0x0\n"),
        ("/proc/swaps", b"Filename Used Priority\n/dev/sda2 partition\t976\t0\t-2\n", b"Filename Used Priority\n/dev/sda2 partition\t976\t12\t-2\n"),
        ("/proc/net/ipv6_route", b"fe80 40 00 00000100 00000001 0000000a 00000001     eth0\n", b"fe80 40 00 00000100 00000002 0000000b 00000001     eth0\n"),
    ],
)  # fmt: skip
def test_counters_do_not_count(path, before, after):
    assert witness.fingerprint(path, before) == witness.fingerprint(path, after)
    assert witness.fingerprint(path, before) != witness.fingerprint(path, after.replace(b"x", b"y").replace(b"e", b"f"))


def test_what_just_changed_is_not_kept(folder):
    notes = asked(folder)
    assert not settled(notes, time.time_ns())
    assert settled(notes, time.time_ns() + 60 * 10**9)


REPORT = {"run": {"gaps": []}, "results": [], "targets": []}


def made(cache, folder, say=REPORT):
    """How often a report is made anew when it is asked for twice."""
    calls = []

    def make(place):
        place.stat(str(folder))
        calls.append(place)
        return say

    return [recall.report(["kvm"], make, cache) for _ in range(2)], len(calls)


@pytest.fixture
def installed(monkeypatch):
    """As installed from a wheel; a checkout remembers nothing."""
    monkeypatch.setattr(recall, "program", lambda: ["1.0"])


def test_a_report_is_made_once(installed, tmp_path):
    assert made(Cache(str(tmp_path / "cache")), "/usr") == ([REPORT, REPORT], 1)


@pytest.mark.parametrize("reason", ["took more than 30 s", "internal error in this rule: KeyError"])
def test_a_fault_that_passes_is_not_kept(reason, installed, tmp_path):
    report = {**REPORT, "results": [{"reason": reason}]}
    assert made(Cache(str(tmp_path / "cache")), "/usr", report)[1] == 2


def test_keys_change_where_no_file_shows_it(installed, tmp_path):
    report = {**REPORT, "inventory": {"filesystems": [{"type": "ext4"}, {"type": "crypto_LUKS"}]}}
    assert made(Cache(str(tmp_path / "cache")), "/usr", report)[1] == 2


def test_a_damaged_cache_is_no_cache(installed, tmp_path):
    cache = Cache(str(tmp_path / "cache"))
    made(cache, "/usr")
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    assert made(cache, "/usr")[1] == 1


def test_a_checkout_remembers_nothing(tmp_path):
    assert recall.program() is None
    assert made(Cache(str(tmp_path / "cache")), "/usr")[1] == 2
