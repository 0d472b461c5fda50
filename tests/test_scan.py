"""The search of the whole disk: what it opens, what it passes by, and the folders that a site adds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep import inspection
from migprep.facts import Facts, running
from migprep.model import Unknown
from migprep.root import PIECE, Files, Tree

LINE = b"mount /dev/sdb1 /data\n"


def _found(facts: Facts) -> list[str]:
    assert not isinstance(facts.scan, Unknown), facts.scan
    return sorted({one.path for one in facts.scan.mentions})


def _tree(folder: Path, files: dict[str, bytes]) -> Tree:
    for path, content in {"etc/hostname": b"x", **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return Tree(str(folder))


def test_a_directory_and_memory_are_searched_alike(tmp_path: Path) -> None:
    files = {
        "opt/a/run": LINE, "opt/a/run.log": LINE, "opt/a/.git/x": LINE, "root/x.sh": LINE, "usr/share/x": LINE,
        "opt/long": b"#\n" * PIECE + LINE, "opt/binary": b"\0" * 10 + LINE, "opt/large-binary": b"\0" * 2 * PIECE + LINE,
        "etc/frob.rules": b'KERNEL=="sda", RUN+="x"\n', "home/u/x.service": b"After=dev-sda1.device\n",
    }  # fmt: skip
    wanted = ["/etc/frob.rules", "/home/u/x.service", "/opt/a/run", "/opt/long", "/root/x.sh"]
    assert _found(Facts(_tree(tmp_path, files), folders=())) == wanted
    assert _found(Facts(Files({"etc/hostname": b"x", **files}), folders=())) == wanted


def test_no_link_is_followed_and_nothing_holds_it_up(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(LINE)
    root = _tree(tmp_path / "root", {"opt/x": b""})
    (tmp_path / "root/opt/link").symlink_to(outside)
    (tmp_path / "root/opt/folder").symlink_to(tmp_path)
    (tmp_path / "root/opt/up").symlink_to("..")
    os.mkfifo(tmp_path / "root/opt/fifo")
    assert _found(Facts(root, folders=("/opt/folder",))) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_a_gap(tmp_path: Path) -> None:
    root = _tree(tmp_path, {"opt/locked/x": LINE})
    (tmp_path / "opt/locked").chmod(0)
    found = Facts(root, folders=()).scan
    assert not isinstance(found, Unknown) and isinstance(found.mentions[0].kind, Unknown)


def test_the_folders_of_a_site(tmp_path: Path) -> None:
    assert inspection.load_folders(str(tmp_path)) == ((), ())
    (tmp_path / "scan.conf").write_text("# ours\n/data/scripts/\n\nrelative/path\n /srv/app\n")
    folders, refused = inspection.load_folders(str(tmp_path))
    assert folders == ("/data/scripts", "/srv/app")
    assert refused == (f"{tmp_path}/scan.conf:4: 'relative/path' is not the whole path of a folder",)


def test_nothing_is_searched_unless_it_is_asked_for() -> None:
    found = Facts(Files({"/etc/hostname": b"x", "/root/x": LINE})).scan
    assert not isinstance(found, Unknown) and (found.asked, found.files) == (False, 0)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="no /proc of Linux")
def test_what_this_very_process_runs_is_found_as_mapped() -> None:
    with open("/proc/self/maps", "rb") as stream:
        found = dict((path, inode) for inode, path in running.mapped(stream.read()))
    program = os.path.realpath("/proc/self/exe")
    assert found[program] == os.stat(program).st_ino


@given(st.binary())
def test_any_list_of_mapped_files_is_read(maps: bytes) -> None:
    assert all(path.startswith("/") for _, path in running.mapped(maps))
