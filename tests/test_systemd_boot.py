"""systemd-boot and unified kernel images: which entry boots by itself, on firmware that remembers nothing."""

from __future__ import annotations

import pytest
from tests.test_efi import executable, option

from migprep.facts import Facts, unified
from migprep.root import Files

ENTRIES = "/boot/efi/loader/entries"
LINUX = "/boot/efi/EFI/Linux"


def entry(version: str, *lines: str) -> bytes:
    """A menu entry of kernel-install(8)."""
    text = [f"version {version}", f"linux /id/{version}/linux", f"initrd /id/{version}/initrd", "options root=UUID=1", *lines]
    return "\n".join(text).encode() + b"\n"


def uki(version: str, cmdline: str = "root=UUID=1", system: str = "ID=debian\nVERSION_ID=12\n") -> bytes:
    """A unified kernel image of this kernel."""
    texts = ((b".osrel", system.encode()), (b".cmdline", cmdline.encode() + b"\0"), (b".uname", version.encode()))
    return executable(*texts, (b".linux", b"kernel"), (b".initrd", b""))


def machine(**files: bytes) -> Files:
    """A machine with these files, and the kernels that its entries name; ~ stands for a slash."""
    known = {path.replace("~", "/"): content for path, content in files.items()}
    kernels = {
        f"/boot/efi{line.split()[1].decode()}": b""
        for content in known.values() for line in content.split(b"\n") if line.startswith(b"linux /id/")
    }  # fmt: skip
    modules = {f"/lib/modules/{version}/modules.dep": b"" for version in ("6.1.0", "6.10.0", "6.9.0")}
    return Files({"/boot/x": b"", **modules, **kernels, **known})


def boots(**files: bytes) -> list[str]:
    """The files of the entries that may boot by themselves."""
    loader = Facts(machine(**files)).bootloader
    assert loader.kind == "systemd-boot"
    return [one.path.rpartition("/")[2] for one in loader.entries if one.is_default]


OLD, NEW = {f"{ENTRIES}/id-6.9.0.conf": entry("6.9.0")}, {f"{ENTRIES}/id-6.10.0.conf": entry("6.10.0")}


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ({**OLD, **NEW}, ["id-6.10.0.conf"]),
        ({**OLD, **NEW, "/boot/efi/loader/loader.conf": b"timeout 3\ndefault ID-6.9*\n"}, ["id-6.9.0.conf"]),
        ({**OLD, **NEW, "/boot/efi/loader/loader.conf": b"default id-*\n"}, ["id-6.10.0.conf"]),
        ({**OLD, **NEW, "/boot/efi/loader/loader.conf": b"default other-*\n"}, ["id-6.10.0.conf"]),
        ({**OLD, **NEW, "/boot/efi/loader/loader.conf": b"default @saved\n"}, ["id-6.10.0.conf"]),
        # By versions before 250 alone is this one chosen.
        ({**OLD, **NEW, "/boot/efi/loader/loader.conf": b"default id-6.9.0\n"}, ["id-6.9.0.conf", "id-6.10.0.conf"]),
        # No try is left for the newest; a few are; the pattern never sees the counter.
        ({**OLD, f"{ENTRIES}/id-6.10.0+0-3.conf": entry("6.10.0")}, ["id-6.9.0.conf"]),
        ({**OLD, f"{ENTRIES}/id-6.10.0+2-1.conf": entry("6.10.0")}, ["id-6.10.0+2-1.conf"]),
        ({**OLD, f"{ENTRIES}/id-6.10.0+3.conf": entry("6.10.0"), "/boot/efi/loader/loader.conf": b"default id-6.10.0.conf\n"},
         ["id-6.10.0+3.conf"]),
        # A sort key goes before none, and then by version, whatever the files are called.
        ({**NEW, f"{ENTRIES}/a.conf": entry("6.9.0", "sort-key debian")}, ["a.conf"]),
        ({f"{ENTRIES}/z.conf": entry("6.9.0", "sort-key debian"), f"{ENTRIES}/a.conf": entry("6.10.0", "sort-key debian")}, ["a.conf"]),
        ({f"{ENTRIES}/a.conf": entry("6.10.0", "sort-key debian"), f"{ENTRIES}/b.conf": entry("6.9.0", "sort-key arch")}, ["b.conf"]),
        # An entry whose kernel is gone is not shown; nor is one that systemd-boot does not read.
        ({**OLD, f"{ENTRIES}/id-6.10.0.conf": b"version 6.10.0\nlinux /gone/linux\n"}, ["id-6.9.0.conf"]),
        ({**OLD, f"{ENTRIES}/auto-x.conf": entry("6.10.0"), f"{ENTRIES}/.y.conf": entry("6.10.0")}, ["id-6.9.0.conf"]),
        # Images are entries among the others, with the sort key of their system.
        ({**NEW, f"{LINUX}/id-6.9.0.efi": uki("6.9.0")}, ["id-6.9.0.efi"]),
        ({f"{LINUX}/id-6.9.0.efi": uki("6.9.0"), f"{LINUX}/id-6.10.0+0-3.efi": uki("6.10.0")}, ["id-6.9.0.efi"]),
        ({f"{LINUX}/a.efi": uki("6.9.0"), f"{LINUX}/b.efi": uki("6.10.0"), "/boot/efi/loader/loader.conf": b"default a.efi\n"}, ["a.efi"]),
        # The loader's partition may be one, and that of the kernels another.
        ({**OLD, "/boot/loader/entries/x-6.10.0.conf": entry("6.10.0"), "/boot/efi/loader/loader.conf": b"default id-*\n"}, ["id-6.9.0.conf"]),
    ],
)  # fmt: skip
def test_which_entry_boots(files: dict[str, bytes], chosen: list[str]) -> None:
    assert sorted(boots(**files)) == sorted(chosen)


def test_the_kernel_of_the_image_that_boots_is_the_one_that_is_judged() -> None:
    place = machine(**{f"{LINUX}/a.efi": uki("6.1.0", "root=/dev/sda1"), f"{LINUX}/b.efi": uki("6.10.0"),
                       "/boot/efi/loader/loader.conf": b"default a.efi\n"})  # fmt: skip
    facts = Facts(place)
    assert [one.version for one in facts.kernels.next] == ["6.1.0"]
    assert [one.path for one in facts.initramfs.next] == [f"{LINUX}/a.efi"]
    (told,) = facts.arguments.deciding
    assert (told.path, told.observed, told.candidate) == (f"{LINUX}/a.efi", "root=/dev/sda1", "")
    assert told.expected == "an image made anew with root= with a UUID or label of the device"


def test_an_image_where_new_firmware_looks_starts_whatever_else_is_there() -> None:
    grub = {"/boot/grub/grub.cfg": b"menuentry 'a' {\n linux /vmlinuz-6.9.0 root=UUID=1\n}\n", "/sys/firmware/efi/fw_platform_size": b"64\n"}
    loader = Facts(machine(**{**grub, "/boot/efi/EFI/BOOT/BOOTX64.EFI": uki("6.10.0")})).bootloader
    assert (loader.kind, loader.path) == ("unified-image", "/boot/efi/EFI/BOOT/BOOTX64.EFI")
    assert [one.entry.version for one in loader.entries] == ["6.10.0"]
    other = executable((b".text", b"x"), (b".sbat", b"sbat,1,x\nsystemd-boot,1,systemd\n"))
    assert Facts(machine(**{**grub, "/boot/efi/EFI/BOOT/BOOTX64.EFI": other})).bootloader.kind == "grub"


def test_the_entries_of_systemd_boot_count_where_new_firmware_starts_it() -> None:
    """GRUB's menu is there too, and only this machine's firmware knows of GRUB."""
    grub = {"/boot/grub/grub.cfg": b"menuentry 'a' {\n linux /vmlinuz-6.9.0 root=UUID=1\n}\n", "/sys/firmware/efi/fw_platform_size": b"64\n"}
    boot = executable((b".text", b"x"), (b".sbat", b"sbat,1,x\nsystemd,1,systemd\n"))
    loader = Facts(machine(**{**grub, **NEW, "/boot/efi/EFI/BOOT/BOOTX64.EFI": boot})).bootloader
    assert (loader.kind, [one.entry.version for one in loader.entries]) == ("systemd-boot", ["6.10.0"])
    assert Facts(machine(**{**grub, **NEW})).bootloader.kind == "grub"


@pytest.mark.parametrize(("kernel", "version"), [
    (b"MZ" + bytes(0x200) + b"HdrS" + bytes(8) + b"\x20\0" + bytes(16) + b"6.10.0 (somebody@somewhere) #1 SMP\0more", "6.10.0"),
    (b"MZ" + bytes(0x200) + b"HdrS" + bytes(8) + b"\0\0" + b"6.10.0", ""),
    (b"MZ" + bytes(0x300), ""),
    (b"kernel", ""),
])  # fmt: skip
def test_the_kernel_inside_tells_its_version_where_nothing_else_does(kernel: bytes, version: str) -> None:
    """As dracut makes the image, which writes no .uname."""
    image = executable((b".sbat", b"sbat,1,x\nsystemd,1,The systemd Developers\n"), (b".cmdline", b"root=UUID=1"), (b".linux", kernel), (b".initrd", b""))
    place = machine(**{"/boot/efi/EFI/BOOT/BOOTX64.EFI": image, "/sys/firmware/efi/fw_platform_size": b"64\n",
                       "/boot/initrd.img-6.10.0": b"", "/boot/vmlinuz-6.10.0": b""})  # fmt: skip
    facts = Facts(place)
    assert (facts.bootloader.kind, facts.bootloader.esp.dead_end) == ("unified-image", "")
    assert facts.bootloader.entries[0].entry.version == version
    if version:
        assert [one.path for one in facts.initramfs.next] == ["/boot/efi/EFI/BOOT/BOOTX64.EFI"]


def test_an_image_that_only_the_old_firmware_starts_is_no_fallback() -> None:
    """An entry in its memory points straight to the image."""
    variable = "/sys/firmware/efi/efivars/%s-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    loader = Facts(machine(**{
        f"{LINUX}/a.efi": uki("6.1.0"), "/sys/firmware/efi/fw_platform_size": b"64\n",
        variable % "BootCurrent": bytes(4) + (2).to_bytes(2, "little"),
        variable % "Boot0002": bytes(4) + option("\\EFI\\Linux\\a.efi"),
    })).bootloader  # fmt: skip
    assert [one.path for one in loader.entries if one.is_default] == [f"{LINUX}/a.efi"]
    assert not loader.esp.has_fallback and not loader.esp.copies


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("0123abc-6.1.0-18-amd64.efi", "6.1.0-18-amd64"), ("0123abc-6.1.0-18-amd64+3-0.efi", "6.1.0-18-amd64"),
        ("6.1.0.efi", "6.1.0"), ("arch-linux.efi", ""), ("a1.2-6.5.efi", "6.5"),
    ],
)  # fmt: skip
def test_versions_in_file_names(name: str, version: str) -> None:
    assert unified.version_of(f"/efi/EFI/Linux/{name}") == version
