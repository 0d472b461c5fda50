"""Actions: which commands, what they would come to, and what is not put in place."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.test_systemd_boot import uki

from migprep import actions, images, menus
from migprep.builds import Build
from migprep.facts import Facts
from migprep.process import Outcome
from migprep.root import Files, Overlay, Tree

DEP = (
    b"kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio-ring.ko.xz\n"
    b"kernel/drivers/virtio/virtio-ring.ko.xz:\nkernel/drivers/net/e1000.ko.xz:\nkernel/fs/ext4.ko.xz:\n"
    b"kernel/drivers/ata/ata_piix.ko.xz:\n"
)
INSIDE = b"usr/lib/modules/6.1/kernel/fs/ext4.ko.xz\nusr/lib/modules/6.1/kernel/drivers/ata/ata_piix.ko.xz\n"
MODULES = "/etc/initramfs-tools/modules"


def unable(name: str, place: Files | Tree) -> str:
    return actions.unable(name, Facts(place), place)


def builds(place: Files | Tree, name: str = "initramfs", **more: bytes) -> tuple[Build, ...]:
    planned = Overlay(place, {path.replace("~", "/"): content for path, content in more.items()})
    return actions.builds((name,), Facts(place), Facts(planned), place, not more)


def machine(image: str, made_by: str, **more: bytes | str) -> Files:
    listing = b"# tool: " + made_by.encode() + b"\n# compression: zstd\n" + INSIDE
    return Files({
        "/lib/modules/6.1/modules.dep": DEP, "/lib/modules/6.1/modules.builtin": b"", "/boot/vmlinuz-6.1": b"",
        image: b"image", f"/migprep/initramfs{image}": listing,
        **{path.replace("~", "/"): content for path, content in more.items()},
    })  # fmt: skip


def debian(**more: bytes | str) -> Files:
    return machine("/boot/initrd.img-6.1", "initramfs-tools", **{"/usr/sbin/mkinitramfs": b"", **more})


@pytest.mark.parametrize(
    ("image", "made_by", "argv"),
    [
        ("/boot/initrd.img-6.1", "initramfs-tools", ("mkinitramfs", "-o", "/boot/.initrd.img-6.1.migprep-new", "6.1")),
        ("/boot/initrd.img-6.1", "dracut", ("dracut", "--force", "/boot/.initrd.img-6.1.migprep-new", "6.1")),
        ("/boot/initramfs-6.1.img", "dracut", ("dracut", "--force", "/boot/.initramfs-6.1.img.migprep-new", "6.1")),
        ("/boot/initrd-6.1", "dracut", ("dracut", "--force", "/boot/.initrd-6.1.migprep-new", "6.1")),
        ("/boot/initramfs-6.1.img", "mkinitcpio", ("mkinitcpio", "-k", "6.1", "-g", "/boot/.initramfs-6.1.img.migprep-new")),
    ],
)  # fmt: skip
def test_what_made_an_image_makes_it_anew_beside_it(image: str, made_by: str, argv: tuple[str, ...]) -> None:
    """Whatever its name is, and whatever other tools are installed."""
    build = builds(machine(image, made_by))[0]
    assert (build.path, build.argv) == (image, argv)


def test_a_link_to_an_image_stays_a_link() -> None:
    place = machine("/boot/initrd-6.1", "dracut", **{"/boot/initrd": "initrd-6.1", "/migprep/initramfs/boot/initrd": INSIDE})
    assert [build.path for build in builds(place)] == ["/boot/initrd-6.1"]


def test_kdump_and_rescue_images_are_left_alone(tmp_path: Path) -> None:
    for path in ("lib/modules/6.1/modules.dep", "boot/initramfs-6.1kdump.img", "boot/initramfs-0-rescue-abc.img", "usr/bin/dracut"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(DEP)
    assert "no initramfs" in unable("initramfs", Tree(str(tmp_path)))


@pytest.mark.parametrize("path", ["Linux/debian-6.1.efi", "Linux/DEBIAN-6.1.EFI", "BOOT/BOOTX64.EFI"])
def test_a_unified_kernel_image_is_not_ours_to_make(path: str) -> None:
    """Least of all with the initramfs alone put in its place."""
    place = machine(f"/boot/efi/EFI/{path}", "dracut", **{
        "/usr/bin/dracut": b"", "/sys/firmware/efi/fw_platform_size": b"64\n", f"/boot/efi/EFI/{path}": uki("6.1"),
    })  # fmt: skip
    assert Facts(place).initramfs.next[0].path == f"/boot/efi/EFI/{path}"
    assert "is a unified kernel image" in unable("initramfs", place)


def test_a_machine_without_any_tool_needs_no_image(tmp_path: Path) -> None:
    (tmp_path / "lib/modules/6.1").mkdir(parents=True)
    (tmp_path / "lib/modules/6.1/modules.dep").write_bytes(DEP)
    (tmp_path / "boot").mkdir()
    assert unable("initramfs", Tree(str(tmp_path))) == ""


def test_only_images_that_lack_a_driver_are_made_anew() -> None:
    asking = {MODULES: b"virtio-blk opt=1 # why\nnosuch\n"}
    assert [build.wanted for build in builds(debian(), **asking)] == [("ata_piix", "virtio_blk")]
    fit = INSIDE + b"usr/lib/modules/6.1/kernel/drivers/block/virtio_blk.ko.xz\n"
    assert builds(debian(**{"/migprep/initramfs/boot/initrd.img-6.1": fit}), **asking) == ()
    assert actions.reaches_all(["/etc/systemd/network/10-eth0.link"]) and not actions.reaches_all([MODULES])


def test_what_runs_here_must_be_in_the_new_image() -> None:
    """The source must boot again: ext4 and the disk's driver are loaded, and were inside."""
    place = debian(**{"/proc/modules": b"ext4 1 0 - Live 0x0\nata_piix 1 0 - Live 0x0\ne1000 1 0 - Live 0x0\n"})
    assert builds(place)[0].wanted == ("ata_piix", "ext4")


def test_the_image_is_foreseen_from_the_configuration() -> None:
    place = debian(**{MODULES: b"# a comment\nvirtio-blk opt=1 # why\nnosuch\n"})
    listing = actions.imagined(("initramfs",), Facts(place), place)["/migprep/initramfs/boot/initrd.img-6.1"].decode()
    assert listing.startswith("# tool: initramfs-tools\n# compression: zstd\n")
    for name in ("virtio_blk", "virtio_ring", "ext4", "ata_piix"):
        assert f"/{name}.ko\n" in listing, "what was inside, what is asked for, and what that needs"
    assert "e1000" not in listing
    assert actions.imagined((), Facts(place), place) == {}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/dracut.conf.d/migprep.conf", b'add_drivers+=" virtio_blk "\n'),
        ("/etc/sysconfig/kernel", b'INITRD_MODULES="ata_piix virtio_blk"\n'),
        ("/etc/mkinitcpio.conf", b"MODULES=(virtio_blk ext4)\n"),
    ],
)
def test_every_tool_has_its_own_place_for_drivers(path: str, text: bytes) -> None:
    assert images._configured(Facts(debian(**{path: text})))[:1] != ()
    assert "virtio_blk" not in images._configured(Facts(debian(**{path: b"#" + text})))


# --- the boot menu ---

HEAD = "### BEGIN /etc/grub.d/10_linux ###\n"
OLD = HEAD + "\tlinux\t/boot/vmlinuz-6.1 root=/dev/sda1 ro quiet\n\tlinux /boot/vmlinuz-5.0 root=/dev/sda1\n"
WITH_INITRD = HEAD + "menuentry 'a' {\n\tlinux /boot/vmlinuz-6.1 root=UUID=1\n\tinitrd /boot/initrd.img-6.1\n}\n"


@pytest.mark.parametrize(
    ("new", "fault"),
    [
        (OLD.replace("/dev/sda1", "UUID=1"), ""),
        (OLD, ""),
        (OLD + " linux16 /vmlinuz-7 root=UUID=1", ""),
        (OLD.replace("ro quiet", "ro quiet console=ttyS0"), ""),
        (OLD.replace("vmlinuz-5.0", "vmlinuz-6.1"), "no entry for vmlinuz-5.0"),
        (OLD.replace("/dev/sda1", "/dev/loop0"), "root=/dev/loop0"),
        (OLD.replace("/dev/sda1", "UUID=2"), "root=UUID=2"),
        (OLD.replace("root=/dev/sda1", ""), "root=(none)"),
        (OLD.replace(" quiet", ""), "without quiet, which the old one has: was it edited by hand?"),
        (OLD.replace("ro quiet", "ro quiet nomodeset"), "with nomodeset, which the old one has not"),
        ("", "no entry for"),
    ],
)
def test_a_new_menu_is_compared_with_the_old(new: str, fault: str) -> None:
    told = menus.compared(OLD, new, ("UUID=1", "console=ttyS0"))
    assert fault in told and bool(told) == bool(fault)


def test_a_new_menu_keeps_the_initramfs() -> None:
    assert menus.compared(WITH_INITRD, WITH_INITRD) == ""
    assert "without its initramfs" in menus.compared(WITH_INITRD, WITH_INITRD.replace("\tinitrd", "\t#"))


def section(script: str, text: str) -> str:
    return f"### BEGIN /etc/grub.d/{script} ###\n{text}\n### END /etc/grub.d/{script} ###\n"


KERNEL = "menuentry '%s' --id %s {\n\tsearch --fs-uuid --set=root %s\n\tlinux /vmlinuz-%s root=UUID=1\n\tinitrd /initrd.img-%s\n}"
SIX, FIVE = (KERNEL % (f"Linux {one}", one, "aa", one, one) for one in ("6.1", "5.0"))
HEADER = 'if [ "${next_entry}" ] ; then\n\tset default="${next_entry}"\nelse\n\tset default="saved_entry"\nfi\nset timeout=5\nset lang=de_DE'
WINDOWS = "menuentry 'Windows' {\n\tchainloader /EFI/Microsoft/Boot/bootmgfw.efi\n}"
WHOLE = section("00_header", HEADER) + section("10_linux", f"{SIX}\n{FIVE}") + section("40_custom", WINDOWS)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (WHOLE, WHOLE, ""),
        (WHOLE, WHOLE.replace("set lang=de_DE", "set lang=C").replace("'Linux 6.1'", "'GNU/Linux 6.1'"), ""),
        (WHOLE, WHOLE.replace("--set=root aa", "--set=root --hint-bios=hd0,msdos1 aa"), ""),
        (WHOLE, WHOLE.replace("'Windows'", "'Other'"), "no line \"menuentry 'Windows' {\""),
        (WHOLE, WHOLE.replace("bootmgfw", "other"), "no line 'chainloader /EFI/Microsoft/Boot/bootmgfw.efi'"),
        (WHOLE.replace("set timeout=5", "set timeout=60"), WHOLE, "no line 'set timeout=60'"),
        (section("01_users", 'set superusers="root"') + WHOLE, WHOLE, "no line 'set superusers=\"root\"'"),
        (WHOLE.replace(SIX, f"password_pbkdf2 root x\n{SIX}"), WHOLE, "no line 'password_pbkdf2 root x'"),
        (WHOLE, WHOLE.replace(f"{SIX}\n{FIVE}", f"{FIVE}\n{SIX}"), "boot vmlinuz-5.0 by itself, the old one boots vmlinuz-6.1"),
    ],
)  # fmt: skip
def test_a_new_menu_loses_nothing_that_somebody_wrote(old: str, new: str, fault: str) -> None:
    told = menus.compared(old, new)
    assert fault in told and bool(told) == bool(fault), told


def test_the_default_that_the_environment_names_stays() -> None:
    other = WHOLE.replace("--id 5.0", "--id five")
    assert menus.compared(WHOLE, other, saved="6.1") == ""
    assert "boot vmlinuz-6.1 by itself, the old one boots vmlinuz-5.0" in menus.compared(WHOLE, other, saved="5.0")


@pytest.mark.parametrize(
    ("menu", "why"),
    [
        (WHOLE, ""),
        (WHOLE + "set gfxmode=auto\n", "what was written into it by hand: set gfxmode=auto"),
        (WHOLE + section("30_os-prober", WINDOWS), "os-prober would have to mount their disks"),
        (WHOLE + section("30_os-prober", "# nothing\n"), ""),
        (WHOLE + section("99_gone", "set x=1"), "the part of /etc/grub.d/99_gone, which is not there"),
        (WHOLE + section("98_off", "set x=1"), "the part of /etc/grub.d/98_off, which is not there or not executable"),
    ],
)
def test_a_menu_that_holds_more_than_its_scripts_write_is_not_made_anew(tmp_path: Path, menu: str, why: str) -> None:
    for name in ("00_header", "10_linux", "40_custom", "98_off"):
        (tmp_path / "etc/grub.d").mkdir(parents=True, exist_ok=True)
        (tmp_path / "etc/grub.d" / name).write_text("#!/bin/sh\n")
        (tmp_path / "etc/grub.d" / name).chmod(0o644 if name == "98_off" else 0o755)
    for path, content in (("usr/sbin/grub-mkconfig", "x"), ("boot/grub/grub.cfg", menu)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(content)
    told = unable("grub-menu", Tree(str(tmp_path)))
    assert why in told and bool(told) == bool(why), told


def grub(menu: str, **more: bytes) -> Files:
    return Files({"/boot/grub/grub.cfg": menu.encode(), "/usr/sbin/grub-mkconfig": b"", **more})


def test_only_generated_menus_are_regenerated() -> None:
    stub = b"search.fs_uuid x root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
    place = grub(OLD, **{"/boot/efi/EFI/debian/grub.cfg": stub})
    build = builds(place, "grub-menu")[0]
    assert build.path == "/boot/grub/grub.cfg", "and never the stub on the EFI system partition"
    assert build.command == "env GRUB_DISABLE_OS_PROBER=true grub-mkconfig -o /boot/grub/.grub.cfg.migprep-new"
    assert "was not made by grub-mkconfig" in unable("grub-menu", grub("menuentry x {}\n"))
    assert "no action" in unable("reboot", place)


def test_a_menu_of_loader_entries_is_not_regenerated() -> None:
    """grub2-mkconfig of Red Hat 8 also writes kernelopts into the environment block: not to be undone."""
    assert builds(grub(HEAD + "insmod blscfg\nblscfg\n"), "grub-menu") == ()
    assert builds(Files({"/boot/extlinux/extlinux.conf": b"label x\n"}), "grub-menu") == ()


def test_in_a_directory_the_tools_of_the_directory_run(tmp_path: Path) -> None:
    for path, content in (("usr/sbin/grub-mkconfig", "x"), ("boot/grub/grub.cfg", OLD)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(content)
    tree = Tree(str(tmp_path))
    assert builds(tree, "grub-menu")[0].argv[:2] == ("chroot", str(tmp_path))
    (tmp_path / "usr/sbin/grub-mkconfig").unlink()
    assert "no grub-mkconfig" in unable("grub-menu", tree)


def test_a_menu_that_grub_refuses_is_not_put_in_place(tmp_path: Path) -> None:
    for path, content in (
        ("usr/bin/grub-script-check", ""), ("usr/sbin/grub-mkconfig", ""), ("boot/grub/grub.cfg", OLD), ("boot/grub/.grub.cfg.migprep-new", OLD),
    ):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    tree = Tree(str(tmp_path))
    build = builds(tree, "grub-menu")[0]
    asked: list[list[str]] = []

    def run(argv: list[str], seconds: float) -> Outcome:
        asked.append(argv)
        return Outcome(1, b"", b"syntax error")

    assert "refuses the new menu: syntax error" in actions.fault(build, tree, run)
    assert asked == [["chroot", str(tmp_path), "grub-script-check", "/boot/grub/.grub.cfg.migprep-new"]]
    assert actions.fault(build, tree, lambda argv, seconds: Outcome(0, b"", b"")) == ""


# --- the fallback loader ---

ESP = "/boot/efi/EFI"


def uefi(*names: str) -> Files:
    return Files({"/sys/firmware/efi/fw_platform_size": b"64\n", "/boot/vmlinuz-6.1": b"",
                  **{f"{ESP}/{name}": name.encode() for name in names}})  # fmt: skip


@pytest.mark.parametrize(
    ("there", "made"),
    [
        (("debian/shimx64.efi", "debian/grubx64.efi", "debian/mmx64.efi", "debian/grub.cfg"),
         ("BOOT/mmx64.efi", "BOOT/grubx64.efi", "BOOT/BOOTX64.EFI")),
        (("ubuntu/grubx64.efi",), ("BOOT/BOOTX64.EFI",)),
        (("systemd/systemd-bootx64.efi",), ("BOOT/BOOTX64.EFI",)),
        (("debian/shimx64.efi", "debian/grubx64.efi", "Boot/grubx64.efi"), ("Boot/BOOTX64.EFI",)),
    ],
)  # fmt: skip
def test_the_fallback_loader_is_a_copy_beside_what_is_there(there: tuple[str, ...], made: tuple[str, ...]) -> None:
    """What the loader needs comes first, and nothing that is there is replaced."""
    found = builds(uefi(*there), "fallback-loader")
    assert [one.path for one in found] == [f"{ESP}/{name}" for name in made]
    first = found[-1]
    assert first.argv == ("cp", "--", first.wanted[0], f"{ESP}/{made[-1].split('/')[0]}/.BOOTX64.EFI.migprep-new")


@pytest.mark.parametrize(
    "there",
    [
        ("redhat/shimx64.efi", "redhat/grubx64.efi"),
        ("debian/shimx64.efi",),
        ("debian/grubx64.efi", "ubuntu/grubx64.efi"),
        ("debian/grubx64.efi", "BOOT/BOOTX64.EFI"),
        ("Microsoft/bootmgfw.efi",),
    ],
)
def test_a_loader_that_may_not_find_its_menu_is_not_copied(there: tuple[str, ...]) -> None:
    """Another distribution's, shim without GRUB, one of two systems, one beside a loader that works."""
    assert "could be copied" in unable("fallback-loader", uefi(*there))


def test_a_copy_that_differs_is_not_put_in_place(tmp_path: Path) -> None:
    for name, content in (("debian/grubx64.efi", b"MZ"), ("BOOT/.BOOTX64.EFI.migprep-new", b"M")):
        (tmp_path / "boot/efi/EFI" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "boot/efi/EFI" / name).write_bytes(content)
    tree = Tree(str(tmp_path))
    build = builds(tree, "fallback-loader")[0]
    assert "is not the same as /boot/efi/EFI/debian/grubx64.efi" in actions.fault(build, tree, lambda *_: Outcome(0, b"", b""))
    (tmp_path / "boot/efi/EFI/BOOT/.BOOTX64.EFI.migprep-new").write_bytes(b"MZ")
    assert actions.fault(build, tree, lambda *_: Outcome(0, b"", b"")) == ""
