"""Boot one machine and listen to it until it has spoken, died, or fallen silent."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from . import cache, command, console, hardware, tpm
from .scenario import Hardware
from .tree import GUEST

SILENCE = 300  # seconds without a new byte on either line
LIMIT = 1800  # seconds for one boot, whatever it says
GRACE = 4  # seconds between a sign of death and the end, for the lines that explain it
_CHUNK = 60_000  # the kernel reads firmware files from their start each time: keep them short


class Boot(NamedTuple):
    """How one boot went: what the guest said, or where it died."""

    said: Optional[str]
    death: Optional[console.Death]
    console: str
    seconds: float
    attempts: int = 1

    @property
    def stalled(self) -> bool:
        return self.said is None and console.is_emulator_trouble(self.console)


def product(checkout: Path) -> Optional[bytes]:
    """The product as a tar's members under product/, or None while it has no command line."""
    package = checkout / "agent" / "migprep"
    if not (package / "cli.py").is_file():
        return None
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", dereference=True) as tar:
        for path in sorted(package.rglob("*")):
            if path.is_dir() or "__pycache__" in path.parts:
                continue
            _add(tar, f"product/migprep/{path.relative_to(package)}", path.read_bytes())
        for name in ("rules", "templates"):
            for path in sorted((checkout / name).rglob("*")):
                if path.is_file():
                    _add(tar, f"product/migprep/{name}/{path.relative_to(checkout / name)}", path.read_bytes())
        for path in sorted((checkout / "tests" / "vm" / "targets").glob("*.yaml")):
            _add(tar, f"product/migprep/rules/targets/{path.name}", path.read_bytes())
        unit = checkout / "packaging" / "systemd" / "migprep-check.service"
        if unit.is_file():
            _add(tar, f"product/{unit.name}", unit.read_bytes())
    return raw.getvalue()


def here(checkout: Path) -> Path:
    """The product as a guest gets it, for this host's Python: with the lab's own targets."""
    code = product(checkout) or b""

    def build(half: Path) -> None:
        with tarfile.open(fileobj=io.BytesIO(code)) as tar:
            tar.extractall(half)

    with cache.lock("products"):  # several verdicts are given at a time
        return cache.entry("products", hashlib.sha256(code).hexdigest()[:16], build) / "product"


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def cargo(acts: Sequence[str], code: Optional[bytes], folder: Path, late: str = "") -> list[str]:
    """Write what the guest is handed over, and give back the QEMU arguments that hand it over."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in ("say.sh", "act.sh"):
            _add(tar, name, (GUEST / name).read_bytes())
        _add(tar, "acts", ("\n".join(acts) + "\n").encode())
        _add(tar, "late", late.encode())
        if code is not None:
            with tarfile.open(fileobj=io.BytesIO(code)) as inner:
                for member in inner.getmembers():
                    tar.addfile(member, inner.extractfile(member))
    packed = gzip.compress(raw.getvalue(), mtime=0)
    args: list[str] = []
    for index, start in enumerate(range(0, len(packed), _CHUNK)):
        path = folder / f"cargo.{index:02}"
        path.write_bytes(packed[start : start + _CHUNK])
        args += ["-fw_cfg", f"name=opt/lab/{index:02},file={path}"]
    return args


def boot(
    machine: Hardware,
    images: Sequence[Path],
    handed: Sequence[str],
    folder: Path,
    *,
    nvram: Optional[Path] = None,
    memory: Optional[Path] = None,
    keep: bool = False,
) -> Boot:
    """Boot once; nothing is left running. Without keep the disks stay as they were. `memory`: that of its TPM."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (folder / "console", folder / "said")
    for line in lines:
        line.write_bytes(b"")
    argv = hardware.arguments(machine, [str(image) for image in images], nvram)
    argv += ["-serial", f"file:{lines[0]}", "-serial", f"file:{lines[1]}", *handed]
    argv += [] if keep else ["-snapshot"]
    log = folder / "qemu.log"
    log.write_bytes(b"")
    with cache.slot(), tpm.chip(memory, log) as connected:
        began = time.monotonic()
        process = command.start([*argv, *connected], log)
        try:
            death = _listen(process, lines, began, keep)
        finally:
            command.stop(process)
        seconds = time.monotonic() - began
    text = console.plain(lines[0].read_bytes())
    said = lines[1].read_text(errors="replace")
    if not text and not said and log.stat().st_size:
        raise command.LabError(f"QEMU did not start: {log.read_text(errors='replace').strip()[:200]}")
    return Boot(said if "@@end" in said else None, death, text, seconds)


def _listen(
    process: subprocess.Popen[bytes], lines: tuple[Path, Path], began: float, keep: bool
) -> Optional[console.Death]:
    """Wait for the guest's word; None when it came, else where the start-up ended."""
    size, heard = -1, time.monotonic()
    while True:
        running = process.poll() is None
        now = time.monotonic()
        total = sum(line.stat().st_size for line in lines)
        if total != size:
            size, heard = total, now
            if "@@end" in lines[1].read_text(errors="replace")[-200:] and not (keep and running):
                return None
            found = console.death(console.plain(lines[0].read_bytes()))
            if found:
                time.sleep(GRACE)
                return console.death(console.plain(lines[0].read_bytes())) or found
        text = console.plain(lines[0].read_bytes()) if not running or now - heard > SILENCE else ""
        if not running:
            if "@@end" in lines[1].read_text(errors="replace"):
                return None
            if process.returncode < 0:  # by us or by a stranger: the machine had no part in it
                raise command.LabError(f"QEMU was ended by signal {-process.returncode} before the guest had spoken")
            return console.Death("reset", console.last_line(text))
        if now - heard > SILENCE or now - began > LIMIT:
            return console.Death("silence", console.last_line(text))
        time.sleep(0.5)
