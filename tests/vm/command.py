"""The only place where the lab starts a process: argument list, own group, killed as a group."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path


class LabError(Exception):
    """The lab cannot go on; the text is one sentence for the person who ran it."""


_running: set[subprocess.Popen[bytes]] = set()
_stopped = threading.Event()
# Which Debian package brings which tool.
PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "sfdisk": "fdisk",
    "linux.uml": "user-mode-linux",
    "unshare": "util-linux",
    "swtpm": "swtpm",
    "virt-v2v": "virt-v2v",
    "nbdkit": "nbdkit",
    "nbdcopy": "libnbd-bin",
}


def lacks(*tools: str) -> str:
    """Which of the tools are missing, with the one line that installs them; "" where all are there."""
    missing = [tool for tool in dict.fromkeys(tools) if shutil.which(tool, path=_path()) is None]
    packages = " ".join(sorted({PACKAGES.get(tool, tool) for tool in missing}))
    return f"missing {', '.join(missing)}: apt-get install {packages}" if missing else ""


def require(*tools: str) -> None:
    """Refuse to start without a tool, naming the one line that installs all that is missing."""
    missing = lacks(*tools)
    if missing:
        raise LabError(missing)


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def start(argv: Sequence[str], log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, its output in a log."""
    refuse_when_stopped()
    die_with_us = ["setpriv", "--pdeathsig", "KILL", *argv]
    environ = {**os.environ, "PATH": _path(), "LC_ALL": "C.UTF-8", **(env or {})}
    with log.open("ab") as out:
        process = subprocess.Popen(
            die_with_us, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env=environ, start_new_session=True,
        )  # fmt: skip
    with contextlib.suppress(OSError):  # a guest starved by a busy host misses limits of its own (sched(7), autogroup)
        Path(f"/proc/{process.pid}/autogroup").write_text("-7")
    _running.add(process)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with everything it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    _running.discard(process)


def refuse_when_stopped() -> None:
    """Start nothing and wait for nothing in a run that was stopped. Raises LabError."""
    if _stopped.is_set():
        raise LabError("stopped")


def begin() -> None:
    """A new run may start processes."""
    _stopped.clear()


def stop_all() -> None:
    """End every process that is still under way; no thread of this run starts another."""
    _stopped.set()
    for process in list(_running):
        stop(process)


def run(argv: Sequence[str], log: Path, limit: int, what: str, env: dict[str, str] | None = None) -> None:
    """Run to the end; failing or overrunning is one sentence with the log's last words."""
    process = start(argv, log, env)
    try:
        code = process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        raise LabError(f"{what}: not done after {limit} s; see {log}") from None
    finally:
        stop(process)
    if code:
        raise LabError(f"{what}: {_last_words(log)} (exit {code}; see {log})")


def _last_words(log: Path) -> str:
    text = log.read_text(errors="replace")
    for sign, sentence in (
        ("No space left on device", "no space left on the device"),
        ("Temporary failure resolving", "no network: the archive's name does not resolve"),
        ("Could not resolve", "no network: the archive's name does not resolve"),
        ("Could not connect", "no network: the archive does not answer"),
    ):
        if sign in text:
            return sentence
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "failed without a word"
