"""What firmware finds on an EFI system partition: boot entries, loaders, stubs."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep import capture
from migprep.facts import Facts, efi, loaders, nvram, unified
from migprep.formats import grubcore, pe
from migprep.root import Files, Tree

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
        ([("BOOT/BOOTX64.EFI", SHIM)], "it is shim, with no grubx64.efi beside it"),
        ([("Boot/bootx64.efi", OLD_SHIM)], "it is shim, with no grubx64.efi beside it"),
        ([("BOOT/BOOTX64.EFI", SHIM), ("BOOT/grubx64.efi", OTHER)], ""),
        ([("BOOT/BOOTX64.EFI", SHIM), ("BOOT/fbx64.efi", b"")], "it is shim, and fbx64.efi finds no BOOTX64.CSV in any folder"),
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


def core(prefix: bytes, script: bytes = b"", width: int = 8) -> bytes:
    """The section of GRUB's core with a folder and a script, as grub-mkimage puts them into a 64- or 32-bit one."""
    parts = b""
    for kind, text in ((2, script), (3, prefix)):
        size = 8 + (len(text) + 8) // 8 * 8
        parts += kind.to_bytes(4, "little") + size.to_bytes(4, "little") + text.ljust(size - 8, b"\0") if text else b""
    head = b"mimg".ljust(width, b"\0")
    return head + b"".join(one.to_bytes(width, "little") for one in (3 * width, 3 * width + len(parts))) + parts


@pytest.mark.parametrize("width", [4, 8])
def test_where_grub_looks_is_in_its_core(width: int) -> None:
    script = b"search.fs_uuid 6c1d0f4e-aaaa root hd0,gpt2 \nset prefix=($root)'/boot/grub'\n"
    content = executable((b".text", b"x"), (b"mods", core(b"/boot/grub", script, width)), (b".sbat", b"sbat,1,x\ngrub,4,FSF\n"))
    found = loaders.read(Files({"/a.efi": content}), "/a.efi")
    assert (found.program, found.prefix, found.searched, found.folder) == ("grub", "/boot/grub", "6c1d0f4e-aaaa", "")
    found = loaders.read(Files({"/a.efi": executable((b"mods", core(b"/EFI/Debian", b"normal (memdisk)/grub.cfg\n", width)))}), "/a.efi")
    assert (found.program, found.sbat, found.folder) == ("grub", "", "debian")


@given(st.binary(max_size=200), st.integers(0, 40))
def test_any_core_is_read(content: bytes, start: int) -> None:
    grubcore.told(io.BytesIO(content), start)
    grubcore.told(io.BytesIO(b"mimg" + content), 0)
    loaders.named(content)


@given(st.text("ab,#: /\n"), st.text("ab /(),"), st.lists(st.text("ab =:#'", min_size=1)))
def test_a_capture_holds_all_that_a_loader_tells(sbat: str, prefix: str, script: list[str]) -> None:
    loader = loaders.Loader(sbat.replace("\n# ", ""), "", prefix, "\n".join(script))
    assert loaders.parse(loader.text) == loader


def test_an_older_capture_tells_nothing_of_where_grub_looks() -> None:
    given = Files({
        "/boot/efi/EFI/BOOT/BOOTX64.EFI": b"", f"{loaders.NAMES}/boot/efi/EFI/BOOT/BOOTX64.EFI": b"sbat,1,x\ngrub,4,FSF\n",
        "/sys/firmware/efi/fw_platform_size": b"64\n",
    })  # fmt: skip
    found = efi.partition(given, frozenset())
    assert (found.last.program, found.last.prefix, found.dead_end) == ("grub", "", "")


def test_the_menu_that_new_firmware_leads_to_comes_first() -> None:
    lead = b"search.fs_uuid %s root\nset prefix=($root)'/%s'\nconfigfile $prefix/grub.cfg\n"
    grub = executable((b"mods", core(b"/EFI/ubuntu")), (b".sbat", b"sbat,1,x\ngrub,4,FSF\n"))
    files = [("debian/grub.cfg", lead % (b"11111111-0000", b"boot/grub")), ("ubuntu/grub.cfg", lead % (b"22222222-0000", b"boot/grub2"))]
    assert machine(*files, ("BOOT/BOOTX64.EFI", grub)).menus == ("/boot/grub2/grub.cfg", "/boot/grub/grub.cfg")
    assert machine(*files).menus == ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")


#: Loaders of Debian's packages: shim-signed, grub-efi-amd64-signed, systemd-boot-efi, memtest86+, refind, ipxe.
PACKAGED = {
    "/usr/lib/shim/shimx64.efi.signed": ("shim", ""),
    "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": ("grub", "debian"),
    "/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed": ("grub", ""),
    "/usr/lib/systemd/boot/efi/systemd-bootx64.efi": ("systemd-boot", ""),
    "/boot/memtest86+x64.efi": ("Memtest86+", ""),
    "/usr/share/refind/refind/refind_x64.efi": ("rEFInd", ""),
    "/boot/ipxe.efi": ("iPXE", ""),
}


@pytest.mark.parametrize("path", PACKAGED)
def test_loaders_of_packages_are_known(path: str) -> None:
    place = os.environ.get("MIGPREP_LOADERS", "")
    if not os.path.exists(f"{place}{path}"):
        pytest.skip(f"no {place}{path}; MIGPREP_LOADERS names a folder with Debian's packages of loaders unpacked in it")
    found = loaders.read(Tree(place or "/"), path)
    assert (found.program, found.folder) == PACKAGED[path]
    assert loaders.parse(found.text) == found
