"""Which text means which device: what is found, what means nothing, two things, or another than is mounted."""

from __future__ import annotations

from migprep.facts import Facts, references
from migprep.facts.block import BlockDevice
from migprep.root import Files, Overlay
from tests.test_rules import root_of

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


def test_how_a_uuid_is_written_back() -> None:
    assert references.writer(BlockDevice("sda1", "partition", fstype="ext4", uuid=U)) == f"tune2fs -U {U} DEVICE"
    assert references.writer(BlockDevice("sda1", "partition", fstype="vfat", uuid="1AB0-0E5B")) == "mlabel -N 1AB00E5B -i DEVICE ::"
    assert references.writer(BlockDevice("sda1", "partition", fstype="iso9660", uuid=U)) == ""
    assert references.writer(BlockDevice("sda1", "partition", fstype="ext4")) == ""


def test_without_a_device_database_nothing_is_told() -> None:
    assert "udev" in references.of(Facts(Files({"/etc/fstab": b"UUID=1 / ext4\n"}))).reason
