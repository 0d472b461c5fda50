"""A software TPM (swtpm) beside a guest: a chip whose whole memory is one file, new where that file is not there yet."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from . import command
from .scenario import Hardware

MEMORY = "tpm"  # the name of its file, beside the disks of the machine it belongs to
_PATIENCE = 10  # seconds until it listens


def prepare(machine: Hardware, disks: Path, folder: Path, *, on_source: bool) -> Optional[Path]:
    """The chip's memory for one boot, or None for a machine without one: the source's own, a target's as it was made."""
    if MEMORY not in machine.devices:
        return None
    path = folder / MEMORY
    path.unlink(missing_ok=True)
    if on_source and (disks / MEMORY).is_file():
        shutil.copy(disks / MEMORY, path)
    return path


@contextmanager
def chip(memory: Optional[Path], log: Path) -> Iterator[list[str]]:
    """Have the chip at hand for one boot; gives back the QEMU arguments that connect it."""
    if memory is None:
        yield []
        return
    command.require("swtpm")
    with tempfile.TemporaryDirectory(prefix="migprep-lab.") as folder:  # a socket's name has 108 bytes at most
        socket = Path(folder, "tpm")
        argv = ["swtpm", "socket", "--tpm2", "--tpmstate", f"backend-uri=file://{memory}"]
        process = command.start([*argv, "--ctrl", f"type=unixio,path={socket}"], log)
        try:
            limit = time.monotonic() + _PATIENCE
            while not socket.exists():
                if process.poll() is not None or time.monotonic() > limit:
                    raise command.LabError(f"swtpm did not start: {log.read_text(errors='replace').strip()[:200]}")
                time.sleep(0.1)
            yield ["-chardev", f"socket,id=tpm,path={socket}"]
        finally:
            command.stop(process)
