"""A machine as one archive: every file, listing and link that an inspection read, without secrets.

The archive (tar.gz) holds the files under their own names; /migprep/observed/NAME.json, what only the running kernel
could tell; /migprep/initramfs/IMAGE, the names inside an image instead of the image; and /migprep/meta.json: what was
looked for and is not there, what could not be read and why. So a path that nobody looked at is unknown, not absent.
"""

from __future__ import annotations

import io
import zlib
from typing import Any, BinaryIO, NamedTuple

from migprep import redact
from migprep.model import MigprepError
from migprep.root import Files, Root, Stat, Tree, Unreadable, read, real

SCHEMA = "migprep/capture/1.0"
META = "/migprep/meta.json"

#: Bounds of an archive that is read: bytes after decompression, members, bytes of one file.
TOTAL, MEMBERS, SINGLE = 256 << 20, 200_000, 16 << 20
#: Bytes of one file that are kept; what is longer was streamed for a moment's look.
KEPT = 8 << 20


class CaptureError(MigprepError):
    """An archive that is no capture, or that means harm."""

    code = 65


class Meta(NamedTuple):
    """What the files alone cannot say. Keys are resolved paths; a stat is [kind, size, mode], None, or a reason."""

    stats: dict[str, list[Any] | str | None]
    listings: dict[str, list[str] | str]
    partial: dict[str, int]  # path -> whole size, of files of which only the beginning was read
    unread: dict[str, str]  # path -> why its content is not here


class Recorder:
    """The running machine through a root that remembers whatever is asked of it."""

    live = False

    def __init__(self, base: Root, told: dict[str, bytes]) -> None:
        """`told` are files that lie over the machine's: what only its kernel could tell, and listings."""
        self._base = base
        self._told = Files(dict(told))
        self.links: dict[str, str] = {}
        self.contents: dict[str, bytearray] = {path: bytearray(content) for path, content in told.items()}
        self.whole: dict[str, bool] = dict.fromkeys(told, True)
        self.meta = Meta({}, {}, {}, {})

    def _root_of(self, path: str) -> Root:
        return self._told if path.startswith("/migprep/") or path == "/migprep" else self._base

    def link(self, path: str) -> str | None:
        found = self._root_of(path).link(path)
        if found is not None:
            self.links[path] = found
        return found

    def stat(self, path: str) -> Stat | None:
        where = real(self, path)
        try:
            found = self._root_of(where).stat(where)
        except Unreadable as error:
            self.meta.stats[where] = str(error)
            raise
        self.meta.stats[where] = [found.kind, found.size, found.mode] if found else None
        return found

    def names(self, path: str) -> list[str]:
        where = real(self, path)
        try:
            found = self._root_of(where).names(where)
        except Unreadable as error:
            self.meta.listings[where] = str(error)
            raise
        self.meta.listings[where] = found
        return found

    def open(self, path: str) -> BinaryIO:
        where = real(self, path)
        if redact.is_forbidden(where):
            self.meta.unread[where] = f"{where} holds secrets and is not part of a capture"
            raise Unreadable(self.meta.unread[where])
        try:
            stream = self._root_of(where).open(where)
        except FileNotFoundError:
            self.meta.stats[where] = None
            raise
        except Unreadable as error:
            self.meta.unread[where] = str(error)
            raise
        return io.BufferedReader(_Noted(stream, where, self))

    def note(self, path: str, offset: int, content: bytes) -> None:
        """Keep what was read; a jump over bytes that nobody has read ends what is kept."""
        kept = self.contents.setdefault(path, bytearray())
        if not content:
            self.whole[path] = self.whole.get(path, False) or offset == len(kept)
        elif offset <= len(kept) < offset + len(content) <= KEPT:
            kept += content[len(kept) - offset :]


class _Noted(io.RawIOBase):
    """A stream that tells the recorder what is read from it."""

    def __init__(self, stream: BinaryIO, path: str, recorder: Recorder) -> None:
        self._stream, self._path, self._recorder, self._offset = stream, path, recorder, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        self._offset = self._stream.seek(offset, whence)
        return self._offset

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._recorder.note(self._path, self._offset, content)
        self._offset += len(content)
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._stream.close()
        super().close()


# --- writing ---


def write(path: str, base: Root | None = None) -> str:
    """Inspect the running machine (or `base`) and write its capture to `path`; returns a line about it."""
    from migprep import output

    recorder = record(base or Tree("/", live=True))
    archive = packed(recorder)
    output.write(path, archive)
    gaps = len(recorder.meta.unread)
    return f"{len(recorder.contents)} files, {len(archive) >> 10} KiB" + (f"; {gaps} could not be read" if gaps else "")


def record(base: Root) -> Recorder:
    """Ask every fact and every rule, for every target, and remember what they read."""
    from migprep import inspection
    from migprep.facts import Facts, fact
    from migprep.report import document

    recorder = Recorder(base, told(Facts(base, inspection.cache_of(base))))
    facts = Facts(recorder)
    for name, kind in vars(Facts).items():
        if isinstance(kind, fact):
            getattr(facts, name)
    rules, targets = inspection.load_rules()[0], inspection.load_targets()[0]
    inspection.judge(inspection.Inspection(facts, rules, tuple(targets.values()), (), ()))
    document.inventory(facts)
    return recorder


def told(facts: Any) -> dict[str, bytes]:
    """What cannot be had from files: the kernel's answers, the names inside each initramfs, what loaders are."""
    from migprep.facts import bootcode, efi, luks, xfs
    from migprep.facts.initramfs import listings

    loaders = {**efi.named(facts), **bootcode.kept(facts), **xfs.kept(facts)}
    return {**_observed(facts.root), **listings(facts), **loaders, **luks.headers(facts)}


def _observed(base: Root) -> dict[str, bytes]:
    import json

    from migprep.facts import observed

    found = {}
    for name in observed.NAMES:
        try:
            found[f"/migprep/observed/{name}.json"] = json.dumps(observed.observed(base, name), indent=1).encode()
        except (MigprepError, OSError):
            continue
    return found


def packed(recorder: Recorder) -> bytes:
    """The archive: the same machine state gives the same bytes."""
    import gzip
    import json
    import tarfile

    meta = _final(recorder)
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted({*recorder.links, *recorder.contents, META}):
            member = tarfile.TarInfo(path.lstrip("/"))
            member.mode = 0o600
            if path in recorder.links:
                member.type, member.linkname = tarfile.SYMTYPE, recorder.links[path]
                archive.addfile(member)
                continue
            content = (
                json.dumps(meta).encode() if path == META else redact.redacted(path, bytes(recorder.contents[path]))
            )
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _final(recorder: Recorder) -> dict[str, Any]:
    """meta.json: a file counts as partial unless its end was read."""
    import migprep

    meta = recorder.meta
    for path, content in recorder.contents.items():
        if not recorder.whole.get(path):
            known = meta.stats.get(path)
            size = known[1] if isinstance(known, list) else 0
            if size != len(content):
                meta.partial[path] = max(size, len(content) + 1)
    return {
        "schema": SCHEMA,
        "version": migprep.__version__,
        **{key: dict(sorted(kept.items())) for key, kept in meta._asdict().items()},
    }


# --- reading ---


class Captured:
    """A machine from its capture: what was not looked at is unreadable, never absent."""

    live = False

    def __init__(self, base: Root, meta: Meta) -> None:
        self._base = base
        self._meta = meta

    def link(self, path: str) -> str | None:
        return self._base.link(path)

    def stat(self, path: str) -> Stat | None:
        where = real(self, path)
        if where in self._meta.stats:
            known = self._meta.stats[where]
            if isinstance(known, str):
                raise Unreadable(known)
            return (
                Stat(known[0], known[1], 0, zlib.crc32(where.encode("utf-8", "surrogateescape")), 0, known[2])
                if known
                else None
            )
        found = self._base.stat(where)
        if found is None:
            self._demand_absent(where)
        return found

    def names(self, path: str) -> list[str]:
        where = real(self, path)
        known = self._meta.listings.get(where)
        if isinstance(known, str):
            raise Unreadable(known)
        if known is None:
            self._demand_absent(where)
            return []
        return list(known)

    def open(self, path: str) -> BinaryIO:
        where = real(self, path)
        if where in self._meta.unread:
            raise Unreadable(self._meta.unread[where])
        content = read(self._base, where, SINGLE)
        if content is None:
            self._demand_absent(where)
            raise FileNotFoundError(path)
        if where in self._meta.partial:
            return io.BufferedReader(_Beginning(content, where))
        return io.BytesIO(content)

    def _demand_absent(self, path: str) -> None:
        """Return when `path` is known not to be there. Raises Unreadable when nobody looked."""
        here = path
        while here != "/":
            if self._meta.stats.get(here, ()) is None:
                return
            parent, name = here.rsplit("/", 1)
            here = parent or "/"
            listed = self._meta.listings.get(here)
            if isinstance(listed, list) and name not in listed:
                return
        raise Unreadable(f"{path} is not part of this capture")


class _Beginning(io.RawIOBase):
    """The kept beginning of a longer file; reading on is an error, not the end of the file."""

    def __init__(self, content: bytes, path: str) -> None:
        self._stream, self._path, self._size = io.BytesIO(content), path, len(content)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        if self._stream.tell() >= self._size:
            raise Unreadable(f"only the beginning of {self._path} is part of this capture")
        return self._stream.readinto(buffer)


def load(path: str) -> Root:
    """A capture as a root, in memory. Raises CaptureError for what is none, or too large, or a trap."""
    import gzip
    import tarfile

    try:
        with open(path, "rb") as raw:
            head = raw.read(2)
            raw.seek(0)
            if head != b"\x1f\x8b":
                raise CaptureError(f"{path} is not a capture (tar.gz)")
            bounded: Any = _Bounded(gzip.GzipFile(fileobj=raw))
            with tarfile.open(fileobj=bounded, mode="r|") as archive:
                files = _members(archive)
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, RecursionError) as error:
        raise CaptureError(f"{path} is not a capture: {str(error) or type(error).__name__}") from None
    return _with_meta(Files(files), path)


def unpacked(folder: str) -> Root:
    """A capture that was unpacked into a directory."""
    return _with_meta(Tree(folder), folder)


class _Bounded:
    """A stream that gives no more than TOTAL bytes, however small the archive looks."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._left = stream, TOTAL

    def read(self, size: int) -> bytes:
        content: bytes = self._stream.read(min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise CaptureError(f"this capture holds more than {TOTAL >> 20} MiB: refused")
        return content


def _members(archive: Any) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {}
    for number, member in enumerate(archive):
        name = _name(member.name)
        if number >= MEMBERS:
            raise CaptureError(f"this capture holds more than {MEMBERS} files: refused")
        if member.isdir():
            continue
        if name in files:
            raise CaptureError(f"this capture holds {name} twice: refused")
        if member.issym():
            files[name] = member.linkname
        elif member.isreg() and not member.issparse():
            if member.size > SINGLE:
                raise CaptureError(f"{name} in this capture is larger than {SINGLE >> 20} MiB: refused")
            files[name] = archive.extractfile(member).read()
        else:
            raise CaptureError(f"{name} in this capture is neither file, folder nor symbolic link: refused")
    _refuse_beneath(files)
    return files


def _name(name: str) -> str:
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise CaptureError(f"this capture holds a name that leads out of it ({name[:80]!r}): refused")
    return "/" + "/".join(part for part in parts if part not in ("", "."))


def _refuse_beneath(files: dict[str, bytes | str]) -> None:
    """A name cannot be both a file and a folder."""
    for name in files:
        parent = name.rsplit("/", 1)[0]
        while parent:
            if parent in files:
                raise CaptureError(f"this capture holds {parent} as a file and as a folder: refused")
            parent = parent.rsplit("/", 1)[0]


def _with_meta(base: Root, where: str) -> Root:
    """`base` with what its meta.json knows; a tree written by hand has none and is taken as it is."""
    import json

    content = read(base, META, TOTAL)
    if content is None:
        return base
    try:
        given = json.loads(content)
        if given["schema"] != SCHEMA:
            raise CaptureError(f"{where} has the form {given['schema']}; this migprep reads {SCHEMA}")
        meta = Meta(*(given[key] for key in Meta._fields))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CaptureError(f"{where} is not a capture: meta.json is damaged") from None
    _check(meta, where)
    return Captured(base, meta)


def _check(meta: Meta, where: str) -> None:
    """The types that `Meta` promises. Raises CaptureError."""
    good = (
        all(isinstance(kept, dict) for kept in meta)
        and all(one is None or isinstance(one, str) or _is_stat(one) for one in meta.stats.values())
        and all(
            isinstance(one, str) or isinstance(one, list) and all(isinstance(n, str) for n in one)
            for one in meta.listings.values()
        )
        and all(isinstance(one, int) for one in meta.partial.values())
        and all(isinstance(one, str) for one in meta.unread.values())
    )
    if not good:
        raise CaptureError(f"{where} is not a capture: meta.json is damaged")


def _is_stat(given: object) -> bool:
    return (
        isinstance(given, list)
        and len(given) == 3
        and isinstance(given[0], str)
        and all(isinstance(one, int) for one in given[1:])
    )
