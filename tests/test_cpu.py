"""The processor: every architecture's /proc/cpuinfo, levels, what the C library and the distribution demand."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.facts import Facts, cpu
from migprep.model import Unknown
from migprep.root import Files

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
SAMPLES = sorted(CORPUS.glob("cpuinfo/*"))

BASE = "lm cmov cx8 fpu fxsr mmx syscall sse sse2"
V2 = f"{BASE} cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 pni"
V3 = f"{V2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"


def _x86(flags: str, count: int = 1) -> str:
    return f"processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: X\nflags\t\t: {flags}\n\n" * count


@pytest.mark.parametrize(("flags", "level"), [("fpu mmx sse sse2", 0), (BASE, 1), (V2, 2), (V3, 3), (V4, 4)])
def test_level(flags: str, level: int) -> None:
    assert cpu.parse(_x86(flags)).level == level


@pytest.mark.parametrize("missing", ["cx16", "popcnt", "pni", "ssse3"])
def test_one_flag_less_is_one_level_less(missing: str) -> None:
    assert cpu.parse(_x86(V3.replace(f" {missing}", " "))).level == 1


def test_names_of_one_flag() -> None:
    assert cpu.parse(_x86(V3.replace("abm", "lzcnt").replace("xsave", "osxsave"))).level == 3


def test_only_what_all_processors_have_counts() -> None:
    found = cpu.parse(_x86(V3) + _x86(V2))
    assert (found.processors, found.level) == (2, 2)


def test_what_a_pool_must_offer() -> None:
    found = cpu.parse(_x86(V2))
    assert (found.level_name, found.pool_model) == ("x86-64-v2", "Nehalem")
    assert found.pool_flags == "cx16 lahf_lm pni popcnt sse4_1 sse4_2 ssse3"


@given(st.text())
def test_every_text_is_read(text: str) -> None:
    assert cpu.parse(text).processors >= 1


@pytest.mark.skipif(not SAMPLES, reason="no corpus here")
def test_every_real_file() -> None:
    for path in SAMPLES:
        found = cpu.parse(path.read_bytes().decode("utf-8", "surrogateescape"))
        assert found.architecture != "other", path.name
        assert 0 <= found.level <= 4
        for sign, name in (
            ("ppc", "power"), ("POWER", "power"), ("s390", "s390"), ("alpha", "alpha"), ("sparc", "sparc"), ("ia64-", "ia64"),
            ("loongarch", "loongarch"), ("riscv", "riscv"), ("aarch64", "arm"), ("mips", "mips"), ("x86_64", "x86"),
        ):  # fmt: skip
            if sign in path.name:
                assert found.architecture == name, path.name


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("cpu\t: Alpha\ncpus detected\t: 3\ncpus active\t: 2\n", 2),
        ("cpu\t: TI UltraSparc\nncpus probed\t: 6\nncpus active\t: 6\n", 6),
        ("vendor_id : IBM/S390\n# processors : 2\nprocessor 0: version = FF\nprocessor 1: version = FF\n", 2),
        ("Processor\t: ARMv7 Processor rev 4\nprocessor\t: 0\nprocessor\t: 1\nFeatures\t: neon\n", 2),
    ],
)
def test_processors_are_counted(text: str, count: int) -> None:
    assert cpu.parse(text).processors == count


def _elf(needed: int, order: int = 1, kind: int = 0xC0008002) -> bytes:
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02" + bytes([order])
    header[32:40] = struct.pack("<Q", 64)
    header[54:58] = struct.pack("<HH", 56, 2)
    program = struct.pack("<IIQQQQQQ", 1, 0, 0, 0, 0, 0, 0, 0)
    program += struct.pack("<IIQQQQQQ", 0x6474E553, 4, 176, 0, 0, 48, 48, 8)
    note = struct.pack("<III4s", 4, 32, 5, b"GNU\0")
    properties = struct.pack("<IIII", 0xC0000002, 4, 3, 0) + struct.pack("<IIII", kind, 4, needed, 0)
    return bytes(header) + program + note + properties


@pytest.mark.parametrize(
    ("head", "level"),
    [
        (_elf(1), 1), (_elf(3), 2), (_elf(7), 3), (_elf(15), 4), (_elf(7, kind=0xC0008003), 0), (_elf(7, order=2), 0), (b"", 0),
        (b"#!/bin/sh", 0), (_elf(7)[:100], 0), (b"\x7fELF\x02\x01" + b"\xff" * 4090, 0),
    ],
)  # fmt: skip
def test_what_an_elf_file_is_marked_with(head: bytes, level: int) -> None:
    assert cpu.isa_needed(head) == level


@given(st.binary(max_size=200))
def test_any_file_is_looked_at(tail: bytes) -> None:
    assert 0 <= cpu.isa_needed(b"\x7fELF\x02\x01" + tail) <= 32


def _required(release: str, flags: str, **files: bytes) -> object:
    place = Files({"/etc/os-release": release.encode(), "/proc/cpuinfo": _x86(flags).encode(), **files})
    found = Facts(place).cpu
    assert not isinstance(found, Unknown)
    return found.required


@pytest.mark.parametrize(
    ("release", "level"),
    [
        ("ID=debian\nVERSION_ID=12", 1), ("ID=rhel\nVERSION_ID=8.9", 1), ("ID=rhel\nVERSION_ID=9.4", 2), ("ID=centos\nVERSION_ID=9", 2),
        ("ID=rhel\nVERSION_ID=10.0", 3), ("ID=centos\nVERSION_ID=10", 3), ("ID=almalinux\nVERSION_ID=10.0", 3),
        ("ID=fedora\nVERSION_ID=41", 1), ("ID=sles\nVERSION_ID=15.6", 1), ("ID=sles\nVERSION_ID=16.0", 2),
        ("ID=opensuse-leap\nVERSION_ID=16.0", 2), ("ID=opensuse\nVERSION_ID=42.3", 1), ("ID=opensuse-tumbleweed\nVERSION_ID=20260101", 1), ("ID=ubuntu\nVERSION_ID=24.04", 1),
        ("ID=amzn\nVERSION_ID=2023", 1),
    ],
)  # fmt: skip
def test_what_a_distribution_demands(release: str, level: int) -> None:
    assert _required(release, V3) == level


def test_the_c_library_knows_better() -> None:
    place = {"/lib64/libc.so.6": _elf(3)}
    assert _required("ID=almalinux\nVERSION_ID=10.0", V3, **place) == 2
    assert _required("ID=rhel\nVERSION_ID=9.4", V3, **{"/lib64/libc.so.6": _elf(1)}) == 2


def test_no_release_file_leaves_only_the_demand_unknown() -> None:
    found = Facts(Files({"/proc/cpuinfo": _x86(V2).encode()})).cpu
    assert not isinstance(found, Unknown)
    assert isinstance(found.required, Unknown)
    assert found.level == 2


@pytest.mark.parametrize(
    ("line", "march", "level"),
    [
        ('CFLAGS="-march=native -O2"', "native", 5), ("-march=x86-64-v3", "x86-64-v3", 3), ("CFLAGS='-O2 -march=x86-64'", "x86-64", 1),
        ('COMMON="-march=skylake"', "skylake", 5),
    ],
)  # fmt: skip
def test_build_settings(line: str, march: str, level: int) -> None:
    (build,) = cpu.marches("/etc/make.conf", f"# -march=no\n{line}\n")
    assert (build.line, build.march, build.level) == (2, march, level)
