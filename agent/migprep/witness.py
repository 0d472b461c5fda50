"""What the running machine was asked, and whether it would answer the same now.

Facts, rules and plans are pure functions of a Root: where every question has the answer it had, the report is
the one it was. So a check of a machine that did not change costs what asking costs, however many rules there are.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from functools import cache

from migprep.digest import sha256
from migprep.root import Stat, Tree, Unreadable, whole
from migprep.typed import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

    Notes = dict[str, dict[str, Any]]

#: What the kernel makes when it is asked: times and sizes say nothing there, the content does.
VIRTUAL = ("/proc/", "/sys/")
#: What changes all the time in such files and bears on no move: clock rates, counters of use.
RESTLESS = {
    "/proc/cpuinfo": re.compile(rb"(?m)^cpu MHz.*$"),
    "/proc/meminfo": re.compile(rb"(?m)^(?!MemTotal:).*$"),
    "/proc/modules": re.compile(rb"(?m) .*$"),
    "/proc/swaps": re.compile(rb"(?m)\d+\s+(?=-?\d+$)"),
    "/proc/net/ipv6_route": re.compile(rb"(?m) [0-9a-f]{8} [0-9a-f]{8}(?= [0-9a-f]{8} +\S+$)"),
}
#: Nanoseconds in which a file may change again without showing it: FAT keeps times by two seconds.
TOO_FRESH = 3 * 10**9


def fingerprint(path: str, content: bytes) -> str:
    """A digest of a file of /proc or /sys without what is RESTLESS in it."""
    pattern = RESTLESS.get(path)
    return sha256(pattern.sub(b"", content) if pattern else content).hexdigest()


class Witness(Tree):
    """The running machine, which notes what it was asked and what it answered."""

    def __init__(self) -> None:
        super().__init__("/", live=True)
        self.notes: Notes = {name: {} for name in QUESTIONS}

    def _note(self, question: str, path: str) -> None:
        """Before the answer is given: what changes in between is found changed next time."""
        known = self.notes[question]
        if path not in known:
            known[path] = QUESTIONS[question](path)

    def stat(self, path: str) -> Stat | None:
        self._note("stat", path)
        return super().stat(path)

    def link(self, path: str) -> str | None:
        self._note("link", path)
        return super().link(path)

    def names(self, path: str) -> list[str]:
        self._note("names", path)
        return super().names(path)

    def open(self, path: str) -> BinaryIO:
        self._note("stat", path)
        if isinstance(self.notes["stat"][path], list):
            return super().open(path)
        with super().open(path) as stream:
            told = whole(stream)
        self.notes["content"].setdefault(path, fingerprint(path, told))
        return io.BytesIO(told)


def unchanged(notes: Notes) -> bool:
    """Whether every question would be answered as it was."""
    return all(
        ask(path) == answer for question, ask in QUESTIONS.items() for path, answer in notes.get(question, {}).items()
    )


def settled(notes: Notes, now: int) -> bool:
    """Whether nothing that was looked at changed so shortly before `now` (ns) that a further change could not show."""
    times = [max(answer[2:4]) for kind in ("stat", "names") for answer in notes[kind].values() if _is_identity(answer)]
    return max(times, default=0) < now - TOO_FRESH


def _is_identity(answer: object) -> bool:
    return isinstance(answer, list) and len(answer) == 6 and isinstance(answer[0], int)


def identity(path: str) -> Any:
    """What tells one state of a file or folder from another; of /proc and /sys its kind; else why there is none."""
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    except ValueError:  # embedded NUL
        return errno.EINVAL
    if path.startswith(VIRTUAL) or found.st_dev in _virtual_devices():
        return stat.S_IFMT(found.st_mode)
    return [found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


@cache
def _virtual_devices() -> frozenset[int]:
    """The device numbers of /proc and /sys, for what leads there by a link."""
    return frozenset(os.stat(path).st_dev for path in VIRTUAL if os.path.isdir(path)) - {os.stat("/").st_dev}


def _link(path: str) -> Any:
    try:
        return os.readlink(path)
    except OSError as error:
        return error.errno
    except ValueError:
        return errno.EINVAL


def _names(path: str) -> Any:
    found = identity(path)
    if found != stat.S_IFDIR:
        return found
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        return error.errno


def content(path: str) -> Any:
    """Read as the machine is read, so that nothing can hold us up."""
    try:
        with Tree("/", live=True).open(path) as stream:
            return fingerprint(path, whole(stream))
    except (OSError, Unreadable):
        return ""


#: How each question is answered now, as a JSON value.
QUESTIONS: dict[str, Callable[[str], Any]] = {"stat": identity, "link": _link, "names": _names, "content": content}
