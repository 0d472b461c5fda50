"""Apply: what is refused, what is kept, and how it fails."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.changing import BLOCK_NEW, BLOCK_OLD, FSTAB, NAME, Disk, fine, machine, snapshot, work
from tests.test_cpio import archive

from migprep import apply, journal, mend, menus, obstacles
from migprep.apply import Work
from migprep.builds import Build
from migprep.plan import Change
from migprep.process import Outcome
from migprep.root import Tree

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change a machine")


def one(change: Change) -> Work:
    return Work(NAME, (change,), (), {})


def test_applies_everything_and_keeps_metadata(tmp_path: Path) -> None:
    tree = machine(tmp_path)
    old = journal.metadata(f"{tree.base}/etc/fstab")
    lines: list[str] = []
    done = apply.apply(tree, work(), fine, Disk(tree), lines.append)
    assert done == apply.Done(0, NAME)
    assert (tmp_path / "etc/fstab").read_bytes() == FSTAB.replace(b"/dev/sdb1", b"UUID=1")
    new = journal.metadata(f"{tree.base}/etc/fstab")
    assert (new.mode, new.uid, new.attributes) == (old.mode, old.uid, old.attributes)
    assert not (tmp_path / "etc/udev/rules.d/70-persistent-net.rules").exists()
    link = tmp_path / "etc/systemd/network/10-a.link"
    assert link.read_bytes() == b"[Match]\n" and link.stat().st_mode & 0o777 == 0o644
    assert b"UUID=1" in (tmp_path / "boot/grub/grub.cfg").read_bytes()
    assert lines[2] == "[3/6] /etc/fstab" and len(lines) == 7
    assert (tmp_path / "boot/grub/grubenv").read_bytes() == BLOCK_NEW
    assert not list(tmp_path.rglob("*migprep-*"))


def test_the_journal_is_for_root_only(tmp_path: Path) -> None:
    tree = machine(tmp_path)
    apply.apply(tree, work(), fine, Disk(tree))
    folder = tmp_path / "var/lib/migprep/transactions" / NAME
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*"))


def test_a_file_edited_since_the_plan_is_refused(tmp_path: Path) -> None:
    tree = machine(tmp_path)
    (tmp_path / "etc/fstab").write_bytes(FSTAB + b"\n# new")
    before = snapshot(tree)
    with pytest.raises(apply.Refused, match="/etc/fstab was edited after the plan was made") as refused:
        apply.apply(tree, work(), fine, Disk(tree))
    assert refused.value.code == 6
    assert snapshot(tree) == before
    assert journal.names(tree) == []


def test_a_finding_that_stays_is_undone(tmp_path: Path) -> None:
    tree = machine(tmp_path)
    before = snapshot(tree)
    done = apply.apply(tree, work(), lambda: ["fstab/x: /data is mounted from /dev/sdb1"], Disk(tree))
    assert done.code == 4 and "/data is mounted from" in done.words
    assert snapshot(tree) == before
    assert journal.look(tree, NAME).word == "rolled back"


class Killed(Disk):
    outcome = Outcome(-9, b"", b"")

    def run(self, argv: list[str], seconds: float) -> Outcome:
        Disk.run(self, argv, seconds)
        return self.outcome


class Refusing(Killed):
    outcome = Outcome(1, b"", b"grub-mkconfig: warning: x\ngrub-mkconfig: error: no space left on device\n")


@pytest.mark.parametrize(("disk", "said"), [(Killed, "killed by signal 9"), (Refusing, "no space left on device")])
def test_a_command_that_fails_is_quoted_and_undone(tmp_path: Path, disk: type[Killed], said: str) -> None:
    tree = machine(tmp_path)
    before = snapshot(tree)
    done = apply.apply(tree, work(), fine, disk(tree))
    assert done.code == 4 and said in done.words
    assert snapshot(tree) == before


def test_a_command_that_hangs_is_undone(tmp_path: Path) -> None:
    class Hanging(Disk):
        def run(self, argv: list[str], seconds: float) -> Outcome:
            raise TimeoutError("grub-mkconfig took more than 900 s")

    tree = machine(tmp_path)
    before = snapshot(tree)
    assert apply.apply(tree, work(), fine, Hanging(tree)).code == 4
    assert snapshot(tree) == before


def test_ctrl_c_is_undone(tmp_path: Path) -> None:
    tree = machine(tmp_path)
    before = snapshot(tree)
    done = apply.apply(tree, work(), fine, Disk(tree, 40, KeyboardInterrupt))
    assert (done.code, done.words) == (4, "interrupted")
    assert snapshot(tree) == before


def test_a_menu_that_lost_its_kernels_is_not_put_in_place(tmp_path: Path) -> None:
    class Empty(Disk):
        def run(self, argv: list[str], seconds: float) -> Outcome:
            done = super().run(argv, seconds)
            if argv[0] == "grub-mkconfig":
                Path(self.tree.base + argv[-1]).write_bytes(b"# nothing found\n")
            return done

    tree = machine(tmp_path)
    done = apply.apply(tree, work(), fine, Empty(tree))
    assert done.code == 4 and "no entry for vmlinuz-1" in done.words


@pytest.mark.skipif(not shutil.which("grub-editenv"), reason="needs grub-editenv")
def test_the_environment_block_is_written_by_its_own_tool(tmp_path: Path) -> None:
    """And comes out as it was shown, with what stands beside the change, blanks and backslashes."""
    old = BLOCK_OLD.replace(b" ro\n", b' ro dyndbg="file\\\\x +p"\nsaved_entry=Rocky (5.14) 9\n')[:1024]
    new = old.replace(b"/dev/sda1", b"UUID=1234").rstrip(b"#").ljust(1024, b"#")
    tree = machine(tmp_path)
    (tmp_path / "boot/grub/grubenv").write_bytes(old)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/grub-editenv").write_bytes(b"")
    argv = menus.editing(tree, old, new)
    assert argv[:3] == ("chroot", tree.base, "grub-editenv")

    class Native(journal.System):
        def run(self, argv: list[str], seconds: float) -> Outcome:
            return super().run([argv[2], tree.base + argv[3], *argv[4:]], seconds)

    before = snapshot(tree)
    change = Change("/boot/grub/grubenv", old, new, ("arguments/x",), argv)
    assert apply.apply(tree, one(change), fine, Native()) == apply.Done(0, NAME)
    assert (tmp_path / "boot/grub/grubenv").read_bytes() == new
    apply.undo(tree, NAME)
    assert snapshot(tree) == before
    wrong = one(change._replace(after=new.replace(b"1234", b"1235")))._replace(name=NAME + "-2")
    done = apply.apply(tree, wrong, fine, Native())
    assert done.code == 4 and "made something else of /boot/grub/grubenv than was planned" in done.words
    assert snapshot(tree) == before


def test_hard_links_are_refused(tmp_path: Path) -> None:
    tree = machine(tmp_path)
    os.link(tmp_path / "etc/fstab", tmp_path / "etc/other")
    with pytest.raises(apply.Refused, match="2 hard links"):
        apply.apply(tree, work(), fine, Disk(tree))


def test_what_became_a_link_is_refused(tmp_path: Path) -> None:
    tree = machine(tmp_path)
    os.rename(tmp_path / "etc/fstab", tmp_path / "etc/real")
    os.symlink("real", tmp_path / "etc/fstab")
    with pytest.raises(apply.Refused, match="symbolic link"):
        apply.apply(tree, work(), fine, Disk(tree))


@ROOT
def test_a_file_that_is_mounted_by_itself_is_refused(tmp_path: Path) -> None:
    """As in containers: from the same filesystem, too, of which the device tells nothing."""
    tree = machine(tmp_path)
    assert not obstacles.obstacle(tree, "/etc/fstab")
    ask = "import sys; from migprep import obstacles, root; print(obstacles.obstacle(root.Tree(sys.argv[1]), '/etc/fstab'))"
    script = 'mount --bind "$1/etc/other" "$1/etc/fstab" && exec "$2" -c "$3" "$1"'
    (tmp_path / "etc/other").write_bytes(b"")
    said = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", tree.base, sys.executable, ask], capture_output=True, text=True
    )
    if "mount" in said.stderr:
        pytest.skip(f"no mounts here: {said.stderr}")
    assert said.stdout == "/etc/fstab is mounted by itself\n", said.stderr


@ROOT
@pytest.mark.parametrize("path", ["etc/fstab", "etc"])
def test_immutable_is_refused(tmp_path: Path, path: str) -> None:
    tree = machine(tmp_path)
    if not shutil.which("chattr") or subprocess.run(["chattr", "+i", tmp_path / path], capture_output=True).returncode:
        pytest.skip("no inode flags here")
    try:
        with pytest.raises(apply.Refused, match="immutable"):
            apply.apply(tree, work(), fine, Disk(tree))
    finally:
        subprocess.run(["chattr", "-i", tmp_path / path], check=True)


def test_a_full_disk_is_seen_before_the_first_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = machine(tmp_path)
    real = os.statvfs(tmp_path)

    def full(path: str) -> Any:
        return argparse.Namespace(f_flag=0, f_frsize=real.f_frsize, f_bavail=3, f_files=100, f_favail=50)

    monkeypatch.setattr(os, "statvfs", full)
    with pytest.raises(apply.Refused, match="are needed there and"):
        apply.apply(tree, work(), fine, Disk(tree))
    assert journal.names(tree) == []


@pytest.mark.parametrize(("tool", "room"), [("mkinitramfs", 12), ("dracut", 6), ("mkinitrd", 0)])
def test_room_in_which_an_image_is_laid_out_is_seen_before_the_first_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, room: int
) -> None:
    """As files, and by initramfs-tools as an archive too; the new image is in /boot beside the old one."""
    tree = machine(tmp_path)
    (tmp_path / "var/tmp").mkdir(parents=True)
    (tmp_path / "boot/initrd.img-1").write_bytes(archive({"usr/lib/modules/1/kernel/x.ko": bytes(6 << 20)}))
    size = (tmp_path / "boot/initrd.img-1").stat().st_size
    build = Build("initramfs", "x", "/boot/initrd.img-1", "/boot/.new", (tool, "-o", "/boot/.new", "1"), (), size * 3 // 2)
    real = os.statvfs(tmp_path)
    needed = size + size // 2 + size + (room << 20) + (size if room else 0)  # beside, grown, kept; laid out

    def with_free(free: int) -> None:
        told = argparse.Namespace(f_flag=0, f_frsize=1, f_bavail=free, f_files=0, f_favail=0)
        monkeypatch.setattr(os, "statvfs", lambda path: told if str(path).startswith(str(tmp_path)) else real)

    with_free(needed - 1024)
    with pytest.raises(apply.Refused, match=r"no room in .*/boot.*: \d+ MiB are needed there and") as refused:
        apply.apply(tree, Work(NAME, (), (build,), {}), fine, Disk(tree))
    assert refused.value.code == 6 and ("/var/tmp" in str(refused.value)) is bool(room)
    assert not journal.names(tree)
    with_free(needed + obstacles.SPARE_BYTES + 1024)
    assert apply.apply(tree, Work(NAME, (), (build,), {}), fine, Killed(tree)).code == 4, "not for want of room"


def test_images_made_one_after_another_need_room_for_one_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = machine(tmp_path)
    builds = []
    for number in range(4):
        (tmp_path / f"boot/initrd.img-{number}").write_bytes(bytes(4 << 20))
        path = f"/boot/initrd.img-{number}"
        builds.append(Build("initramfs", "x", path, f"{path}.new", ("mkinitrd", path), (), 5 << 20))
    free = argparse.Namespace(f_flag=0, f_frsize=1, f_bavail=(4 + 4 + 16 + 2) << 20, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda path: free)
    assert apply.apply(tree, Work(NAME, (), tuple(builds), {}), fine, Killed(tree)).code == 4, "not for want of room"


def test_a_second_run_at_the_same_time_is_told_who_is_first(tmp_path: Path) -> None:
    path = str(tmp_path / "run/migprep.lock")
    with apply.locked(path):
        with pytest.raises(apply.Locked, match=f"process {os.getpid()}") as found:
            with apply.locked(path):
                pass
        assert found.value.code == 75
    with apply.locked(path):
        pass


def test_new_folders_vanish_again(tmp_path: Path) -> None:
    tree = machine(tmp_path)
    before = snapshot(tree)
    change = Change("/etc/a/b/c/d.conf", None, b"x\n", ("r",))
    assert apply.apply(tree, one(change), lambda: ["stays"]).code == 4
    assert snapshot(tree) == before


def test_what_a_command_makes_gets_its_folder_and_goes_with_it(tmp_path: Path) -> None:
    """The fallback loader of a machine that has no EFI/BOOT yet."""
    tree = machine(tmp_path)
    (tmp_path / "boot/efi/EFI/debian").mkdir(parents=True)
    (tmp_path / "boot/efi/EFI/debian/grubx64.efi").write_bytes(b"MZ\0")
    before = snapshot(tree)
    made = "/boot/efi/EFI/BOOT/.BOOTX64.EFI.migprep-new"
    source = "/boot/efi/EFI/debian/grubx64.efi"
    argv = ("cp", "--", tree.base + source, tree.base + made)
    build = Build("fallback-loader", "copy", "/boot/efi/EFI/BOOT/BOOTX64.EFI", made, argv, wanted=(source,))
    work = Work(NAME, (), (build,), {})
    assert apply.apply(tree, work, lambda: []) == apply.Done(0, NAME)
    assert (tmp_path / "boot/efi/EFI/BOOT/BOOTX64.EFI").read_bytes() == b"MZ\0"
    assert apply.undo(tree, NAME) == 1
    assert snapshot(tree) == before


# --- the verbs, end to end ---


def options(tree: Tree, **given: Any) -> argparse.Namespace:
    base = {
        "root": tree.base, "target": "kvm", "only": [], "include": [], "cutover": False, "apply": False, "yes": True,
        "poweroff": False, "format": "text", "transaction": None, "dry_run": False,
    }  # fmt: skip
    return argparse.Namespace(**{**base, **given})


XORG = b'Section "Device"\n  Identifier "card"\n  Driver "vmware" # \xff\nEndSection\n'
CRON = "display/x-driver-not-on-target"


def with_x(folder: Path) -> Tree:
    """A machine whose one fault is an X configuration for a display that the target has not."""
    machine(folder)
    (folder / "etc/X11").mkdir()
    (folder / "etc/X11/xorg.conf").write_bytes(XORG)
    (folder / "etc/systemd/system").mkdir(parents=True)
    os.symlink("/lib/systemd/system/gdm.service", folder / "etc/systemd/system/display-manager.service")
    return Tree(str(folder))


@ROOT
def test_fix_apply_rollback_history(tmp_path: Path) -> None:
    tree = with_x(tmp_path)
    before = snapshot(tree)
    said: list[str] = []
    assert mend.fix(options(tree, only=[CRON], cutover=True), said.append) == 2
    assert "--- a/etc/X11/xorg.conf" in said[-1] and f"migprep rollback --root {tree.base}" in said[-1]
    assert snapshot(tree) == before, "planning changes nothing"
    assert mend.fix(options(tree, only=[CRON], cutover=True, apply=True), said.append) == 0
    assert (tmp_path / "etc/X11/xorg.conf").read_bytes() != XORG
    assert mend.fix(options(tree, only=[CRON], cutover=True), said.append) != 1
    assert "Nothing to change." in said[-1]
    assert mend.history(options(tree), said.append) == 0
    assert "applied" in said[-1] and "/etc/X11/xorg.conf" in said[-1]
    (name,) = journal.names(tree)
    files = [{"path": "/etc/X11/xorg.conf", "action": "restore"}]
    told = {"schema": "migprep/rollback/1.0", "root": tree.base, "transaction": name, "state": "pending", "files": files}
    assert mend.rollback(options(tree, dry_run=True), said.append) == 2
    assert said[-1] == f"{name} would be undone:\n  restore /etc/X11/xorg.conf\nNothing was changed.\n"
    assert mend.rollback(options(tree, dry_run=True, format="json"), said.append) == 2
    assert json.loads(said[-1]) == told
    assert mend.rollback(options(tree, format="json"), said.append) == 0
    assert json.loads(said[-1]) == {**told, "state": "undone"}
    assert snapshot(tree) == before
    assert mend.rollback(options(tree), said.append) == 0
    assert said[-1] == "There is nothing to roll back.\n"
    assert mend.rollback(options(tree, transaction=name, format="json"), said.append) == 0
    assert json.loads(said[-1]) == {**told, "state": "nothing", "files": []}


def test_a_plan_without_room_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, said = with_x(tmp_path), list[str]()
    given = options(tree, only=[CRON], cutover=True)
    real = os.statvfs(tmp_path)
    full = argparse.Namespace(f_flag=0, f_frsize=real.f_frsize, f_bavail=3, f_files=100, f_favail=50)
    assert mend.fix(given, said.append) == 2 and "would refuse" not in said[-1]
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    assert mend.fix(given, said.append) == 2
    assert re.search("--apply would refuse: no room in .* are needed there and", " ".join(said[-1].split()))
    assert mend.fix(options(tree, only=[CRON], cutover=True, format="json"), said.append) == 2
    assert json.loads(said[-1])["refused"].startswith("no room in ")


@ROOT
def test_what_is_not_ready_is_told_by_code_where_nothing_is_left_to_apply(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fix --apply && poweroff` must not be fooled."""
    tree = with_x(tmp_path)
    code = mend.fix(options(tree, only=["fstab/missing-device"]), lambda words: None)
    assert code in (2, 3)
    assert mend.fix(options(tree, only=["fstab/missing-device"], apply=True), lambda words: None) == code
    assert "DO NOT MOVE THIS MACHINE YET" in capsys.readouterr().err
    assert mend.fix(options(tree, only=[CRON], cutover=True, apply=True), lambda words: None) == 0, "applied"
    assert "DO NOT MOVE THIS MACHINE YET" in capsys.readouterr().err


@ROOT
def test_without_consent_nothing_happens(tmp_path: Path) -> None:
    tree = with_x(tmp_path)
    before = snapshot(tree)
    with pytest.raises(apply.Refused, match="not confirmed"):
        mend.fix(
            options(tree, only=[CRON], cutover=True, apply=True, yes=False), lambda words: None, lambda question: False
        )
    assert snapshot(tree) == before


@ROOT
def test_a_directory_without_the_kernels_folders_runs_no_command(tmp_path: Path) -> None:
    """mkinitramfs would take a plain file for /dev/null, and the image would be one of no machine."""
    tree = machine(tmp_path)
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/grub-mkconfig").write_bytes(b"/etc/default/grub.d")
    before = snapshot(tree)
    name = "arguments/no-serial-console"
    given = options(tree, target="aws", only=[name], include=["risky"], apply=True)
    with pytest.raises(apply.Refused, match="mount --rbind"):
        mend.fix(given, lambda words: None)
    assert snapshot(tree) == before


def test_json_is_one_document(tmp_path: Path) -> None:
    tree = with_x(tmp_path)
    said: list[str] = []
    mend.fix(options(tree, only=[CRON], cutover=True, format="json"), said.append)
    document = json.loads(said[0])
    assert document["schema"] == "migprep/plan/1.0"
    assert [change["path"] for change in document["changes"]] == ["/etc/X11/xorg.conf"]
    assert document["mended"][0]["rule"] == CRON


def test_an_unfinished_run_must_be_rolled_back_first(tmp_path: Path) -> None:
    tree = with_x(tmp_path)
    try:
        apply.apply(tree, work(), fine, Disk(tree, 45, SystemExit))
    except SystemExit:
        pass
    assert "interrupted" in journal.unfinished(tree)
    if os.geteuid() == 0:
        with pytest.raises(apply.Refused, match="rollback"):
            mend.fix(options(tree, apply=True), lambda words: None)


@pytest.mark.parametrize("given", [{"include": ["risky"]}, {"poweroff": True}, {"only": ["no/such"]}])
def test_options_that_make_no_sense(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(mend.UsageError):
        mend.fix(options(with_x(tmp_path), **given), lambda words: None)
