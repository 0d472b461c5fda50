"""What firmware finds on an EFI system partition: boot entries, loaders, stubs."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep import capture
from migprep.facts import Facts, efi, nvram, unified
from migprep.formats import pe
from migprep.root import Files

GRUB = Path("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")


def executable(*sections: tuple[bytes, bytes]) -> bytes:
    """A portable executable with these sections and nothing else."""
    head = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(2) + len(sections).to_bytes(2, "little") + bytes(16)
    table, body, at = b"", b"", 512
    for name, content in sections:
        size = len(content).to_bytes(4, "little")
        table += name.ljust(8, b"\0") + size + bytes(4) + size + at.to_bytes(4, "little") + bytes(16)
        body += content
        at += len(content)
    return (head + table).ljust(512, b"\0") + body


def option(path: str, title: str = "debian") -> bytes:
    """A boot option that starts a file of a partition, as efibootmgr writes it."""
    disk = b"\x04\x01" + (42).to_bytes(2, "little") + bytes(38)
    name = path.encode("utf-16-le") + b"\0\0"
    nodes = disk + b"\x04\x04" + (4 + len(name)).to_bytes(2, "little") + name + b"\x7f\xff\x04\0"
    return (1).to_bytes(4, "little") + len(nodes).to_bytes(2, "little") + title.encode("utf-16-le") + b"\0\0" + nodes


SHIM = executable((b".text", b"x"), (b".sbat", b"sbat,1,x\nshim,4,UEFI shim\n"))
OLD_SHIM = executable((b".text", b"$UEFI SHIM\n$Version: 0.9 $"))
OTHER = executable((b".text", b"x"), (b"mods", b"UEFI SHIM"), (b".sbat", b"sbat,1,x\ngrub,4,FSF\n"))


def machine(*files: tuple[str, bytes]) -> efi.Esp:
    """The EFI system partition of a machine with these files below /boot/efi/EFI."""
    known: dict[str, bytes | str] = {f"/boot/efi/EFI/{path}": content for path, content in files}
    return efi.partition(Files({**known, "/sys/firmware/efi/fw_platform_size": b"64\n"}), frozenset())


def test_sections_are_found() -> None:
    content = executable((b".cmdline", b"root=x"), (b".initrd", b"070701"))
    place = pe.section(io.BytesIO(content), b".cmdline")
    assert place and content[place[0] : place[0] + place[1]] == b"root=x"
    assert pe.section(io.BytesIO(content), b".linux") is None


def test_a_capture_tells_as_much_of_a_unified_image() -> None:
    told = [(b".cmdline", b"root=x ro"), (b".uname", b"6.1.0"), (b".osrel", b"ID=debian\n")]
    content = executable((b".text", bytes(20000)), *told, (b".linux", bytes(50000)))
    recorder = capture.Recorder(Files({"/a.efi": content}), {})
    whole = unified.image(recorder, "/a.efi")
    assert whole == unified.Unified("/a.efi", "root=x ro", "6.1.0", {"ID": "debian"}, True)
    kept = bytes(recorder.contents["/a.efi"])
    assert len(kept) < len(content)
    assert unified.image(Files({"/a.efi": kept}), "/a.efi") == whole


def test_of_a_loader_only_the_table_of_sections_is_read() -> None:
    recorder = capture.Recorder(Files({"/b.efi": executable((b".text", bytes(20000)), (b".osrel", b"ID=debian\n"))}), {})
    assert not unified.image(recorder, "/b.efi").has_kernel
    assert len(recorder.contents["/b.efi"]) <= 8192


@given(st.binary(max_size=300))
def test_any_bytes_are_read(content: bytes) -> None:
    pe.sections(content)
    pe.sections(b"MZ" + content)
    nvram.loader_of(content)
    nvram.title_of(content)
    nvram.subject(content)
    for certificate in nvram.certificates(nvram.X509 + content):
        nvram.subject(certificate)
    assert nvram.loader_of(option("\\EFI\\debian\\shimx64.efi") + content) == "\\EFI\\debian\\shimx64.efi"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([("BOOT/BOOTX64.EFI", SHIM)], "no grubx64.efi beside it"),
        ([("Boot/bootx64.efi", OLD_SHIM)], "no grubx64.efi beside it"),
        ([("BOOT/BOOTX64.EFI", SHIM), ("BOOT/grubx64.efi", OTHER)], ""),
        ([("BOOT/BOOTX64.EFI", SHIM), ("BOOT/fbx64.efi", b"")], "fbx64.efi finds no BOOTX64.CSV in any folder"),
        ([("BOOT/BOOTX64.EFI", SHIM), ("BOOT/fbx64.efi", b""), ("redhat/BOOTX64.CSV", b"")], ""),
        ([("BOOT/BOOTX64.EFI", OTHER)], ""),
        ([("BOOT/BOOTX64.EFI", b"no executable")], ""),
    ],
)
def test_where_the_fallback_leads(files: list[tuple[str, bytes]], reason: str) -> None:
    assert machine(*files).dead_end == reason


def test_the_menu_that_firmware_leads_to() -> None:
    stub = b"search.fs_uuid 40000000-1ab0-4000-8000-000000000040 root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"
    found = machine(("debian/grub.cfg", stub), ("debian/grubx64.efi", OTHER))
    assert found.menus == ("/boot/grub/grub.cfg",)
    assert [(one.uuid, one.line) for one in found.stubs] == [("40000000-1ab0-4000-8000-000000000040", 1)]
    # Red Hat before release 9 keeps the menu itself on the EFI system partition.
    menu = b"menuentry 'a' {\n linuxefi /vmlinuz-1 root=UUID=1\n search --fs-uuid --set=root 12345678-aaaa\n}\n"
    found = machine(("redhat/grub.cfg", menu))
    assert found.menus == ("/boot/efi/EFI/redhat/grub.cfg",) and found.stubs == ()


def test_the_folder_that_started_the_machine_decides() -> None:
    lost = b"search --no-floppy --fs-uuid --set=dev 11111111-0000\nset prefix=($dev)/grub2\nconfigfile $prefix/grub.cfg\n"
    variable = f"{nvram.VARIABLES}/%s-{nvram.GLOBAL}"
    files: dict[str, bytes | str] = {
        "/boot/efi/EFI/fedora/grub.cfg": lost,
        "/boot/efi/EFI/old/grub.cfg": lost.replace(b"1111-", b"2222-").replace(b"grub2", b"boot/grub"),
        variable % "BootCurrent": bytes(4) + (2).to_bytes(2, "little"),
        variable % "Boot0002": bytes(4) + option("\\EFI\\fedora\\shimx64.efi"),
        "/boot/grub2/grub.cfg": b"menuentry 'a' {\n linux /vmlinuz-1 root=UUID=1\n}\n",
    }
    loader = Facts(Files(files)).bootloader
    assert loader.esp.used == "fedora" and loader.path == "/boot/grub2/grub.cfg"


def test_what_firmware_remembers_is_told_in_its_order() -> None:
    variable = f"{nvram.VARIABLES}/%s-{nvram.GLOBAL}"
    network = option("").replace(b"\x04\x04", b"\x03\x0b")
    root = Files({
        variable % "BootOrder": bytes(4) + bytes.fromhex("0200 0a00 0900"), variable % "BootCurrent": bytes(4) + b"\2\0",
        variable % "Boot0002": bytes(4) + option("\\EFI\\debian\\shimx64.efi"),
        variable % "Boot000A": bytes(4) + network,
    })  # fmt: skip
    assert nvram.entries(root) == (
        nvram.BootEntry("0002", "debian", "\\EFI\\debian\\shimx64.efi", True),
        nvram.BootEntry("000A", "debian", "", False),
    )
    assert nvram.entries(Files({})) == ()


def test_keys_that_secure_boot_trusts_have_names(tmp_path: Path) -> None:
    """Read from the kernel's mirror of shim's list, else from the variable that older kernels have alone."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed here")
    lists = []
    for name in ("Distribution CA", "lab module signing"):
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-outform", "DER"]
        made = subprocess.run(
            [*argv, "-subj", f"/O=Lab/CN={name}", "-keyout", str(tmp_path / "key")], capture_output=True, check=True
        ).stdout
        sizes = [(44 + len(made)), 0, 16 + len(made)]
        lists.append(nvram.X509 + b"".join(one.to_bytes(4, "little") for one in sizes) + bytes(16) + made)
    given = b"".join(lists)
    secure = {f"{nvram.VARIABLES}/SecureBoot-{nvram.GLOBAL}": bytes(4) + b"\1"}
    for place in ({nvram.MOK: given}, {f"{nvram.VARIABLES}/MokListRT-{nvram.SHIM}": bytes(4) + given}):
        found = Facts(Files({**secure, **place})).firmware
        assert (found.secure_boot, found.trusted) == (True, "Distribution CA, lab module signing")
    assert Facts(Files(secure)).firmware.trusted == "no key but firmware's own"


@pytest.mark.skipif(not GRUB.exists(), reason="no signed GRUB is installed here")
def test_a_real_loader_is_no_shim() -> None:
    content = GRUB.read_bytes()
    assert machine(("BOOT/BOOTX64.EFI", content)).dead_end == ""
