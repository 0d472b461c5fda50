"""Programs of the machine's own that start-up files call: the scripts among them, and the processor the others need."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep.facts.cpu import isa_needed
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from migprep.root import Root

#: Where programs live that no distribution compiled; those of packages run wherever the system itself does.
CALLED = re.compile(
    r"(?<![\w./])(/(?:usr/local|opt|srv|root|home)/[^\s\"'`;|&<>()$,:*?\[\]{}\\=#]*[^\s\"'`;|&<>()$,:*?\[\]{}\\=#./])"
)
#: What is never a program, and may be a secret.
DATA = (
    ".key",
    ".pem",
    ".crt",
    ".p12",
    ".pfx",
    ".jks",
    ".keytab",
    ".gpg",
    ".conf",
    ".log",
    ".xml",
    ".json",
    ".yaml",
    ".yml",
)
#: Bytes of a program that are looked at: code begins near the start.
HEAD = 512 << 10

# Instructions on 256 bit registers, as they stand in code (Intel SDM volume 2, "VEX prefix"): c5 fd ef c0 is
# vpxor ymm0,ymm0,ymm0. The second byte has L=1 and pp=01 in its low three bits; the third is an integer operation
# of AVX2, or a load or store.
AVX = re.compile(
    rb"\xc5[\x85\x8d\x95\x9d\xa5\xad\xb5\xbd\xc5\xcd\xd5\xdd\xe5\xed\xf5\xfd][\x6f\x7f\xd4\xdb\xeb\xef\xf4\xfa\xfb\xfc\xfd\xfe]"
    rb"|\xc4[\xe2\xc2\x62\x42][\x05\x0d\x15\x1d\x25\x2d\x35\x3d\x45\x4d\x55\x5d\x65\x6d\x75\x7d]"
    rb"[\x18\x19\x40\x58\x59\x5a\x78\x79\x98\xa8\xac\xb8\xbc]"
)
CPUID = b"\x0f\xa2"
#: How often such bytes must occur before chance is ruled out: of 2,850 programs compiled for level 1 and without
#: CPUID none had more than 4.
ENOUGH = 6


def called(text: str) -> Iterator[tuple[int, str]]:
    """(line, path) of everything outside comments that may be a program of the machine's own."""
    for number, line in enumerate(text.split("\n"), 1):
        if "/" in line and not line.lstrip().startswith(("#", ";")):
            for found in CALLED.finditer(line):
                if "/." not in found.group(1) and not found.group(1).endswith(DATA):
                    yield number, found.group(1)


def head(place: Root, path: str) -> bytes:
    """The beginning of a file, as much of it as says what it is. Raises Unreadable."""
    with place.open(path) as stream:
        start = stream.read(4096)
        return start + stream.read(HEAD - 4096) if start[:4] == b"\x7fELF" else start


def needed(code: bytes) -> tuple[int, str]:
    """The x86-64 level that a program's first bytes ask for, and how that is known; 1 when nothing says more.

    A program that was compiled for one processor uses AVX everywhere and never asks whether it is there; one that
    chooses its code at run time has a CPUID instruction to ask with, and runs anywhere.
    """
    marked = isa_needed(code)
    if marked > 1:
        return marked, "its ELF note says so"
    if code[18:20] != b"\x3e\x00" or CPUID in code:
        return 1, ""
    hits = sum(1 for _ in AVX.finditer(code))
    if hits >= (1 if len(code) <= 4096 else ENOUGH):
        return 3, f"{hits} AVX2 instructions and no CPUID to ask for them"
    return 1, ""
