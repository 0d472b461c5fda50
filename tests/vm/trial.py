"""One scenario from disk to verdict: boot the source, ask migprep there, boot every target."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple, Optional

from . import cache, command, disk, fate, hardware, layout, machine, mend, nvram, testimony
from .fate import Fate, Prediction
from .results import Row
from .scenario import Scenario

CHECKOUT = Path(__file__).parents[2]
TRIES = 3
_building = threading.Lock()  # one heavy build at a time, whatever the number of boots


class Bench(NamedTuple):
    """Everything one scenario's boots share."""

    scenario: Scenario
    disk: Path
    work: Path
    product: Optional[bytes]
    fresh: bool

    def images(self, folder: Path) -> list[Path]:
        names = ["disk", "more"] if self.scenario.layout == "data-disk" else ["disk"]
        return [folder / name for name in names]


def tell(text: str) -> None:
    """One progress line."""
    print(text, flush=True)


def bench(scenario: Scenario, product: Optional[bytes], fresh: bool, purpose: str = "runs") -> Bench:
    """Have the disk built and a clean folder to work in."""
    with _building:
        built = disk.disk(scenario)
    work = cache.folder() / purpose / scenario.name
    cache.discard(work)
    work.mkdir(parents=True)
    return Bench(scenario, built, work, product, fresh)


def listen(
    on: Bench, where: str, acts: list[str], images: list[Path], *, keep: bool = False
) -> machine.Boot:
    """Boot until the machine has spoken or died; an emulator's stall is booted again, and said."""
    scenario = on.scenario
    made_of = scenario.source if where.startswith("source") else hardware.target(where.split(".")[0], scenario)
    folder = on.work / where
    folder.mkdir(parents=True, exist_ok=True)
    vars_file = nvram.prepare(scenario, folder, on_source=where.startswith("source"))
    handed = machine.cargo(acts, on.product, folder)
    for attempt in range(1, TRIES + 1):
        boot = machine.boot(made_of, images, handed, folder, nvram=vars_file, keep=keep)._replace(attempts=attempt)
        if boot.stalled and not keep:
            tell(f"  {scenario.name} on {where}: the emulator stalled, again")
        elif where.startswith("source") and not keep and flipped(on, boot):
            tell(f"  {scenario.name} on {where}: the two disks came up in the other order, again")
        else:
            break
    return boot


def flipped(on: Bench, boot: machine.Boot) -> bool:
    """Whether the kernel numbered two disks of the source the other way round this time."""
    if on.scenario.layout != "data-disk" or boot.said is None:
        return False
    return testimony.read(boot.said).root != layout.layout(on.scenario).devices["root"]


def target_boot(on: Bench, target: str) -> dict[str, Any]:
    """The record of the built disk's boot on a target; kept until something it is made of changes."""
    made_of = hardware.target(target, on.scenario)
    say = (Path(__file__).parent / "guest" / "say.sh").read_text()
    name = f"{on.disk.name}-{target}-{cache.key(repr(made_of), say)}"
    if on.fresh:
        cache.discard(cache.folder() / "fates" / name)

    def build(half: Path) -> None:
        boot = listen(on, target, ["settle", "reached"], on.images(on.disk))
        if boot.stalled:
            raise command.LabError(f"{on.scenario.name} on {target}: the emulator stalled {TRIES} times")
        record = {"said": boot.said, "death": boot.death, "seconds": boot.seconds, "attempts": boot.attempts}
        (half / "fate.json").write_text(json.dumps(record))
        shutil.copy(on.work / target / "console", half / "console")

    entry = cache.entry("fates", name, build)
    record: dict[str, Any] = json.loads((entry / "fate.json").read_text())
    return record


def judge(
    source: testimony.Testimony, said: Optional[str], death: Optional[list[str]], attempts: int = 1
) -> Fate:
    """Turn one boot's record into a fate."""
    if said is None:
        where, line = death or ("silence", "")
        return fate.dead(where, line)
    found = judge_said(source, testimony.read(said))
    again = f"after {attempts} tries, the emulator stalled" if attempts > 1 else ""
    return found._replace(note="; ".join(filter(None, (found.note, again))))


def judge_said(source: testimony.Testimony, said: testimony.Testimony) -> Fate:
    """The fate of a machine that spoke."""
    return fate.fate(source, said)


def source_boot(on: Bench, targets: tuple[str, ...]) -> tuple[testimony.Testimony, float]:
    """Boot the source and let migprep judge there; a source that is not whole is the lab's own fault."""
    acts = ["settle", "reached"] + ([f"check {' '.join(targets)}"] if on.product else [])
    boot = listen(on, "source", acts, on.images(on.disk))
    if boot.said is None:  # a busy host lets a guest's own time limits run out: once more before giving up
        boot = listen(on, "source", acts, on.images(on.disk))
    if boot.said is None:
        where = f"{boot.death.where}: {boot.death.line}" if boot.death else "no word"
        raise command.LabError(f"{on.scenario.name}: the source itself does not come up ({where})")
    return testimony.read(boot.said), boot.seconds


def predictions(said: testimony.Testimony, targets: tuple[str, ...]) -> dict[str, Prediction]:
    """What migprep said for each target."""
    reports, notes = dict(said.reports), dict(said.checks)
    return {
        name: fate.prediction(reports.get(name), name, notes.get(name, "")) if notes else fate.NONE
        for name in targets
    }


def run(scenario: Scenario, targets: tuple[str, ...], date: str, *, fresh: bool, fix: bool) -> list[Row]:
    """The whole story of one scenario, one row per target."""
    on = bench(scenario, machine.product(CHECKOUT), fresh)
    tell(f"  {scenario.name} on source …")
    source, seconds = source_boot(on, targets)
    tell(f"  {scenario.name} on source: up in {seconds:.0f} s")
    said = predictions(source, targets)
    for name, report in source.reports:
        (on.work / f"report.{name}.json").write_text(json.dumps(report, indent=1))
    rows = []
    for target in targets:
        record = target_boot(on, target)
        became = judge(source, record["said"], record["death"], record["attempts"])
        row = _row(scenario, target, said[target], became, date, round(record["seconds"]))
        if fix and not became.whole and on.product:
            row = mend.mended(on, row, source, dict(source.reports).get(target))
        tell(f"  {scenario.name} on {target}: said {row.verdict}, {row.fate}: {row.agree} {row.note}")
        rows.append(row)
    return rows


def _row(scenario: Scenario, target: str, said: Prediction, became: Fate, date: str, took: int) -> Row:
    expected = scenario.expected(target)
    agree = fate.judgement(said, became)
    missing = tuple(sorted(expected - said.rules)) if said.verdict != "-" else ()
    return Row(
        scenario.name, target, said.verdict, said.blocks, str(became), agree, date, took, missing,
        tuple(sorted(said.rules)), "; ".join(filter(None, (said.note, became.note))),
    )  # fmt: skip


