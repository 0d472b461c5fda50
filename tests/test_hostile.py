"""Bad input: no traceback, no hang, no flood of memory, and never a pass for what could not be read."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Callable

import pytest

from migprep import cli, inspection

#: Seconds after which a run counts as hanging.
PATIENCE = 100
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "etc/hostname": "web1\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/fstab": "/dev/sda1 / ext4 errors=remount-ro 0 1\n/dev/sdb1 /data ext4 defaults 0 2\n",
    "etc/crypttab": "data /dev/sdb1 none luks\n",
    "etc/default/grub": 'GRUB_CMDLINE_LINUX="quiet"\n',
    "etc/lvm/lvm.conf": "devices {\n}\n",
    "etc/mdadm/mdadm.conf": "ARRAY /dev/md0 UUID=0:0:0:0\n",
    "etc/multipath.conf": "defaults {\n}\n",
    "etc/network/interfaces": "auto eth0\niface eth0 inet static\n\taddress 192.0.2.1/24\n",
    "etc/netplan/50.yaml": "network: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n",
    "etc/NetworkManager/system-connections/a.nmconnection": "[connection]\nid=a\ninterface-name=eth0\n",
    "etc/systemd/network/10.network": "[Match]\nName=eth0\n",
    "etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\n",
    "etc/udev/rules.d/70-persistent-net.rules": 'SUBSYSTEM=="net", ATTR{address}=="52:54:00:12:34:56", NAME="eth0"\n',
    "etc/modprobe.d/a.conf": "blacklist virtio_blk\n",
    "etc/initramfs-tools/conf.d/resume": "RESUME=/dev/sda2\n",
    "etc/initramfs-tools/modules": "virtio_blk\n",
    "etc/resolv.conf": "nameserver 192.0.2.53\n",
    "etc/X11/xorg.conf": 'Section "Device"\nDriver "nvidia"\nEndSection\n',
    "etc/rc.local": "hdparm -S 0 /dev/sda\n",
    "boot/grub/grub.cfg": "menuentry 'Debian' {\n linux /vmlinuz-6.1.0 root=/dev/sda1 ro\n initrd /initrd.img-6.1.0\n}\n",
    "boot/initrd.img-6.1.0": "no image at all\n",
    "boot/vmlinuz-6.1.0": "MZ\n",
    "boot/config-6.1.0": "CONFIG_VIRTIO_BLK=m\n",
    "lib/modules/6.1.0/modules.dep": "kernel/drivers/block/virtio_blk.ko:\n",
    "lib/modules/6.1.0/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
    "proc/cmdline": "root=/dev/sda1 ro\n",
    "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: lm cmov cx8 fpu fxsr mmx syscall sse sse2\n",
    "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1 0 -2\n",
    "proc/1/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n",
    "proc/sys/kernel/osrelease": "6.1.0\n",
    "proc/sys/kernel/arch": "x86_64\n",
    "run/udev/data/b8:0": "E:ID_PART_TABLE_TYPE=gpt\n",
    "run/udev/data/b8:1": "S:disk/by-uuid/0a1b2c3d-1111-2222-3333-444455556666\nE:ID_FS_UUID=0a1b2c3d-1111-2222-3333-444455556666\nE:ID_FS_TYPE=ext4\n",
    "sys/class/block/sda/dev": "8:0\n",
    "sys/class/block/sda/size": "2048\n",
    "sys/class/block/sda1/dev": "8:1\n",
    "sys/class/block/sda1/partition": "1\n",
    "sys/class/net/eth0/address": "52:54:00:12:34:56\n",
}  # fmt: skip


def build(folder: Path) -> Path:
    """A small machine that is not ready: mounts and boots by names that change."""
    for path, words in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(words)
    return folder


def gone(path: Path) -> None:
    """Take away what is there."""
    path.unlink()


def binary(path: Path) -> None:
    """Every byte there is, and no line end for long."""
    path.write_bytes(bytes(range(256)) * 2000)


def gigabyte(path: Path) -> None:
    """Two sparse gigabytes."""
    with path.open("wb") as stream:
        stream.truncate(2 << 30)


def long_line(path: Path) -> None:
    """Three megabytes of nested brackets."""
    path.write_text("{[(\"'\\" * 500_000)


def fifo(path: Path) -> None:
    """A pipe that nobody writes to."""
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    """A folder where a file is expected."""
    path.unlink()
    path.mkdir()


def loop(path: Path) -> None:
    """A link to itself."""
    path.unlink()
    path.symlink_to(path.name)


def leaving(path: Path) -> None:
    """A link that leads out of the root, to a file of the host's that says all is well."""
    path.unlink()
    path.symlink_to("../" * 20 + "etc/hostname")


def empty(path: Path) -> None:
    """No byte."""
    path.write_bytes(b"")


def strange(path: Path) -> None:
    """Names and words that break formats: CR, NUL, form feed, no final newline, Unicode line ends, escape codes."""
    path.write_bytes(
        b"\xef\xbb\xbf/dev/sda1\r\n\0\x0c\xe2\x80\xa8\x1b[31m {{ 7*7 }} %s ${x} $(id) `id` \xff\xfe = : [x\n[y]\n=\n:\n\\"
    )


KINDS: list[Callable[[Path], None]] = [gone, binary, gigabyte, long_line, fifo, folder, loop, leaving, empty, strange]


def check(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a check in this process."""
    capsys.readouterr()
    code = cli.main(["check", "--root", str(root), "--format", "json"])
    said = capsys.readouterr()
    assert "internal error" not in said.err
    report = json.loads(said.out)
    assert "internal error" not in said.out, [gap for gap in report["run"]["gaps"] if "internal" in gap["reason"]]
    return code, report


@pytest.fixture(autouse=True)
def no_site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rules of this machine's own, and no debugging."""
    monkeypatch.delenv("MIGPREP_DEBUG", raising=False)
    site = str(tmp_path_factory.mktemp("site"))
    for name in ("begin", "load_rules", "load_targets", "load_waivers"):
        kept = getattr(inspection, name)
        monkeypatch.setattr(kept, "__defaults__", (site,))


@pytest.mark.parametrize("path", sorted(FILES))
def test_one_bad_file_never_makes_a_machine_ready(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in (gone, binary, fifo, leaving, strange):
        root = build(tmp_path / kind.__name__)
        kind(root / path)
        code, report = check(root, capsys)
        assert code in (2, 3), kind.__name__
        assert report["targets"][0]["verdict"] in ("not_ready", "unknown")


@pytest.mark.parametrize("kind", KINDS)
def test_all_files_bad_is_unknown_within_memory_and_time(kind: Callable[[Path], None], tmp_path: Path) -> None:
    root = build(tmp_path / "root")
    for path in FILES:
        kind(root / path)
    code, report = run(["check", "--root", str(root), "--format", "json"])
    assert code in (2, 3)
    assert report["run"]["gaps"]


def nobodys_python() -> tuple[str, dict[str, str]]:
    """An interpreter that a user without rights can run, and its environment; the test is skipped without one."""
    path = os.pathsep.join([ENVIRONMENT["PYTHONPATH"], sysconfig.get_path("purelib")])
    for program in (sys.executable, "/usr/bin/python3"):
        environment = {**ENVIRONMENT, "PYTHONPATH": path, "HOME": "/nonexistent"}
        try:
            subprocess.run(  # the C parts must fit the interpreter too
                [program, "-c", "import yaml, psutil, distro, migprep.cli"],
                check=True, capture_output=True, env=environment, **NOBODY,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            continue
        return program, environment
    pytest.skip("no interpreter that nobody can run")


def run(argv: list[str], python: str = sys.executable, **options: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a process that may take 600 MB."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))

    ended = subprocess.run(  # noqa: S603
        [python, "-m", "migprep", *argv],
        capture_output=True,
        env=options.pop("env", ENVIRONMENT),
        timeout=PATIENCE,
        check=False,
        preexec_fn=limit,
        **options,  # noqa: PLW1509
    )
    assert b"Traceback" not in ended.stderr
    assert b"internal error" not in ended.stderr + ended.stdout
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else {}


def test_empty_root_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = check(tmp_path, capsys)
    assert code == 3
    assert not report["run"]["complete"]
    assert len(report["run"]["gaps"]) > 5


@AS_ROOT
@pytest.mark.parametrize("device", ["zero", "tty", "random"])
def test_device_nodes_are_not_read(device: str, tmp_path: Path) -> None:
    root = build(tmp_path / "root")
    number = os.stat(f"/dev/{device}").st_rdev
    for path in FILES:
        (root / path).unlink()
        os.mknod(root / path, stat.S_IFCHR | 0o666, number)
    code, _ = run(["check", "--root", str(root), "--format", "json"], start_new_session=True)
    assert code in (2, 3)


@AS_ROOT
def test_without_privileges_this_machine_is_not_called_ready() -> None:
    python, environment = nobodys_python()
    code, report = run(["check", "--format", "json"], python, env=environment, **NOBODY)
    if code != 69:
        assert code in (2, 3)
        assert report["run"]["gaps"]


@AS_ROOT
def test_unreadable_files_are_gaps() -> None:
    # Not below pytest's own folder: every other run of pytest closes that to all but its owner.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        code, report = unreadable(Path(folder) / "root")
    assert code == 3
    assert any("permission denied" in gap["reason"] for gap in report["run"]["gaps"])


def unreadable(folder: Path) -> tuple[int, dict[str, Any]]:
    """What a user without rights is told of a machine whose files are all closed to him."""
    root = build(folder)
    for path in FILES:
        (root / path).chmod(0)
    python, environment = nobodys_python()
    return run(["check", "--root", str(root), "--format", "json"], python, env=environment, **NOBODY)


def test_foreign_architecture_is_never_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = build(tmp_path)
    (root / "proc/sys/kernel/arch").write_text("aarch64\n")
    (root / "proc/cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n")
    assert check(root, capsys)[0] in (2, 3)


def test_udev_database_gone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = build(tmp_path)
    for path in (root / "run/udev/data").iterdir():
        path.unlink()
    (root / "run/udev/data").rmdir()
    code, _ = check(root, capsys)
    assert code in (2, 3)


def test_many_links_deep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = build(tmp_path)
    for number in range(60):
        (root / f"etc/l{number}").symlink_to(f"l{number + 1}")
    (root / "etc/fstab").unlink()
    (root / "etc/fstab").symlink_to("l0")
    code, _ = check(root, capsys)
    assert code in (2, 3)
