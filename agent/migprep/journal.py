"""What a fix run writes down before it changes anything, so that every byte can be restored.

One of the only two modules that change the machine. A transaction is a folder (0700):

    plan.json        what was going to be done, for people and for `history`
    objects/N.old    the content of the Nth thing to be replaced, as it was
    objects/N.new    the content that replaces it
    journal.ndjson   one record a line: length, CRC-32 of the record, the record as JSON

Records: BEGIN, INTENT before and DONE after each step, COMMITTED; ROLLBACK and ROLLED_BACK for the
way back. Each is on the disk (fsync(2)) before the next thing happens. A torn last record, which a
power cut can leave, counts as not written.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import stat
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from migprep import process, root
from migprep.model import MigprepError
from migprep.root import Root

FOLDER = "/var/lib/migprep/transactions"
CHUNK = 1 << 20


class JournalError(MigprepError):
    """A journal that cannot be trusted: a person must look."""

    code = 5


class System:
    """Every call that changes something, each durable only after `sync`. Paths are the kernel's."""

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        """A new file; one of that name that is there already is refused."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, mode), "wb") as stream:
            stream.write(content)

    def copy(self, source: str, path: str) -> None:
        """A new file with the content of `source`, however large."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(source, "rb") as given, os.fdopen(os.open(path, flags, 0o600), "wb") as stream:
            for part in _parts(given):
                stream.write(part)

    def append(self, path: str, content: bytes) -> None:
        """Add to the end of a file that is there."""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)

    def truncate(self, path: str, size: int) -> None:
        """Cut a file down to its first `size` bytes."""
        os.truncate(path, size)

    def describe(self, path: str, metadata: Metadata) -> None:
        """Give a file the owner, mode, extended attributes and times in `metadata`."""
        _describe(path, metadata)

    def sync(self, path: str) -> None:
        """Wait until a file, or the names in a folder, are on the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some filesystems cannot sync a folder (fsync(2), EINVAL): nothing more can be done there.
            if error.errno != errno.EINVAL or not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise
        finally:
            os.close(descriptor)

    def rename(self, source: str, path: str) -> None:
        """Put one file in another's place, at once (rename(2))."""
        os.rename(source, path)

    def unlink(self, path: str) -> None:
        """Remove a name; one that is gone already is fine."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def mkdir(self, path: str, mode: int) -> None:
        """A new folder."""
        os.mkdir(path, mode)
        os.chmod(path, mode)

    def rmdir(self, path: str) -> None:
        """Remove a folder; one that is gone, or in use by now, is left."""
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                raise

    def run(self, argv: list[str], seconds: float) -> process.Outcome:
        """Run a command to its end."""
        return process.run(argv, seconds)


class Metadata(NamedTuple):
    """What a file has besides its content; times in ns, attributes as base64 (ACLs and labels are among them)."""

    mode: int
    uid: int
    gid: int
    mtime: int
    attributes: dict[str, str]


#: Attributes that sign the content: a new content must not carry the old one's (ima(7), evm).
SIGNATURES = ("security.ima", "security.evm")


def metadata(path: str) -> Metadata:
    """What stands at `path` besides its content. Raises OSError."""
    found = os.lstat(path)
    return Metadata(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime_ns, _attributes(path))


def _attributes(path: str) -> dict[str, str]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {name: base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode() for name in sorted(names)}


def _describe(path: str, wanted: Metadata) -> None:
    found = metadata(path)
    if (found.uid, found.gid) != (wanted.uid, wanted.gid):
        os.chown(path, wanted.uid, wanted.gid)
    for name in set(found.attributes) - set(wanted.attributes) - {"security.selinux"}:
        os.removexattr(path, name)
    if found.mode != wanted.mode:
        with contextlib.suppress(PermissionError):  # FAT: the mount decides, and root may not
            os.chmod(path, wanted.mode)
    for name, value in wanted.attributes.items():
        if found.attributes.get(name) != value:
            _attribute(path, name, base64.b64decode(value))
    if wanted.mtime:
        os.utime(path, ns=(wanted.mtime, wanted.mtime))


def _attribute(path: str, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError:
        if name not in SIGNATURES:  # the kernel keeps these itself
            raise


def _parts(stream: Any) -> Iterator[bytes]:
    while True:
        part = stream.read(CHUNK)
        if not part:
            return
        yield part


class State(NamedTuple):
    """What stands at a path: `digest` is the content's SHA-256, "" when nothing does, else what it is."""

    digest: str
    size: int = 0


ABSENT = State("")


def state(path: str) -> State:
    """What stands at `path` now, links not followed. Raises OSError when it cannot be read."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    if not stat.S_ISREG(found.st_mode):
        return State("a link" if stat.S_ISLNK(found.st_mode) else "not a file")
    import hashlib

    digest = hashlib.sha256()
    size = 0
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as stream:
        for part in _parts(stream):
            digest.update(part)
            size += len(part)
    return State(digest.hexdigest(), size)


# --- records ---


def line(record: dict[str, Any]) -> bytes:
    """One record as it stands in the journal."""
    body = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    return b"%d %08x %s\n" % (len(body), zlib.crc32(body), body)


def parse(content: bytes) -> tuple[list[dict[str, Any]], int]:
    """The records of a journal, and how many of its bytes they fill.

    Raises JournalError when a damaged record is followed by a whole one: no power cut does that.
    """
    records: list[dict[str, Any]] = []
    end = 0
    damaged = False
    for one in content.splitlines(keepends=True):
        record = _record(one)
        if record is None:
            damaged = True
        elif damaged:
            raise JournalError(f"the journal is damaged after its record {len(records)}")
        else:
            records.append(record)
            end += len(one)
    return records, end


def _record(one: bytes) -> dict[str, Any] | None:
    parts = one.split(b" ", 2)
    if len(parts) != 3 or not one.endswith(b"\n"):
        return None
    body = parts[2][:-1]
    try:
        whole = int(parts[0]) == len(body) and int(parts[1], 16) == zlib.crc32(body)
        found = json.loads(body) if whole else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class Phase(NamedTuple):
    """How far a transaction came."""

    word: str  # prepared, unfinished, applied, rolling back, rolled back
    records: tuple[dict[str, Any], ...]

    @property
    def is_open(self) -> bool:
        """Begun, and neither kept nor undone."""
        return self.word in ("unfinished", "rolling back")


def phase(content: bytes) -> Phase:
    """How far the journal says it came. Raises JournalError."""
    records, _ = parse(content)
    word = "prepared"
    for record in records:
        word = WORDS.get(str(record.get("type")), word)
    return Phase(word, tuple(records))


WORDS = {"BEGIN": "unfinished", "COMMITTED": "applied", "ROLLBACK": "rolling back", "ROLLED_BACK": "rolled back"}


# --- transactions ---


def names(place: Root) -> list[str]:
    """Ids of the transactions of a machine, the oldest first. Raises Unreadable."""
    return [name for name in place.names(FOLDER) if not name.startswith(".")]


def look(place: Root, name: str) -> Phase:
    """How far the transaction `name` came. Raises JournalError, Unreadable."""
    try:
        return phase(root.read(place, f"{FOLDER}/{name}/journal.ndjson", 64 << 20) or b"")
    except JournalError as error:
        raise JournalError(f"transaction {name}: {error}") from None


def unfinished(place: Root) -> str:
    """The sentence that every command says while a transaction is neither kept nor undone; else ""."""
    try:
        open_ones = [name for name in names(place) if look(place, name).is_open]
    except JournalError as error:
        return f"{error}: a person must look at {FOLDER}"
    except (MigprepError, OSError):  # only root may look
        return ""
    if not open_ones:
        return ""
    return f"fix {open_ones[-1]} was interrupted: `migprep rollback` restores every file it changed"


class Journal:
    """One transaction's folder, given as the kernel's path, written through a System."""

    def __init__(self, folder: str, system: System) -> None:
        self.folder = folder
        self.system = system
        self.path = os.path.join(folder, "journal.ndjson")

    def open(self, plan: dict[str, Any]) -> None:
        """Make the folder and an empty journal. Raises OSError."""
        self.system.mkdir(self.folder, 0o700)
        self.system.mkdir(os.path.join(self.folder, "objects"), 0o700)
        self.keep("plan.json", json.dumps(plan, indent=1, sort_keys=True).encode())
        self.keep("journal.ndjson", b"")

    def keep(self, name: str, content: bytes) -> None:
        """Keep bytes under `name` in the folder, on the disk."""
        path = os.path.join(self.folder, name)
        self.system.write(path, content)
        self.system.sync(path)

    def keep_copy(self, name: str, source: str) -> None:
        """Keep a copy of a file, on the disk."""
        path = os.path.join(self.folder, name)
        self.system.copy(source, path)
        self.system.sync(path)

    def settle(self) -> None:
        """Wait until everything kept so far has its name on the disk."""
        self.system.sync(os.path.join(self.folder, "objects"))
        self.system.sync(self.folder)
        self.system.sync(os.path.dirname(self.folder))

    def say(self, record: str, **members: Any) -> None:
        """Append a record and wait until it is on the disk."""
        self.system.append(self.path, line({"type": record, **members}))
        self.system.sync(self.path)

    def records(self) -> list[dict[str, Any]]:
        """All whole records; a torn one at the end is cut off, so that the next stands on its own line."""
        with open(self.path, "rb") as stream:
            content = stream.read()
        records, end = parse(content)
        if end < len(content):
            self.system.truncate(self.path, end)
            self.system.sync(self.path)
        return records
