"""What a machine's images hold: by its files, by its listings, from the cache; and never more than was read."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.test_cpio import archive

from migprep.cache import Cache
from migprep.facts import Facts, initramfs
from migprep.facts.initramfs import Boot, Image, Images, modules_of
from migprep.model import Undetermined, Unknown
from migprep.root import Files, Tree

VERSION = "6.1.0-18-amd64"
DRIVERS = ("virtio_pci", "virtio_blk")
INSIDE = f"usr/lib/modules/{VERSION}/kernel/drivers"
IMAGE = f"/boot/initrd.img-{VERSION}"


def machine(image: bytes | None, **more: str) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {
        f"/lib/modules/{VERSION}/modules.dep": b"kernel/drivers/block/virtio_blk.ko:\nkernel/drivers/virtio/virtio_pci.ko:\nkernel/drivers/ata/ahci.ko:\n",
        f"/lib/modules/{VERSION}/modules.builtin": b"kernel/drivers/scsi/sd_mod.ko\n",
        f"/boot/vmlinuz-{VERSION}": b"MZ",
        "/usr/sbin/mkinitramfs": b"",
        **{path: text.encode() for path, text in more.items()},
    }
    return {**files, IMAGE: image} if image is not None else files


def images(root: Files | Tree, cache: Cache | None = None) -> Images:
    found = Facts(root, cache).initramfs
    assert isinstance(found, Images), found
    return found


def missing(files: dict[str, bytes | str]) -> tuple[str, ...]:
    return images(Files(files)).next[0].missing(DRIVERS)


FULL = archive({"init": b"", "conf/initramfs.conf": b"", f"{INSIDE}/block/virtio_blk.ko.xz": b"x", f"{INSIDE}/virtio/virtio-pci.ko": b"x"})
BARE = archive({"init": b"", "conf/initramfs.conf": b"", f"{INSIDE}/ata/ahci.ko": b"x", "etc/virtio_blk.ko.conf": b"", "virtio_blk": b"", "etc/udev/virtio_blk.rules": b""})


def test_what_is_inside() -> None:
    found = images(Files(machine(gzip.compress(FULL)))).next[0]
    assert found.missing(DRIVERS) == ()
    assert isinstance(found.image, Image)
    assert (found.image.tool, found.image.compression) == ("initramfs-tools", "gzip")


def test_what_only_looks_like_a_driver_is_none() -> None:
    assert missing(machine(gzip.compress(BARE))) == DRIVERS


def test_a_built_in_driver_is_not_missed() -> None:
    built_in = {f"/lib/modules/{VERSION}/modules.builtin": "kernel/drivers/block/virtio_blk.ko\nkernel/drivers/virtio/virtio_pci.ko\n"}
    assert missing(machine(gzip.compress(BARE), **built_in)) == ()
    assert missing(machine(None, **built_in)) == ()


def test_a_kernel_without_an_image_misses_its_modules() -> None:
    assert missing(machine(None)) == DRIVERS


def test_an_image_cut_short_is_unknown_and_never_a_pass() -> None:
    whole = gzip.compress(FULL)
    for end in range(0, len(whole) - 1, 7):
        with pytest.raises(Undetermined, match=IMAGE):
            missing(machine(whole[:end]))


def test_one_damaged_image_does_not_hide_another() -> None:
    other = "6.1.0-13-amd64"
    files = machine(gzip.compress(FULL))
    for name in ("modules.dep", "modules.builtin"):
        files[f"/lib/modules/{other}/{name}"] = files[f"/lib/modules/{VERSION}/{name}"]
    files.update({f"/boot/vmlinuz-{other}": b"MZ", f"/boot/initrd.img-{other}": b"damaged"})
    found = images(Files(files))
    assert found.next[0].missing(DRIVERS) == ()
    assert isinstance(found.others[0].image, Unknown)


def test_a_listing_stands_for_the_image() -> None:
    facts = Facts(Files(machine(gzip.compress(FULL))))
    listing = initramfs.listing(facts, IMAGE)
    assert listing.startswith("# tool: initramfs-tools\n# compression: gzip\n")
    assert missing({**machine(b"not read"), f"/migprep/initramfs{IMAGE}": listing.encode()}) == ()
    assert set(initramfs.listings(facts)) == {f"/migprep/initramfs{IMAGE}"}
    assert f"{INSIDE}/block/virtio_blk.ko.xz" in initramfs.paths(facts, IMAGE)


def test_a_damaged_image_is_told_as_such_in_a_capture() -> None:
    files = machine(gzip.compress(FULL)[:-9])
    told = initramfs.listings(Facts(Files(files)))
    seen, again = images(Files(files)).next[0], images(Files({**files, IMAGE: b"", **told})).next[0]
    assert seen.damage and again.damage == seen.damage
    with pytest.raises(Undetermined, match=IMAGE):
        initramfs.paths(Facts(Files({**files, **told})), IMAGE)


def test_the_cache_gives_the_same_and_is_dropped_when_the_image_changes(tmp_path: Path) -> None:
    place = tmp_path / "root"
    for path, content in machine(gzip.compress(FULL)).items():
        (place / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(content, bytes)
        (place / path[1:]).write_bytes(content)
    cache = Cache(str(tmp_path / "cache"))
    first = images(Tree(str(place)), cache)
    assert images(Tree(str(place)), cache) == first
    (place / IMAGE[1:]).write_bytes(gzip.compress(BARE))
    assert images(Tree(str(place)), cache).next[0].missing(DRIVERS) == DRIVERS


def test_names_of_modules() -> None:
    names = ["lib/modules/6/kernel/virtio-blk.ko.zst", "a/x.ko", "a/y.ko.gz", "z.ko", "a/b.koala", "a/c.ko.d/e", "a/f.ko.bz9", ".ko"]
    assert modules_of(names) == {"virtio_blk", "x", "y", "z"}


def test_a_unified_kernel_image_is_found_by_its_version() -> None:
    for name, found in ((f"0123abc-{VERSION}.efi", 1), (f"0123abc-{VERSION}-rt.efi", 0), ("linux.efi", 0)):
        files = machine(None, **{f"/boot/efi/EFI/Linux/{name}": "MZ"})
        assert images(Files(files)).next[0].path == (f"/boot/efi/EFI/Linux/{name}" if found else "")


def test_an_image_for_another_kernel_is_of_no_use() -> None:
    assert missing(machine(gzip.compress(FULL.replace(b"6.1.0-18", b"6.1.0-17")))) == DRIVERS


def test_a_copy_inside_forbids_what_the_machine_no_longer_does() -> None:
    stale = {**dict.fromkeys((f"{INSIDE}/block/virtio_blk.ko", f"{INSIDE}/virtio/virtio_pci.ko"), b""), "etc/modprobe.d/x.conf": b"# old\nblacklist virtio-blk\n"}
    for more in ({}, {"conf/modules": b"virtio_blk\n"}):
        image = gzip.compress(archive({**stale, **more}))
        listing = initramfs.listing(Facts(Files(machine(image))), IMAGE).encode()
        for files in (machine(image), {**machine(b"x"), f"/migprep/initramfs{IMAGE}": listing}):
            boot = images(Files(files)).next[0]
            assert [one.module for one in boot.denied(DRIVERS)] == ([] if more else ["virtio_blk"])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"/etc/initramfs-tools/initramfs.conf": "MODULES=most\n"}, ""),
        ({"/etc/initramfs-tools/initramfs.conf": "# c\nMODULES=dep\n"}, "/etc/initramfs-tools/initramfs.conf"),
        (
            {"/etc/initramfs-tools/initramfs.conf": "MODULES=most\n", "/etc/initramfs-tools/conf.d/driver-policy": "MODULES=dep\n"},
            "/etc/initramfs-tools/conf.d/driver-policy",
        ),
        ({"/etc/initramfs-tools/initramfs.conf": "MODULES=dep\n", "/etc/initramfs-tools/conf.d/x": "MODULES=most\n"}, ""),
    ],
)
def test_the_policy_of_the_next_image(policy: dict[str, str], expected: str) -> None:
    assert images(Files(machine(gzip.compress(FULL), **policy))).host_only == expected


def test_a_later_file_of_dracut_wins() -> None:
    files = machine(gzip.compress(FULL))
    del files["/usr/sbin/mkinitramfs"]
    files["/usr/bin/dracut"] = b""
    files["/usr/lib/dracut/dracut.conf.d/01-dist.conf"] = b'hostonly="yes"\n'
    assert images(Files(files)).host_only.endswith("01-dist.conf")
    files["/usr/lib/dracut/dracut.conf.d/02-generic-image.conf"] = b'hostonly="no"\n'
    assert images(Files(files)).host_only == ""


@pytest.mark.skipif(not any(Path("/boot").glob("initr*")), reason="no initramfs is here")
def test_this_machine() -> None:
    for boot in images(Tree("/", live=True)).boots:
        assert isinstance(boot, Boot)
        assert isinstance(boot.image, Unknown) or boot.image.modules
