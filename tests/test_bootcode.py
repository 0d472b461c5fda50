"""The first sector of a disk: whether BIOS would start what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.facts import bootcode

#: GRUB's own, and that of syslinux for a master boot record.
REAL = {"/usr/lib/grub/i386-pc/boot.img": "GRUB", "/usr/lib/EXTLINUX/mbr.bin": "other code"}


def sector(code: bytes, mark: bytes = b"\x55\xaa") -> bytes:
    return code.ljust(440, b"\0") + bytes(70) + mark


def test_whose_code_it_is() -> None:
    assert bootcode.code(sector(b"\xeb\x63\x90 GRUB \0Geom")) == "GRUB"
    assert bootcode.code(sector(b"\xfa\xeb\x21\x01\xb4\x01LILO")) == "LILO"
    assert bootcode.code(sector(b"\xfa\xb8\0\x10")) == "other code"
    assert bootcode.code(sector(b"")) == "", "a partition table alone"
    assert bootcode.code(sector(b"GRUB", b"\0\0")) == "", "without its mark BIOS starts nothing"
    assert bootcode.code(b"") == ""


@pytest.mark.parametrize("path", REAL)
def test_real_code(path: str) -> None:
    if not Path(path).exists():
        pytest.skip(f"{path} is not installed")
    assert bootcode.code(sector(Path(path).read_bytes()[:440])) == REAL[path]


@given(st.binary(max_size=600))
def test_any_sector_is_read(content: bytes) -> None:
    assert bootcode.code(content) in ("", "GRUB", "LILO", "EXTLINUX", "SYSLINUX", "other code")
