"""Write what the user asked for to a file: whole or not at all, readable by its owner only."""

from __future__ import annotations

import os
import stat

from migprep.model import MigprepError
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class OutputError(MigprepError):
    """A file that cannot be written; the sentence names it."""

    code = 78


def write(path: str, content: bytes | Iterable[bytes], mode: int = 0o600) -> None:
    """Put `content`, also in pieces, at `path` with that mode: temp file beside it, fsync, rename (rename(2)).

    A symbolic link, or anything else that is not a regular file, is refused. Raises OutputError.
    """
    _refuse_special(path)
    folder, name = os.path.split(path)
    beside = os.path.join(folder or ".", f".{name}.{os.getpid()}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, mode)
                stream.writelines([content] if isinstance(content, bytes) else content)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
        _sync(folder or ".")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def _refuse_special(path: str) -> None:
    try:
        found = os.lstat(path)
    except OSError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise OutputError(f"cannot write {path}: it is a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise OutputError(f"cannot write {path}: it is not a regular file")


def _sync(folder: str) -> None:
    """Make the rename last; a filesystem that cannot sync a folder has done what it can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
