"""What rpm's database says of files: the digests that their packages brought. Only its form since rpm 4.16, SQLite."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator

from migprep.model import Undetermined
from migprep.root import Root

PATHS = ("/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite")
#: Steps of SQLite's machine that one question may take; a real one takes some thousands.
STEPS = 50_000_000
PACKAGES = "SELECT p.blob FROM Basenames b JOIN Packages p ON p.hnum = b.hnum WHERE b.key = ?"
#: Tags of a header (rpm's rpmtag.h).
DIGESTS, FOLDER_OF, NAMES, FOLDERS = 1035, 1116, 1117, 1118


def digests(place: Root, names: set[str]) -> dict[str, str]:
    """{path: digest in hex} of those of `names` that a package brought. Raises Undetermined."""
    path = next((one for one in PATHS if place.stat(one)), "")
    if not path:
        raise Undetermined("whether a package brought a file: rpm's database is in a form that is not read here")
    try:
        with place.open(path) as stream:
            # Neither locks nor a journal are made, in a root that may not be written to.
            where = f"file:/proc/self/fd/{stream.fileno()}?mode=ro&immutable=1"
            connection = sqlite3.connect(where, uri=True)
            try:
                connection.set_progress_handler(lambda: 1, STEPS)
                return dict(_asked(connection, names))
            finally:
                connection.close()
    except (sqlite3.Error, io.UnsupportedOperation, ValueError) as error:
        raise Undetermined(f"whether a package brought a file: {path}: {error}") from None


def _asked(connection: sqlite3.Connection, names: set[str]) -> Iterator[tuple[str, str]]:
    for base in {name.rpartition("/")[2] for name in names}:
        for (blob,) in connection.execute(PACKAGES, (base,)):
            yield from ((name, digest) for name, digest in listed(blob) if name in names and digest)


def listed(blob: bytes) -> Iterator[tuple[str, str]]:
    """(path, digest) of every file in the header of a package; "" for folders, links and ghosts.

    A header is two numbers (entries, bytes of data), entries of four (tag, type, offset, count), and data; all numbers
    have 32 bits, the highest first. Raises ValueError.
    """
    found = dict(_entries(blob))
    if not {DIGESTS, FOLDER_OF, NAMES, FOLDERS} <= set(found):
        return
    folders = _strings(blob, *found[FOLDERS])
    names = _strings(blob, *found[NAMES])
    numbers = _numbers(blob, *found[FOLDER_OF])
    for number, name, digest in zip(numbers, names, _strings(blob, *found[DIGESTS])):
        if number < len(folders):
            yield folders[number] + name, digest


def _entries(blob: bytes) -> Iterator[tuple[int, tuple[int, int]]]:
    count = _number(blob, 0)
    data = 8 + 16 * count
    if data > len(blob):
        raise ValueError("a header is cut off")
    for at in range(8, data, 16):
        yield _number(blob, at), (data + _number(blob, at + 8), _number(blob, at + 12))


def _number(blob: bytes, at: int) -> int:
    return int.from_bytes(blob[at : at + 4], "big")


def _numbers(blob: bytes, start: int, count: int) -> list[int]:
    return [_number(blob, at) for at in range(start, min(start + 4 * count, len(blob)), 4)]


def _strings(blob: bytes, start: int, count: int) -> list[str]:
    found = blob[start:].split(b"\0", min(count, len(blob)))[:count]
    return [one.decode("utf-8", "surrogateescape") for one in found]
