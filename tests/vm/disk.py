"""Built disks, cached by the text of the recipe that made them."""

from __future__ import annotations

import os
from pathlib import Path

from . import cache, command, tree
from .recipe import recipe
from .scenario import Scenario

TOOLS = ("mmdebstrap", "unshare", "sfdisk", "mkfs.ext4")
_BY_LAYOUT = {
    "lvm": "linux.uml",
    "md": "linux.uml",
    "md-two-disks": "linux.uml",
    "luks-root": "linux.uml",
    "luks-data": "linux.uml",
    "btrfs": "mkfs.btrfs",
}


def tools(scenario: Scenario) -> tuple[str, ...]:
    """What building this scenario's disk needs on the host."""
    wanted = list(TOOLS)
    if scenario.layout in _BY_LAYOUT:
        wanted.append(_BY_LAYOUT[scenario.layout])
    if scenario.loader == "extlinux":
        wanted.append("linux.uml")
    if "uefi" in scenario.loader or scenario.loader == "systemd-boot":
        wanted += ["mcopy", "mkfs.vfat"]
    return tuple(wanted)


def name(scenario: Scenario) -> str:
    """The cache's name of this scenario's disk: what it is made of, hashed."""
    return f"{scenario.name}-{_key(scenario)}"


def _key(scenario: Scenario) -> str:
    return cache.key(*map(str, tree.paths(scenario)), recipe(scenario))


def share(scenario: Scenario, half: Path) -> bool:
    """Take the disk of a scenario that differs only in what its source does late; a disk is never written to again."""
    for twin in half.parent.glob(f"*-{_key(scenario)}"):
        if cache.is_whole(twin):
            for file in twin.iterdir():
                if file.name != cache.DONE:
                    os.link(file, half / file.name)
            return True
    return False


def disk(scenario: Scenario) -> Path:
    """The folder that holds this scenario's disk (and 'more', where it has a second one)."""
    command.require(*tools(scenario))
    layers = [str(layer) for layer in tree.layers(scenario)]
    script = recipe(scenario)

    def build(half: Path) -> None:
        if share(scenario, half):
            return
        print(f"  disk {scenario.name} …", flush=True)
        head = f"W={half}\nLAYERS={':'.join(layers)}\n"
        tree.isolated(head + script, half, 3600, f"disk {scenario.name}")

    return cache.entry("disks", name(scenario), build)
