"""XFS superblocks: which version of the format they tell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.facts import xfs
from migprep.model import Undetermined


@pytest.mark.parametrize(("options", "version"), [("crc=0", 4), ("crc=1", 5)])
def test_filesystems_that_mkfs_made(tmp_path: Path, options: str, version: int) -> None:
    if not shutil.which("mkfs.xfs"):
        pytest.skip("mkfs.xfs (xfsprogs) is not installed")
    disk = tmp_path / "disk"
    with disk.open("wb") as stream:
        stream.truncate(512 << 20)
    made = subprocess.run(["mkfs.xfs", "-q", "-m", options, str(disk)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"this mkfs.xfs makes no such filesystem: {made.stderr.decode()[:80]}")
    with disk.open("rb") as stream:
        assert xfs.version(stream.read(512), "x") == version


def test_bytes_as_the_format_has_them() -> None:
    assert xfs.version(b"XFSB".ljust(100, b"\0") + b"\xb4\xa5".ljust(412, b"\0"), "x") == 5
    assert xfs.version(b"XFSB".ljust(100, b"\0") + b"\xb4\xb4".ljust(412, b"\0"), "x") == 4


@given(st.binary(max_size=200))
def test_any_bytes_are_read(content: bytes) -> None:
    try:
        assert 0 <= xfs.version(content, "x") < 16
    except Undetermined as error:
        assert "no superblock" in str(error)
