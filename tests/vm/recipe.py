"""Write the shell script that turns a tree into a disk; pure, so its text is the disk's identity."""

from __future__ import annotations

from . import loader, network
from .layout import IDS, Layout, layout, tokens
from .scenario import Scenario
from .tree import GUEST, MERGE

_DRIVERS = {
    "ide": "ata_piix",
    "sata": "ahci",
    "virtio": "virtio_pci virtio_blk",
    "virtio-scsi": "virtio_pci virtio_scsi",
    "nvme": "nvme",
}


# Where /boot is on the mirror too, md's mark is at the end of each half: GRUB reads one as the filesystem that it is.
_MD_FORMATS = {"md": "1.2", "md-two-disks": "1.0"}


def recipe(scenario: Scenario) -> str:
    """Everything done to the layers until a bootable disk lies in $W."""
    plan = layout(scenario)
    parts = (
        MERGE, _separate_boot(plan), _guest(), _files(scenario, plan), _edits(scenario, plan, boot=False),
        _commands(scenario.run, plan), _initramfs(scenario), loader.menu(scenario, plan),
        _edits(scenario, plan, boot=True), _commands(scenario.run_last, plan),
        loader.code(scenario, plan), _partitions(scenario, plan), "rm -rf \"$W/upper\" \"$W/work\"\n",
    )  # fmt: skip
    return "\n".join(part for part in parts if part)


def _separate_boot(plan: Layout) -> str:
    if not plan.has("boot"):
        return ""
    return (
        'mkdir "$W/boot"; mount -t tmpfs tmpfs "$W/boot"; cp -a "$T/boot/." "$W/boot/"\n'
        'mount --bind "$W/boot" "$T/boot"\n'
    )


def _write(path: str, text: str) -> str:
    body = text if text.endswith("\n") else text + "\n"
    return f'mkdir -p "$T/$(dirname {path})"\ncat > "$T/{path}" <<\'END-OF-FILE\'\n{body}END-OF-FILE\n'


def _guest() -> str:
    return (
        _write("usr/local/sbin/lab-hear", (GUEST / "hear.sh").read_text())
        + _write("etc/systemd/system/lab.service", (GUEST / "lab.service").read_text())
        + 'chmod 755 "$T/usr/local/sbin/lab-hear"\nchroot "$T" systemctl -q enable lab.service\n'
    )


def _filled(text: str, plan: Layout) -> str:
    for token, value in tokens(plan).items():
        text = text.replace(token, value)
    return text


def fstab(scenario: Scenario, plan: Layout) -> str:
    """The table of a machine that is fit: everything by identity, stacks by their own names."""
    stacked = scenario.layout == "lvm"
    rows = []
    btrfs = scenario.layout == "btrfs"
    for role, where, kind, options in (
        ("root", "/", "btrfs" if btrfs else "ext4", "subvol=@" if btrfs else "errors=remount-ro"),
        ("boot", "/boot", "ext4", "defaults"),
        ("esp", "/boot/efi", "vfat", "umask=0077"),
        ("swap", "none", "swap", "sw"),
        ("data", "/srv/data", "ext4", "defaults"),
        ("more", "/srv/more", "ext4", "defaults"),
    ):
        if role in ("boot", "esp") and not plan.has(role):
            continue
        if role == "swap" and not (plan.has("swap") or stacked):
            continue
        if role == "more" and scenario.layout != "data-disk":
            continue
        by_name = stacked and role in ("root", "swap", "data") or role == "data" and scenario.layout == "luks-data"
        spec = plan.devices[role] if by_name else f"UUID={IDS[role]}"
        check = 0 if kind in ("swap", "btrfs") else 1 if role == "root" else 2
        rows.append(f"{spec}\t{where}\t{kind}\t{options}\t0\t{check}")
    return "# <file system> <mount point> <type> <options> <dump> <pass>\n" + "\n".join(rows) + "\n"


def _files(scenario: Scenario, plan: Layout) -> str:
    written = {"etc/fstab": fstab(scenario, plan), **network.files(scenario)}
    if scenario.layout.startswith("luks"):
        name, options = ("cryptroot", "luks,initramfs") if scenario.layout == "luks-root" else ("cryptdata", "luks")
        written["etc/crypttab"] = f"{name} UUID={IDS['luks']} /etc/keys/lab.key {options}\n"
        written["etc/keys/lab.key"] = "a key of the boot lab"
        if scenario.layout == "luks-root":
            written["etc/cryptsetup-initramfs/conf-hook"] = "KEYFILE_PATTERN=/etc/keys/*.key\n"
    if scenario.layout in _MD_FORMATS:
        form = _MD_FORMATS[scenario.layout]
        written["etc/mdadm/mdadm.conf"] = f"HOMEHOST <system>\nARRAY /dev/md0 metadata={form} UUID={IDS['md']}\n"
    written.update(dict(scenario.files))
    text = "".join(_write(path, _filled(body, plan)) for path, body in written.items())
    if scenario.layout.startswith("luks"):
        text += 'chmod 600 "$T/etc/keys/lab.key"\n'
    return (
        text
        + 'chmod 600 "$T"/etc/netplan/*.yaml 2>/dev/null || :\n'
        + (
            f'chroot "$T" systemctl -q enable {network.ENABLE[scenario.network]}\n'
            'rm -f "$T"/etc/systemd/system/*/systemd-networkd-wait-online.service\n'
        )
    )


def done(scenario: Scenario, commands: tuple[str, ...]) -> str:
    """What the started source does to itself, first or late, as the guest's shell reads it; "" for nothing."""
    return "".join(f"{_filled(line, layout(scenario))}\n" for line in commands)


def _edits(scenario: Scenario, plan: Layout, *, boot: bool) -> str:
    """Each edit must change something: a fault that is not there proves nothing."""
    text = ""
    for edit in scenario.replace:
        if edit.path.startswith("boot/") == boot:
            this, by = _filled(edit.this, plan), _filled(edit.by, plan)
            text += _write("tmp/this", this.rstrip("\n")) + _write("tmp/by", by.rstrip("\n"))
            text += f'chroot "$T" python3 -c "$EDIT" {edit.path}\n'
    return text and (
        'EDIT=\'import sys; p = "/" + sys.argv[1]; t = open(p).read()\n'
        'this, by = (open("/tmp/" + n).read()[:-1] for n in ("this", "by"))\n'
        'this in t or sys.exit(f"{p} does not hold: {this}")\n'
        'open(p, "w").write(t.replace(this, by))\'\n' + text
    )


def _commands(commands: tuple[str, ...], plan: Layout) -> str:
    if not commands:
        return ""
    body = "set -eu\n" + "\n".join(_filled(line, plan) for line in commands)
    return _write("tmp/run", body) + 'chroot "$T" sh /tmp/run\n'


def _initramfs(scenario: Scenario) -> str:
    driver = _DRIVERS[scenario.source.disk]
    if scenario.initramfs.startswith("dracut"):
        lines = 'hostonly="no"\ncompress="zstd -1"\nomit_dracutmodules+=" plymouth iscsi nfs multipath "\n'
        if scenario.initramfs == "dracut-source":
            lines = f'hostonly="no"\ncompress="zstd -1"\ndrivers="{driver} sd_mod ext4 {scenario.source.nic}"\n'
            lines += 'omit_dracutmodules+=" qemu qemu-net virtiofs "\n'  # these bring virtio along by themselves
        build = 'for v in $(ls "$T/lib/modules"); do\n  chroot "$T" dracut -q --force --kver "$v" "/boot/initrd.img-$v"\ndone\n'
        return _write("etc/dracut.conf.d/10-machine.conf", lines) + build
    text = _write(
        "etc/initramfs-tools/conf.d/compress",
        "COMPRESS=zstd\nCOMPRESSLEVEL=1\n" if scenario.suite != "bullseye" else "COMPRESS=gzip\n",
    )
    if scenario.initramfs == "source":
        text += 'sed -i s/^MODULES=.*/MODULES=list/ "$T/etc/initramfs-tools/initramfs.conf"\n'
        text += f"printf '%s\\n' {driver} sd_mod ext4 {scenario.source.nic.replace('-', '_')} >> \"$T/etc/initramfs-tools/modules\"\n"
    return text + 'chroot "$T" update-initramfs -c -k all\n'


def _partitions(scenario: Scenario, plan: Layout) -> str:
    """Make every filesystem as a file and lay it where the partition table says."""
    text = 'for d in proc dev run tmp; do umount -l "$T/$d"; done\nmkdir "$W/p" "$W/data"\n'
    text += 'echo "the data of the boot lab" > "$W/data/canary"\n'
    makers = {
        "boot": f'mkfs.ext4 -q -F -U {IDS["boot"]} -d "$W/boot" "$W/p/boot"',
        "root": f'mkfs.ext4 -q -F -U {IDS["root"]} -d "$T" "$W/p/root"',
        "swap": f'mkswap -q -U {IDS["swap"]} "$W/p/swap"',
        "data": f'mkfs.ext4 -q -F -U {IDS["data"]} -d "$W/data" "$W/p/data"',
        "esp": f'mkfs.vfat -i {IDS["esp"].replace("-", "")} "$W/p/esp"\nmcopy -s -i "$W/p/esp" "$W"/esp/* ::/',
    }  # fmt: skip
    options = "-O ^64bit,^metadata_csum " if scenario.loader == "extlinux" else ""
    makers["root"] = makers["root"].replace("-F ", f"-F {options}")
    roles = [(part.role, part.mib) for part in plan.parts if part.role not in ("boot", "stack", "mirror")]
    if plan.has("boot"):
        boot = plan.part("boot")
        text += f'truncate -s {boot.mib}M "$W/p/boot"\n{makers["boot"]}\numount "$T/boot"; umount "$W/boot"; rm -rf "$T"/boot/*\n'
    if plan.has("stack") and scenario.layout != "btrfs":
        roles.append(("root", plan.part("stack").mib - (200 if scenario.layout == "lvm" else 20)))
    if scenario.layout == "lvm":
        roles.append(("data", 64))
    if scenario.layout == "luks-data":
        roles = [(role, mib - 20 if role == "data" else mib) for role, mib in roles]
    for role, mib in roles:
        text += f'truncate -s {mib}M "$W/p/{role}"\n{makers[role]}\n'
    text += _stack(scenario, plan)
    text += f'truncate -s {plan.mib}M "$W/disk"\nsfdisk -q "$W/disk" <<END\n{plan.sfdisk()}END\n'
    for part in plan.parts:
        text += f'dd status=none if="$W/p/{part.role}" of="$W/disk" bs=1M seek={part.start} conv=notrunc,sparse\n'
    if scenario.layout == "data-disk":
        text += f"""\
truncate -s 64M "$W/p/more"; mkfs.ext4 -q -F -U {IDS["more"]} -d "$W/data" "$W/p/more"
truncate -s 68M "$W/more"; printf 'label: dos\\nlabel-id: 0x1ab01ab1\\nstart=2MiB, size=64MiB\\n' | sfdisk -q "$W/more"
dd status=none if="$W/p/more" of="$W/more" bs=1M seek=2 conv=notrunc,sparse
"""
    if scenario.layout == "md-two-disks":
        text += f"""\
truncate -s {plan.part("stack").mib + 4}M "$W/more"
printf 'label: dos\\nlabel-id: 0x1ab01ab1\\nstart=2MiB, size={plan.part("stack").mib}MiB\\n' | sfdisk -q "$W/more"
dd status=none if="$W/p/mirror" of="$W/more" bs=1M seek=2 conv=notrunc,sparse
"""
    return (
        text
        + loader.sectors(scenario)
        + 'umount -l "$T"\nrm -rf "$W/p" "$W/data" "$W/esp" "$W/boot" "$W/tree" "$W/core"\n'
    )


def _stack(scenario: Scenario, plan: Layout) -> str:
    """Put the root or data filesystem inside its container."""
    if scenario.layout == "btrfs":
        return f"""\
truncate -s {plan.part("stack").mib}M "$W/p/stack"; mkfs.btrfs -q -U {IDS["root"]} "$W/p/stack"
mkdir "$W/mnt"; mount -o loop "$W/p/stack" "$W/mnt"; btrfs -q subvolume create "$W/mnt/@"
cp -a "$T/." "$W/mnt/@/"; umount "$W/mnt"; rmdir "$W/mnt"
"""
    if scenario.layout == "luks-data":
        made = _natively(plan, "luks-data", "locked", "data", "data", plan.part("data").mib)
        return made + 'mv "$W/p/locked" "$W/p/data"\n'
    if scenario.layout in _MD_FORMATS:
        made = _natively(plan, "md", "stack", "root", "mirror", plan.part("stack").mib)
        return made.replace("--metadata=1.2", f"--metadata={_MD_FORMATS[scenario.layout]}")
    if scenario.layout in ("lvm", "luks-root"):
        return _natively(plan, scenario.layout, "stack", "root", "data", plan.part("stack").mib)
    if scenario.loader == "extlinux":
        return _natively(plan, "extlinux", "root", "root", "data", plan.part("root").mib)
    return ""


def _natively(plan: Layout, what: str, outer: str, inner: str, third: str, mib: int) -> str:
    """Work on block devices at native speed, in a user-mode kernel whose root is the tree."""
    body = _write("run/stack.sh", _filled((GUEST / "stack.sh").read_text(), plan))
    made = (
        f'truncate -s {mib}M "$W/p/{outer}" "$W/p/{third}"\n'
        if third == "mirror"
        else f'truncate -s {mib}M "$W/p/{outer}"\n'
    )
    return f"""\
{made}mount -t tmpfs tmpfs "$T/run"
{body}chmod 755 "$T/run/stack.sh"
mkdir "$W/home"; HOME="$W/home" linux.uml rootfstype=hostfs "rootflags=$T" rw init=/run/stack.sh mem=512M \\
  "ubd0=$W/p/{outer}" "ubd1=$W/p/{inner}" "ubd2=$W/p/{third}" con0=fd:0,fd:1 con=null lab={what} </dev/null
test -e "$T/run/stack.done" || {{ echo "the user-mode kernel did not finish {what}"; exit 1; }}
umount "$T/run"; rm -rf "$W/home"
"""
