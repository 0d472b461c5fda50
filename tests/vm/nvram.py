"""The firmware's memory: none for BIOS, fresh on a target, with a boot entry where a source needs one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Optional

from .command import LabError
from .hardware import OVMF
from .scenario import Scenario


def prepare(scenario: Scenario, folder: Path, *, on_source: bool) -> Optional[Path]:
    """Give back the variable store for one boot, or None for a BIOS machine."""
    if "uefi" not in scenario.loader and scenario.loader != "systemd-boot":
        return None
    template = OVMF / "OVMF_VARS_4M.fd"
    if not template.is_file():
        raise LabError("missing OVMF: apt-get install ovmf")
    path = folder / "nvram"
    shutil.copy(template, path)
    return path
