"""Judge a console by its text: did this start-up die, where, and was it the emulator's fault."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional


class Death(NamedTuple):
    """Where a start-up ended, and the line that explains it best."""

    where: str
    line: str


# What a dead machine prints, the surest sign first.
_SIGNS = (
    (re.compile(r"^.*Kernel panic - not syncing.*$", re.M), "kernel panic"),
    (re.compile(r"^\(initramfs\)", re.M), "initramfs prompt"),
    (re.compile(r"^(dracut|initqueue):/#", re.M), "dracut prompt"),
    (re.compile(r"Entering emergency mode\. Exit the shell", re.M), "dracut prompt"),
    (re.compile(r"You are in (emergency|rescue) mode", re.M), "emergency mode"),
    (re.compile(r"Cannot open access to console, the root account is locked", re.M), "emergency mode"),
    (re.compile(r"(Give root password|Press Enter) for maintenance", re.M), "emergency mode"),
    (re.compile(r"grub rescue>", re.M), "grub rescue prompt"),
    (re.compile(r"^grub> *$", re.M), "grub prompt"),
    (re.compile(r"Failed to boot both default and fallback entries"), "grub menu"),
    (re.compile(r"reboot: System halted"), "halted"),
    (re.compile(r"^boot: *$", re.M), "boot loader prompt"),
    (re.compile(r"No bootable device|Boot failed: not a bootable disk", re.M), "no bootable device"),
    (re.compile(r"No bootable option or device was found|UEFI Interactive Shell", re.M), "no bootable device"),
)  # fmt: skip
# The line that says why, where a console has one.
_REASONS = re.compile(
    r"^.*(ALERT!.*|Kernel panic.*|Timed out waiting for device.*|Dependency failed for .*|"
    r"Volume group .* not found.*|error: .*|dracut: FATAL: .*|Warning: .* does not exist.*|Failed to mount .*)$",
    re.M,
)
_EMULATOR = re.compile(r"BUG: soft lockup|rcu_\w+ (self-)?detected stalls?|rcu: INFO: rcu_\w+ .*stall")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]?|\x1b[()][A-Z0-9]|\x1b[=>c]")


def plain(raw: bytes) -> str:
    """The console's text without colours, carriage returns and broken bytes."""
    return _ANSI.sub("", raw.decode("utf-8", "replace")).replace("\r", "\n")


def death(text: str) -> Optional[Death]:
    """Say where a start-up died, or None while nothing says so."""
    for sign, where in _SIGNS:
        found = sign.search(text)
        if found:
            return Death(where, reason(text) or found.group(0).strip())
    return None


def reason(text: str) -> str:
    """The first line that explains a failure, without its time stamp."""
    found = _REASONS.search(text)
    line = found.group(0) if found else ""
    return re.sub(r"^\[[^\]]*\] *", "", line.strip())[:160]


def is_emulator_trouble(text: str) -> bool:
    """Whether the emulated processor stalled: such a boot says nothing about the machine."""
    return _EMULATOR.search(text) is not None


def last_line(text: str) -> str:
    """The last thing a silent console said."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1][:160] if lines else "nothing at all"
