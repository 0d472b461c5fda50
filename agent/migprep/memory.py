"""What the last `check --cron` said, so that the next one speaks only when that changed."""

from __future__ import annotations

import json
import os
from typing import Any

from migprep import output
from migprep.digest import sha256

FOLDER = "/var/lib/migprep"


def changed(report: dict[str, Any], folder: str = FOLDER) -> bool:
    """Whether `report` differs from the one remembered; remembers it. True when nothing can be kept."""
    now = digest(report)
    path = os.path.join(folder, "last-cron-check")
    try:
        with open(path, encoding="ascii") as stream:
            before = stream.read().strip()
    except (OSError, ValueError):
        before = ""
    if before == now:
        return False
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        output.write(path, f"{now}\n".encode())
    except (OSError, output.OutputError):
        pass
    return True


def digest(report: dict[str, Any]) -> str:
    """A hash of what was found, of the verdicts and of the gaps; not of words, times or versions."""
    said = {
        "root": report["run"]["root"],
        "verdicts": [[one["name"], one["verdict"]] for one in report["targets"]],
        "results": [
            [
                one["rule"],
                one["target"],
                one["status"],
                [[f["fingerprint"], bool(f.get("waiver"))] for f in one["findings"]],
            ]
            for one in report["results"]
        ],
        "gaps": [one["fact"] for one in report["run"]["gaps"]],
    }
    return sha256(json.dumps(said).encode()).hexdigest()
