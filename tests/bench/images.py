"""Reading every initramfs of a machine: against the tool that lists them, and against expanding them, which is the limit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Optional

from migprep import compression

#: How each compression is undone and done by its own program, the fastest way there is.
PROGRAMS = {
    "zstd": (["zstd", "-dcq"], ["zstd", "-1qc"]),
    "gzip": (["gzip", "-dc"], ["gzip", "-1c"]),
    "xz": (["xz", "-dc"], ["xz", "-1c", "--check=crc32"]),
    "lz4": (["lz4", "-dcq"], ["lz4", "-lcq"]),
}
#: What is timed: as a check reads them, with or without what an earlier one has kept.
READ = """
import sys
from migprep.cache import Cache
from migprep.facts import Facts, initramfs
from migprep.root import Tree
kept, *paths = sys.argv[1:]
facts = Facts(Tree("/", live=True), Cache(kept) if kept else None)
for path in paths:
    initramfs.image(facts, path)
"""


def variants(folder: Path, image: Path) -> list[Path]:
    """The image and, where it is one compressed archive, the same archive in every compression there is a program for."""
    made = _kind(image)
    if made not in PROGRAMS or not shutil.which(made):
        return [image]
    folder.mkdir(parents=True)
    plain = folder / "plain"
    _piped(PROGRAMS[made][0], image, plain)
    found = [image]
    for name, (_, press) in PROGRAMS.items():
        if name != made and shutil.which(press[0]):
            _piped(press, plain, folder / name)
            found.append(folder / name)
    plain.unlink()
    return found


def _kind(image: Path) -> str:
    with image.open("rb") as stream:
        return compression.kind(stream.read(6))


def _piped(argv: list[str], source: Path, target: Path) -> None:
    with source.open("rb") as given, target.open("wb") as taken:
        subprocess.run(argv, stdin=given, stdout=taken, check=True)  # noqa: S603


def shell(commands: list[list[str]]) -> list[str]:
    """One command that runs all of them."""
    return ["sh", "-c", "; ".join(" ".join(f"'{word}'" for word in one) for one in commands)]


def listing(images: list[Path]) -> Optional[list[str]]:
    """What lists them all, or None where nothing here does."""
    lister = shutil.which("lsinitramfs") or shutil.which("lsinitrd")
    return shell([[lister, str(one)] for one in images]) if lister else None


def expanding(images: list[Path]) -> Optional[list[str]]:
    """What only expands them all, or None where one is in several parts."""
    kinds = [_kind(one) for one in images]
    if not all(kind in PROGRAMS and shutil.which(kind) for kind in kinds):
        return None
    return shell([[*PROGRAMS[kind][0], str(one)] for kind, one in zip(kinds, images)])


def reading(python: str, images: list[Path], kept: str = "") -> list[str]:
    """What reads them all as a check does; `kept` is the folder of what an earlier run has kept."""
    return [python, "-c", READ, kept, *map(str, images)]
