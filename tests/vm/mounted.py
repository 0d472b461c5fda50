"""A guest's disk mounted on this host, with what only the running guest could tell laid over it from its capture.

There migprep sees the machine as it stood, and may change it; a chroot runs the guest's own tools natively.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

from . import layout, machine, tree
from .scenario import Scenario

CHECKOUT = Path(__file__).parents[2]


class Done(NamedTuple):
    """How one command of migprep ended: exit code, seconds, what it printed and what it complained of."""

    code: int
    seconds: float
    words: str
    said: str


def is_mountable(scenario: Scenario) -> bool:
    """Whether this host can mount all that counts: its kernel has no vfat, device-mapper or md.

    What a source does to itself late, or cloud-init at its first start, is not on the disk that was built.
    """
    plan = layout.layout(scenario)
    changes = bool(scenario.late) or "cloud-init" in scenario.packages
    return not changes and scenario.layout in ("plain", "data-disk", "luks-data", "btrfs") and not plan.has("esp")


def migprep(scenario: Scenario, image: Path, archive: Path, folder: Path, asked: str, listed: str = "") -> Done:
    """Run one command on the disk; with `listed` (before, after) the disk may change, and its files are listed then."""
    folder.mkdir(parents=True, exist_ok=True)
    run = f"""\
set +e; s=$(date +%s%N); {sys.executable} -m migprep {asked} --root "$T" </dev/null >"$W/out" 2>"$W/err"
echo "$? $(($(date +%s%N)-s))" >"$W/code"; set -e
"""
    (folder / "folders").write_text("".join(f"{name}\n" for name in _folders(archive)))
    steps = [_disk(scenario, image, writable=bool(listed)), _told(), run]
    if listed:
        steps.insert(2 if listed == "before" else 3, _LIST)
    head = f"W={folder}\nCAPTURE={archive}\nexport PYTHONPATH={machine.here(CHECKOUT)} MIGPREP_DEBUG=\n"
    last = 'umount "$T/migprep"; rmdir "$T/migprep"\n'
    tree.isolated(
        head + "".join(steps) + last, folder, 3600, f"{scenario.name}: {asked.split()[0]} on the mounted disk"
    )
    code, took = (folder / "code").read_text().split()
    words, said = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
    return Done(int(code), int(took) / 1e9, *(re.sub(r"[^\n\t -~]", "", text) for text in (words, said)))


def _disk(scenario: Scenario, image: Path, *, writable: bool) -> str:
    """Mount the disk's filesystems where the machine has them; what is not to change gets a layer in memory."""
    plan = layout.layout(scenario)
    text = 'T=$W/root; mkdir -p "$T" "$W/disk"\n'
    for role, where in (("root" if plan.has("root") else "stack", ""), ("boot", "/boot")):
        if plan.has(role):
            part = plan.part(role)
            options = f"loop,offset={part.offset},sizelimit={part.mib * 1024 * 1024}"
            options += ",subvol=@" if scenario.layout == "btrfs" and role == "stack" else ""
            text += f'mount -o {options}{"" if writable else ",ro"} {image} "$W/disk{where}"\n'
    if writable:
        return text + 'mount --rbind "$W/disk" "$T"\n'
    return (
        text
        + """\
mkdir -p "$W/layer"; mount -t tmpfs tmpfs "$W/layer"; mkdir "$W/layer/upper" "$W/layer/work"
mount -t overlay overlay -o "lowerdir=$W/disk,upperdir=$W/layer/upper,workdir=$W/layer/work" "$T"
mountpoint -q "$W/disk/boot" && mount --bind "$W/disk/boot" "$T/boot"
"""
    )


def _folders(archive: Path) -> list[str]:
    """Folders of the kernel's filesystems that the capture knows to be there, whatever they hold."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("migprep/meta.json")
        stats = json.load(member)["stats"] if member else {}
    known = (path for path, stat in stats.items() if isinstance(stat, list) and stat[0] == "dir")
    return sorted(path.lstrip("/") for path in known if path.startswith(("/sys/", "/proc/", "/run/")))


def _told() -> str:
    """The kernel's filesystems as the capture knows them; commands that run in the chroot have a true /proc."""
    return f"""\
for d in dev run sys tmp proc; do mount -t tmpfs tmpfs "$T/$d"; done
{tree.DEVICES}mkdir -p "$W/told"; tar xzf "$CAPTURE" -C "$W/told"
for d in sys run proc; do cp -a "$W/told/$d/." "$T/$d/"; done
(cd "$T"; xargs -r mkdir -p <"$W/folders"); mkdir -p "$T/proc/self"
mkdir -p "$T/migprep"; mount -t tmpfs tmpfs "$T/migprep"; cp -a "$W/told/migprep/observed" "$T/migprep/"
cp /usr/sbin/chroot "$W/chroot"
cat > "$W/enter" <<'END'
#!/bin/sh
exec unshare --mount sh -c 'here=$1; shift; mount -t proc proc "$1/proc"; exec "$here" "$@"' sh @HERE@ "$@"
END
sed -i "s|@HERE@|$W/chroot|" "$W/enter"; chmod 755 "$W/enter"; mount --bind "$W/enter" /usr/sbin/chroot
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root
"""


# Every file of the disk, with mode, owner and content; not what migprep itself keeps.
_LIST = """\
(cd "$T"; skip='-path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp -o -path ./migprep -o -path ./var/lib/migprep'
find . \\( $skip \\) -prune -o \\( -type l -printf 'l %m %u %g %p -> %l\\n' -o -type d -printf 'd %m %u %g %p\\n' \\
  -o -type f -printf 'f %m %u %g %s %p\\n' \\) | sort
find . \\( $skip \\) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum) >"$W/files"
"""
