"""Let migprep mend the machine where it runs, move it, and take everything back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from . import command, fate, machine, testimony, trial
from .results import Row
from .testimony import Testimony

if TYPE_CHECKING:
    from .trial import Bench


def mended(on: Bench, row: Row, source: Testimony) -> Row:
    """Fill the columns fix, source after fix, target after fix, and rollback of this row."""
    name, target = on.scenario.name, row.target
    images = _overlays(on, target)
    trial.tell(f"  {name} on source: fix --apply for {target} …")
    act = f"fix --target {target} --apply --yes"
    fixed = _boot(on, f"source.fix.{target}", ["settle", "manifest", act, "poweroff"], images, keep=True)
    if isinstance(fixed, str):
        return row._replace(fix=f"the source died: {fixed}")
    done = testimony.act(fixed, "fix")
    if done is None:
        return row._replace(fix="no word of it")
    row = row._replace(fix=f"exit {done.code}", fix_seconds=done.seconds)
    if done.code != 0:
        return row._replace(note=f"{row.note}; fix: {' '.join(done.words.split())[-300:]}")
    moved = trial.listen(on, f"{target}.fixed", ["settle", "reached"], images)
    death = list(moved.death) if moved.death else None
    became = trial.judge(source, moved.said, death, moved.attempts)
    promise = _after_fixes(source.report, target)
    as_said = not became.whole and promise in ("not_ready", "conditional", "unknown")
    row = row._replace(after_fix="as said" if as_said else str(became))
    if not became.whole:
        row = row._replace(note=f"{row.note}; after fix ({promise}): {became} {became.note}")
    trial.tell(f"  {name} on {target} after fix: {became}; back on source …")
    acts = ["settle", "reached", "rollback", "manifest", "poweroff"]
    back = _boot(on, f"source.back.{target}", acts, images, keep=True)
    if isinstance(back, str):
        return row._replace(source_boots=f"lost boot: {back}")
    again = fate.fate(source, back)
    same = "identical" if back.manifest and back.manifest == fixed.manifest else _difference(fixed, back)
    rolled = testimony.act(back, "rollback")
    code = rolled.code if rolled else -1
    row = row._replace(source_boots=str(again), rollback=same if code == 0 else f"exit {code}, {same}")
    trial.tell(f"  {name}: source after fix {row.source_boots}, rollback {row.rollback}")
    return row


def _overlays(on: Bench, target: str) -> list[Path]:
    """Fresh writable layers over the built disks."""
    command.require("qemu-img")
    overlays = []
    for image in on.images(on.disk):
        path = on.work / f"{image.name}.{target}.qcow2"
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image), str(path)]
        command.run(argv, on.work / "qemu-img.log", 60, "a writable layer over the disk")
        overlays.append(path)
    return overlays


def _boot(on: Bench, where: str, acts: list[str], images: list[Path], *, keep: bool) -> Testimony | str:
    """What the machine said, or why it did not."""
    boot: machine.Boot = trial.listen(on, where, acts, images, keep=keep)
    if boot.said is None:
        return f"{boot.death.where}: {boot.death.line}" if boot.death else "no word"
    return testimony.read(boot.said)


def _after_fixes(report: Optional[Any], target: str) -> str:
    targets = report.get("targets", ()) if isinstance(report, dict) else ()
    return next((str(t.get("after_fixes")) for t in targets if t.get("name") == target), "-")


def _difference(before: Testimony, after: Testimony) -> str:
    """The first few lines in which two lists of files differ."""
    changed = sorted(set(before.files) ^ set(after.files))
    paths = sorted({line.split(" -> ")[0].split()[-1] for line in changed})
    return f"{len(paths)} paths differ: {', '.join(paths[:4])}"
