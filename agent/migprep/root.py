"""The machine as a tree of files. Nothing here can write; no path leads out of its root."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase

from migprep.model import MigprepError
from migprep.typed import BinaryIO, NamedTuple, Protocol

#: Bytes that a configuration file may have before it is refused (the largest real one seen is 200 kB).
LIMIT = 4 << 20
#: Bytes asked for at once: most files have less, and room for all of LIMIT would cost more than reading them.
PIECE = 1 << 16
#: Symbolic links followed for one path, as many as the kernel follows (path_resolution(7)).
LINKS = 40


class Unreadable(MigprepError):
    """A file that is there but cannot be read; the reason names the path."""

    code = 1


class Stat(NamedTuple):
    """What identifies one state of a file: `kind` is file, dir, link or other; times in ns."""

    kind: str
    size: int
    mtime: int
    inode: int
    device: int
    mode: int


class Root(Protocol):
    """A machine as its files. Paths are absolute inside the root; links resolve inside it."""

    @property
    def live(self) -> bool:
        """True only for the running machine itself, where its kernel may be asked too."""

    def stat(self, path: str) -> Stat | None:
        """What stands at `path`, links followed; None when nothing does or a link dangles."""

    def link(self, path: str) -> str | None:
        """The text of the symbolic link at `path`, or None when it is none."""

    def names(self, path: str) -> list[str]:
        """Sorted entries of a directory, empty when there is none. Raises Unreadable."""

    def open(self, path: str) -> BinaryIO:
        """A regular file, unbuffered by lines, to be streamed. Raises Unreadable or FileNotFoundError."""


def read(root: Root, path: str, limit: int = LIMIT) -> bytes | None:
    """The whole of a regular file, None when it is absent. Raises Unreadable."""
    found = root.stat(path)
    if found is None:
        return None
    if found.kind != "file":
        raise Unreadable(f"{path} is not a regular file")
    try:
        with root.open(path) as stream:
            content = whole(stream, limit)
    except FileNotFoundError:
        return None
    if len(content) > limit:
        raise Unreadable(f"{path} is larger than {limit >> 20} MiB")
    return content


def whole(stream: BinaryIO, limit: int = LIMIT) -> bytes:
    """What is left of a file, up to a little more than `limit`; in pieces, for /proc/sys refuses large ones."""
    content = piece = stream.read(min(PIECE, limit + 1))
    while len(piece) == PIECE and len(content) <= limit:
        piece = stream.read(PIECE)
        content += piece
    return content


def text(root: Root, path: str, limit: int = LIMIT) -> str | None:
    """`read`, decoded so that encoding it again gives back every byte (PEP 383)."""
    content = read(root, path, limit)
    return None if content is None else content.decode("utf-8", "surrogateescape")


def value(root: Root, path: str) -> str:
    """The one value that a file of /sys or /proc holds, without white space; "" when absent."""
    try:
        return (text(root, path, 65536) or "").strip()
    except Unreadable:
        return ""


def exists(root: Root, path: str) -> bool:
    """Whether anything stands at `path`."""
    return root.stat(path) is not None


def is_dir(root: Root, path: str) -> bool:
    """Whether a directory stands at `path`."""
    found = root.stat(path)
    return found is not None and found.kind == "dir"


def glob(root: Root, pattern: str) -> list[str]:
    """Paths that match a shell pattern, sorted; a ``*`` does not match a leading dot."""
    paths = [""]
    for part in pattern.strip("/").split("/"):
        if any(sign in part for sign in "*?["):
            paths = [
                f"{path}/{name}"
                for path in paths
                for name in root.names(path or "/")
                if fnmatchcase(name, part) and not (name.startswith(".") and part[0] != ".")
            ]
        else:
            paths = [f"{path}/{part}" for path in paths]
    return [path for path in paths if exists(root, path)]


def real(root: Root, path: str) -> str:
    """`path` with every link resolved inside the root; what does not exist stays as written."""
    done: list[str] = []
    todo = [part for part in reversed(path.split("/")) if part]
    followed = 0
    while todo:
        part = todo.pop()
        if part == ".":
            continue
        if part == "..":
            del done[-1:]
            continue
        here = "/" + "/".join([*done, part])
        target = root.link(here)
        if target is None:
            done.append(part)
            continue
        followed += 1
        if followed > LINKS:
            raise Unreadable(f"{path}: too many levels of symbolic links")
        if target.startswith("/"):
            done = []
        todo.extend(part for part in reversed(target.split("/")) if part)
    return "/" + "/".join(done)


def target(root: Root, path: str) -> str:
    """The text of the link at `path`, found through whatever links lead to its folder; "" when it is none."""
    folder, _, name = path.rpartition("/")
    return root.link(f"{path if root.live else real(root, folder) + '/' + name}") or ""


class Wanted(Protocol):
    """What a search is interested in; asked for every entry, so these must be quick."""

    def folder(self, path: str) -> bool:
        """Whether to look into a folder."""

    def file(self, name: str) -> bool:
        """Whether to open a file of this name."""

    def content(self, name: str, buffer: bytes | bytearray, size: int) -> bool:
        """Whether to have the file of this name that begins with, or is, the first `size` bytes of `buffer`."""


def search(root: Root, folder: str, wanted: Wanted, limit: int) -> Iterator[tuple[str, bytes | MigprepError | None]]:
    """(path, content) of all regular files below `folder` that are wanted, without following links.

    None stands for a file that was opened and not wanted, an error for what could not be read. Files are read up to
    `limit` bytes, and one at a time, so that memory does not grow with their number.
    """
    if isinstance(root, Tree):
        yield from root.search(folder, wanted, limit)
        return
    todo = [folder]
    while todo:
        here = todo.pop()
        for name in root.names(here):
            path = f"{here}/{name}"
            found = None if root.link(path) is not None else root.stat(path)
            if found and found.kind == "dir" and wanted.folder(path):
                todo.append(path)
            elif found and found.kind == "file" and wanted.file(name):
                with root.open(path) as stream:
                    content = stream.read(limit)
                yield path, content if wanted.content(name, content, len(content)) else None


class Tree:
    """A directory that holds a machine's files: a mounted image, a chroot; or ``/`` itself."""

    def __init__(self, base: str, live: bool = False) -> None:
        """`live` is for the running machine, where the kernel resolves links by itself."""
        self.base = "" if live else os.path.realpath(base).rstrip("/")
        self.live = live

    def _where(self, path: str) -> str:
        return path if self.live else self.base + (self._resolved(path) or "/")

    def _resolved(self, path: str) -> str:
        return real(self, path)

    def stat(self, path: str) -> Stat | None:
        try:
            found = os.stat(path) if self.live else os.lstat(self._where(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:  # embedded NUL: no path can have it, so nothing stands there
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
                return None
            raise Unreadable(f"{path}: {_reason(error)}") from None
        return _stat(found)

    def link(self, path: str) -> str | None:
        # Only called by `real` with a resolved parent, and by callers who ask about the link itself.
        try:
            return os.readlink(self.base + path)
        except (OSError, ValueError):
            return None

    def names(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self._where(path)))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return []
        except OSError as error:
            raise Unreadable(f"{path}: {_reason(error)}") from None

    def open(self, path: str) -> BinaryIO:
        try:
            # O_NONBLOCK: a FIFO that takes the file's place meanwhile must not stop us.
            descriptor = os.open(self._where(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Unreadable(f"{path}: {_reason(error)}") from None
        stream = os.fdopen(descriptor, "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            stream.close()
            raise Unreadable(f"{path} is not a regular file")
        return io.BufferedReader(_Readable(stream, path))  # type: ignore[type-var]

    def search(self, folder: str, wanted: Wanted, limit: int) -> Iterator[tuple[str, bytes | MigprepError | None]]:
        """See `search`: by directory descriptors and one buffer, which costs a third of `names` and `open`."""
        piece = bytearray(PIECE)
        todo = [folder]
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        while todo:
            here = todo.pop()
            try:
                inside = os.open(self._where(here), flags | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.ENOTDIR:
                    yield here, Unreadable(f"{here}: {_reason(error)}")
                continue
            try:
                names, folders = _entries(inside)
                todo += [path for path in (f"{here}/{name}" for name in folders) if wanted.folder(path)]
                for name in names:
                    if wanted.file(name):
                        yield f"{here}/{name}", _wanted_content(name, inside, flags, piece, wanted, limit)
            except OSError as error:
                yield here, Unreadable(f"{here}: {_reason(error)}")
            finally:
                os.close(inside)


def _entries(folder: int) -> tuple[list[str], list[str]]:
    """Names of the regular files and of the folders in an open folder."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                files.append(entry.name)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return files, folders


def _wanted_content(
    name: str, folder: int, flags: int, piece: bytearray, wanted: Wanted, limit: int
) -> bytes | MigprepError | None:
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Unreadable(_reason(error))
    try:
        size = os.readv(descriptor, (piece,))
        if size < PIECE:
            return bytes(piece[:size]) if wanted.content(name, piece, size) else None
        if 0 in piece and not wanted.content(name, piece, size):
            return None  # a large binary file is judged by its beginning
        content = bytearray(piece)
        while size == PIECE and len(content) < limit:
            size = os.readv(descriptor, (piece,))
            content += piece[:size]
        return bytes(content) if wanted.content(name, content, len(content)) else None
    except OSError as error:
        return Unreadable(_reason(error))
    finally:
        os.close(descriptor)


class _Readable(io.RawIOBase):
    """A raw file whose read errors name the path (a file of /sys may be there and refuse)."""

    def __init__(self, raw: io.FileIO, path: str) -> None:
        self._raw, self._path = raw, path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._raw.seekable()

    def fileno(self) -> int:
        return self._raw.fileno()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def readinto(self, buffer: bytearray) -> int | None:  # type: ignore[override]
        try:
            return self._raw.readinto(buffer)
        except OSError as error:
            raise Unreadable(f"{self._path}: {_reason(error)}") from None

    def close(self) -> None:
        self._raw.close()
        super().close()


class Files:
    """A machine held in memory: a capture, or a test's few files. A `str` value is a link."""

    live = False

    def __init__(self, files: dict[str, bytes | str]) -> None:
        self._files = {"/" + path.strip("/"): content for path, content in files.items()}
        self._folders: dict[str, set[str]] = {"/": set()}
        for path in self._files:
            self._enter(path)

    def _enter(self, path: str) -> None:
        while path != "/":
            parent, name = path.rsplit("/", 1)
            known = self._folders.setdefault(parent or "/", set())
            if name in known:
                return
            known.add(name)
            path = parent or "/"

    def stat(self, path: str) -> Stat | None:
        where = real(self, path)
        content = self._files.get(where)
        if isinstance(content, bytes):
            return Stat("file", len(content), 0, hash(where) & 0xFFFFFFFF, 0, 0o644)
        return Stat("dir", 0, 0, 0, 0, 0o755) if where in self._folders else None

    def link(self, path: str) -> str | None:
        content = self._files.get(path)
        return content if isinstance(content, str) else None

    def names(self, path: str) -> list[str]:
        return sorted(self._folders.get(real(self, path), ()))

    def open(self, path: str) -> BinaryIO:
        content = self._files.get(real(self, path))
        if not isinstance(content, bytes):
            raise FileNotFoundError(path)
        return io.BytesIO(content)


class Overlay:
    """A root with planned files laid over it: the machine as it will be. None deletes a file."""

    live = False

    def __init__(self, base: Root, changes: dict[str, bytes | None]) -> None:
        """Paths of `changes` are taken as resolved; what lies beside them is the base's."""
        self.base = base
        self.changes = changes
        self._new = Files({path: content for path, content in changes.items() if content is not None})

    def stat(self, path: str) -> Stat | None:
        where = real(self, path)
        if where in self.changes and self.changes[where] is None:
            return None
        return self._new.stat(where) if self._is_new_file(where) else self.base.stat(where) or self._new.stat(where)

    def link(self, path: str) -> str | None:
        return None if path in self.changes else self.base.link(path)

    def names(self, path: str) -> list[str]:
        where = real(self, path)
        names = set(self.base.names(where)) | set(self._new.names(where))
        prefix = where.rstrip("/") + "/"
        return sorted(
            names
            - {
                gone[len(prefix) :]
                for gone, content in self.changes.items()
                if content is None and gone.startswith(prefix)
            }
        )

    def open(self, path: str) -> BinaryIO:
        where = real(self, path)
        if where in self.changes and self.changes[where] is None:
            raise FileNotFoundError(path)
        return self._new.open(where) if self._is_new_file(where) else self.base.open(where)

    def _is_new_file(self, where: str) -> bool:
        return self.changes.get(where) is not None


def _stat(found: os.stat_result) -> Stat:
    mode = found.st_mode
    kind = "file" if stat.S_ISREG(mode) else "dir" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "other"
    return Stat(kind, found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev, stat.S_IMODE(mode))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
