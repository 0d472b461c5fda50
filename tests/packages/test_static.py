"""migprep-static: the one file as a package, by the tools of three distributions, in roots that have nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.packages.trees import build, inside, need, plain
from tests.test_mend_machines import on_disk
from tests.test_old_machines import machine

from migprep import capture

pytestmark = pytest.mark.archive
#: The package tools of 2009 know no more than these (rpm 4.4).
KNOWN = {"rpmlib(CompressedFileNames) <= 3.0.4-1", "rpmlib(PayloadFilesHavePrefix) <= 4.0-1"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages; compiling takes minutes, so only where it was done before."""
    need("git", "rpmbuild", "dpkg-deb", "objcopy")
    cache = Path(os.environ.get("MIGPREP_ONEFILE") or Path.home() / ".cache/migprep-onefile")
    if not any(cache.glob("stub-*")):
        pytest.skip("the one file was never built here: python3 packaging/onefile/build.py")
    return build(tmp_path_factory.mktemp("dist"), "static")


def told(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300).stdout


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_the_rpm_asks_nothing_that_old_tools_do_not_know(built: Path) -> None:
    rpm = one(built, "*.rpm")
    assert set(told("rpm", "-qp", "--requires", rpm).strip().split("\n")) == KNOWN
    assert told("rpm", "-qp", "--qf", "%{PAYLOADCOMPRESSOR} %{PAYLOADFORMAT}", rpm) == "gzip cpio"
    assert "NOT OK" not in told("rpm", "-Kv", rpm)


def test_rpm_installs_verifies_and_removes_it(built: Path, tmp_path: Path) -> None:
    words = ["rpm", "--root", str(tmp_path), "--dbpath", "/var/lib/rpm"]
    told(*words, "-i", one(built, "*.rpm"))
    assert told(*words, "-V", "migprep-static") == ""
    assert re.match(r"migprep \S+ \(one file", told(tmp_path / "usr/bin/migprep", "--version"))
    told(*words, "-e", "migprep-static")
    assert not (tmp_path / "usr/bin/migprep").exists()


def test_dnf_installs_it_into_an_empty_root(built: Path, tmp_path: Path) -> None:
    if not shutil.which("dnf"):
        pytest.skip("needs dnf")
    root = tmp_path / "root"
    words = ["--disablerepo=*", "--setopt=reposdir=/nonexistent", "--releasever=9", f"--setopt=cachedir={tmp_path}/cache"]
    told("dnf", "-q", "-y", f"--installroot={root}", *words, "install", one(built, "*.rpm"))
    assert told(root / "usr/bin/migprep", "--help").startswith("usage: migprep")


@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_dpkg_installs_runs_verifies_and_purges_it(built: Path, suite: str, tmp_path: Path) -> None:
    deb = one(built, "*.deb")
    capture.write(str(tmp_path / "old.tar.gz"), on_disk(tmp_path / "old", machine("rhel-6")._files))
    assert re.search(r"control\.tar\.gz\s+data\.tar\.gz", told("ar", "t", deb))
    done = inside(
        plain(suite),
        f'cp {deb} "$T/tmp/x.deb"; cp {tmp_path}/old.tar.gz "$T/tmp"\n'
        'chroot "$T" sh -c "! command -v python3"\n'
        'chroot "$T" dpkg -i /tmp/x.deb\nchroot "$T" dpkg -V migprep-static\n'
        'set +e; chroot "$T" migprep check --root /tmp/old.tar.gz; echo "code $?"; set -e\n'
        'chroot "$T" dpkg -P migprep-static; test ! -e "$T/usr/bin/migprep" -a ! -e "$T/etc/cron.d/migprep" && echo gone\n',
        tmp_path,
    )
    assert "kvm: NOT READY" in done and "code 2\n" in done and done.rstrip().endswith("gone"), done
