"""One scenario from disk to verdict: boot the source, ask migprep there, boot every target."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, Optional

from . import cache, command, disk, fate, hardware, layout, machine, mend, mounted, nvram, recipe, testimony, tpm, tree
from .fate import Fate, Prediction
from .results import Row
from .scenario import Scenario
from .testimony import Testimony

CHECKOUT = Path(__file__).parents[2]
TRIES = 3


class Bench(NamedTuple):
    """Everything one scenario's boots share."""

    scenario: Scenario
    disk: Path
    work: Path
    product: Optional[bytes]
    fresh: bool

    @property
    def moving(self) -> list[Path]:
        """The disks that go to a target: as built, or as the source left them where it does something late."""
        built = disk.images(self.scenario, self.disk)
        return [self.layer(image, "late") for image in built] if self.scenario.late else built

    def layer(self, image: Path, purpose: str) -> Path:
        """Where a writable layer over a built disk lies."""
        return self.work / f"{image.name}.{purpose}.qcow2"


def tell(text: str) -> None:
    """One progress line."""
    print(text, flush=True)


def bench(scenario: Scenario, product: Optional[bytes], fresh: bool, purpose: str = "runs") -> Bench:
    """Have the disk built and a clean folder to work in."""
    with cache.lock("build"):  # one heavy build at a time, whatever the number of boots
        built = disk.disk(scenario)
    work = cache.folder() / purpose / scenario.name
    cache.discard(work)
    work.mkdir(parents=True)
    return Bench(scenario, built, work, product, fresh)


def overlays(on: Bench, purpose: str) -> list[Path]:
    """Fresh writable layers over the built disks."""
    command.require("qemu-img")
    made = []
    for image in disk.images(on.scenario, on.disk):
        path = on.layer(image, purpose)
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image), str(path)]
        command.run(argv, on.work / "qemu-img.log", 60, "a writable layer over the disk")
        made.append(path)
    return made


def listen(on: Bench, where: str, acts: list[str], images: list[Path], *, keep: bool = False) -> machine.Boot:
    """Boot until the machine has spoken or died; an emulator's stall is booted again, and said."""
    scenario = on.scenario
    made_of = scenario.source if where.startswith("source") else hardware.target(where.split(".")[0], scenario)
    folder = on.work / where
    folder.mkdir(parents=True, exist_ok=True)
    vars_file = nvram.prepare(scenario, folder, made_of.firmware, on_source=where.startswith("source"))
    handed = machine.cargo(acts, on.product, folder, recipe.done(scenario, scenario.late))
    for attempt in range(1, TRIES + 1):
        memory = tpm.prepare(made_of, on.disk, folder, on_source=where.startswith("source"))
        boot = machine.boot(made_of, images, handed, folder, nvram=vars_file, memory=memory, keep=keep)
        boot = boot._replace(attempts=attempt)
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


def _reaching() -> str:
    """What a target is asked: a fate holds as long as this text stays."""
    return (tree.GUEST / "say.sh").read_text()


def _fate_name(scenario: Scenario, target: str) -> str:
    made_of = hardware.target(target, scenario).identity
    return f"{disk.name(scenario)}-{target}-{cache.key(made_of, _reaching(), *scenario.late)}"


def target_boot(on: Bench, target: str) -> dict[str, Any]:
    """The record of the built disk's boot on a target; kept until something it is made of changes."""
    name = _fate_name(on.scenario, target)
    if on.fresh:
        cache.discard(cache.folder() / "fates" / name)

    def build(half: Path) -> None:
        boot = listen(on, target, ["settle", "reached"], on.moving)
        if boot.stalled:
            raise command.LabError(f"{on.scenario.name} on {target}: the emulator stalled {TRIES} times")
        if boot.said is not None:
            testimony.read(boot.said)  # garbage is refused, not kept
        record = {"said": boot.said, "death": boot.death, "seconds": boot.seconds, "attempts": boot.attempts}
        (half / "fate.json").write_text(json.dumps(record))
        shutil.copy(on.work / target / "console", half / "console")

    return _record(cache.entry("fates", name, build))


def _record(entry: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((entry / "fate.json").read_text())
    return record


def known_fate(scenario: Scenario, target: str) -> Optional[dict[str, Any]]:
    """The kept record of this disk's boot on a target, if there is one."""
    entry = cache.folder() / "fates" / _fate_name(scenario, target)
    return _record(entry) if cache.is_whole(entry) else None


def judge(source: Testimony, said: Optional[str], death: Optional[list[str]], attempts: int = 1) -> Fate:
    """Turn one boot's record into a fate."""
    if said is None:
        where, line = death or ("silence", "")
        return fate.dead(where, line)
    found = fate.fate(source, testimony.read(said))
    again = f"after {attempts} tries, the emulator stalled" if attempts > 1 else ""
    return found._replace(note="; ".join(filter(None, (found.note, again))))


def became(source: Testimony, record: dict[str, Any]) -> Fate:
    """The fate that a kept record tells of."""
    return judge(source, record["said"], record["death"], record["attempts"])


class Source(NamedTuple):
    """What the source said, migprep's report and capture in it, and where that capture is kept."""

    said: Testimony
    seconds: float
    archive: Optional[Path] = None


def _source_name(scenario: Scenario) -> str:
    return f"{disk.name(scenario)}-{cache.key(scenario.source.identity, _reaching(), *scenario.late)}"


def source_boot(on: Bench, targets: tuple[str, ...]) -> Source:
    """Boot the source and let migprep judge there; a source that is not whole is the lab's own fault."""
    scenario = on.scenario
    acts = ["settle", "reached", *late(scenario)]
    acts += [f"check {' '.join(targets)}", "capture"] if on.product else []
    acts += ["poweroff"] if scenario.late else []
    for _ in range(2):  # a busy host lets a guest's own time limits run out: once more before giving up
        images = overlays(on, "late") if scenario.late else on.moving
        boot = listen(on, "source", acts, images, keep=bool(scenario.late))
        if boot.said is not None:
            break
    else:
        where = f"{boot.death.where}: {boot.death.line}" if boot.death else "no word"
        raise command.LabError(f"{scenario.name}: the source itself does not come up ({where})")
    said = testimony.read(boot.said)
    broken = said.failed & {Path(path).name for path, _ in scenario.files}
    if broken:
        raise command.LabError(f"{scenario.name}: {', '.join(sorted(broken))} fails on the source already")
    did = testimony.act(said, "late")
    if did and did.code:  # a fault that is not there proves nothing
        raise command.LabError(f"{scenario.name}: the late step failed, exit {did.code}: {did.words[-300:]}")
    return Source(said, boot.seconds, _keep(scenario, boot.said, said.capture) if said.capture else None)


def late(scenario: Scenario) -> list[str]:
    """The order to do what the scenario does late, where it does."""
    return ["late"] if scenario.late else []


def _keep(scenario: Scenario, words: str, capture: bytes) -> Path:
    """Keep the newest source's words and capture, so that it can be judged again without a boot."""

    def build(half: Path) -> None:
        (half / "said").write_text(words)
        (half / "capture.tar.gz").write_bytes(capture)

    name = _source_name(scenario)
    cache.discard(cache.folder() / "sources" / name)
    return cache.entry("sources", name, build) / "capture.tar.gz"


def known_source(scenario: Scenario) -> Optional[Source]:
    """What the source said when it was last booted, if that was kept."""
    entry = cache.folder() / "sources" / _source_name(scenario)
    if not cache.is_whole(entry):
        return None
    return Source(testimony.read((entry / "said").read_text()), 0, entry / "capture.tar.gz")


def predictions(report: Optional[Any], targets: tuple[str, ...], note: str = "") -> dict[str, Prediction]:
    """What migprep said for each target."""
    return {name: fate.prediction(report, name, note) for name in targets}


def live(source: Source, targets: tuple[str, ...]) -> dict[str, Prediction]:
    """What migprep said in the guest."""
    check = testimony.act(source.said, "check")
    note = f"exit {check.code}: {' '.join(check.words.split())[-300:]}" if check else fate.NONE.note
    return predictions(source.said.report, targets, note)


def captured(source: Source, targets: tuple[str, ...]) -> dict[str, Prediction]:
    """What this checkout's migprep says here about the capture of the guest."""
    if source.archive is None:
        return predictions(None, targets, "no capture")
    argv = [sys.executable, "-m", "migprep", "check", "--root", str(source.archive), "--format", "json"]
    for target in targets:
        argv += ["--target", target]
    environment = {**os.environ, "PYTHONPATH": str(machine.here(CHECKOUT)), "MIGPREP_DEBUG": ""}
    done = subprocess.run(
        argv, capture_output=True, text=True, errors="replace", check=False, timeout=300, env=environment
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = None
    return predictions(report, targets, f"exit {done.returncode}: {' '.join(done.stderr.split())[-300:]}")


def on_disk(scenario: Scenario, source: Source, targets: tuple[str, ...]) -> dict[str, Prediction]:
    """The same about the disk itself, mounted, with the capture over it for what only the running guest knew."""
    image = cache.folder() / "disks" / disk.name(scenario) / "disk"
    if source.archive is None or not image.exists():
        return predictions(None, targets, "no disk")
    asked = " ".join(["check --format json", *(f"--target {target}" for target in targets)])
    with tempfile.TemporaryDirectory(prefix="migprep-lab.") as folder:
        done = mounted.migprep(scenario, image, source.archive, Path(folder), asked)
    try:
        report = json.loads(done.words)
    except ValueError:
        report = None
    return predictions(report, targets, f"exit {done.code}: {done.said[-300:]}")


def run(scenario: Scenario, targets: tuple[str, ...], date: str, *, fresh: bool, fix: str, kept: bool) -> list[Row]:
    """The whole story of one scenario, one row per target; `kept` spares the source's boot where it is known."""
    with cache.lock(f"run.{scenario.name}", lambda: tell(f"  {scenario.name}: another run has it, waiting …")):
        on = bench(scenario, machine.product(CHECKOUT), fresh)
        return (_kept(on, targets, date, fix) if kept else []) or _run(on, targets, date, fix)


def _kept(on: Bench, targets: tuple[str, ...], date: str, fix: str) -> list[Row]:
    """The rows of what was kept of the source and its targets, mended where lost; none where it was not kept."""
    source, rows = known_source(on.scenario), rejudge(on.scenario, targets, date)
    if source is None or len(rows) < len(targets):
        return []
    return [mend.mended(on, row, source, fix) if fix and row.fate != "whole" else row for row in rows]


def _run(on: Bench, targets: tuple[str, ...], date: str, fix: str) -> list[Row]:
    scenario = on.scenario
    tell(f"  {scenario.name} on source …")
    source = source_boot(on, targets)
    tell(f"  {scenario.name} on source: up in {source.seconds:.0f} s")
    (on.work / "report.json").write_text(json.dumps(source.said.report, indent=1))
    said, again = live(source, targets), captured(source, targets) if on.product else {}
    rows = []
    for target in targets:
        record = target_boot(on, target)
        found = became(source.said, record)
        row = _row(scenario, target, said[target], found, date, round(record["seconds"]))
        if on.product:
            row = row._replace(capture=difference(said[target], again[target]))
        if fix and not found.whole and on.product:
            row = mend.mended(on, row, source, fix)
        tell(f"  {scenario.name} on {target}: said {row.verdict}, {row.fate}: {row.agree} {row.note}")
        rows.append(row)
    return rows


def difference(said: Prediction, again: Prediction) -> str:
    """In what the verdict about a capture differs from the one about the machine itself; "same" when in nothing."""
    rules = sorted(said.rules ^ again.rules)
    if said.verdict == again.verdict and not rules:
        return "same"
    return f"{again.verdict} ({', '.join(rules) or again.note})"


def rejudge(scenario: Scenario, targets: tuple[str, ...], date: str) -> list[Row]:
    """Today's verdict on the kept capture beside the known fates; boots nothing. No rows where nothing is kept."""
    source = known_source(scenario)
    records = {target: known_fate(scenario, target) for target in targets}
    known = tuple(target for target in targets if records[target])
    if source is None or not known:
        return []
    said, by = captured(source, known), "capture"
    if any(one.verdict in ("unknown", "-") for one in said.values()) and mounted.is_mountable(scenario):
        said, by = on_disk(scenario, source, known), "disk"  # today's rules read more than was captured then
    return [
        _row(scenario, target, said[target], became(source.said, record), date, 0)._replace(capture=by)
        for target, record in records.items()
        if record
    ]


def _row(scenario: Scenario, target: str, said: Prediction, became: Fate, date: str, took: int) -> Row:
    expected = scenario.expected(target)
    agree = fate.judgement(said, became)
    missing = tuple(sorted(expected - said.rules)) if said.verdict != "-" else ()
    return Row(
        scenario.name, target, said.verdict, said.blocks, str(became), agree, date, took, missing,
        tuple(sorted(said.rules)), "; ".join(filter(None, (said.note, became.note))),
    )  # fmt: skip
