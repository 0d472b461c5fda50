"""Put a boot loader on a disk without running its installer: menu, code on a filesystem, sectors."""

from __future__ import annotations

from .layout import IDS, Layout
from .scenario import Scenario
from .tree import GUEST

CMDLINE = "console=tty0 console=ttyS0,115200"
_BIOS = "biosdisk part_msdos ext2 normal linux serial search search_fs_uuid configfile echo test"
_EFI = (
    "part_gpt fat ext2 normal linux serial search search_fs_uuid configfile echo test all_video "
    "gzio boot minicmd loadenv"
)


_SHIM = 'mkdir "$W/esp/EFI/BOOT"; cp "$T/usr/lib/shim/shimx64.efi.signed" "$W/esp/EFI/BOOT/BOOTX64.EFI"\n'


def menu(scenario: Scenario, plan: Layout) -> str:
    """The loader's menu, written by the guest's own grub-mkconfig where it has GRUB."""
    if scenario.loader == "systemd-boot":
        return _systemd_boot()
    if scenario.loader.startswith("uefi-unified"):
        return _unified(alone=scenario.loader == "uefi-unified")
    defaults = (
        "printf '%s\\n' GRUB_DEFAULT=0 GRUB_TIMEOUT=1 GRUB_TERMINAL=console 'GRUB_CMDLINE_LINUX_DEFAULT=\"\"' "
        f"""'GRUB_CMDLINE_LINUX="{_arguments(scenario)}"' > "$T/tmp/grub"\n"""
        'test -e "$T/etc/default/lab-grub" && cat "$T/etc/default/lab-grub" >> "$T/tmp/grub"; '
        'rm -f "$T/etc/default/lab-grub"; mv "$T/tmp/grub" "$T/etc/default/grub"\n'
    )
    if scenario.loader == "extlinux":
        return 'rm -f "$T/etc/default/grub"\n' + _extlinux()
    probe = (GUEST / "grub-probe").read_text()
    where = "boot" if plan.has("boot") else "root"
    for token, value in (
        ("@BOOTDEV@", plan.devices[where]), ("@BOOTID@", IDS[where]), ("@BOOTFS@", "ext2"),
        ("@ROOTDEV@", plan.devices["root"]), ("@ROOTID@", IDS["root"]),
        ("@ROOTFS@", "btrfs" if scenario.layout == "btrfs" else "ext2"),
        ("@PARTMAP@", "msdos" if plan.label == "dos" else "gpt"),
    ):  # fmt: skip
        probe = probe.replace(token, value)
    return (
        defaults
        + f"""\
cat > "$T/tmp/grub-probe" <<'END-OF-PROBE'
{probe}END-OF-PROBE
chmod 755 "$T/tmp/grub-probe"; mount --bind "$T/tmp/grub-probe" "$T/usr/sbin/grub-probe"
mkdir -p "$T/dev/disk/by-uuid" "$T/boot/grub"; touch "$T/dev/disk/by-uuid/{IDS["root"]}"
chroot "$T" grub-mkconfig -o /boot/grub/grub.cfg
umount "$T/usr/sbin/grub-probe"; grep -q vmlinuz "$T/boot/grub/grub.cfg"
"""
    )


def _arguments(scenario: Scenario) -> str:
    return CMDLINE + (" rootflags=subvol=@" if scenario.layout == "btrfs" else "")


def _extlinux() -> str:
    return f"""\
mkdir -p "$T/boot/extlinux"; k=$(cd "$T/boot"; ls vmlinuz-* | tail -1); v=${{k#vmlinuz-}}
cat > "$T/boot/extlinux/extlinux.conf" <<END
DEFAULT linux
TIMEOUT 10
LABEL linux
  KERNEL /boot/$k
  APPEND initrd=/boot/initrd.img-$v root=UUID={IDS["root"]} ro {CMDLINE}
END
"""


_KERNEL = 'k=$(cd "$T/boot"; ls vmlinuz-* | tail -1); v=${k#vmlinuz-}\n'
_SYSTEMD_BOOT = """\
cp "$T/usr/lib/systemd/boot/efi/systemd-bootx64.efi" "$W/esp/EFI/systemd/"
cp "$T/usr/lib/systemd/boot/efi/systemd-bootx64.efi" "$W/esp/EFI/BOOT/BOOTX64.EFI"
"""
# What the kernel is told, where no menu of GRUB's says it.
_TOLD = f"""\
mkdir -p "$T/etc/kernel"
test -e "$T/etc/kernel/cmdline" || echo "root=UUID={IDS["root"]} ro {CMDLINE}" > "$T/etc/kernel/cmdline"
"""


def _unified(*, alone: bool) -> str:
    """Kernel, initramfs and arguments in one file, by dracut: under systemd-boot, or where new firmware looks."""
    made = f"""\
{_KERNEL}{_TOLD}chroot "$T" dracut -q --force --uefi --kver "$v" --kernel-image "/boot/vmlinuz-$v" \\
  --kernel-cmdline "$(cat "$T/etc/kernel/cmdline")" /tmp/unified.efi
mkdir -p "$W/esp/EFI/systemd" "$W/esp/EFI/BOOT" "$W/esp/EFI/Linux" "$W/esp/loader" "$T/boot/efi"
"""
    if alone:
        return made + 'cp "$T/tmp/unified.efi" "$W/esp/EFI/BOOT/BOOTX64.EFI"\n'
    made += 'cp "$T/tmp/unified.efi" "$W/esp/EFI/Linux/debian-$v.efi"\n'
    return made + _SYSTEMD_BOOT + "echo 'timeout 1' > \"$W/esp/loader/loader.conf\"\n"


def _systemd_boot() -> str:
    return f"""\
{_KERNEL}mkdir -p "$W/esp/EFI/systemd" "$W/esp/EFI/BOOT" "$W/esp/loader/entries" "$W/esp/lab/$v"
{_SYSTEMD_BOOT}{_TOLD}cp "$T/boot/vmlinuz-$v" "$W/esp/lab/$v/linux"; cp "$T/boot/initrd.img-$v" "$W/esp/lab/$v/initrd.img-$v"
printf 'timeout 1\\ndefault lab-*\\n' > "$W/esp/loader/loader.conf"
cat > "$W/esp/loader/entries/lab-$v.conf" <<END
title Debian GNU/Linux
version $v
options $(cat "$T/etc/kernel/cmdline")
linux /lab/$v/linux
initrd /lab/$v/initrd.img-$v
END
mkdir -p "$T/boot/efi"
"""


def code(scenario: Scenario, plan: Layout) -> str:
    """The loader's code, as files on the filesystems."""
    where = plan.part(next(role for role in ("boot", "root", "stack") if plan.has(role)))
    prefix = "/grub" if plan.has("boot") else "/boot/grub"
    if scenario.loader == "grub-bios":
        return f"""\
mkdir -p "$T/boot/grub/i386-pc"; cp "$T"/usr/lib/grub/i386-pc/*.mod "$T"/usr/lib/grub/i386-pc/*.lst "$T/boot/grub/i386-pc/"
chroot "$T" grub-mkimage -O i386-pc -p '(hd0,msdos{where.number}){prefix}' -o /tmp/core.img {_BIOS}
mkdir "$W/core"; cp "$T/tmp/core.img" "$T/usr/lib/grub/i386-pc/boot.img" "$W/core/"
"""
    if scenario.loader == "extlinux":
        return 'mkdir "$W/core"; cp "$T/usr/lib/EXTLINUX/mbr.bin" "$W/core/boot.img"\n'
    if scenario.loader == "systemd-boot" or scenario.loader.startswith("uefi-unified"):
        return ""
    fallback = {
        "grub-uefi": 'mkdir "$W/esp/EFI/BOOT"; cp "$W/esp/EFI/debian/grubx64.efi" "$W/esp/EFI/BOOT/BOOTX64.EFI"\n',
        "grub-uefi-shim": _SHIM + 'cp "$W/esp/EFI/debian/grubx64.efi" "$W/esp/EFI/BOOT/grubx64.efi"\n',
        "grub-uefi-shim-alone": _SHIM,
    }.get(scenario.loader, "")
    return f"""\
mkdir -p "$T/boot/efi" "$T/boot/grub/x86_64-efi" "$W/esp/EFI/debian"
cp "$T"/usr/lib/grub/x86_64-efi/*.mod "$T"/usr/lib/grub/x86_64-efi/*.lst "$T/boot/grub/x86_64-efi/"
chroot "$T" grub-mkimage -O x86_64-efi -p /EFI/debian -o /tmp/grubx64.efi {_EFI}
cp "$T/tmp/grubx64.efi" "$W/esp/EFI/debian/grubx64.efi"
cat > "$W/esp/EFI/debian/grub.cfg" <<'END'
search.fs_uuid {IDS["boot" if plan.has("boot") else "root"]} root
set prefix=($root)'{prefix}'
configfile $prefix/grub.cfg
END
{fallback}"""


def sectors(scenario: Scenario) -> str:
    """What a BIOS starts: the first sector, and GRUB's core in the gap after it."""
    if scenario.loader == "grub-bios":
        return """\
dd status=none if="$W/core/boot.img" of="$W/disk" bs=440 count=1 conv=notrunc
dd status=none if="$W/core/core.img" of="$W/disk" bs=512 seek=1 conv=notrunc
"""
    if scenario.loader == "extlinux":
        return 'dd status=none if="$W/core/boot.img" of="$W/disk" bs=440 count=1 conv=notrunc\n'
    return ""
