"""The only place that starts a process: an argv list, a fixed environment, no input, a time limit."""

from __future__ import annotations

import os
from typing import NamedTuple

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C", "LANG": "C", "HOME": "/root"}


class Outcome(NamedTuple):
    """What a finished command left behind; `code` is negative for a signal, as in subprocess."""

    code: int
    stdout: bytes
    stderr: bytes


def which(command: str) -> str | None:
    """The path of `command` in the fixed PATH, or None."""
    for folder in PATH.split(":"):
        path = f"{folder}/{command}"
        if os.access(path, os.X_OK):
            return path
    return None


def run(argv: list[str], seconds: float) -> Outcome:
    """Run `argv` to its end and return what it said.

    Raises FileNotFoundError when there is no such command and TimeoutError (after killing it and
    its children) when it takes longer than `seconds`.
    """
    import signal
    import subprocess  # noqa: S404  the one place

    with subprocess.Popen(  # noqa: S603  argv lists only
        argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd="/", start_new_session=True,
    ) as child:  # fmt: skip
        try:
            stdout, stderr = child.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimeoutError(f"{argv[0]} took more than {seconds:g} s") from None
            raise
    return Outcome(child.returncode, stdout, stderr)
