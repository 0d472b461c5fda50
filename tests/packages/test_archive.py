"""The packages in fresh trees: installed, run, upgraded, removed and purged by the distributions' own tools."""

from __future__ import annotations

import filecmp
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.packages.trees import SUITES, TOP, build, inside, need, plain
from tests.test_mend_machines import files, on_disk

LIBRARIES = ("python3", "python3-distro", "python3-jinja2", "python3-netifaces", "python3-psutil", "python3-pyudev", "python3-yaml")  # fmt: skip
pytestmark = pytest.mark.archive


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("git", "dpkg-buildpackage", "dh_python3", "rpmbuild")
    return build(tmp_path_factory.mktemp("dist"), "deb", "rpm", "zipapp")


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def machine(work: Path) -> Path:
    """A machine whose fstab names a disk that will be called otherwise."""
    kept = {path: value for path, value in files(["sda"]).items() if not path.startswith("/proc/")}
    on_disk(work / "machine", {**kept, "/etc/fstab": b"/dev/sda3 /srv/data ext4 defaults 0 2\n"})
    return work / "machine"


def newer(deb: Path, work: Path) -> Path:
    """The same package under a higher version."""
    shutil.rmtree(work / "newer", ignore_errors=True)
    subprocess.run(["dpkg-deb", "--raw-extract", deb, work / "newer"], check=True)
    control = work / "newer/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99", control.read_text()))
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", work / "newer", work / "newer.deb"], check=True, stdout=subprocess.DEVNULL)
    return work / "newer.deb"


#: Machine files are laid over the tree itself, so that what is judged, mended and rolled back is "this machine".
LIVE = """\
cp -a "$MACHINE/." "$T/"
rm -rf "$T/usr/sbin/update-initramfs"; printf '#!/bin/sh\\n' > "$T/usr/sbin/update-initramfs"; chmod 755 "$T/usr/sbin/update-initramfs"
say() { echo "== $*"; }
code() { set +e; "$@"; c=$?; set -e; echo "code $c"; }
"""

DEB = """\
mkdir "$T/tmp/x"; cp "$OLD" "$T/tmp/x/old.deb"; cp "$NEW" "$T/tmp/x/new.deb"
online
chroot "$T" apt-get -q update
say install
chroot "$T" apt-get -qy --no-install-recommends install /tmp/x/old.deb
offline
say run
chroot "$T" migprep --version
code chroot "$T" migprep check --root / --format json >"$T/tmp/report.json"; tail -1 "$T/tmp/report.json"
code chroot "$T" migprep explain fstab/volatile-device-name
cp "$T/etc/fstab" "$W/fstab"
code chroot "$T" migprep fix --root / --only fstab/volatile-device-name --apply --yes
grep data "$T/etc/fstab"
say upgrade
echo '# mine' >> "$T/etc/cron.d/migprep"
chroot "$T" dpkg --force-confold -i /tmp/x/new.deb
chroot "$T" dpkg -s migprep | grep ^Version
grep mine "$T/etc/cron.d/migprep"
chroot "$T" migprep history --root /
say remove
chroot "$T" dpkg --remove migprep
ls "$T/usr/share/migprep" 2>&1 || true
ls "$T/var/lib/migprep/transactions"
say again
chroot "$T" dpkg -i /tmp/x/new.deb
code chroot "$T" migprep rollback --root /
cmp "$T/etc/fstab" "$W/fstab" && echo same
say cut
code chroot "$T" migprep fix --root / --only fstab/volatile-device-name --apply --yes
sed -i '$d' "$(ls -d "$T"/var/lib/migprep/transactions/* | tail -n 1)/journal.ndjson"
chroot "$T" dpkg --purge migprep
ls "$T/var/lib/migprep"
say purge
chroot "$T" dpkg -i /tmp/x/new.deb
code chroot "$T" migprep rollback --root /
chroot "$T" dpkg --purge migprep
find "$T" -xdev -path "$T/proc" -prune -o -path "$T/tmp" -prune -o -name '*migprep*' -print | sed "s,^$T,,"
say end
"""


RPM = """\
say install
rpm --root "$T" --initdb
rpm --root "$T" --nodeps --install "$OLD"
rpm --root "$T" --verify --nodeps migprep && echo verified
find "$T/usr/share/migprep" -name '*.pyc' | grep -c .
say run
chroot "$T" migprep --version
code chroot "$T" migprep fix --root / --only fstab/volatile-device-name --apply --yes
say upgrade
rpm --root "$T" --nodeps --upgrade "$NEW"
rpm --root "$T" -q migprep
chroot "$T" migprep history --root /
say erase
rpm --root "$T" --erase --nodeps migprep
ls "$T/usr/share/migprep" 2>&1 || true
ls "$T/var/lib/migprep/transactions"
find "$T" -xdev -name '*migprep*' -not -path "$T/tmp/*" | sed "s,^$T,," | sort
say end
"""


def test_the_rpm_lives_and_dies_well(built: Path, tmp_path: Path) -> None:
    rpm = one(built, "*.rpm")
    source = clone(tmp_path / "source")
    version = source / "agent/migprep/__init__.py"
    version.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99"', version.read_text()))
    later = one(build(tmp_path / "later", "rpm", source=source), "*.rpm")
    given = f'MACHINE="{machine(tmp_path)}" OLD="{rpm}" NEW="{later}"\n'
    told = inside(plain("bookworm", *LIBRARIES), given + LIVE + RPM, tmp_path)
    print(told)
    found = parts(told)
    assert "verified" in found["install"]
    assert int(found["install"].split()[-1]) > 50, "compiled by the Python that is there"
    assert "migprep 0." in found["run"] and "code 0" in found["run"]
    assert "migprep-99-1" in found["upgrade"] and "applied" in found["upgrade"]
    assert "No such file" in found["erase"]
    assert re.search(r"(?m)^\d{8}", found["erase"]), "what can be rolled back outlives the package"
    assert [line for line in found["erase"].split("\n") if line.startswith("/")] == ["/var/lib/migprep"]


def test_rpmlint_and_lintian_find_nothing(built: Path) -> None:
    need("rpmlint", "lintian")
    done = subprocess.run(
        ["rpmlint", "-c", TOP / "packaging/rpm/rpmlint.toml", one(built, "*.rpm"), TOP / "packaging/rpm/migprep.spec"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert "0 errors, 0 warnings" in done.stdout, done.stdout
    done = subprocess.run(
        ["lintian", "--allow-root", "--display-info", "--fail-on", "error,warning,info", one(built, "*.deb")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr


ZIPAPP = """\
cp "$PYZ" "$T/tmp/migprep.pyz"
online; chroot "$T" apt-get -q update; chroot "$T" apt-get -qy --no-install-recommends install python3; offline
m="chroot $T python3 -I /tmp/migprep.pyz"
say python
chroot "$T" python3 --version
say run
$m --version
code $m check --root / --output /tmp/report
code $m explain fstab/volatile-device-name
code $m fix --root / --only fstab/volatile-device-name --apply --yes
grep UUID "$T/etc/fstab"
code $m rollback --root /
grep sda3 "$T/etc/fstab"
code $m check --target nowhere
say live
mount -t sysfs -o ro sysfs "$T/sys"
code $m check
say gaps
$m check --format json || true
say end
"""
PYTHONS = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}


@pytest.mark.parametrize("suite", SUITES)
def test_the_zipapp_runs_where_only_python_is(suite: str, built: Path, tmp_path: Path) -> None:
    given = f'MACHINE="{machine(tmp_path)}" PYZ="{one(built, "*.pyz")}"\n'
    told = inside(plain(suite), given + LIVE + ZIPAPP, tmp_path)
    print(told)
    found = parts(told)
    assert re.findall(r"code (\d+)", found["run"]) == ["2", "0", "0", "0", "64"]
    assert "UUID=11111111" in found["run"] and "is undone" in found["run"]
    assert "psutil is not installed" in found["live"]
    assert re.findall(r"code (\d+)", found["live"])[0] in ("2", "3"), "what cannot be seen is never a pass"
    assert found["python"].startswith(f"Python {PYTHONS[suite]}.")
    gaps = {gap["fact"]: gap["reason"] for gap in json.loads(found["gaps"])["run"]["gaps"]}
    assert {fact for fact, reason in gaps.items() if "is not installed" in reason} == {"addresses"}


def clone(folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", TOP, folder], check=True)
    return folder


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    need("git", "dpkg-buildpackage", "dh_python3", "rpmbuild")
    kinds = ["wheel", "sdist", "deb", "rpm", "zipapp", "collection"]
    first = build(tmp_path / "first", *kinds, source=clone(tmp_path / "a"))
    second = build(tmp_path / "second", *kinds, source=clone(tmp_path / "another/folder"))
    names = sorted(path.name for path in first.iterdir())
    assert len(names) == len(kinds)
    assert filecmp.cmpfiles(first, second, names, shallow=False) == (names, [], [])


def parts(told: str) -> dict[str, str]:
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in re.split(r"(?m)^== ", told)}


@pytest.mark.parametrize("suite", SUITES)
def test_the_deb_lives_and_dies_well(suite: str, built: Path, tmp_path: Path) -> None:
    deb = one(built, "*.deb")
    given = f'MACHINE="{machine(tmp_path)}" OLD="{deb}" NEW="{newer(deb, tmp_path)}"\n'
    told = inside(plain(suite), given + LIVE + DEB, tmp_path)
    print(told)
    found = parts(told)
    assert "migprep 0." in found["run"]
    assert "code 2" in found["run"], "the blocker is seen"
    assert "UUID=11111111" in found["run"], "and mended"
    assert "Version: 99" in found["upgrade"] and "# mine" in found["upgrade"] and "applied" in found["upgrade"]
    assert "No such file" in found["remove"], "no compiled file is left behind"
    assert re.search(r"(?m)^\d{8}", found["remove"]), "what can be rolled back outlives the package"
    assert "code 0" in found["again"] and "same" in found["again"]
    assert "transactions" in found["cut"] and "a fix was interrupted" in found["cut"]
    assert "/migprep" not in found["purge"].rpartition("Purging")[2], found["purge"]
    assert "Traceback" not in told
