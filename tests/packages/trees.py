"""Fresh Debian trees to install packages in: cached as the lab's are, worked on in an overlay that vanishes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ..vm import cache, tree

TOP = Path(__file__).resolve().parents[2]
SUITES = ("bullseye", "bookworm", "trixie")


def need(*programs: str) -> None:
    """Skip the test where it cannot run."""
    if os.geteuid():
        pytest.skip("needs root")
    for program in (*programs, "mmdebstrap"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")


def plain(suite: str, *packages: str) -> Path:
    """A tree of `suite` with apt, these packages and nothing else; made once."""
    more = f"--include={','.join(packages)} " if packages else ""
    script = (
        f"mmdebstrap --variant=apt {more}--aptopt='Acquire::Languages none' "
        f'{suite} "$W/tree" {tree.ARCHIVE}\n'
    )
    name = f"{suite}-{cache.key(script)}"
    return cache.entry("trees", name, lambda half: tree.isolated(f"W={half}\n{script}", half, 900, name)) / "tree"


def inside(base: Path, script: str, work: Path, limit: int = 600) -> str:
    """What `script` prints in an overlay over `base`, mounted at $T; it, and all it started, ends with the script."""
    path = work / "script.sh"
    path.write_text(f"W={work}\nLAYERS={base}\n{tree.MERGE}\n{script}")
    done = subprocess.run(
        [*tree._ISOLATED, str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=limit,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def build(output: Path, *kinds: str, source: Path = TOP) -> Path:
    """The folder with these kinds of package, built from the files that git tracks in `source`."""
    import sys

    done = subprocess.run(
        [sys.executable, str(source / "packaging/build.py"), *kinds, "--output", str(output)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return output
