"""Actions: which commands, what they would come to, and what is not put in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from migprep import actions
from migprep.actions import Image
from migprep.facts import Facts
from migprep.process import Outcome
from migprep.root import Files, Tree

DEP = (
    b"kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio-ring.ko.xz\n"
    b"kernel/drivers/virtio/virtio-ring.ko.xz:\nkernel/drivers/net/e1000.ko.xz:\nkernel/fs/ext4.ko.xz:\n"
)
LISTING = b"# tool: initramfs-tools\n# compression: zstd\nusr/lib/modules/6.1/kernel/fs/ext4.ko.xz\n"


def unable(name: str, place: Files | Tree) -> str:
    return actions.unable(name, Facts(place), place)


def debian(**more: bytes | str) -> Files:
    return Files({
        "/lib/modules/6.1/modules.dep": DEP, "/boot/initrd.img-6.1": b"image", "/migprep/initramfs/boot/initrd.img-6.1": LISTING,
        "/usr/sbin/mkinitramfs": b"", **{path.replace("~", "/"): content for path, content in more.items()},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/boot/initrd.img-6.1": b""}, Image("6.1", "/boot/initrd.img-6.1", "initramfs-tools")),
        ({"/boot/initramfs-6.1.img": b""}, Image("6.1", "/boot/initramfs-6.1.img", "dracut")),
        ({"/boot/initrd-6.1": b"", "/boot/initrd": "initrd-6.1"}, Image("6.1", "/boot/initrd-6.1", "dracut")),
        (
            {"/boot/initramfs-linux.img": b"", "/lib/modules/6.1/pkgbase": b"linux\n"},
            Image("6.1", "/boot/initramfs-linux.img", "mkinitcpio"),
        ),
    ],
)
def test_each_kernel_has_its_image(files: dict[str, bytes | str], expected: Image) -> None:
    place = Files({"/lib/modules/6.1/modules.dep": DEP, "/lib/modules/5.0/build": b"", **files})
    assert actions.images(Facts(place)) == (expected,)


def test_kdump_and_rescue_images_are_left_alone() -> None:
    place = Files(
        {
            "/lib/modules/6.1/modules.dep": DEP,
            "/boot/initramfs-6.1kdump.img": b"",
            "/boot/initramfs-0-rescue-abc.img": b"",
            "/usr/bin/dracut": b"",
        }
    )
    assert actions.images(Facts(place)) == ()
    assert "no initramfs" in unable("initramfs", place)


def test_a_machine_without_any_tool_needs_no_image() -> None:
    assert unable("initramfs", Files({"/lib/modules/6.1/modules.dep": DEP})) == ""


def test_an_image_is_built_beside() -> None:
    place = debian()
    build = actions.builds(("initramfs",), Facts(place), place)[0]
    assert build.argv == ("mkinitramfs", "-o", "/boot/.initrd.img-6.1.migprep-new", "6.1")
    assert (build.path, build.beside) == ("/boot/initrd.img-6.1", "/boot/.initrd.img-6.1.migprep-new")


def test_the_image_is_foreseen_from_the_configuration() -> None:
    place = debian(**{"/etc/initramfs-tools/modules": b"# a comment\nvirtio-blk opt=1 # why\nnosuch\n"})
    assert actions.asked(place, actions.images(Facts(place))[0]) == ("virtio_blk",)
    listing = actions.imagined(("initramfs",), Facts(place))["/migprep/initramfs/boot/initrd.img-6.1"].decode()
    assert listing.startswith("# tool: initramfs-tools\n# compression: zstd\n")
    assert "usr/lib/modules/6.1/kernel/drivers/block/virtio_blk.ko.xz\n" in listing
    assert "virtio-ring" in listing, "with what it needs"
    assert "e1000" not in listing


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/dracut.conf.d/migprep.conf", b'add_drivers+=" virtio_blk "\n'),
        ("/etc/sysconfig/kernel", b'INITRD_MODULES="ata_piix virtio_blk"\n'),
        ("/etc/mkinitcpio.conf", b"MODULES=(virtio_blk ext4)\n"),
    ],
)
def test_every_tool_has_its_own_place_for_drivers(path: str, text: bytes) -> None:
    assert "virtio_blk" in actions.configured(Files({path: text}))
    assert "virtio_blk" not in actions.configured(Files({path: b"#" + text}))


def test_a_generic_image_has_the_common_drivers() -> None:
    place = debian(
        **{
            "/etc/initramfs-tools/initramfs.conf": b"MODULES=dep\n",
            "/etc/initramfs-tools/conf.d/all": b"MODULES=most\n",
        }
    )
    assert b"virtio_blk" in actions.imagined(("initramfs",), Facts(place))["/migprep/initramfs/boot/initrd.img-6.1"]


# --- the boot menu ---

HEAD = "### BEGIN /etc/grub.d/10_linux ###\n"
OLD = HEAD + "\tlinux\t/boot/vmlinuz-6.1 root=/dev/sda1 ro quiet\n\tlinux /boot/vmlinuz-5.0 root=/dev/sda1\n"


@pytest.mark.parametrize(
    ("new", "fault"),
    [
        (OLD.replace("/dev/sda1", "UUID=1"), ""),
        (OLD, ""),
        (OLD + " linux16 /vmlinuz-7 root=UUID=1", ""),
        (OLD.replace("vmlinuz-5.0", "vmlinuz-6.1"), "no entry for vmlinuz-5.0"),
        (OLD.replace("/dev/sda1", "/dev/loop0"), "root=/dev/loop0"),
        (OLD.replace("root=/dev/sda1", ""), "root=(none)"),
        ("", "no entry for"),
    ],
)
def test_a_new_menu_is_compared_with_the_old(new: str, fault: str) -> None:
    told = actions.compared(OLD, new)
    assert fault in told and bool(told) == bool(fault)


def test_a_menu_of_loader_entries_keeps_reading_them() -> None:
    assert actions.compared(HEAD + "blscfg\n", HEAD + "blscfg\n") == ""
    assert "blscfg" in actions.compared(HEAD + "blscfg\n", HEAD)


def test_only_generated_menus_are_regenerated() -> None:
    place = Files({
        "/boot/grub/grub.cfg": HEAD.encode(), "/usr/sbin/grub-mkconfig": b"",
        "/boot/efi/EFI/debian/grub.cfg": b"search.fs_uuid x root\nconfigfile /boot/grub/grub.cfg\n",
    })  # fmt: skip
    build = actions.builds(("grub-menu",), Facts(place), place)[0]
    assert build.path == "/boot/grub/grub.cfg"
    assert build.command == "env GRUB_DISABLE_OS_PROBER=true grub-mkconfig -o /boot/grub/.grub.cfg.migprep-new"
    assert "no boot menu" in unable("grub-menu", Files({"/boot/grub/grub.cfg": b"menuentry x {}\n"}))
    assert "no action" in unable("reboot", place)


def test_in_a_directory_the_tools_of_the_directory_run(tmp_path: Path) -> None:
    for path, content in (("usr/sbin/grub-mkconfig", "x"), ("boot/grub/grub.cfg", OLD)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(content)
    tree = Tree(str(tmp_path))
    assert actions.builds(("grub-menu",), Facts(tree), tree)[0].argv[:2] == ("chroot", str(tmp_path))
    (tmp_path / "usr/sbin/grub-mkconfig").unlink()
    assert "no grub-mkconfig" in unable("grub-menu", tree)


def test_a_menu_that_grub_refuses_is_not_put_in_place(tmp_path: Path) -> None:
    for path, content in (
        ("usr/bin/grub-script-check", ""), ("usr/sbin/grub-mkconfig", ""), ("boot/grub/grub.cfg", OLD), ("boot/grub/.grub.cfg.migprep-new", OLD),
    ):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    tree = Tree(str(tmp_path))
    build = actions.builds(("grub-menu",), Facts(tree), tree)[0]
    asked: list[list[str]] = []

    def run(argv: list[str], seconds: float) -> Outcome:
        asked.append(argv)
        return Outcome(1, b"", b"syntax error")

    assert "refuses the new menu: syntax error" in build.fault(tree, run)
    assert asked == [["chroot", str(tmp_path), "grub-script-check", "/boot/grub/.grub.cfg.migprep-new"]]
    assert build.fault(tree, lambda argv, seconds: Outcome(0, b"", b"")) == ""
