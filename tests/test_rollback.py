"""Rollback: byte for byte, any number of times, and never over somebody's edit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.changing import NAME, Disk, fine, machine, snapshot, work

from migprep import apply, journal
from migprep.root import Tree


def applied(folder: Path) -> tuple[Tree, dict[str, object]]:
    tree = machine(folder)
    before = snapshot(tree)
    assert apply.apply(tree, work(), fine, Disk(tree)).code == 0
    return tree, before


def test_restores_every_byte_and_all_metadata(tmp_path: Path) -> None:
    tree, before = applied(tmp_path)
    assert snapshot(tree) != before
    assert apply.undo(tree, NAME) == 5
    assert snapshot(tree) == before
    assert journal.look(tree, NAME).word == "rolled back"


def test_again_and_again(tmp_path: Path) -> None:
    tree, before = applied(tmp_path)
    assert [apply.undo(tree, NAME) for _ in range(3)] == [5, 0, 0]
    assert snapshot(tree) == before


@pytest.mark.parametrize("path", ["etc/fstab", "etc/systemd/network/10-a.link", "boot/grub/grub.cfg"])
def test_a_file_edited_since_is_never_overwritten(tmp_path: Path, path: str) -> None:
    tree, _ = applied(tmp_path)
    (tmp_path / path).write_bytes(b"mine\n")
    now = snapshot(tree)
    with pytest.raises(apply.Refused, match=path) as refused:
        apply.undo(tree, NAME)
    assert refused.value.code == 6
    assert snapshot(tree) == now, "all or nothing"
    with pytest.raises(apply.Refused):
        apply.restorable(tree, NAME)


def test_a_deleted_file_that_somebody_made_again(tmp_path: Path) -> None:
    tree, _ = applied(tmp_path)
    (tmp_path / "etc/udev/rules.d/70-persistent-net.rules").write_bytes(b"other\n")
    with pytest.raises(apply.Refused, match="70-persistent-net.rules"):
        apply.undo(tree, NAME)


def test_a_file_that_became_a_link(tmp_path: Path) -> None:
    tree, _ = applied(tmp_path)
    os.rename(tmp_path / "etc/fstab", tmp_path / "etc/real")
    os.symlink("real", tmp_path / "etc/fstab")
    with pytest.raises(apply.Refused, match="/etc/fstab"):
        apply.undo(tree, NAME)


def test_a_folder_in_use_by_now_stays(tmp_path: Path) -> None:
    tree, _ = applied(tmp_path)
    (tmp_path / "etc/systemd/network/20-mine.link").write_bytes(b"")
    apply.undo(tree, NAME)
    assert (tmp_path / "etc/systemd/network/20-mine.link").exists()
    assert not (tmp_path / "etc/systemd/network/10-a.link").exists()


def test_damaged_objects_are_not_restored(tmp_path: Path) -> None:
    tree, _ = applied(tmp_path)
    kept = tmp_path / f"var/lib/migprep/transactions/{NAME}/objects/0.old"
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(journal.JournalError, match="damaged") as error:
        apply.undo(tree, NAME)
    assert error.value.code == 5


def test_what_would_be_restored(tmp_path: Path) -> None:
    tree, _ = applied(tmp_path)
    assert dict(apply.restorable(tree, NAME)) == {
        "/etc/fstab": "restore",
        "/etc/systemd/network/10-a.link": "delete",
        "/etc/udev/rules.d/70-persistent-net.rules": "restore",
        "/boot/grub/grub.cfg": "restore",
        "/boot/grub/grubenv": "restore",
    }
