"""Which drivers a kernel has: whole file names, any compression, either spelling; and which kernel boots next."""

from __future__ import annotations

from pathlib import Path

import pytest

from migprep.facts import Facts
from migprep.facts.kernels import Kernel, numbers
from migprep.model import Undetermined, Unknown
from migprep.root import Files, Tree

DEP = """kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/net/xen-netfront.ko:
kernel/drivers/nvme/host/nvme.ko.zst: kernel/drivers/nvme/host/nvme-core.ko.zst
kernel/drivers/net/fjes/my-e1000.ko.gz:
kernel/sound/snd-hda_intel-x.ko:
extra/dep_only.ko: kernel/drivers/net/only_as_dependency.ko
"""


def kernel(modules: str | Unknown = DEP, builtin: str | Unknown = "kernel/drivers/ata/ahci.ko\nkernel/drivers/scsi/sd_mod.ko", config: str | Unknown = Unknown("none")) -> Kernel:
    return Kernel("6.1.0", "/lib/modules/6.1.0", "/boot/vmlinuz-6.1.0", modules, builtin, config, True, True)


@pytest.mark.parametrize("name", ["virtio_blk", "xen_netfront", "nvme", "snd_hda_intel_x", "ahci", "sd_mod"])
def test_has(name: str) -> None:
    assert kernel().has(name)


@pytest.mark.parametrize("name", ["virtio", "blk", "virtio_bl", "e1000", "nvme_core", "only_as_dependency", "host", "net", "ko", "ahc"])
def test_a_part_of_a_name_is_not_the_name(name: str) -> None:
    assert not kernel().has(name)


def test_alternatives() -> None:
    assert kernel().lacks(("e1000|e1000e", "virtio_blk|xyz", "xyz|ahci")) == ("e1000|e1000e",)


def test_what_is_unread_is_unknown() -> None:
    with pytest.raises(Undetermined, match="no modules"):
        kernel(modules=Unknown("no modules.dep")).lacks(("virtio_blk",))
    with pytest.raises(Undetermined, match="no builtin"):
        kernel(builtin=Unknown("no builtin")).lacks(("e1000",))
    assert kernel(builtin=Unknown("no builtin")).lacks(("virtio_blk",)) == ()


def test_old_kernels_tell_by_their_configuration() -> None:
    old = kernel(builtin=Unknown("no builtin"), config="#\nCONFIG_SATA_AHCI=y\nCONFIG_E1000=m\n")
    assert old.has_builtin("ahci") and not old.has_builtin("e1000")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("6.1.0-9-amd64", "6.1.0-18-amd64"),
        ("5.14.0-70.el9.x86_64", "5.14.0-362.8.1.el9_3.x86_64"),
        ("6.1.0-9-amd64", "6.10.1-1-amd64"),
        ("6.1~rc5-amd64", "6.1.1-amd64"),
        ("4.12.14-95.3-default", "4.12.14-122.7-default"),
        ("2.6.32-754.el6.x86_64", "3.10.0-1.el7.x86_64"),
    ],
)
def test_versions_sort_as_numbers(older: str, newer: str) -> None:
    assert numbers(older) < numbers(newer)


def machine(*versions: str, **more: str) -> Files:
    files: dict[str, bytes | str] = {path: text.encode() for path, text in more.items()}
    for version in versions:
        files[f"/lib/modules/{version}/modules.dep"] = DEP.encode()
        files[f"/lib/modules/{version}/modules.builtin"] = b""
        files[f"/boot/vmlinuz-{version}"] = b"MZ"
    return Files(files)


def default(root: Files | Tree) -> str:
    kernels = Facts(root).kernels
    assert not isinstance(kernels, Unknown), kernels
    return kernels.default.version


def test_without_a_menu_the_newest_boots() -> None:
    assert default(machine("6.1.0-9-amd64", "6.1.0-18-amd64", "5.10.0-30-amd64")) == "6.1.0-18-amd64"


def test_the_menu_decides() -> None:
    menu = "menuentry 'a' {\n linux /boot/vmlinuz-6.1.0-9-amd64 root=UUID=1 ro\n initrd /boot/initrd.img-6.1.0-9-amd64\n}\n"
    assert default(machine("6.1.0-9-amd64", "6.1.0-18-amd64", **{"/boot/grub/grub.cfg": menu})) == "6.1.0-9-amd64"


def test_a_rescue_kernel_is_none_of_them() -> None:
    root = machine("5.14.0-70.el9.x86_64", **{"/boot/vmlinuz-0-rescue-0123456789abcdef": "MZ"})
    kernels = Facts(root).kernels
    assert not isinstance(kernels, Unknown)
    assert [one.version for one in kernels.kernels] == ["5.14.0-70.el9.x86_64"]


def test_a_rescue_kernel_that_is_the_default_tells_which_one_it_is_a_copy_of() -> None:
    copy = "MZ" + "\0" * 0x200 + "HdrS" + "\0" * 8 + "\x20" + "\0" * 17 + "5.14.0-70.el9.x86_64 (a@b) #1 SMP\0"
    menu = "menuentry 'a' {\n linux /vmlinuz-0-rescue-01 root=UUID=1 ro\n initrd /initramfs-0-rescue-01.img\n}\n"
    more = {"/boot/grub/grub.cfg": menu, "/boot/vmlinuz-0-rescue-01": copy}
    assert default(machine("5.14.0-70.el9.x86_64", "5.14.0-503.el9.x86_64", **more)) == "5.14.0-70.el9.x86_64"
    more["/boot/vmlinuz-0-rescue-01"] = "MZ"
    assert default(machine("5.14.0-70.el9.x86_64", "5.14.0-503.el9.x86_64", **more)) == "5.14.0-503.el9.x86_64"


def test_arch_names_files_after_the_package() -> None:
    root = Files({
        "/usr/lib/modules/6.9.1-arch1-1/modules.dep": DEP.encode(), "/usr/lib/modules/6.9.1-arch1-1/pkgbase": b"linux\n",
        "/boot/vmlinuz-linux": b"MZ",
    })  # fmt: skip
    kernels = Facts(root).kernels
    assert not isinstance(kernels, Unknown)
    assert kernels.default.image == "/boot/vmlinuz-linux"


def test_no_kernel_at_all_is_unknown() -> None:
    assert isinstance(Facts(Files({"/etc/hostname": b"x"})).kernels, Unknown)


@pytest.mark.skipif(not any(Path("/lib/modules").glob("*/modules.dep")), reason="no kernel is installed here")
def test_this_machine() -> None:
    kernels = Facts(Tree("/", live=True)).kernels
    assert not isinstance(kernels, Unknown)
    assert all(not one.lacks(("virtio_blk|ahci|nvme|xen_blkfront",)) for one in kernels.kernels)


def test_entries_of_the_boot_loader_specification_stand_in_the_order_of_their_names() -> None:
    def entry(version: str) -> str:
        return f"title a\nversion {version}\nlinux /vmlinuz-{version}\noptions root=UUID=1\n"

    old, new = "5.14.0-70.el9.x86_64", "5.14.0-503.11.1.el9_5.x86_64"
    menu = {"/boot/grub2/grub.cfg": "set default=\"${saved_entry}\"\ninsmod blscfg\nblscfg\n"}
    places = {f"/boot/loader/entries/aaaa-{one}.conf": entry(one) for one in (old, new)}
    assert default(machine(old, new, **menu, **places)) == new
    # GRUB compares what stands before the version first: entries of another machine-id may come before all newer ones.
    other = {f"/boot/loader/entries/bbbb-{old}.conf": entry(old), f"/boot/loader/entries/aaaa-{new}.conf": entry(new)}
    assert default(machine(old, new, **menu, **other)) == old
    saved = {"/boot/grub2/grubenv": f"# GRUB Environment Block\nsaved_entry=aaaa-{new}\n#####"}
    assert default(machine(old, new, **menu, **other, **saved)) == new
    gone = {"/boot/grub2/grubenv": "# GRUB Environment Block\nsaved_entry=aaaa-9.9.9-1.el9.x86_64\n#####"}
    assert default(machine(old, new, **menu, **places, **gone)) == new
