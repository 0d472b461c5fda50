"""Built disks, cached by the text of the recipe that made them."""

from __future__ import annotations

import os
from pathlib import Path

from . import cache, command, machine, nvram, testimony, tpm, tree
from .recipe import done, recipe
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
    if tpm.MEMORY in scenario.source.devices + scenario.target_devices:
        wanted.append("swtpm")
    return tuple(wanted)


def name(scenario: Scenario) -> str:
    """The cache's name of this scenario's disk: what it is made of, hashed."""
    return f"{scenario.name}-{_key(scenario)}"


def _key(scenario: Scenario) -> str:
    started = (scenario.source.identity, done(scenario, scenario.first)) if scenario.first else ()
    return cache.key(*map(str, tree.paths(scenario)), recipe(scenario), *started)


def images(scenario: Scenario, folder: Path) -> list[Path]:
    """The disks of a scenario in the folder where they lie."""
    return [folder / name for name in (("disk", "more") if scenario.has_two_disks else ("disk",))]


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
        if scenario.first:
            _start(scenario, half)

    return cache.entry("disks", name(scenario), build)


def _start(scenario: Scenario, half: Path) -> None:
    """Let the source do to itself what only a running machine can; its disks, and its TPM, are built only then."""
    print(f"  disk {scenario.name}: its first start …", flush=True)
    folder = cache.folder() / "logs" / f"{scenario.name}.first"
    folder.mkdir(parents=True, exist_ok=True)
    handed = machine.cargo(["settle", "late", "poweroff"], None, folder, done(scenario, scenario.first))
    boot = machine.boot(
        scenario.source, images(scenario, half), handed, folder, keep=True,
        nvram=nvram.prepare(scenario, folder, scenario.source.firmware, on_source=True),
        memory=tpm.prepare(scenario.source, half, half, on_source=True),
    )  # fmt: skip
    if boot.said is None:
        raise command.LabError(f"{scenario.name}: its first start failed ({boot.death}); see {folder}")
    did = testimony.act(testimony.read(boot.said), "late")
    if did is None or did.code:
        raise command.LabError(f"{scenario.name}: its first start failed: {did.words[-300:] if did else 'no word'}")
