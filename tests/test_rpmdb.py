"""rpm's database: which file a package brought, and that no bytes in it lead to more than a sentence."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.facts import packaged, rpmdb
from migprep.model import Undetermined, Unknown
from migprep.root import Tree


def _header(files: dict[str, str]) -> bytes:
    """As rpm 4.18 writes it, with the four tags that matter here (and a fifth before them)."""
    folders = sorted({path.rpartition("/")[0] + "/" for path in files})
    columns = [
        (1000, 6, 1, b"watcher\0"),
        (rpmdb.DIGESTS, 8, len(files), b"".join(one.encode() + b"\0" for one in files.values())),
        (rpmdb.FOLDER_OF, 4, len(files), b"".join(
            struct.pack(">I", folders.index(path.rpartition("/")[0] + "/")) for path in files)),
        (rpmdb.NAMES, 8, len(files), b"".join(path.rpartition("/")[2].encode() + b"\0" for path in files)),
        (rpmdb.FOLDERS, 8, len(folders), b"".join(one.encode() + b"\0" for one in folders)),
    ]  # fmt: skip
    index, data = b"", b""
    for tag, kind, count, content in columns:
        index += struct.pack(">IIII", tag, kind, len(data), count)
        data += content
    return struct.pack(">II", len(columns), len(data)) + index + data


def _installed(folder: Path, files: dict[str, str], where: str = "var/lib/rpm") -> Tree:
    place = folder / where
    place.mkdir(parents=True)
    connection = sqlite3.connect(place / "rpmdb.sqlite")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    connection.execute("CREATE TABLE Basenames (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)")
    connection.execute("INSERT INTO Packages VALUES (1, ?)", (_header(files),))
    for number, path in enumerate(files):
        connection.execute("INSERT INTO Basenames VALUES (?, 1, ?)", (path.rpartition("/")[2], number))
    connection.commit()
    connection.close()
    return Tree(str(folder))


@pytest.mark.parametrize("where", ["var/lib/rpm", "usr/lib/sysimage/rpm"])
def test_what_a_package_brought_ranks_below_what_was_edited_or_is_ones_own(tmp_path: Path, where: str) -> None:
    contents = {"/etc/cron.d/kept": b"kept\n", "/etc/cron.d/edited": b"edited\n", "/etc/old/kept": b"other\n"}
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    digests["/etc/cron.d/edited"] = hashlib.sha256(b"as it came\n").hexdigest()
    digests["/etc/cron.d"] = ""  # a folder
    for path, content in {**contents, "/etc/cron.d/own": b"own\n"}.items():
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_bytes(content)
    place = _installed(tmp_path, digests, where)
    before = sorted(tmp_path.rglob("*"))
    assert packaged.origins(place, ["/etc/cron.d/kept", "/etc/cron.d/edited", "/etc/cron.d/own"]) == {
        "/etc/cron.d/kept": "packaged", "/etc/cron.d/edited": "changed", "/etc/cron.d/own": "local",
    }  # fmt: skip
    assert sorted(tmp_path.rglob("*")) == before  # no journal, no lock


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 200, b"x" * 5000])
def test_a_damaged_database_is_a_reason(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / "var/lib/rpm/rpmdb.sqlite").write_bytes(content)
    found = packaged.origins(Tree(str(tmp_path)), ["/etc/x"])["/etc/x"]
    assert isinstance(found, Unknown) and "rpmdb.sqlite" in found.reason


def test_the_older_form_is_said_not_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / "var/lib/rpm/Packages").write_bytes(b"Berkeley")
    with pytest.raises(Undetermined, match="in a form that is not read here"):
        rpmdb.digests(Tree(str(tmp_path)), {"/etc/x"})


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_header_is_read_or_refused(tail: bytes, cut: int) -> None:
    for blob in (tail, _header({"/etc/x": "aa"})[:cut], _header({"/etc/x": "aa"}) + tail):
        try:
            assert all(isinstance(path, str) for path, _ in rpmdb.listed(blob))
        except ValueError as error:
            assert "cut off" in str(error)
