"""The Ansible collection: built, read by Ansible's own tools, and run over ssh on a fleet in network namespaces."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.packages.test_archive import LIBRARIES, one
from tests.packages.trees import TOP, build, need, plain
from tests.test_mend_machines import files, on_disk
from tests.vm import tree

HERE = Path(__file__).parent
UUID = "UUID=11111111-aaaa-4aaa-8aaa-00000000000"
FIT = f"{UUID}1 / ext4 errors=remount-ro 0 1\n{UUID}3 /srv/data ext4 defaults 0 2\n"
UNFIT = "/dev/sda1 / ext4 errors=remount-ro 0 1\n/dev/sda3 /srv/data ext4 defaults 0 2\n"
DISK = "/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"
#: How each host gets migprep and is had checked daily: by a package or the one file, by systemd or by cron. db1 names disks by
#: their kernel's names; gone1 answers nobody.
HOSTS = {"web1": 11, "db1": 12, "old1": 13, "new1": 14, "rpm1": 15, "gone1": 16}
CHECKED = HOSTS.keys() - {"gone1"}
#: A host that takes its software from a repository with dnf; Debian has dnf, and the packages' own files already.
REPOSITORY = {
    "/etc/os-release": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="Rocky Linux 9.4"\n',
    "/etc/redhat-release": "Rocky Linux release 9.4 (Blue Onyx)\n",
    "/etc/yum.repos.d/local.repo": "[local]\nname=local\nbaseurl=file:///srv/repository\ngpgcheck=0\n",
}
NEEDED = ("distro", "jinja2", "netifaces", "psutil", "pyudev", "pyyaml")
SPEC = (
    "Name: python3\nVersion: 3.11\nRelease: 1\nSummary: Stands for it\nLicense: MIT\nBuildArch: noarch\n"
    "Provides: /usr/bin/python3 /bin/sh\n%description\nNone.\n%files\n"
    + "".join(
        f"%package -n python3-{name}\nSummary: Stands for it\n%description -n python3-{name}\nNone.\n%files -n python3-{name}\n"
        for name in NEEDED
    )
)


def test_the_collection_is_as_the_project_says(tmp_path: Path) -> None:
    """One version, one licence, and nothing of it is out of its folder."""
    if not shutil.which("git"):
        pytest.skip("needs git")
    import tarfile

    import migprep

    (path,) = build(tmp_path, "collection").iterdir()
    with tarfile.open(path) as archive:
        members = {one.name: one for one in archive}
        about = json.load(archive.extractfile("MANIFEST.json"))["collection_info"]  # type: ignore[arg-type]
        unit = archive.extractfile("roles/migprep/files/migprep-check.service").read()  # type: ignore[union-attr]
    assert about["version"] == migprep.__version__
    assert about["version"] == yaml.safe_load((TOP / "packaging/ansible/galaxy.yml").read_text())["version"]
    assert unit == (TOP / "packaging/systemd/migprep-check.service").read_bytes()
    assert {one.type for one in members.values()} == {b"0", b"5"}, "files and folders, no links"
    specs = yaml.safe_load((TOP / "packaging/ansible/roles/migprep/meta/argument_specs.yml").read_text())
    defaults = yaml.safe_load((TOP / "packaging/ansible/roles/migprep/defaults/main.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    assert {name: one["default"] for name, one in options.items()} == defaults


def ansible(name: str) -> str:
    """A program of ansible-core, beside this Python or in the PATH; skips the test where there is none."""
    found = shutil.which(name, path=f"{os.environ.get('MIGPREP_ANSIBLE', '')}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    if not found:
        pytest.skip("needs ansible-core (pip install ansible-core; MIGPREP_ANSIBLE names the folder of its programs)")
    return found


PLAYS = {
    "gather": """
- hosts: all
  gather_facts: false
  roles:
  - role: migprep.migprep.migprep
    vars: {migprep_deb: DEB, migprep_rpm: RPM, migprep_onefile: ONEFILE, migprep_targets: [kvm, aws], migprep_reports: WORK/reports}
""",
    "fix": """
- hosts: db1
  gather_facts: false
  tasks:
  - migprep.migprep.migprep_fix: {only: [fstab/volatile-device-name]}
    register: told
  - {copy: {content: "{{ told | to_json }}", dest: WORK/fix.json}, delegate_to: localhost, check_mode: false, diff: false, changed_when: false}
""",
    "rollback": """
- hosts: db1
  gather_facts: false
  tasks:
  - migprep.migprep.migprep_rollback:
      transaction: "{{ (lookup('file', 'WORK/applied.json') | from_json).transaction }}"
""",
    "refuse": """
- hosts: db1
  gather_facts: false
  tasks:
  - migprep.migprep.migprep_check: {fail_on: blocker}
""",
    "mistaken": """
- hosts: old1
  gather_facts: false
  tasks:
  - migprep.migprep.migprep_check: {targets: [nowhere]}
""",
}  # fmt: skip

SCRIPT = """\
say() { echo "== $*"; }
play() { set +e; "$PLAYBOOK" -i "$WORK/hosts" "$@" 2>&1; echo "code $?"; set -e; }
on() { ssh -F "$WORK/ssh_config" "192.0.2.$1" "$2" 2>&1 || echo "code $?"; }
fstab="$WORK/db1/upper/etc/fstab"
host web1 11 "$PACKAGED" "$WORK/fit" alone
host db1 12 "$PACKAGED" "$WORK/unfit" systemd
host old1 13 "$BARE" "$WORK/fit" alone
host new1 14 "$BARE" "$WORK/fit" systemd
host rpm1 15 "$PACKAGED" "$WORK/rpm" systemd
wired gone1 16
say gather
play "$WORK/gather.yml"
ls "$WORK/web1/upper/usr/bin/migprep" "$WORK/db1/upper/usr/bin/migprep" "$WORK/old1/upper/usr/local/bin/migprep"
grep -c /usr/local/bin/migprep "$WORK/old1/upper/etc/cron.d/migprep"
for host in 12 14 15; do
    say timer $host
    on $host 'systemctl is-enabled migprep-check.timer; systemctl is-active migprep-check.timer; systemctl show --value \
        --property NextElapseUSecRealtime migprep-check.timer; systemctl cat migprep-check.service | grep ^ExecStart='
done
say dnf
on 15 'dnf --quiet --disablerepo=* list --installed'
say again
play "$WORK/gather.yml"
say plan
cp "$fstab" "$WORK/fstab"
play "$WORK/fix.yml" --check --diff
cmp "$fstab" "$WORK/fstab" && echo untouched
cp "$WORK/fix.json" "$WORK/planned.json"
say fix
play "$WORK/fix.yml"
cp "$WORK/fix.json" "$WORK/applied.json"
cat "$fstab"
say fixed
play "$WORK/fix.yml"
say unplan
play "$WORK/rollback.yml" --check --diff
cmp "$fstab" "$WORK/fstab" || echo untouched
say rollback
play "$WORK/rollback.yml"
cmp "$fstab" "$WORK/fstab" && echo restored
say undone
play "$WORK/rollback.yml"
say refuse
play "$WORK/refuse.yml"
say mistaken
play "$WORK/mistaken.yml"
say fleet
"$PYTHON" -m migprep fleet "$WORK/reports" --expect "$WORK/names"
say end
"""


def machine() -> dict[str, Any]:
    """One disk and one card, with what libudev asks of a /sys besides: devices below /sys/devices, each in a subsystem."""
    found: dict[str, Any] = {}
    for path, value in files(["debian", "sda", "boot-grub", "net-eth0"]).items():
        if not path.startswith(("/proc/", "/usr/lib/x86_64")):
            found[path.replace("/sys/class/block/sda/", f"{DISK}/")] = value
    for name in ("", "/sda1", "/sda2", "/sda3"):
        found[f"{DISK}{name}/subsystem"] = "/sys/class/block"
    return {**found, "/sys/class/block/sda": f"../../{DISK.partition('/sys/')[2]}"}


def prepare(work: Path, built: Path, collections: Path) -> dict[str, str]:
    """Keys, machines, plays and settings in `work`; returns what the script is given."""
    for name, fstab, more in (("fit", FIT, {}), ("unfit", UNFIT, {}), ("rpm", FIT, REPOSITORY)):
        on_disk(work / name, {**machine(), **{path: words.encode() for path, words in more.items()}, "/etc/fstab": fstab.encode()})
        (work / name / "usr/sbin/update-initramfs").chmod(0o755)
    for name in ("key", "hostkey"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", work / name], check=True)
    public = (work / "hostkey.pub").read_text().rpartition(" ")[0]
    (work / "known").write_text(f"192.0.2.* {public}\n")
    (work / "ssh_config").write_text(
        f"IdentityFile {work}/key\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {work}/known\nStrictHostKeyChecking yes\n"
        "User root\nBatchMode yes\nConnectTimeout 5\n"
    )  # fmt: skip
    (work / "machine.sh").write_text((HERE / "machine.sh").read_text().replace("DEVICES\n", tree.DEVICES))
    (work / "hosts").write_text("".join(f"{name} ansible_host=192.0.2.{number}\n" for name, number in HOSTS.items()))
    (work / "ansible.cfg").write_text("[defaults]\n")
    (work / "names").write_text("\n".join(HOSTS))
    repository(work)
    given = {"WORK": work, "DEB": one(built, "*.deb"), "RPM": one(built, "*.rpm"), "ONEFILE": one(built, "*-x86_64") if any(built.glob("*-x86_64")) else one(built, "*.pyz")}
    for name, play in PLAYS.items():
        for word, path in given.items():
            play = play.replace(word, str(path))
        (work / f"{name}.yml").write_text(play)
    settings = {
        "ANSIBLE_HOME": work / "ansible", "ANSIBLE_COLLECTIONS_PATH": collections, "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SSH_COMMON_ARGS": f"-F {work}/ssh_config", "ANSIBLE_SSH_CONTROL_PATH_DIR": "/run/ssh", "ANSIBLE_CONFIG": work / "ansible.cfg",
        "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_PIPELINING": "1", "ANSIBLE_INTERPRETER_PYTHON": "auto_silent",
    }  # fmt: skip
    more = {
        "WORK": work, "PLAYBOOK": ansible("ansible-playbook"), "PYTHON": sys.executable, "PYTHONPATH": TOP / "agent",
        "BARE": plain("bookworm", "cron", "openssh-server", "python3", "systemd"),
        "PACKAGED": plain("bookworm", "cron", "dnf", "openssh-server", "python3-apt", "systemd", *LIBRARIES),
    }  # fmt: skip
    return {name: str(value) for name, value in {**settings, **more}.items()}


def repository(work: Path) -> None:
    """Packages that hold nothing, for what Debian's packages put on the host already, with the index that dnf reads."""
    (work / "stubs.spec").write_text(SPEC)
    top, place = work / "stubs", work / "rpm/srv/repository"
    subprocess.run(["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {top}", work / "stubs.spec"], check=True)
    shutil.copytree(top / "RPMS", place)
    subprocess.run(["createrepo_c", "--quiet", place], check=True)


def parts(told: str) -> dict[str, str]:
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in re.split(r"(?m)^== ", told)}


def recap(told: str) -> dict[str, dict[str, int]]:
    """The last table of a play: host -> {ok, changed, unreachable, failed, ...}."""
    lines = re.findall(r"(?m)^(\S+) +: (ok=.*)$", told)
    return {host: {one.partition("=")[0]: int(one.partition("=")[2]) for one in words.split()} for host, words in lines}


def loaded(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.archive
def test_a_fleet_over_ssh(tmp_path: Path) -> None:
    need("git", "ssh", "ssh-keygen", "ip", "losetup", "unshare", "dpkg-buildpackage", "dh_python3", "objcopy", "rpmbuild", "createrepo_c")
    ansible("ansible-playbook")
    if "cgroup2" not in Path("/proc/filesystems").read_text() or not Path("/dev/loop-control").exists():
        pytest.skip("needs a kernel with cgroup2 and loop devices")
    cache = Path(os.environ.get("MIGPREP_ONEFILE") or Path.home() / ".cache/migprep-onefile")
    # Where the one file was never built, which takes minutes, the zipapp is one that needs the host's Python.
    alone = "onefile" if any(cache.glob("stub-*")) else "zipapp"
    built = build(tmp_path / "dist", "deb", "rpm", alone, "collection")
    (archive,) = built.glob("*.tar.gz")
    galaxy = [ansible("ansible-galaxy"), "collection"]
    words: list[str | Path]
    for words in (["install", "-p", tmp_path, archive], ["verify", "--offline", "-p", tmp_path, "migprep.migprep"]):
        subprocess.run([*galaxy, *words], check=True, env={**os.environ, "ANSIBLE_HOME": str(tmp_path / "ansible")})
    work = tmp_path / "work"
    work.mkdir()
    given = prepare(work, built, tmp_path)
    (work / "script.sh").write_text((HERE / "hosts.sh").read_text() + SCRIPT)
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-eu"]
    done = subprocess.run(
        [*argv, work / "script.sh"], env={"PATH": os.environ["PATH"], **given}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0
    found = parts(done.stdout)

    first, again = recap(found["gather"]), recap(found["again"])
    assert first["gone1"]["unreachable"] == 1 and not first["gone1"]["changed"]
    for host in CHECKED:
        assert first[host]["changed"] and not first[host]["failed"] and not first[host]["unreachable"]
        assert not again[host]["failed"] and again[host]["changed"] <= 1, "nothing but the new report"
    reports = {path.stem: loaded(path) for path in (work / "reports").iterdir()}
    assert set(reports) == CHECKED
    assert all(report["host"]["name"] == name for name, report in reports.items())
    verdicts = {name: {one["name"]: one["verdict"] for one in report["targets"]} for name, report in reports.items()}
    ready, unfit = ({target: word for target in ("kvm", "aws")} for word in ("ready", "not_ready"))
    assert verdicts == {**dict.fromkeys(CHECKED, ready), "db1": unfit}
    wrong = {one["rule"] for one in reports["db1"]["results"] if one["status"] == "fail" and one["severity"] == "blocker"}
    assert wrong == {"fstab/volatile-device-name"}

    for host, path in (("12", "/usr/bin/migprep"), ("14", "/usr/local/bin/migprep"), ("15", "/usr/bin/migprep")):
        timer = found[f"timer {host}"]
        assert timer.split()[:2] == ["enabled", "active"] and f"ExecStart={path} check --cron" in timer
        assert re.search(r"(?m)^\w{3} \d{4}-\d\d-\d\d", timer), "when it will run next"
    assert {"migprep.noarch", *(f"python3-{name}.noarch" for name in NEEDED)} <= set(found["dnf"].split())

    assert "-/dev/sda3 /srv/data" in found["plan"] and f"+{UUID}3 /srv/data" in found["plan"] and "untouched" in found["plan"]
    planned, applied = loaded(work / "planned.json"), loaded(work / "applied.json")
    assert planned["changed"] and applied["changed"] and not planned["transaction"] and applied["transaction"]
    assert planned["changes"] == applied["changes"] and [one["path"] for one in applied["changes"]] == ["/etc/fstab"]
    assert recap(found["fix"])["db1"]["changed"] == 1 and f"{UUID}3 /srv/data" in found["fix"]
    assert recap(found["fixed"])["db1"]["changed"] == 0
    assert recap(found["unplan"])["db1"]["changed"] == 1 and "/etc/fstab" in found["unplan"] and "untouched" in found["unplan"]
    assert recap(found["rollback"])["db1"]["changed"] == 1 and "restored" in found["rollback"]
    assert recap(found["undone"])["db1"]["changed"] == 0

    assert recap(found["refuse"])["db1"]["failed"] == 1 and "kvm: not ready (fail_on: blocker)" in found["refuse"]
    assert recap(found["mistaken"])["old1"]["failed"] == 1 and "nowhere" in found["mistaken"]
    assert re.search(r"SILENT \(1\)", found["fleet"]) and "gone1" in found["fleet"].partition("SILENT")[2]
