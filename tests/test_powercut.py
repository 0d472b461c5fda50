"""Power can fail at any instant: apply and rollback are cut at every single call that changes something."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.changing import NAME, Disk, PowerCut, fine, machine, snapshot, work

from migprep import apply, journal
from migprep.root import Tree


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of fsync(2) on a disk take minutes and prove nothing more."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def _calls_of_apply(folder: Path) -> int:
    tree = machine(folder)
    disk = Disk(tree)
    assert apply.apply(tree, work(), fine, disk).code == 0
    return disk.calls


def _calls_of_undo(folder: Path) -> int:
    tree = machine(folder)
    assert apply.apply(tree, work(), fine, Disk(tree)).code == 0
    disk = Disk(tree)
    apply.undo(tree, NAME, disk)
    return disk.calls


def _recover(tree: Tree) -> None:
    """What a person does afterwards: `migprep rollback`, when there is anything to roll back."""
    if NAME in journal.names(tree) and journal.look(tree, NAME).word != "prepared":
        apply.undo(tree, NAME, Disk(tree))
    assert journal.unfinished(tree) == ""


@pytest.mark.parametrize("lossy", [False, True], ids=["everything written", "only what was synced"])
def test_apply_cut_at_every_step(tmp_path: Path, lossy: bool) -> None:
    total = _calls_of_apply(tmp_path / "whole")
    assert total > 40
    for at in range(total):
        folder = tmp_path / str(at)
        tree = machine(folder)
        before = snapshot(tree)
        disk = Disk(tree, at)
        with pytest.raises(PowerCut):
            apply.apply(tree, work(), fine, disk)
        if lossy:
            disk.lose()
        begun = NAME in journal.names(tree) and journal.look(tree, NAME).word != "prepared"
        if not begun:
            assert snapshot(tree) == before, f"cut at call {at}: changed before it was written down"
        elif journal.look(tree, NAME).word == "unfinished":
            assert "rollback" in journal.unfinished(tree)
        _recover(tree)
        assert snapshot(tree) == before, f"cut at call {at}"
        shutil.rmtree(folder)


@pytest.mark.parametrize("lossy", [False, True], ids=["everything written", "only what was synced"])
def test_rollback_cut_at_every_step(tmp_path: Path, lossy: bool) -> None:
    for at in range(_calls_of_undo(tmp_path / "whole")):
        folder = tmp_path / str(at)
        tree = machine(folder)
        before = snapshot(tree)
        assert apply.apply(tree, work(), fine, Disk(tree)).code == 0
        disk = Disk(tree, at)
        with pytest.raises(PowerCut):
            apply.undo(tree, NAME, disk)
        if lossy:
            disk.lose()
        _recover(tree)
        assert snapshot(tree) == before, f"cut at call {at}"
        shutil.rmtree(folder)


def test_the_power_fails_again_during_the_recovery(tmp_path: Path) -> None:
    total = _calls_of_apply(tmp_path / "whole")
    for first in range(25, total, 7):
        for second in range(0, 30, 5):
            folder = tmp_path / f"{first}-{second}"
            tree = machine(folder)
            before = snapshot(tree)
            disk = Disk(tree, first)
            with pytest.raises(PowerCut):
                apply.apply(tree, work(), fine, disk)
            disk.lose()
            if NAME in journal.names(tree):
                again = Disk(tree, second)
                try:
                    apply.undo(tree, NAME, again)
                except PowerCut:
                    again.lose()
            _recover(tree)
            assert snapshot(tree) == before, f"cut at {first}, then at {second}"
            shutil.rmtree(folder)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EPERM])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
def test_every_call_may_fail(tmp_path: Path, number: int, lasting: bool) -> None:
    for at in range(_calls_of_apply(tmp_path / "whole")):
        folder = tmp_path / str(at)
        tree = machine(folder)
        before = snapshot(tree)
        disk = Disk(tree, at, lambda: OSError(number, "no", "/somewhere"), lasting)
        try:
            code = apply.apply(tree, work(), fine, disk).code
        except (apply.Refused, apply.Lost) as error:
            code = error.code
        assert code in ((4, 5, 6) if lasting else (0, 4, 6)), f"failed at call {at}: {code}"
        if code in (4, 6):
            assert snapshot(tree) == before, f"failed at call {at} with code {code}"
        _recover(tree)
        assert snapshot(tree) == before, f"failed at call {at}, after the recovery"
        shutil.rmtree(folder)
