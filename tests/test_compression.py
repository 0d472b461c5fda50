"""cpio reads archives in every compression, several in one file, and says when one is damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep import compression, cpio
from migprep.model import Undetermined


def member(name: str, body: bytes = b"", mode: int = 0o100644) -> bytes:
    encoded = name.encode() + b"\0"
    numbers = (1, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + encoded
    return head + bytes(-len(head) % 4) + body + bytes(-len(body) % 4)


def archive(*names: str, body: bytes = b"") -> bytes:
    return b"".join(member(name, body) for name in names) + member("TRAILER!!!")


def names(content: bytes) -> list[str]:
    return [entry.path for entry in cpio.Archive(io.BytesIO(content))]


def command(*argv: str):
    def squeeze(content: bytes) -> bytes:
        if not shutil.which(argv[0]):
            pytest.skip(f"no {argv[0]} here")
        return subprocess.run(argv, input=content, stdout=subprocess.PIPE, check=True).stdout

    return squeeze


SQUEEZERS = {
    "none": lambda content: content,
    "gzip": gzip.compress,
    "xz": lambda content: lzma.compress(content, check=lzma.CHECK_CRC32),
    "lzma": lambda content: lzma.compress(content, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": command("zstd", "-qc"),
    "lz4": command("lz4", "-lqc"),
}


@pytest.mark.parametrize("name", SQUEEZERS)
def test_every_compression(name: str) -> None:
    big = bytes(range(256)) * 5000
    content = SQUEEZERS[name](archive("init", "usr/lib/x.ko", body=big))
    found = cpio.Archive(io.BytesIO(content))
    assert [(entry.path, entry.size) for entry in found] == [("init", len(big)), ("usr/lib/x.ko", len(big))]
    assert found.compressions == (() if name == "none" else (name,))


@pytest.mark.parametrize("name", SQUEEZERS)
def test_microcode_first_and_more_after(name: str) -> None:
    content = archive("kernel/x86/microcode/GenuineIntel.bin") + bytes(508) + SQUEEZERS[name](archive("init")) + bytes(4)
    assert names(content) == ["kernel/x86/microcode/GenuineIntel.bin", "init"]
    if name != "lz4":  # nothing marks the end of this format
        assert names(content + archive("late")) == ["kernel/x86/microcode/GenuineIntel.bin", "init", "late"]


@pytest.mark.parametrize("name", ["gzip", "zstd", "xz"])
def test_one_archive_in_several_streams(name: str) -> None:
    whole = archive("a", "b", body=b"x" * 1000)
    assert names(SQUEEZERS[name](whole[:700]) + SQUEEZERS[name](whole[700:])) == ["a", "b"]


@pytest.mark.parametrize("name", SQUEEZERS)
def test_cut_short_is_said(name: str) -> None:
    content = SQUEEZERS[name](archive("init", body=bytes(range(256)) * 400))
    for size in (0, 3, len(content) // 2, len(content) - 9):
        with pytest.raises(Undetermined):
            names(content[:size])


def test_small_files_are_kept_when_wanted() -> None:
    found = list(cpio.Archive(io.BytesIO(archive("./etc/fstab", "etc/x", body=b"abc")), lambda path: path == "etc/fstab"))
    assert [(entry.path, entry.content) for entry in found] == [("etc/fstab", b"abc"), ("etc/x", None)]


@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: archive("init") + tail))
def test_anything_else_is_refused_or_read(content: bytes) -> None:
    try:
        names(content)
    except Undetermined:
        pass


@given(st.sampled_from(list(compression.MAGIC)), st.binary(max_size=200))
def test_damaged_streams_raise_nothing_else(magic: bytes, tail: bytes) -> None:
    try:
        names(magic + tail)
    except Undetermined:
        pass


def test_what_no_kernel_reads_is_damage() -> None:
    with pytest.raises(compression.Broken, match="lz4 -l"):
        names(command("lz4", "-qc")(archive("init")))
