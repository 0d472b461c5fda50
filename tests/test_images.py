"""Drivers of a kernel by whole names, images read once, and configuration that is only added to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_compression import archive

from migprep.cache import Cache
from migprep.facts import Facts, configured, initramfs, kernels, modprobe
from migprep.facts.kernels import Kernel
from migprep.model import Unknown
from migprep.root import Files, Tree

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))


def kernel(modules: str, builtin: str = "") -> Kernel:
    return Kernel("6.1", "/lib/modules/6.1", "", modules, builtin, Unknown("not read"), True, False)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("kernel/drivers/block/virtio_blk.ko:\n", True),
        ("kernel/drivers/block/virtio-blk.ko.xz: a.ko b.ko\n", True),
        ("kernel/drivers/block/virtio_blk.ko.zst:", True),
        ("kernel/x.ko: kernel/drivers/block/virtio_blk.ko\n", False),
        ("kernel/drivers/block/virtio_blk_x.ko:\n", False),
        ("kernel/drivers/block/x_virtio_blk.ko:\n", False),
        ("kernel/drivers/block/virtio_blk.ko.bak:\n", False),
        ("", False),
    ],
)
def test_whole_file_names_only(line: str, found: bool) -> None:
    assert bool(kernel("kernel/a.ko:\n" + line).module("virtio_blk")) is found


def test_mixed_dashes() -> None:
    assert kernel("k/snd-soc-a_b-c.ko.gz: k/x.ko\n").module("snd_soc_a_b_c") == "k/snd-soc-a_b-c.ko.gz"


def test_versions_sort_as_numbers() -> None:
    ordered = ["5.10.0-9", "5.10.0-28", "6.1~rc1", "6.1.0", "6.10"]
    assert sorted(ordered, key=kernels.numbers) == ordered


def test_an_image_is_read_once_and_cached(tmp_path: Path) -> None:
    (tmp_path / "lib/modules/6.1").mkdir(parents=True)
    (tmp_path / "boot").mkdir()
    (tmp_path / "lib/modules/6.1/modules.dep").write_text("kernel/virtio_blk.ko:\n")
    (tmp_path / "lib/modules/6.1/modules.builtin").write_text("")
    image = tmp_path / "boot/initrd.img-6.1"
    image.write_bytes(archive("conf/initramfs.conf", "usr/lib/modules/6.1/kernel/virtio-blk.ko.zst", body=b"MODULES=most"))
    cache = Cache(str(tmp_path / "cache"))
    for _ in range(2):
        found = Facts(Tree(str(tmp_path)), cache).initramfs
        (boot,) = found.boots
        assert boot.image.tool == "initramfs-tools"
        assert boot.image.modules == {"virtio_blk"}
        assert boot.image.texts == {"conf/initramfs.conf": "MODULES=most\n"}
        assert boot.missing(("virtio_blk",)) == ()
    image.write_bytes(archive("init"))
    assert Facts(Tree(str(tmp_path)), cache).initramfs.boots[0].missing(("virtio_blk",)) == ("virtio_blk",)


def test_a_unified_kernel_image() -> None:
    inside = archive("usr/lib/modules/6.1/kernel/nvme.ko")
    section = b".initrd\0" + len(inside).to_bytes(4, "little") + bytes(8) + (512).to_bytes(4, "little") + bytes(16)
    head = (b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(2) + (1).to_bytes(2, "little")).ljust(88, b"\0")
    content = (head + section).ljust(512, b"\0") + inside + b"more"
    facts = Facts(Files({"/efi/EFI/Linux/a.efi": content}))
    assert initramfs.image(facts, "/efi/EFI/Linux/a.efi").modules == {"nvme"}


def test_a_listing_comes_back() -> None:
    facts = Facts(Files({"/boot/i": archive("lib/modules/6/kernel/nvme.ko", "init_functions")}))
    listing = initramfs.listing(facts, "/boot/i")
    assert initramfs.parse("/boot/i", listing)._replace(texts={}) == initramfs.image(facts, "/boot/i")._replace(texts={})


@given(st.text(st.characters(blacklist_categories=())), st.lists(st.sampled_from(["virtio_blk", "nvme"]), unique=True))
def test_asking_for_drivers_only_adds(text: str, names: list[str]) -> None:
    for path in (configured.MODULES, configured.DRACUT):
        made = configured.with_drivers(path, text, tuple(names))
        assert made.startswith(text)
        assert (made == text) is (not names)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of real files is not here")
@pytest.mark.parametrize("folder", ["modprobe", "initramfs", "dracut", "hostile"])
def test_real_files_are_read(folder: str) -> None:
    for path in sorted((CORPUS / folder).iterdir()):
        content = path.read_bytes()
        text = content.decode("utf-8", "surrogateescape")
        for one in modprobe.parse(text, "/x"):
            assert 0 < one.line <= text.count("\n") + 1
        for place in ("/etc/mkinitcpio.conf", "/etc/dracut.conf", "/etc/sysconfig/kernel", "/etc/modprobe.d/x.conf"):
            root = Files({place: content})
            for name, _, _ in configured.TOOLS:
                configured.host_only(root, name)
            configured.drivers(root)
            assert not isinstance(Facts(root).modprobe, Unknown)
        for place in (configured.SUSE, configured.MKINITCPIO):
            made = configured.with_drivers(place, text, ("virtio_blk",))
            assert made == text or (len(made) <= len(text) + 11 and "virtio_blk" in made)
