"""Let migprep mend the machine, see it boot where it is and where it goes, and take everything back.

Either all in the live guest, or natively: in the mounted tree of the disk, with what only the running
guest could tell laid over it from its capture. An initramfs is rebuilt there in seconds, not minutes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import command, disk, fate, machine, mounted, testimony, trial
from .command import LabError
from .results import Row
from .scenario import Scenario
from .testimony import Act, Testimony

if TYPE_CHECKING:
    from .trial import Bench, Source

WAYS = ("guest", "chroot")
_NOTHING = "Nothing to change."


class Fixed(NamedTuple):
    """A machine after fix: what came of it, and the list of its files as they were before."""

    act: Act
    files: tuple[str, ...]


class Back(NamedTuple):
    """The mended machine on its source hardware, and what came of the rollback there."""

    source: str
    act: Act
    files: tuple[str, ...]


def mended(on: Bench, row: Row, source: Source, way: str) -> Row:
    """Fill the columns fix, source after fix, target after fix, and rollback of this row."""
    scenario, target = on.scenario, row.target
    way = "chroot" if way == "chroot" and source.archive and mounted.is_mountable(scenario) else "guest"
    fix, undo = (_fix_natively, _undo_natively) if way == "chroot" else (_fix_in_guest, _undo_in_guest)
    images = _copies(on, target) if way == "chroot" else trial.overlays(on, target)
    trial.tell(f"  {scenario.name}: fix --apply for {target} in the {way} …")
    try:
        fixed = fix(on, source, target, images)
        row = row._replace(fix=_words(fixed.act, way), fix_seconds=fixed.act.seconds)
        if _NOTHING in fixed.act.words:
            return row
        if fixed.act.code != 0:
            return row._replace(note=f"{row.note}; fix: {' '.join(fixed.act.words.split())[-300:]}")
        row = _moved(on, row, source.said, images)
        back = undo(on, source, target, images)
    finally:
        for image in images:
            image.unlink(missing_ok=True)
    same = "identical" if fixed.files and back.files == fixed.files else _difference(fixed.files, back.files)
    row = row._replace(
        source_boots=back.source, rollback=same if back.act.code == 0 else f"exit {back.act.code}, {same}"
    )
    trial.tell(f"  {scenario.name}: source after fix {row.source_boots}, rollback {row.rollback}")
    return row


def _words(act: Act, way: str) -> str:
    if _NOTHING in act.words:
        return "nothing to mend"
    return f"exit {act.code} in the {way}" if act.code else way


def _moved(on: Bench, row: Row, source: Testimony, images: list[Path]) -> Row:
    """The mended disk on its target."""
    boot = trial.listen(on, f"{row.target}.fixed", ["settle", "reached"], images)
    became = trial.judge(source, boot.said, list(boot.death) if boot.death else None, boot.attempts)
    promise = _after_fixes(source, row.target)
    as_said = not became.whole and promise in ("not_ready", "conditional", "unknown")
    trial.tell(f"  {on.scenario.name} on {row.target} after fix: {became}")
    row = row._replace(after_fix=f"{became}, as said" if as_said else str(became))
    return row if became.whole else row._replace(note=f"{row.note}; after fix ({promise}): {became.note}")


def _after_fixes(source: Testimony, target: str) -> str:
    targets = source.report.get("targets", ()) if isinstance(source.report, dict) else ()
    return next((str(t.get("after_fixes")) for t in targets if t.get("name") == target), "-")


def _difference(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """The first few paths in which two lists of files differ."""
    changed = sorted(set(before) ^ set(after))
    paths = sorted({line.split(" -> ")[0].split()[-1] for line in changed if line})
    return f"{len(paths)} paths differ: {', '.join(paths[:4])}"


def _options(scenario: Scenario, target: str) -> str:
    return f"--target {target} --apply --yes {scenario.fix}".strip()


# --- in the live guest ---


def _spoken(on: Bench, where: str, acts: list[str], images: list[Path]) -> Testimony:
    boot: machine.Boot = trial.listen(on, where, acts, images, keep=True)
    if boot.said is None:
        words = f"{boot.death.where}: {boot.death.line}" if boot.death else "no word"
        raise LabError(f"{on.scenario.name} on {where}: {words}")
    return testimony.read(boot.said)


def _act(said: Testimony, name: str) -> Act:
    return testimony.act(said, name) or Act(name, -1, 0, "the guest said nothing of it")


def _fix_in_guest(on: Bench, source: Source, target: str, images: list[Path]) -> Fixed:
    acts = ["settle", *trial.late(on.scenario), "manifest", f"fix {_options(on.scenario, target)}", "poweroff"]
    said = _spoken(on, f"source.fix.{target}", acts, images)
    return Fixed(_act(said, "fix"), said.files)


def _undo_in_guest(on: Bench, source: Source, target: str, images: list[Path]) -> Back:
    said = _spoken(on, f"source.back.{target}", ["settle", "reached", "rollback", "manifest", "poweroff"], images)
    return Back(str(fate.fate(source.said, said)), _act(said, "rollback"), said.files)


# --- natively, in the mounted tree ---


def _copies(on: Bench, target: str) -> list[Path]:
    """Copies of the built disks, with their holes."""
    copies = []
    for image in disk.images(on.scenario, on.disk):
        path = on.work / f"{image.name}.{target}.raw"
        command.run(["cp", "--sparse=always", str(image), str(path)], on.work / "cp.log", 600, "a copy of the disk")
        copies.append(path)
    return copies


def _fix_natively(on: Bench, source: Source, target: str, images: list[Path]) -> Fixed:
    done, files = _natively(on, source, f"fix.{target}", images[0], f"fix {_options(on.scenario, target)}", "before")
    return Fixed(done, files)


def _undo_natively(on: Bench, source: Source, target: str, images: list[Path]) -> Back:
    boot = trial.listen(on, f"source.back.{target}", ["settle", "reached"], images)
    became = trial.judge(source.said, boot.said, list(boot.death) if boot.death else None, boot.attempts)
    done, files = _natively(on, source, f"back.{target}", images[0], "rollback", "after")
    return Back(str(became) if became.whole else f"{became}: {became.note}", done, files)


def _natively(
    on: Bench, source: Source, where: str, image: Path, asked: str, listed: str
) -> tuple[Act, tuple[str, ...]]:
    assert source.archive
    folder = on.work / where
    done = mounted.migprep(on.scenario, image, source.archive, folder, asked, listed)
    files = tuple((folder / "files").read_text(errors="replace").splitlines())
    return Act(asked.split()[0], done.code, round(done.seconds), (done.words + done.said).strip()), files
