"""Which text means which device: what is found, what means nothing, two things, or another than is mounted."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from migprep.facts import Facts, references
from migprep.facts.block import BlockDevice
from migprep.root import Files, Overlay
from tests.test_rules import root_of

TOOLS = "/usr/sbin:/usr/bin:/sbin:/bin"
U = "11111111-aaaa-4aaa-8aaa-000000000001"


def states(*trees: str, **files: str) -> set[tuple[str, str, str]]:
    """(path, text, state) of every reference of a machine made of these trees with these files over them."""
    place = Overlay(root_of({"tree": list(trees)}, {}), {path: text.encode() for path, text in files.items()})
    return {(one.path, one.text, one.state) for one in references.of(Facts(place))}


def test_what_texts_mean() -> None:
    found = states(
        "sda", "sdb", "root-on-sda1", "boot-grub",
        **{
            "/etc/fstab": f"UUID={U} / ext4 defaults 0 1\nLABEL=none /srv ext4 nofail 0 2\ntmpfs /tmp tmpfs\n{U[:0]}/dev/sdb /x xfs\n",
            "/etc/crypttab": "swap /dev/sda9 /dev/urandom swap\n",
            "/boot/grub/grub.cfg": f"menuentry 'a' {{\n search --no-floppy --fs-uuid --set=root {U[:-1]}9\n linux /vmlinuz-1 root=UUID={U}\n}}\n",
        },
    )  # fmt: skip
    assert ("/etc/fstab", f"UUID={U}", "found") in found
    assert ("/etc/fstab", "LABEL=none", "missing") in found
    assert ("/etc/fstab", "/dev/sdb", "found") in found
    assert not any(text == "tmpfs" for _, text, _ in found)
    assert ("/etc/crypttab", "/dev/sda9", "missing") in found
    assert ("/boot/grub/grub.cfg", f"UUID={U}", "found") in found
    assert ("/boot/grub/grub.cfg", f"UUID={U[:-1]}9", "missing") in found


def test_arrays_are_found_by_their_own_uuid() -> None:
    assert ("/etc/mdadm/mdadm.conf", "UUID=a1b2c3d4:00004000:80000000:00000001", "found") in states("md")
    other = {"/etc/mdadm/mdadm.conf": "ARRAY /dev/md0 UUID=ffffffff:00004000:80000000:00000001\n"}
    assert ("/etc/mdadm/mdadm.conf", "UUID=ffffffff:00004000:80000000:00000001", "missing") in states("md", **other)


def test_other_than_mounted() -> None:
    files = {"/proc/1/mountinfo": "24 1 8:16 / / rw - xfs /dev/sdb rw\n"}
    assert ("/etc/fstab", f"UUID={U}", "other") in states("sda", "sdb", "root-on-sda1", **files)


def test_what_the_sites_own_mount_units_name() -> None:
    place = "/etc/systemd/system/srv-more.mount"
    link = {"/etc/systemd/system/multi-user.target.wants/srv-more.mount": ""}
    unit = "[Mount]\nWhere=/srv/more\nWhat=UUID={}\n"
    assert (place, f"UUID={U}", "found") in states("sda", **link, **{place: unit.format(U)})
    assert (place, "UUID=dead-beef", "missing") in states("sda", **link, **{place: unit.format("dead-beef")})
    dropin = {f"{place}.d/a.conf": f"[Mount]\nWhat=UUID={U}\n"}
    found = states("sda", **link, **{place: unit.format("dead-beef")}, **dropin)
    assert (f"{place}.d/a.conf", f"UUID={U}", "found") in found
    assert not any(text == "UUID=dead-beef" for _, text, _ in found)
    assert not any(path == place for path, _, _ in states("sda", **{place: unit.format(U)}))


def test_what_an_image_and_lvm_name() -> None:
    found = states("debian", "lvm", **{
        "/etc/lvm/devices/system.devices": "IDTYPE=devname IDNAME=/dev/sda2 DEVNAME=/dev/sda2 PVID=Aaaaaabbbbccccddddeeeeffffgggggg\n"
        "IDTYPE=devname IDNAME=/dev/sdz DEVNAME=/dev/sdz PVID=Zzzzzzbbbbccccddddeeeeffffgggggg\nIDTYPE=devname PVID=short\n",
        "/migprep/initramfs/boot/initrd.img-6.1.0-18-amd64": "# tool: initramfs-tools\n# in conf/conf.d/resume: RESUME=UUID=dead-beef\ninit\n",
    })  # fmt: skip
    assert ("/etc/lvm/devices/system.devices", "PVID=Aaaaaabbbbccccddddeeeeffffgggggg", "found") in found
    assert ("/etc/lvm/devices/system.devices", "PVID=Zzzzzzbbbbccccddddeeeeffffgggggg", "missing") in found
    assert ("/boot/initrd.img-6.1.0-18-amd64", "RESUME=UUID=dead-beef (conf/conf.d/resume)", "missing") in found


def test_how_a_partition_gets_its_uuid_back() -> None:
    mbr = BlockDevice("sda1", "partition", partuuid="0badcafe-01")
    gpt = BlockDevice("nvme0n1p12", "partition", partuuid="4c1d0f4e-aaaa-4aaa-8aaa-000000000001")
    assert references.partition_writer(mbr) == "sfdisk --disk-id DISK 0x0badcafe"
    assert references.partition_writer(gpt) == "sgdisk --partition-guid=12:4c1d0f4e-aaaa-4aaa-8aaa-000000000001 DISK"
    assert references.partition_writer(BlockDevice("sda", "disk")) == ""


def test_what_changes_a_uuid_is_known_for_whatever_can_be_written_back() -> None:
    assert set(references.CHANGERS) == set(references.WRITERS)
    assert references.changers(BlockDevice("sda1", "partition", fstype="xfs", uuid=U)) == "mkfs, xfs_admin -U"
    assert references.changers(BlockDevice("sda1", "partition", fstype="xfs")) == ""


MAKERS = {
    "ext2": "mkfs.ext2 -q FILE", "ext3": "mkfs.ext3 -q FILE", "ext4": "mkfs.ext4 -q FILE", "xfs": "mkfs.xfs -q FILE",
    "btrfs": "mkfs.btrfs -q FILE", "swap": "mkswap FILE", "vfat": "mkfs.vfat -F 32 FILE", "ntfs": "mkfs.ntfs -F -Q FILE",
    "exfat": "mkfs.exfat FILE", "jfs": "mkfs.jfs -q FILE", "reiserfs": "mkfs.reiserfs -q -f -f FILE",
    "gfs2": "mkfs.gfs2 -q -O -p lock_nolock FILE", "udf": "mkudffs FILE",
    "crypto_LUKS": "echo x | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 FILE -",
}  # fmt: skip
IDENTIFIERS = {
    "vfat": "1AB0-0E5B", "exfat": "1AB0-0E5B", "ntfs": "1AB00E5B1AB00E5B", "udf": "1ab00e5b1ab00e5b",
}  # fmt: skip


@pytest.mark.parametrize("fstype", MAKERS)
def test_what_is_printed_writes_back(fstype: str, tmp_path: Path) -> None:
    """The real tools on a plain file: it has another UUID and no label, and gets those of the device that was read."""
    uuid, label = IDENTIFIERS.get(fstype, "12345678-1ab0-4000-8000-00000000cafe"), "Data x'y"
    label = {"exfat": "Data x", "xfs": "data"}.get(fstype, label)  # xfs_admin takes no blanks
    device = BlockDevice("sda1", "partition", fstype=fstype, uuid=uuid, label=label)
    made = tmp_path / "file"
    with made.open("wb") as stream:
        stream.truncate(400 << 20)
    for command in (MAKERS[fstype], references.writer(device), references.labeller(device)):
        tools = [part.split()[0] for part in command.replace("echo x | ", "").split("; ") if part]
        missing = [tool for tool in tools if not shutil.which(tool, path=TOOLS)]
        if missing:
            pytest.skip(f"{missing[0]} is not installed")
        words = command.replace("FILE", str(made)).replace("DEVICE", str(made))
        done = subprocess.run(["sh", "-c", words], input="y\n", capture_output=True, text=True, env={"PATH": TOOLS}, timeout=60)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    told = subprocess.run(
        ["blkid", "-p", "-o", "export", made], capture_output=True, text=True, check=True, env={"PATH": TOOLS}
    ).stdout
    found = dict(line.split("=", 1) for line in told.splitlines())
    assert (found["TYPE"], found["UUID"]) == (fstype, uuid)
    assert found.get("LABEL", "").replace("\\", "") == (label if references.labeller(device) else "")


def test_every_command_is_tried_where_a_plain_file_will_do() -> None:
    assert set(references.WRITERS) - set(MAKERS) == {"LVM2_member", "linux_raid_member", "nilfs2", "ocfs2"}
    assert set(references.LABELLERS) <= set(references.WRITERS)


@pytest.mark.parametrize("label, unit, device", [("dos", "1ab01ab0-02", "sda2"), ("gpt", "12345678-1AB0-4000-8000-00000000CAFE", "nvme0n1p2")])
def test_what_is_printed_writes_a_partuuid_back(label: str, unit: str, device: str, tmp_path: Path) -> None:
    command = references.partition_writer(BlockDevice(device, "partition", partuuid=unit.lower()))
    for tool in ("sfdisk", command.split()[0]):
        if not shutil.which(tool, path=TOOLS):
            pytest.skip(f"{tool} is not installed")
    disk = tmp_path / "disk"
    with disk.open("wb") as stream:
        stream.truncate(64 << 20)
    for words, given in ((f"sfdisk -q {disk}", f"label: {label}\n,10M\n,10M\n"), (command.replace("DISK", str(disk)), "")):
        subprocess.run(words.split(), input=given, text=True, check=True, capture_output=True, env={"PATH": TOOLS})
    table = json.loads(subprocess.run(["sfdisk", "-J", disk], capture_output=True, text=True, check=True, env={"PATH": TOOLS}).stdout)
    found = table["partitiontable"]
    assert unit == (found["partitions"][1]["uuid"] if label == "gpt" else found["id"].removeprefix("0x") + "-02")


def test_how_a_uuid_is_written_back() -> None:
    """An array's would be split by a command on one member; what a device holds may be anything."""
    array = BlockDevice("sda3", "partition", fstype="linux_raid_member", uuid=U)
    assert references.writer(array) == f"mdadm --assemble --update=uuid --uuid={U} /dev/mdX EVERY_MEMBER"
    assert references.writer(BlockDevice("sda1", "partition", fstype="vfat", uuid="1AB0-0E5B")) == "fatlabel -i DEVICE 1AB00E5B"
    assert references.writer(BlockDevice("sda1", "partition", fstype="xfs", uuid="a; reboot")) == "xfs_admin -U 'a; reboot' DEVICE"
    assert references.writer(BlockDevice("sda1", "partition", fstype="iso9660", uuid=U)) == ""
    assert references.writer(BlockDevice("sda1", "partition", fstype="ext4")) == ""


def test_without_a_device_database_nothing_is_told() -> None:
    assert "udev" in references.of(Facts(Files({"/etc/fstab": b"UUID=1 / ext4\n"}))).reason


def test_what_grub_looks_for() -> None:
    menu = """
search --no-floppy --fs-uuid --set=root --hint-bios=hd0,msdos1 11111111-aaaa-4aaa-8aaa-000000000001
search --no-floppy --label --set=root none
search --file --set=root /.disk/info
search --no-floppy --label --set=root $name
cryptomount -u 99999999aaaa4aaa8aaa000000000009
set root='mduuid/a1b2c3d4000040008000000000000001'
set root='lvmid/Yx2kQ2-aaaa-bbbb-cccc-dddd-eeee-ffffff/d0gH1s-aaaa-bbbb-cccc-dddd-eeee-ffffff'
menuentry 'a' {
 linux /vmlinuz-1 root=UUID=11111111-aaaa-4aaa-8aaa-000000000001
}
"""
    found = states("sda", "md", "root-on-sda1", "boot-grub", **{"/boot/grub/grub.cfg": menu})
    assert {(text, state) for path, text, state in found if path == "/boot/grub/grub.cfg"} == {
        (f"UUID={U}", "found"), ("LABEL=none", "missing"), ("UUID=99999999-aaaa-4aaa-8aaa-000000000009", "missing"),
        ("mduuid/a1b2c3d4000040008000000000000001", "found"),
        ("lvmid/Yx2kQ2-aaaa-bbbb-cccc-dddd-eeee-ffffff/d0gH1s-aaaa-bbbb-cccc-dddd-eeee-ffffff", "missing"),
    }  # fmt: skip


def test_further_devices() -> None:
    """Those of mount options, headers and keys, of an installer, of scripts, and of arguments that dracut waits for."""
    found = states("sda", "root-on-sda1", "boot-grub", **{
        "/etc/fstab": f"UUID={U} / xfs logdev=/dev/sda3 0 1\n/dev/vg0/gone /srv ext4 nofail 0 2\n/dev/sr0 /cd iso9660 noauto\n",
        "/etc/crypttab": f"a UUID={U} /key:/dev/disk/by-label/stick luks,header=/dev/sda2\nb UUID={U} none luks\n",
        "/boot/grub/device.map": "(hd0) /dev/disk/by-id/ata-gone\n",
        "/etc/rc.local": "#!/bin/sh\n# mount /dev/sdx1\nmount /dev/sda3 /mnt\n",
        "/boot/grub/grub.cfg": f"menuentry 'a' {{\n linux /vmlinuz-1 root=UUID={U} rd.lvm.lv=vg0/gone rd.luks.uuid=luks-dead\n}}\n",
    })  # fmt: skip
    assert found >= {
        ("/etc/fstab", "/dev/sda3", "found"), ("/etc/fstab", "/dev/vg0/gone", "missing"),
        ("/etc/crypttab", "/dev/sda2", "found"), ("/etc/crypttab", "/dev/disk/by-label/stick", "missing"),
        ("/boot/grub/device.map", "/dev/disk/by-id/ata-gone", "missing"), ("/etc/rc.local", "/dev/sda3", "found"),
        ("/boot/grub/grub.cfg", "rd.lvm.lv=vg0/gone", "missing"), ("/boot/grub/grub.cfg", "rd.luks.uuid=luks-dead", "missing"),
    }  # fmt: skip
    assert not {text for _, text, _ in found} & {"/dev/sr0", "/key", "none", "/dev/sdx1"}
