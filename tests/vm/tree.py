"""Guests as trees of files: one base per suite, one layer per set of packages, both cached."""

from __future__ import annotations

from pathlib import Path

from . import cache, command, network
from .scenario import Scenario

GUEST = Path(__file__).parent / "guest"
# What every guest has: a kernel, systemd, GRUB's tools and what the product needs to run.
BASE = (
    "linux-image-amd64", "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "iputils-ping",
    "initramfs-tools", "zstd", "python3-psutil", "python3-pyudev", "python3-distro",
    "python3-netifaces", "python3-jinja2", "python3-yaml", "grub-common", "grub2-common",
    "grub-pc-bin", "e2fsprogs", "fdisk", "procps", "less", "ethtool", "pciutils", "file",
)  # fmt: skip
EXTRA = {"trixie": ("systemd-cryptsetup",)}
LAYOUT = {
    "lvm": ("lvm2",),
    "md": ("mdadm",),
    "md-two-disks": ("mdadm",),
    "luks-data": ("cryptsetup",),
    "luks-root": ("cryptsetup", "cryptsetup-initramfs"),
    "btrfs": ("btrfs-progs",),
}
LOADER = {
    "grub-uefi": ("grub-efi-amd64-bin", "efibootmgr", "dosfstools"),
    "grub-uefi-no-fallback": ("grub-efi-amd64-bin", "efibootmgr", "dosfstools"),
    "grub-uefi-shim": ("grub-efi-amd64-bin", "efibootmgr", "dosfstools", "shim-signed"),
    "grub-uefi-shim-alone": ("grub-efi-amd64-bin", "efibootmgr", "dosfstools", "shim-signed"),
    "systemd-boot": ("systemd-boot", "efibootmgr", "dosfstools"),
    "uefi-unified": ("systemd-boot", "binutils", "efibootmgr", "dosfstools"),
    "uefi-unified-systemd-boot": ("systemd-boot", "binutils", "efibootmgr", "dosfstools"),
    "extlinux": ("extlinux", "syslinux-common"),
}
# Drivers no lab machine has; without them a disk is a third as large.
_UNUSED = (
    "sound", "drivers/media", "drivers/net/wireless", "drivers/infiniband", "drivers/staging",
    "drivers/iio", "drivers/isdn", "drivers/gpu/drm/amd", "drivers/gpu/drm/i915",
    "drivers/gpu/drm/nouveau", "drivers/gpu/drm/radeon", "drivers/gpu/drm/xe",
    "drivers/net/ethernet/mellanox", "drivers/bluetooth", "drivers/platform/x86",
    "drivers/net/can", "drivers/comedi", "drivers/hwmon", "drivers/leds", "net/mac80211",
)  # fmt: skip

_ISOLATED = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-eu")

DEVICES = """\
mkdir "$T/dev/pts" "$T/dev/shm"; ln -s /proc/self/fd "$T/dev/fd"
mknod -m 666 "$T/dev/null" c 1 3; mknod -m 666 "$T/dev/zero" c 1 5; mknod -m 666 "$T/dev/full" c 1 7
mknod -m 666 "$T/dev/random" c 1 8; mknod -m 666 "$T/dev/urandom" c 1 9; mknod -m 666 "$T/dev/tty" c 5 0
"""
MERGE = f"""\
T=$W/tree
mkdir -p "$W/upper" "$W/work" "$T"
mount -t overlay overlay -o "lowerdir=$LAYERS,upperdir=$W/upper,workdir=$W/work" "$T"
mount -t proc proc "$T/proc"
for d in dev run tmp; do mount -t tmpfs tmpfs "$T/$d"; done
{DEVICES}export DEBIAN_FRONTEND=noninteractive HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
quiet() {{ mount --bind /bin/true "$T/usr/sbin/update-initramfs"; }}
loud() {{ umount "$T/usr/sbin/update-initramfs"; }}
online() {{ touch "$T/etc/resolv.conf"; mount --bind /etc/resolv.conf "$T/etc/resolv.conf"; }}
offline() {{ umount "$T/etc/resolv.conf"; }}
"""


# The archive that this host's own apt takes its packages from, of which every suite is at hand.
ARCHIVE = """"$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -n 1)\""""


def isolated(script: str, work: Path, limit: int, what: str) -> None:
    """Run a shell script where every mount and process vanishes with it."""
    path = work / "build.sh"
    path.write_text(script)
    log = cache.folder() / "logs" / f"{work.name.partition('.')[0]}.log"
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"")
    command.run([*_ISOLATED, str(path)], log, limit, what)


def _base(suite: str) -> tuple[str, str]:
    """The cache's name of a suite's base tree, and the script that makes it."""
    script = _base_script(suite, ",".join((*BASE, *EXTRA.get(suite, ()))))
    return f"{suite}-{cache.key(script)}", script


def base(suite: str) -> Path:
    """The folder that holds this suite's base tree."""
    name, script = _base(suite)

    def build(half: Path) -> None:
        print(f"  base tree {suite} …", flush=True)
        isolated(f"W={half}\n{script}", half, 3600, f"base tree {suite}")

    return cache.entry("trees", name, build)


def _base_script(suite: str, packages: str) -> str:
    unused = " ".join(f'"$W"/tree/lib/modules/*/kernel/{path}' for path in _UNUSED)
    return f"""\
mmdebstrap --variant=minbase --include={packages} --dpkgopt='path-exclude=/usr/share/doc/*' \\
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \\
  --aptopt='Acquire::Languages none' {suite} "$W/tree" {ARCHIVE}
rm -rf {unused} "$W"/tree/boot/initrd.img-* "$W"/tree/var/cache/apt/*.bin
for v in "$W"/tree/lib/modules/*; do chroot "$W/tree" depmod "${{v##*/}}"; done
echo lab > "$W/tree/etc/hostname"
printf '127.0.0.1 localhost\\n127.0.1.1 lab\\n' > "$W/tree/etc/hosts"
for unit in apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer man-db.timer \\
  serial-getty@ttyS0.service e2scrub_reap.service; do
  ln -sf /dev/null "$W/tree/etc/systemd/system/$unit"; done
rm -f "$W/tree/etc/resolv.conf" "$W/tree/etc/machine-id"; touch "$W/tree/etc/machine-id"
mkdir -p "$W/tree/srv/data" "$W/tree/srv/more"
"""


def packages(scenario: Scenario) -> tuple[str, ...]:
    """What this scenario has beyond the base, sorted."""
    wanted = set(scenario.packages)
    wanted.update(network.PACKAGES[scenario.network])
    wanted.update(LAYOUT.get(scenario.layout, ()))
    wanted.update(LOADER.get(scenario.loader, ()))
    if scenario.initramfs.startswith("dracut"):
        wanted.add("dracut")
    if scenario.suite == "bullseye":  # its systemd package still holds these two
        wanted.discard("systemd-boot")
    return tuple(sorted(wanted))


def _bottom(scenario: Scenario) -> Path:
    return cache.folder() / "trees" / _base(scenario.suite)[0] / "tree"


def _layer(scenario: Scenario) -> tuple[str, str]:
    """The cache's name of the layer with this scenario's packages, and the script that makes it."""
    wanted = packages(scenario)
    # Every package's trigger would rebuild an initramfs that is thrown away below; but dracut must be free
    # to take the place of the tool that is held still.
    hush, hear = ("", "") if "dracut" in wanted else ("quiet; ", "; loud")
    script = f"""\
{MERGE}
{hush}online
chroot "$T" apt-get -q update
chroot "$T" apt-get -qy --no-install-recommends install {" ".join(wanted)}
chroot "$T" apt-get -q clean
offline{hear}
rm -rf "$T"/var/lib/apt/lists/*
rm -f "$T"/boot/initrd.img-*
umount -l "$T"
rm -rf "$W/work"
"""

    return f"{scenario.suite}-{cache.key(str(_bottom(scenario)), script)}", script


def paths(scenario: Scenario) -> list[Path]:
    """Where the trees are, or will be, that this scenario is laid over, topmost first."""
    bottom = _bottom(scenario)
    if not packages(scenario):
        return [bottom]
    return [cache.folder() / "layers" / _layer(scenario)[0] / "upper", bottom]


def layers(scenario: Scenario) -> list[Path]:
    """The same, built."""
    base(scenario.suite)
    name, script = _layer(scenario)
    wanted = " ".join(packages(scenario))

    def build(half: Path) -> None:
        print(f"  packages {wanted} …", flush=True)
        isolated(f"W={half}\nLAYERS={_bottom(scenario)}\n{script}", half, 3600, f"packages {wanted}")

    if wanted:
        cache.entry("layers", name, build)
    return paths(scenario)
