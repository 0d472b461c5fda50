"""The database of a fleet: one row a machine and target, of the newest report on it; files that are none are listed.

The file is for querying, too. Tables: machine, judged, finding, unjudged, waiver, broken, expected.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from migprep import saved
from migprep.model import MigprepError
from migprep.report import outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: A report of a fleet's host may be so large (bytes); those of real machines are about 50 kB.
LIMIT = 8 << 20
#: Reports between two commits.
BATCH = 500

TABLES = """
PRAGMA application_id = 0x6d677066;
CREATE TABLE machine (id INTEGER PRIMARY KEY, host TEXT NOT NULL, identity TEXT NOT NULL, os TEXT, kernel TEXT,
  firmware TEXT, virtualization TEXT, started TEXT NOT NULL, UNIQUE (host, identity));
CREATE TABLE judged (id INTEGER PRIMARY KEY, machine INTEGER NOT NULL, target TEXT NOT NULL, verdict TEXT NOT NULL,
  after_fixes TEXT NOT NULL, started TEXT NOT NULL, seconds REAL, complete INTEGER, version TEXT, rules TEXT, path TEXT,
  UNIQUE (machine, target));
CREATE TABLE finding (judged INTEGER NOT NULL, rule TEXT NOT NULL, title TEXT, severity TEXT NOT NULL, blocks TEXT,
  fingerprint TEXT NOT NULL, subject TEXT, message TEXT, path TEXT, line INTEGER, safety TEXT, phase TEXT,
  mended INTEGER NOT NULL, waived_until TEXT);
CREATE TABLE unjudged (judged INTEGER NOT NULL, rule TEXT NOT NULL, severity TEXT NOT NULL, reason TEXT);
CREATE TABLE waiver (machine INTEGER NOT NULL, place TEXT, rule TEXT, fingerprint TEXT, reason TEXT, expires TEXT,
  state TEXT);
CREATE TABLE broken (path TEXT, reason TEXT);
CREATE TABLE expected (host TEXT PRIMARY KEY);
CREATE INDEX finding_judged ON finding (judged);
CREATE INDEX unjudged_judged ON unjudged (judged);
CREATE INDEX waiver_machine ON waiver (machine);
"""


class FleetError(MigprepError):
    """A path or a database that cannot be used."""

    code = 64


class NoReports(MigprepError):
    """Nothing to merge."""

    code = 65


class Counts(NamedTuple):
    """How many files were merged, and how many were none."""

    reports: int
    broken: int


def create(path: str) -> sqlite3.Connection:
    """An empty database in a file that need not survive a crash; a few MiB of it are held in memory."""
    found = sqlite3.connect(f"file:{quote(path)}", isolation_level=None, uri=True)
    found.executescript(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;"
        "PRAGMA cache_size = -4096; PRAGMA temp.cache_size = -1024;"
    )
    found.executescript(TABLES)
    return found


def merge(base: sqlite3.Connection, paths: Iterable[str]) -> Counts:
    """Take in every report below `paths`; the order does not matter."""
    reports = broken = 0
    base.execute("BEGIN")
    for path in files(paths):
        try:
            document = saved.parse(saved.read(path, LIMIT), path)
            _take(base, document, path)
            reports += 1
        except saved.SavedError as error:
            base.execute("INSERT INTO broken VALUES (?, ?)", (plain(path), plain(str(error)[len(path) + 2 :])))
            broken += 1
        if (reports + broken) % BATCH == 0:
            base.execute("COMMIT")
            base.execute("BEGIN")
    base.execute("COMMIT")
    return Counts(reports, broken)


def files(paths: Iterable[str]) -> Iterator[str]:
    """Every named file, and every *.json below a named folder; links to folders are not followed. Raises FleetError."""
    for path in paths:
        if os.path.isdir(path):
            yield from _below(path)
        elif os.path.lexists(path):
            yield path
        else:
            raise FleetError(f"{path}: there is no such file or folder")


def _below(folder: str) -> Iterator[str]:
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.name.endswith(".json"):
                        yield entry.path
        except OSError as error:
            raise FleetError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from None


def expect(base: sqlite3.Connection, path: str) -> None:
    """Note the hosts that a file names, one a line; `#` begins a comment. Raises FleetError."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as stream:
            lines = [line.partition("#")[0].strip() for line in stream]
    except OSError as error:
        raise FleetError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    base.executemany("INSERT OR IGNORE INTO expected VALUES (?)", [(line,) for line in lines if line])


def plain(words: str) -> str:
    """Text that SQLite takes: a byte that is no UTF-8 becomes an escape."""
    return words.encode("utf-8", "backslashreplace").decode()


def _take(base: sqlite3.Connection, document: dict[str, Any], path: str) -> None:
    host, run, tool = document["host"], document["run"], document["tool"]
    machine = _machine(base, host, run["started"], document.get("waivers", ()))
    results: dict[str, list[dict[str, Any]]] = {}
    for one in document["results"]:
        results.setdefault(one["target"], []).append(one)
    for target in document["targets"]:
        key = (machine, plain(target["name"]))
        known = base.execute("SELECT id, started FROM judged WHERE machine = ? AND target = ?", key).fetchone()
        if known and known[1] >= run["started"]:
            continue
        if known:
            for table in ("finding", "unjudged"):
                base.execute(f"DELETE FROM {table} WHERE judged = ?", known[:1])
            base.execute("DELETE FROM judged WHERE id = ?", known[:1])
        row = base.execute(
            "INSERT INTO judged VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, target["verdict"], target["after_fixes"], run["started"], run["seconds"], run["complete"],
             plain(tool["version"]), plain(tool.get("rules", "")), plain(path)),
        ).lastrowid  # fmt: skip
        _results(base, row, target, results.get(target["name"], ()))


def _machine(base: sqlite3.Connection, host: dict[str, Any], started: str, waivers: Iterable[dict[str, str]]) -> int:
    """The row of a machine, brought up to date by its newest report."""
    name, identity = plain(host["name"]), plain(host.get("id", ""))
    known = base.execute("SELECT id, started FROM machine WHERE host = ? AND identity = ?", (name, identity)).fetchone()
    if known and known[1] >= started:
        return int(known[0])
    about = [plain(host[key]) for key in ("os", "kernel", "firmware", "virtualization")]
    row = known[0] if known else None
    row = base.execute(
        "INSERT OR REPLACE INTO machine VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (row, name, identity, *about, started)
    ).lastrowid
    assert row is not None
    base.execute("DELETE FROM waiver WHERE machine = ?", (row,))
    names = ("place", "rule", "fingerprint", "reason", "expires", "state")
    base.executemany(
        "INSERT INTO waiver VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(row, *(plain(one[name]) for name in names)) for one in waivers],
    )
    return row


def _results(
    base: sqlite3.Connection, judged: int | None, target: dict[str, Any], results: Iterable[dict[str, Any]]
) -> None:
    found, unjudged = [], []
    for one in results:
        if one["status"] == "unknown":
            unjudged.append((judged, plain(one["rule"]), one["severity"], plain(one["reason"])))
        for finding in one["findings"]:
            fix, waiver, evidence = finding["fix"] or {}, finding.get("waiver") or {}, finding["evidence"][0]
            found.append((
                judged, plain(one["rule"]), plain(one["title"]), one["severity"], one["blocks"],
                plain(finding["fingerprint"]), plain(finding["subject"]), plain(finding["message"]),
                plain(evidence["path"]), evidence["line"], fix.get("safety"), fix.get("phase"),
                outcome.mends(target, finding), plain(waiver["expires"]) if waiver else None,
            ))  # fmt: skip
    base.executemany(f"INSERT INTO finding VALUES ({', '.join('?' * 14)})", found)
    base.executemany("INSERT INTO unjudged VALUES (?, ?, ?, ?)", unjudged)


def attach(base: sqlite3.Connection, path: str) -> bool:
    """Lay an earlier merge beside `base` as `earlier`; False when there is none. Raises FleetError."""
    if not os.path.exists(path):
        return False
    try:
        base.execute("ATTACH DATABASE ? AS earlier", (f"file:{quote(os.path.abspath(path))}?mode=ro",))
        if base.execute("PRAGMA earlier.application_id").fetchone() != (0x6D677066,):
            raise FleetError(f"{path}: not a database of migprep fleet")
    except sqlite3.Error as error:
        raise FleetError(f"{path}: not a database of migprep fleet ({error})") from None
    return True
