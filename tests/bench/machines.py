"""Roots of a chosen size, and one that holds a given initramfs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "etc/hostname": "bench\n",
    "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: bench\nflags\t\t: lm cmov cx8 fpu fxsr mmx syscall sse sse2\n",
    "proc/cmdline": "root=UUID=00000000-0000-0000-0000-000000000000 ro\n",
    "proc/sys/kernel/arch": "x86_64\n",
    "proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
}


def _write(root: Path, files: dict[str, str]) -> None:
    for path, words in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(words)


def plain(root: Path) -> Path:
    """A machine with next to nothing."""
    _write(root, FILES)
    return root


def with_fstab(root: Path, lines: int) -> Path:
    """A machine that mounts `lines` filesystems, every tenth by a name that will change."""
    plain(root)
    rows = (f"{_spec(number)} /srv/{number} ext4 defaults 0 2" for number in range(lines))
    _write(root, {"etc/fstab": "\n".join(rows) + "\n"})
    return root


def _spec(number: int) -> str:
    return f"/dev/sda{number}" if number % 10 == 0 else f"UUID={number:08x}-0000-0000-0000-000000000000"


def with_devices(root: Path, devices: int) -> Path:
    """A machine with `devices` disks, each with a filesystem, in /sys and in the udev database."""
    plain(root)
    for number in range(devices):
        name = _disk(number)
        folder = root / "sys/devices/pci0000:00/block" / name
        major, minor = 8 + number // 256, number % 256
        folder.mkdir(parents=True)
        (folder / "dev").write_text(f"{major}:{minor}\n")
        (folder / "size").write_text("2097152\n")
        (folder / "removable").write_text("0\n")
        (folder / "uevent").write_text(f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE=disk\n")
        link = root / "sys/class/block" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../devices/pci0000:00/block/{name}")
        uuid = f"{number:08x}-0000-0000-0000-000000000000"
        _write(
            root,
            {f"run/udev/data/b{major}:{minor}": f"S:disk/by-uuid/{uuid}\nE:ID_FS_UUID={uuid}\nE:ID_FS_TYPE=ext4\n"},
        )
    return root


def to_mend(root: Path, lines: int) -> Path:
    """A machine with `lines` filesystems, each mounted by a name that will change and has a UUID to go by."""
    with_devices(root, lines)
    without_traces(root)
    return root


def without_traces(root: Path) -> None:
    """What a fix left is taken back: the lines of `to_mend` and no journal."""
    lines = len(list(root.glob("sys/class/block/*")))
    shutil.rmtree(root / "var", ignore_errors=True)
    rows = (f"/dev/{_disk(number)} /srv/{number} ext4 defaults 0 2\n" for number in range(lines))
    _write(root, {"etc/fstab": "".join(rows)})


def _disk(number: int) -> str:
    """sda … sdz, sdaa …"""
    name = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        name = chr(97 + digit) + name
    return f"sd{name}"


def with_files(root: Path, files: int) -> Path:
    """A machine with `files` scripts and settings of half to sixteen kilobytes, every 500th of which names a disk."""
    plain(root)
    line = "# option_{} = value of the kind that settings have, with words and 1234 numbers\n"
    words = "".join(line.format(number) for number in range(7))
    quiet = words.replace("with words", ">/dev/null")  # as many scripts have it
    for number in range(files):
        folder = root / f"opt/app{number // 1000:03}/part{number // 50 % 20:02}"
        if number % 50 == 0:
            folder.mkdir(parents=True, exist_ok=True)
        last = "mount /dev/sdb1 /srv/data\n" if number % 500 == 0 else "true\n"
        lines = quiet if number % 8 == 0 else words
        (folder / f"{number}.conf").write_text(lines * (1 << number % 6) + last)
    return root


def with_reports(reports: Path, migprep: str, folder: Path, count: int) -> int:
    """`count` reports of one machine with ten faults under as many names, in ten folders; returns the size of one."""
    root = to_mend(folder / "reported", 10)
    (root / "etc/hostname").write_text("HOSTNAME\n")
    said = subprocess.run([migprep, "check", "--root", str(root), "--format", "json"], capture_output=True, text=True, check=False)  # noqa: S603
    text = json.dumps(json.loads(said.stdout))
    for number in range(count):
        path = reports / str(number * 10 // count) / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("HOSTNAME", f"host{number:06}"))
    return len(text)


def with_image(root: Path, image: Path) -> Path:
    """A machine that boots `image`."""
    plain(root)
    (root / "boot").mkdir()
    version = image.name.partition("-")[2] or "6.1.0-18-amd64"
    shutil.copyfile(image, root / f"boot/initrd.img-{version}")
    (root / f"boot/vmlinuz-{version}").write_bytes(b"")
    (root / "lib/modules" / version).mkdir(parents=True)
    return root


def image_here() -> Path | None:
    """The newest initramfs of this machine."""
    found = sorted(Path("/boot").glob("initrd.img-*"), key=os.path.getmtime)
    return found[-1] if found else None
