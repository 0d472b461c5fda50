"""Keep what is dear to build, keyed by what it is made of; only whole entries are ever seen."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import command

DONE = ".whole"
BOOTS = 2  # boots at a time on this host, whatever the number of runs


def folder() -> Path:
    """Where trees and disks are kept: MIGPREP_LAB, else /var/cache/migprep-lab."""
    return Path(os.environ.get("MIGPREP_LAB", "/var/cache/migprep-lab"))


def key(*ingredients: str) -> str:
    """A short name for exactly these ingredients."""
    return hashlib.sha256("\0".join(ingredients).encode()).hexdigest()[:16]


def is_whole(entry: Path) -> bool:
    """Whether an entry was finished and its files still have the sizes they had then."""
    try:
        listed = (entry / DONE).read_text().splitlines()
    except OSError:
        return False
    for line in listed:
        size, _, name = line.partition(" ")
        path = entry / name
        if not path.is_file() or path.stat().st_size != int(size):
            return False
    return True


def entry(kind: str, name: str, build: Callable[[Path], None]) -> Path:
    """Give back the finished folder for this key, building it first when it is absent or broken."""
    path = folder() / kind / name
    if is_whole(path):
        return path
    discard(path)
    half = path.with_name(f"{path.name}.half.{os.getpid()}")
    discard(half)
    half.mkdir(parents=True)
    try:
        build(half)
        files = [file for file in half.iterdir() if file.is_file()]
        (half / DONE).write_text("".join(f"{file.stat().st_size} {file.name}\n" for file in files))
        os.sync()
        _settle(half, path)
    except BaseException:
        discard(half)
        raise
    return path


def _settle(half: Path, path: Path) -> None:
    """Give a finished entry its name; one that another process finished first is as good."""
    try:
        half.rename(path)
    except OSError:
        if not is_whole(path):
            raise
        discard(half)


@contextmanager
def lock(name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a name for this run alone, among threads and processes; whoever ends lets go of it."""
    with _held([name], waiting):
        yield


@contextmanager
def slot() -> Iterator[None]:
    """Wait for one of the host's places for a boot, and hold it; who waits comes before who comes back."""
    with ExitStack() as held:
        with _held(["turn"], lambda: None):
            held.enter_context(_held([f"slot.{number}" for number in range(BOOTS)], lambda: None))
        yield


@contextmanager
def _held(names: list[str], waiting: Callable[[], None]) -> Iterator[None]:
    """Hold whichever of these lock files is free first; flock(2) ends with its holder."""
    (folder() / "locks").mkdir(parents=True, exist_ok=True)
    files = [os.open(folder() / "locks" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in names]
    try:
        for turn in range(1 << 60):
            if any(_try(file) for file in files):
                break
            if turn == 1:
                waiting()
            command.refuse_when_stopped()
            time.sleep(0.3)
        yield
    finally:
        for file in files:
            os.close(file)


def _try(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep() -> None:
    """Remove what interrupted builds left behind: halves whose builder is gone."""
    for half in folder().glob("*/*.half.*"):
        pid = half.name.rpartition(".")[2]
        if not Path("/proc", pid).exists():
            discard(half)


def prune(made: Collection[str]) -> list[Path]:
    """Remove disks that no scenario makes any more, with their fates and sources; gives back what went.

    Unpacked products go too: the next run unpacks its own.
    """
    gone = [path for path in sorted((folder() / "disks").glob("*")) if path.name not in made]
    for kind in ("fates", "sources"):
        gone += [path for path in sorted((folder() / kind).glob("*")) if not path.name.startswith(tuple(made))]
    gone += sorted((folder() / "products").glob("*"))
    for path in gone:
        discard(path)
    return gone


def discard(path: Path) -> None:
    """Remove an entry, whatever state it is in."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
