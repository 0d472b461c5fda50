"""Boot menus and kernel arguments: positions are those of the text, so that an edit changes one word and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.formats import bootmenu, cmdline

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
WORDS = ["menuentry 'a' {\n", "linux /vmlinuz-1 root=/dev/sda1\n", "initrd /i\n", "}\n", "title x\n", "kernel /vmlinuz-2 ro\n",
         "append root=/dev/sda1\n", "label l\n", "image=/v\n", "\troot=/dev/sda2\r\n", "options root=x \"a b\"\n", "\"", "'", "\\", "\x0c", "\u2028", " "]  # fmt: skip
ANY = st.text(st.characters(blacklist_categories=())) | st.lists(st.sampled_from(WORDS)).map("".join)
MENUS = {
    "grub2-cfg": bootmenu.grub, "grub-legacy": bootmenu.legacy, "extlinux": bootmenu.extlinux, "lilo": bootmenu.lilo,
    "bls": lambda text: bootmenu.Menu(tuple(filter(None, [bootmenu.bls(text, "x")])), ""),
}  # fmt: skip


def check(text: str, menu: bootmenu.Menu) -> None:
    for entry in menu.entries:
        assert "\n" not in text[entry.start : entry.end] or "\noptions" in text[: entry.end], "several lines of options"
        assert entry.line == 1 or text.count("\n", 0, entry.start) + 1 == entry.line
        changes = {}
        for word in cmdline.words(text, entry.start, entry.end):
            assert entry.start <= word.start <= word.end <= entry.end
            assert text[word.start : word.end].strip("\"'") == word.value.strip("\"'")
            changes[word.start, word.end] = text[word.start : word.end]
        assert cmdline.replace(text, changes) == text


@pytest.mark.parametrize("kind", MENUS)
@given(text=ANY)
def test_any_text_is_read(kind: str, text: str) -> None:
    check(text, MENUS[kind](text))


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of real files is not here")
@pytest.mark.parametrize("kind", MENUS)
@pytest.mark.parametrize("folder", [*MENUS, "hostile"])
def test_real_files_are_read(kind: str, folder: str) -> None:
    for path in sorted((CORPUS / folder).iterdir()):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        check(text, MENUS[kind](text))


@given(ANY)
def test_replacing_words_by_themselves_changes_nothing(text: str) -> None:
    words = cmdline.words(text)
    assert cmdline.replace(text, {(word.start, word.end): text[word.start : word.end] for word in words}) == text


def test_keys_are_whole_words() -> None:
    words = cmdline.words('rootflags=subvol=@ root=/dev/sda1 dyndbg="file a.c +p" rd.lvm.lv=vg/root quiet')
    assert [(word.key, word.value) for word in words] == [
        ("rootflags", "subvol=@"), ("root", "/dev/sda1"), ("dyndbg", "file a.c +p"), ("rd.lvm.lv", "vg/root"), ("quiet", ""),
    ]  # fmt: skip


def test_all_lines_of_options_count_and_the_microcode_is_no_initramfs() -> None:
    text = "title Arch\nlinux /vmlinuz-linux\ninitrd /amd-ucode.img\noptions root=UUID=1 rw\ninitrd /initramfs-linux.img\noptions resume=/dev/sda2\n"
    entry = bootmenu.bls(text, "arch")
    assert entry and entry.initrd == "/initramfs-linux.img" and entry.line == 4
    words = {word.key: word.value for word in cmdline.words(text, entry.start, entry.end)}
    assert (words["root"], words["resume"]) == ("UUID=1", "/dev/sda2")
    assert bootmenu.bls("linux /v\ninitrd /initramfs.img $tuned_initrd\n", "x").initrd == "/initramfs.img"
    grub = bootmenu.grub("menuentry 'a' {\n linux /vmlinuz-linux root=UUID=1\n initrd /intel-ucode.img /initramfs-own.img\n}\n")
    assert grub.entries[0].initrd == "/initramfs-own.img"
    extlinux = bootmenu.extlinux("label a\n linux ../vmlinuz-linux\n append root=UUID=1\n initrd ../amd-ucode.img,../initramfs-linux.img\n")
    assert extlinux.entries[0].initrd == "../initramfs-linux.img"


def test_an_entry_may_tell_the_version_that_its_kernel_does_not() -> None:
    entry = bootmenu.bls("version 6.1.0-18-amd64\nlinux /6c1d0f4e/6.1.0-18-amd64/linux\noptions root=UUID=1\n", "x")
    assert entry and (entry.version, entry.kernel) == ("6.1.0-18-amd64", "/6c1d0f4e/6.1.0-18-amd64/linux")


SUBMENUS = """set default="0"
menuentry 'Debian' --class debian $menuentry_id_option 'simple' {
  linux /vmlinuz-3 root=UUID=1
}
submenu 'Advanced options' $menuentry_id_option 'advanced' {
  menuentry 'Debian, 3' $menuentry_id_option 'simple-3' {
    linux /vmlinuz-3 root=UUID=1
  }
  menuentry 'Debian, 2 > 1' $menuentry_id_option 'simple-2' {
    linux /vmlinuz-2 root=UUID=1
  }
}
menuentry 'Firmware' $menuentry_id_option 'uefi-firmware' { fwsetup }
"""


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ("0", 2), ("simple", 2), ("Debian", 2), ("", 2), ("gone", 2), ("7", 2), ("1", 6), ("1>0", 6), ("1>1", 9),
        ("advanced", 6), ("advanced>simple-2", 9), ("Advanced options>Debian, 2 >> 1", 9), ("1>gone", 6), ("2", 13),
        ("uefi-firmware", 13), ("simple-2", 2),  # what stands in a submenu is not found without it
    ],
)  # fmt: skip
def test_which_item_a_name_means(wanted: str, line: int) -> None:
    item = bootmenu.grub(SUBMENUS).item(wanted)
    assert item and item.line == line and item.does == ("fwsetup" if line == 13 else "")
