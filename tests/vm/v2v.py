"""The same disks through virt-v2v: fate beside fate, time beside time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from . import cache, command, trial
from .command import LabError
from .fate import Fate
from .results import Row
from .scenario import Scenario
from .trial import Bench

_TARGET = "kvm"  # what virt-v2v converts to: virtio-blk and virtio-net
_LIMIT = 3600
_ENVIRONMENT = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}


def compare(scenarios: list[Scenario], rows: list[Row], date: str) -> Iterator[Row]:
    """Convert each disk, boot the result on kvm, and put both beside what is known of the pair."""
    command.require("qemu-system-x86_64", "virt-v2v", "nbdkit", "nbdcopy")
    known = {(row.scenario, row.target): row for row in rows}
    for scenario in scenarios:
        if scenario.late:
            trial.tell(f"  {scenario.name}: left out, the disk as built has not the fault")
            continue
        row = known.get((scenario.name, _TARGET)) or _unknown(scenario, date)
        became, seconds = _converted(scenario)
        trial.tell(f"  {scenario.name} through virt-v2v: {became} after {seconds} s ({became.note})")
        yield row._replace(v2v=str(became), v2v_seconds=seconds)


def _unknown(scenario: Scenario, date: str) -> Row:
    """The row of a pair that was not run yet: a comparison may come first."""
    return Row(scenario.name, _TARGET, "-", (), "-", "open", date, 0)


def _converted(scenario: Scenario) -> tuple[Fate, int]:
    on = trial.bench(scenario, None, fresh=False, purpose="v2v")
    source = (trial.known_source(scenario) or trial.source_boot(on, ())).said
    out = on.work / "v2v"
    out.mkdir(exist_ok=True)
    trial.tell(f"  {scenario.name} through virt-v2v …")
    with cache.slot():
        began = time.monotonic()
        try:
            _convert(on, out)
        except LabError as error:
            return Fate(("boot",), (), f"not converted: {error}"), round(time.monotonic() - began)
        seconds = round(time.monotonic() - began)
    boot = trial.listen(on, f"{_TARGET}.v2v", ["settle", "reached"], sorted(out.glob("lab-sd?")))
    became = trial.judge(source, boot.said, list(boot.death) if boot.death else None, boot.attempts)
    cache.discard(out)
    return became, seconds


def _convert(on: Bench, out: Path) -> None:
    """Run virt-v2v on the disk as it was built; it works on a copy."""
    argv = ["virt-v2v", "-i", "disk", str(on.disk / "disk"), "-o", "local", "-os", str(out), "-of", "raw"]
    command.run([*argv, "-on", "lab"], on.work / "v2v.log", _LIMIT, "virt-v2v", _ENVIRONMENT)
