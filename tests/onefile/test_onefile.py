"""The one file: what it needs of a machine, what it survives, and that it says what the installed program says.

MIGPREP_FILE names it, else dist/migprep of this checkout; `python3 packaging/onefile/build.py` makes it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.changing import snapshot
from tests.test_mend_machines import on_disk
from tests.test_rules import content

from migprep import capture, cli
from migprep.root import Tree

CHECKOUT = Path(__file__).parents[2]
FILE = Path(os.environ.get("MIGPREP_FILE") or CHECKOUT / "dist" / "migprep")
OLD = sorted((CHECKOUT / "tests" / "old").glob("*.yaml"))
#: perf_event_open, the last system call of Linux 2.6.32 on x86-64.
LAST = "298"

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="no one file: python3 packaging/onefile/build.py makes it")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(*words: str, file: Path = FILE, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(file), *words], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False, **more
    )


def isolated(script: str) -> subprocess.CompletedProcess[str]:
    """A shell script in mounts of its own, which vanish with it."""
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of a small old machine."""
    folder = tmp_path_factory.mktemp("machine")
    where = folder / "old.tar.gz"
    capture.write(str(where), on_disk(folder / "tree", _files(OLD[0])))
    return where


def _files(path: Path) -> dict[str, Any]:
    return {name: content(value) for name, value in yaml.safe_load(path.read_text())["files"].items()}


def test_it_says_how_it_was_built() -> None:
    told = run("--version").stdout
    assert re.match(r"migprep \S+ \(one file: CPython 3\.\S+, for glibc 2\.11 and Linux 2\.6\.32 or newer on x86-64\)\n", told)


def test_no_symbol_is_newer_than_glibc_2_11() -> None:
    reader = shutil.which("readelf") or pytest.skip("no readelf (binutils)")
    told = subprocess.run([reader, "--version-info", "--wide", FILE], capture_output=True, text=True, check=True).stdout
    versions = {tuple(map(int, one.split("."))) for one in re.findall(r"Name: GLIBC_([\d.]+)", told)}
    assert versions and max(versions) <= (2, 11)


def test_only_the_c_library_is_needed() -> None:
    reader = shutil.which("readelf") or pytest.skip("no readelf (binutils)")
    told = subprocess.run([reader, "--dynamic", "--wide", FILE], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", told))
    assert needed <= {f"lib{one}" for one in ("c.so.6", "m.so.6", "dl.so.2", "pthread.so.0", "util.so.1", "rt.so.1")} | {
        "ld-linux-x86-64.so.2"
    }


def test_it_runs_without_any_system_call_of_the_last_decade(tmp_path: Path, machine: Path) -> None:
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    old = tmp_path / "oldkernel"
    subprocess.run([compiler, "-o", old, Path(__file__).with_name("oldkernel.c")], check=True)
    words = ["check", "--root", str(machine), "--format", "json"]
    told = run(LAST, str(FILE), *words, file=old)
    assert told.returncode == 2, told.stderr
    assert verdicts(told.stdout) == verdicts(run(*words).stdout)
    assert run(LAST, str(FILE), "check", file=old).returncode in (0, 2, 3)


def test_it_survives_strip(tmp_path: Path, machine: Path) -> None:
    tool = shutil.which("strip") or pytest.skip("no strip (binutils)")
    copy = tmp_path / "migprep"
    shutil.copy(FILE, copy)
    subprocess.run([tool, copy], check=True)
    assert run("check", "--root", str(machine), file=copy).returncode == 2


@pytest.mark.parametrize("environment", [{}, {"LANG": "C", "PATH": ""}, {"LC_ALL": "POSIX", "HOME": "/nonexistent"}])
def test_a_bare_environment(environment: dict[str, str], machine: Path) -> None:
    told = run("check", "--root", str(machine), env=environment, cwd="/")
    assert (told.returncode, told.stderr) == (2, "")
    assert "fstab" in told.stdout


def test_what_it_starts_gets_a_clean_environment(tmp_path: Path) -> None:
    """No library path or Python setting of ours reaches the commands that a fix runs."""
    told = run("targets", env={"LD_LIBRARY_PATH": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"})
    assert told.returncode == 0 and "kvm" in told.stdout


@as_root
def test_a_root_that_is_read_only(machine: Path) -> None:
    told = isolated(f"mount -o bind / /mnt; mount -o remount,bind,ro /mnt; chroot /mnt {FILE} check --root {machine}")
    assert "NOT READY" in told.stdout and told.returncode == 2, told.stderr


@as_root
def test_a_tree_without_proc(machine: Path) -> None:
    told = isolated(f"mount -t tmpfs tmpfs /proc; {FILE} check --root {machine}")
    assert "NOT READY" in told.stdout, told.stderr


@pytest.mark.archive
@as_root
def test_debian_11_without_python_and_with_a_tmp_that_runs_nothing(tmp_path: Path, machine: Path) -> None:
    maker = shutil.which("mmdebstrap") or pytest.skip("no mmdebstrap")
    tree = tmp_path / "tree"
    argv = [maker, "--variant=essential", "--quiet", "bullseye", str(tree)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        pytest.skip(f"Debian's archive is out of reach: {done.stderr.strip()[-200:]}")
    assert not list(tree.glob("usr/bin/python3*"))
    shutil.copy(FILE, tree / "usr/sbin/migprep")
    shutil.copy(machine, tree / "machine.tar.gz")
    told = isolated(
        f"mount -t tmpfs -o noexec tmpfs {tree}/tmp; mount -t proc proc {tree}/proc\n"
        f"chroot {tree} env -i /usr/sbin/migprep check --root /machine.tar.gz --format json"
    )
    assert verdicts(told.stdout) == verdicts(run("check", "--root", str(machine), "--format", "json").stdout)


def verdicts(text: str) -> Any:
    """What a report says, without when and by what."""
    report = json.loads(text)
    return {key: report[key] for key in ("targets", "results", "inventory")}


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_it_says_what_the_installed_one_says(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = str(tmp_path / "capture.tar.gz")
    capture.write(where, on_disk(tmp_path / "tree", _files(path)))
    words = ["check", "--root", where, "--format", "json"]
    code = cli.main(words)
    told = run(*words)
    assert (told.returncode, verdicts(told.stdout)) == (code, verdicts(capsys.readouterr().out))


@as_root
def test_fix_and_rollback_of_a_tree(tmp_path: Path) -> None:
    """Templates are rendered from inside the file, and every byte comes back."""
    files = {path: text for path, text in _files(CHECKOUT / "tests/old/debian-7.yaml").items() if "/initramfs" not in path}
    tree = tmp_path / "tree"
    before = snapshot(on_disk(tree, files))
    told = run("fix", "--root", str(tree), "--only", "fstab/volatile-device-name", "--apply", "--yes")
    assert told.returncode == 0, told.stderr
    assert "UUID=00000003" in (tree / "etc/fstab").read_text()
    assert run("rollback", "--root", str(tree)).returncode == 0
    assert snapshot(Tree(str(tree))) == before
