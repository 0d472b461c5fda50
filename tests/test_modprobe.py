"""What keeps a driver from loading: which file counts, which line, and what a built-in driver cares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from migprep.facts import Facts
from migprep.facts.modprobe import Modprobe, parse
from migprep.model import Unknown
from migprep.root import Files

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent")) / "modprobe"
DISK = ("virtio_pci", "virtio_blk")
KERNEL = {
    "/lib/modules/6.1.0/modules.dep": b"kernel/drivers/block/virtio_blk.ko:\nkernel/drivers/virtio/virtio_pci.ko:\nkernel/drivers/net/e1000.ko:\nkernel/net/e1000e.ko:\n",
    "/lib/modules/6.1.0/modules.builtin": b"kernel/drivers/scsi/sd_mod.ko\n",
    "/boot/vmlinuz-6.1.0": b"MZ",
}


def denied(files: dict[str, str], drivers: tuple[str, ...] = DISK) -> list[str]:
    facts = Facts(Files({**KERNEL, **{path: text.encode() for path, text in files.items()}}))
    assert not isinstance(facts.modprobe, Unknown), facts.modprobe
    assert not isinstance(facts.kernels, Unknown)
    return [f"{one.path}:{one.line} {one.module}" for one in facts.modprobe.denied(drivers, facts.kernels.default)]


@pytest.mark.parametrize(
    "line",
    [
        "blacklist virtio_blk", "blacklist virtio-blk", "  blacklist\tvirtio_blk  # no", "install virtio_blk /bin/true",
        "install virtio-blk /bin/false", "install virtio_blk /usr/bin/true", "install virtio_blk true", "install virtio_blk :",
    ],
)  # fmt: skip
def test_denied(line: str) -> None:
    assert denied({"/etc/modprobe.d/a.conf": f"# hardening\n{line}\n"}) == ["/etc/modprobe.d/a.conf:2 virtio_blk"]


@pytest.mark.parametrize(
    "line",
    [
        "# blacklist virtio_blk", "options virtio_blk queue_depth=4", "blacklist virtio_blk_x", "blacklist blk", "softdep virtio_blk pre: x",
        "install virtio_blk /sbin/modprobe --ignore-install virtio_blk && /usr/local/bin/hook", "alias block-major-254-* virtio_blk", "blacklist",
        "blacklist sd_mod",
    ],
)  # fmt: skip
def test_not_denied(line: str) -> None:
    assert denied({"/etc/modprobe.d/a.conf": f"{line}\n"}, (*DISK, "sd_mod")) == []


def test_a_file_of_the_same_name_in_etc_hides_the_other() -> None:
    shipped = {"/usr/lib/modprobe.d/x.conf": "blacklist virtio_blk\n"}
    assert denied(shipped) == ["/usr/lib/modprobe.d/x.conf:1 virtio_blk"]
    assert denied({**shipped, "/etc/modprobe.d/x.conf": "\n"}) == []
    assert denied({**shipped, "/etc/modprobe.d/y.conf": "\n"}) == ["/usr/lib/modprobe.d/x.conf:1 virtio_blk"]


def test_other_endings_do_not_count() -> None:
    assert denied({"/etc/modprobe.d/x.conf.bak": "blacklist virtio_blk\n", "/etc/modprobe.d/README": "blacklist virtio_blk\n"}) == []


@pytest.mark.parametrize("argument", ["modprobe.blacklist=floppy,virtio-blk", "module_blacklist=virtio_blk", "rd.driver.blacklist=virtio_blk"])
def test_kernel_arguments(argument: str) -> None:
    assert denied({"/proc/cmdline": f"root=UUID=1 {argument} quiet\n"}) == ["/proc/cmdline:1 virtio_blk"]


def test_of_alternatives_one_is_enough() -> None:
    one = {"/etc/modprobe.d/a.conf": "blacklist e1000\n"}
    assert denied(one, ("e1000|e1000e",)) == []
    assert len(denied({"/etc/modprobe.d/a.conf": "blacklist e1000\nblacklist e1000e\n"}, ("e1000|e1000e",))) == 2


def test_lines_joined_by_a_backslash_count_as_the_first() -> None:
    lines = parse("a b\ninstall \\\n  virtio_blk \\\n  /bin/true\nblacklist x", "f")
    assert [(one.line, one.verb, one.module) for one in lines] == [(1, "a", "b"), (2, "install", "virtio_blk"), (5, "blacklist", "x")]
    assert lines[1].rest == "/bin/true"


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
def test_the_corpus_is_read() -> None:
    for path in CORPUS.glob("*modprobe*"):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        for line in parse(text, path.name):
            assert line.verb and line.module
            assert text.split("\n")[line.line - 1].split()[:1] == [line.verb] or "\\" in text


def test_nothing_configured_denies_nothing() -> None:
    found = Facts(Files(dict(KERNEL))).modprobe
    assert isinstance(found, Modprobe) and found.denials == ()
