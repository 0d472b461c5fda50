"""Every network file that a fix writes is accepted by the very tool that will read it, in a Debian tree of its own.

The tree is made once, from a Debian archive, where MIGPREP_ARCHIVE is set; it needs root. Nothing leaves its
namespaces: no interface of this machine is touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
LAB = Path(os.environ.get("MIGPREP_LAB", "/var/cache/migprep-lab"))
TREE = LAB / "tools" / "network-bookworm"
PACKAGES = "netplan.io,ifupdown,network-manager,udev,iproute2,isc-dhcp-client"
MAKE = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "--aptopt=Acquire::Languages none", "bookworm"]
COMPLAINTS = ("unknown", "invalid", "failed", "ignoring", "bad ", "error", "missing")
LINK = "udevadm test-builtin net_setup_link /sys/class/net/lo"
RULE = "udevadm test /sys/class/net/lo"
NETWORKD = "mkdir -p /run/systemd/netif; timeout 5 /lib/systemd/systemd-networkd"
MANAGER = "nmcli --offline connection modify connection.id x < '{}'"
IFUPDOWN = "ifup --no-act --force --all"
NETPLAN = "netplan generate && cat /run/systemd/network/*"

# Everything is mounted and every process ends in namespaces of its own; the tree itself is never written to.
RUN = """
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"; mount -t sysfs sysfs "$1/root/sys"; mount -t tmpfs tmpfs "$1/root/run"
cp -a "$3/." "$1/root/"
exec chroot "$1/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console sh -c "$4"
"""


def written():
    """(id, {path: content}) of each network case: the machine's files as they are after the fix."""
    for path in sorted((HERE / "rules").glob("network-*.yaml")):
        document = yaml.safe_load(path.read_text())
        for case in document["cases"]:
            files = {name: text for name, text in (case.get("after") or {}).items() if isinstance(text, str)}
            if files:
                yield pytest.param(files, id=f"{document['rule']}: {case['name']}")


@pytest.fixture(scope="module")
def tree() -> Path:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not TREE.is_dir():
        if not os.environ.get("MIGPREP_ARCHIVE") or not shutil.which("mmdebstrap"):
            pytest.skip(f"needs {TREE}, made with mmdebstrap from a Debian archive where MIGPREP_ARCHIVE is set")
        half = TREE.with_suffix(".half")
        half.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(half, ignore_errors=True)
        subprocess.run([*MAKE, str(half)], check=True, capture_output=True, timeout=1800)
        half.rename(TREE)
    return TREE


def asked(tree: Path, folder: Path, files: dict[str, str], command: str) -> tuple[int, str]:
    """The exit code and the words of `command` in the tree with `files`."""
    own, mount = folder / "files", folder / "mount"
    mount.mkdir()
    for path, text in files.items():
        target = own / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
        target.chmod(0o644 if "/systemd/" in path else 0o600)
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-euc", RUN]
    done = subprocess.run(
        [*argv, "sh", str(mount), str(tree), str(own), command], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def complaints(words: str, path: str) -> list[str]:
    """Lines about one file that are no praise."""
    name = path.rpartition("/")[2]
    return [line for line in words.splitlines() if name in line and any(one in line.lower() for one in COMPLAINTS)]


@pytest.mark.archive
@pytest.mark.parametrize("files", list(written()))
def test_its_own_tool_accepts_what_a_fix_writes(tree: Path, tmp_path: Path, files: dict[str, str]) -> None:
    for number, (path, text) in enumerate(files.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        if path.startswith("/etc/network/"):
            code, words = asked(tree, folder, files, IFUPDOWN)
            assert code == 0, words
            if "inet dhcp" in text:
                assert "dhclient" in words, words
        elif path.startswith("/etc/netplan/"):
            code, words = asked(tree, folder, files, NETPLAN)
            assert code == 0 and "DHCP=ipv4" in words, words
        elif path.startswith("/etc/NetworkManager/"):
            code, words = asked(tree, folder, files, MANAGER.format(path))
            assert code == 0 and "method=auto" in words, words
        elif path.endswith(".link"):
            code, words = asked(tree, folder, files, LINK)
            assert "Parsed configuration file" in words and path in words, words
            assert not complaints(words, path)
        elif path.endswith(".rules"):
            code, words = asked(tree, folder, files, RULE)
            assert f"Reading rules file: {path}" in words, words
            assert not complaints(words, path)
        elif path.endswith(".network"):
            code, words = asked(tree, folder, files, NETWORKD)
            assert code == 124 and not complaints(words, path), words  # it says nothing of a file that it likes
        elif "/sysconfig/" in path:
            code, words = asked(tree, folder, files, f". '{path}'; echo \"BOOTPROTO=$BOOTPROTO\"")
            assert code == 0 and "BOOTPROTO=dhcp" in words, words
        elif path.startswith("/etc/dracut.conf.d/"):  # bash reads it, as dracut does
            code, words = asked(tree, folder, files, f"bash -euc '. {path}; echo \"$install_items\"'")
            assert code == 0 and "/etc/systemd/network/" in words, words
        else:
            assert path.startswith("/etc/cloud/") and yaml.safe_load(text), f"no tool is known that reads {path}"


@pytest.mark.archive
@pytest.mark.parametrize(
    ("path", "text", "command"),
    [
        ("/etc/network/interfaces", "auto ens3\niface ens3 inet nonsense\n", IFUPDOWN),
        ("/etc/netplan/a.yaml", "network: {ethernets: {ens3: {dhcp4: perhaps}}}\n", NETPLAN),
        ("/etc/a", "[connection]\ntype=ethernet\n[ipv4]\nmethod=nonsense\n", MANAGER.format("/etc/a")),
        ("/etc/systemd/network/a.link", "[Match]\nOriginalName=*\n[Link]\nNonsense=1\n", LINK),
        ("/etc/systemd/network/a.network", "[Match]\nName=e*\n[Network]\nNonsense=1\n", NETWORKD),
        ("/etc/udev/rules.d/70-a.rules", 'SUBSYSTEM=="net", NONSENSE=="1", NAME="x"\n', RULE),
    ],
)
def test_its_own_tool_refuses_nonsense(tree: Path, tmp_path: Path, path: str, text: str, command: str) -> None:
    code, words = asked(tree, tmp_path, {path: text}, command)
    assert code not in (0, 124) or complaints(words, path), words
