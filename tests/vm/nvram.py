"""The firmware's memory: none for BIOS, fresh on a target, with a boot entry where a source needs one."""

from __future__ import annotations

import struct
import uuid
from pathlib import Path
from typing import Optional

from .command import LabError
from .hardware import OVMF
from .layout import ESP_PARTITION, Layout, layout
from .scenario import Scenario

_GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_FIRST = 0x64  # after the volume's header (0x48) and the store's (0x1c)
_KEPT = 7  # non-volatile, boot and runtime access
_ADDED = 0x3F


def prepare(scenario: Scenario, folder: Path, firmware: str, *, on_source: bool) -> Optional[Path]:
    """Give back the variable store for one boot, or None for a BIOS machine; the loader decides where no firmware does."""
    if (firmware or _firmware(scenario)) == "bios":
        return None
    template = OVMF / "OVMF_VARS_4M.fd"
    if not template.is_file():
        raise LabError("missing OVMF: apt-get install ovmf")
    store = template.read_bytes()
    if on_source and scenario.loader in ("grub-uefi-no-fallback", "grub-uefi-shim-alone"):
        store = with_entry(store, layout(scenario), "debian", "\\EFI\\debian\\grubx64.efi")
    path = folder / "nvram"
    path.write_bytes(store)
    return path


def _firmware(scenario: Scenario) -> str:
    return "uefi" if "uefi" in scenario.loader or scenario.loader == "systemd-boot" else "bios"


def with_entry(store: bytes, plan: Layout, title: str, loader: str) -> bytes:
    """An empty variable store with one boot entry for a file on this disk's ESP."""
    written = _variable("Boot0000", load_option(plan, title, loader)) + _variable("BootOrder", b"\0\0")
    return store[:_FIRST] + written + store[_FIRST + len(written) :]


def load_option(plan: Layout, title: str, loader: str) -> bytes:
    """EFI_LOAD_OPTION: active, a title, and a path by the ESP's partition identity."""
    esp = plan.part("esp")
    where = struct.pack("<IQQ", esp.number, esp.start * 2048, esp.mib * 2048)
    disk = b"\x04\x01" + struct.pack("<H", 42) + where + uuid.UUID(ESP_PARTITION).bytes_le + b"\x02\x02"
    name = _wide(loader)
    path = disk + b"\x04\x04" + struct.pack("<H", 4 + len(name)) + name + b"\x7f\xff\x04\x00"
    return struct.pack("<IH", 1, len(path)) + _wide(title) + path


def _wide(text: str) -> bytes:
    return (text + "\0").encode("utf-16-le")


def _variable(name: str, data: bytes) -> bytes:
    """One authenticated variable as the store lays it out, padded to four bytes."""
    wide = _wide(name)
    head = struct.pack("<HBBIQ16sIII", 0x55AA, _ADDED, 0, _KEPT, 0, bytes(16), 0, len(wide), len(data))
    record = head + _GLOBAL.bytes_le + wide + data
    return record + b"\xff" * (-len(record) % 4)
