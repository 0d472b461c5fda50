"""Images as machines have them: every compression, microcode in front, cut short at any byte, damaged."""

from __future__ import annotations

import io
import shutil
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migprep import cpio
from migprep.compression import Broken
from migprep.model import Undetermined

#: Each compression as the tools that make images call it (mkinitramfs, dracut, mkinitcpio).
COMMANDS = {
    "gzip": ["gzip", "-9n"],
    "xz": ["xz", "-0", "--check=crc32"],
    "zstd": ["zstd", "-q", "-3"],
    "lz4": ["lz4", "-q", "-l", "-2"],
    "bzip2": ["bzip2", "-1"],
    "lzma": ["xz", "--format=lzma", "-0"],
}


def member(name: str, content: bytes = b"", mode: int = 0o100644, magic: bytes = b"070701") -> bytes:
    """One entry (initramfs-buffer-format.rst)."""
    raw = name.encode("utf-8", "surrogateescape") + b"\0"
    numbers = (1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0)
    head = magic + b"".join(b"%08X" % number for number in numbers) + raw
    head += b"\0" * (-len(head) % 4)
    return head + content + b"\0" * (-len(content) % 4)


def archive(files: dict[str, bytes], magic: bytes = b"070701") -> bytes:
    """A whole archive, padded to 512 bytes as cpio(1) does."""
    made = b"".join(member(name, content, magic=magic) for name, content in files.items()) + member("TRAILER!!!", mode=0, magic=magic)
    return made + b"\0" * (-len(made) % 512)


def compressed(name: str, data: bytes) -> bytes:
    command = COMMANDS[name]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run([*command, "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def names(data: bytes) -> list[str]:
    return [entry.path for entry in cpio.Archive(io.BytesIO(data))]


MICROCODE = archive({"kernel/x86/microcode/GenuineIntel.bin": b"\1" * 40_001})
FILES = {"init": b"#!/bin/sh\n", "usr/lib/modules/6.1.0/kernel/drivers/block/virtio_blk.ko": bytes(range(256)) * 700, "etc/fstab": b"# none\n"}
MAIN = archive(FILES)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_compression(name: str) -> None:
    assert names(compressed(name, MAIN)) == list(FILES)


@pytest.mark.parametrize("name", COMMANDS)
def test_microcode_in_front_and_zeros_between(name: str) -> None:
    data = MICROCODE + b"\0" * 1024 + compressed(name, MAIN)
    read = cpio.Archive(io.BytesIO(data))
    assert [entry.path for entry in read] == ["kernel/x86/microcode/GenuineIntel.bin", *FILES]
    assert read.compressions == (name,)


@pytest.mark.parametrize("name", COMMANDS)
def test_cut_short_is_never_taken_for_whole(name: str) -> None:
    noise = {f"f{number}": zlib.compress(bytes([number]) * 50) * 20 for number in range(40)}
    data = compressed(name, archive(noise))
    for end in {1, 5, 20, len(data) // 3, len(data) // 2, len(data) - 9}:
        with pytest.raises(Undetermined):
            names(data[:end])


@pytest.mark.parametrize("name", ["gzip", "xz", "bzip2"])
def test_a_damaged_stream_is_told(name: str) -> None:
    data = bytearray(compressed(name, MAIN))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(Undetermined):
        names(bytes(data))


@pytest.mark.parametrize("end", [0, 3, 50, 109, 111, 300, 5000, len(MAIN) - 700])
def test_plain_and_cut_short(end: int) -> None:
    with pytest.raises(Undetermined):
        names(MAIN[:end])


def test_an_empty_file_and_zeros_are_no_image() -> None:
    for data in (b"", b"\0" * 10_000):
        with pytest.raises(Broken, match="empty"):
            names(data)


def test_something_else_is_named_by_its_first_bytes() -> None:
    with pytest.raises(Undetermined, match="7f454c46"):
        names(b"\x7fELF" + b"\0" * 100)


def test_lzo_says_what_is_missing() -> None:
    with pytest.raises(Undetermined, match="lzo"):
        names(b"\x89LZO\0\r\n\x1a\n" + b"\0" * 100)


def test_several_archives_some_compressed() -> None:
    data = MICROCODE + compressed("gzip", archive({"one": b"1"})) + b"\0" * 4 + archive({"two": b"2"}) + compressed("xz", archive({"three": b"3"}))
    read = cpio.Archive(io.BytesIO(data))
    assert [entry.path for entry in read][1:] == ["one", "two", "three"]
    assert read.compressions == ("gzip", "xz")


def test_one_archive_in_several_streams() -> None:
    half = len(MAIN) // 2
    assert names(compressed("gzip", MAIN[:half]) + compressed("gzip", MAIN[half:])) == list(FILES)


def test_the_form_with_checksums() -> None:
    assert names(archive(FILES, b"070702")) == list(FILES)


def test_names_as_they_are_written() -> None:
    odd = ["./bin/sh", "/init", ".hidden", "..data", "a b\nc", "\udcff"]
    assert names(archive(dict.fromkeys(odd, b""))) == ["bin/sh", "init", ".hidden", "..data", "a b\nc", "\udcff"]


def test_the_folder_itself_has_a_name() -> None:
    assert names(member(".", mode=0o40755) + archive({})) == ["."]


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_content_of_wanted_files(name: str) -> None:
    read = cpio.Archive(io.BytesIO(compressed(name, MAIN)), lambda path: path in ("etc/fstab", "init"))
    assert {entry.path: entry.content for entry in read if entry.content is not None} == {"init": FILES["init"], "etc/fstab": FILES["etc/fstab"]}


@pytest.mark.parametrize("name", COMMANDS)
def test_more_than_one_block_of_every_format(name: str) -> None:
    large = {"a": bytes(9 << 20), "b": bytes(range(256)) * (36 << 10), "c": b""}
    assert names(compressed(name, archive(large))) == ["a", "b", "c"]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, blacklist_characters="/."), min_size=1), st.binary(max_size=300), max_size=8))
def test_what_is_written_is_read(files: dict[str, bytes]) -> None:
    read = cpio.Archive(io.BytesIO(archive(files)), lambda path: True)
    assert {entry.path: entry.content for entry in read} == files


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_do_harm(data: bytes) -> None:
    for start in (b"", b"070701", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"BZh9", b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18", b"\x5d\0\0"):
        try:
            names(start + data)
        except Undetermined:
            continue
