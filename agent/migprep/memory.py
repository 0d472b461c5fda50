"""The last 30 reports of `check --cron`, so that the next one speaks only of what changed since."""

from __future__ import annotations

import os
from zlib import crc32

from migprep import output, saved
from migprep.typed import Any

FOLDER = "/var/lib/migprep/reports"
KEPT = 30


def last(report: dict[str, Any], folder: str = FOLDER) -> dict[str, Any] | None:
    """The newest kept report of the same root and targets; one that is damaged counts as none."""
    for name in reversed(_names(folder, _key(report))):
        try:
            return saved.load(os.path.join(folder, name))
        except saved.SavedError:
            continue
    return None


def keep(report: dict[str, Any], folder: str = FOLDER) -> str:
    """Write `report` beside the others and forget those beyond KEPT; returns its path. Raises OutputError."""
    from migprep.report import json

    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise output.OutputError(f"cannot make {folder}: {(error.strerror or str(error)).lower()}") from None
    key = _key(report)
    path = os.path.join(folder, f"{report['run']['started'].replace(':', '')}-{key}.json")
    output.write(path, json.render(report).encode())
    for name in _names(folder, key)[:-KEPT]:
        os.unlink(os.path.join(folder, name))
    return path


def splay(seconds: float, machine_id: str) -> float:
    """A wait below `seconds` that is always the same on one machine and spread evenly over many."""
    return seconds * crc32(machine_id.encode("utf-8", "surrogateescape")) / (1 << 32)


def _key(report: dict[str, Any]) -> str:
    said = [report["run"]["root"], *(one["name"] for one in report["targets"])]
    return f"{crc32(repr(said).encode('utf-8', 'surrogateescape')):08x}"


def _names(folder: str, key: str) -> list[str]:
    """Kept reports, the oldest first."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(f"-{key}.json"))
    except OSError:
        return []
