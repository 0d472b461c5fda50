"""How a text names a device, which devices it means, and what it should be called."""

import sys

import pytest

from migprep.facts import Facts
from migprep.facts.block import BlockDevice, Kind, classify, collect, name_prefix, number, unresolved
from migprep.facts.stacks import compiled, device_lists, renamed, tracked
from migprep.model import Undetermined, Unknown
from migprep.root import Files

DISK = BlockDevice("sda", "disk", 1000)
ROOT = BlockDevice(
    "sda1", "partition", fstype="ext4", uuid="aa-BB", label="my disk", partuuid="P-1", parents=("sda",), number="8:1",
    links=("/dev/disk/by-path/pci-1-part1", "/dev/disk/by-id/ata-X-part1"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("UUID=1", Kind.UUID), ('UUID="1"', Kind.UUID), ("/dev/disk/by-uuid/1", Kind.UUID), ("LABEL=x", Kind.LABEL),
        ("PARTUUID=1", Kind.PARTUUID), ("PARTLABEL=x", Kind.PARTLABEL), ("ID=ata-X", Kind.ID), ("ID=dm-name-x", Kind.CONTENT),
        ("/dev/sda", Kind.NAME), ("/dev/sda10", Kind.NAME), ("/dev/sdaa1", Kind.NAME), ("/dev/nvme0n1p2", Kind.NAME),
        ("/dev/mmcblk0p1", Kind.NAME), ("/dev/cciss/c0d0p1", Kind.NAME), ("/dev/xvde", Kind.NAME), ("/dev/hdc", Kind.NAME),
        ("/dev/disk/by-path/pci-0-part1", Kind.PATH), ("/dev/disk/by-id/wwn-0x5-part1", Kind.ID),
        ("/dev/disk/by-id/dm-uuid-LVM-abc", Kind.CONTENT), ("/dev/disk/by-id/md-uuid-1:2", Kind.CONTENT),
        ("/dev/disk/by-id/lvm-pv-uuid-1", Kind.CONTENT), ("/dev/disk/by-id/dm-uuid-mpath-3600", Kind.ID),
        ("/dev/disk/by-id/dm-uuid-part1-mpath-3600", Kind.ID), ("/dev/disk/by-id/dm-name-mpatha", Kind.ID),
        ("/dev/mapper/vg-root", Kind.MAPPER), ("/dev/md0", Kind.MD), ("/dev/md/root", Kind.MD), ("/dev/vg/root", Kind.OTHER),
        ("/dev/sr0", Kind.OTHER), ("//host/share", Kind.NETWORK), ("host:/x", Kind.NETWORK),
        ("tmpfs", Kind.PSEUDO), ("none", Kind.PSEUDO), ("/swapfile", Kind.FILE), ("", Kind.FILE),
    ],
)  # fmt: skip
def test_kinds(spec, kind):
    assert classify(spec)[0] is kind


@pytest.mark.parametrize(("spec", "prefix"), [("/dev/sda1", "sd"), ("/dev/nvme0n1", "nvme"), ("/dev/md0", ""), ("sda", "")])
def test_prefix(spec, prefix):
    assert name_prefix(spec) == prefix


@pytest.mark.parametrize(
    ("spec", "pair"),
    [("8:1", "8:1"), ("0801", "8:1"), ("801", "8:1"), ("0x801", "8:1"), ("FE01", "254:1"), ("8:1:0:", "8:1"),
     ("00100801", "8:257"), ("8:", ""), ("mirror", ""), ("/dev/sda1", ""), ("", "")],
)  # fmt: skip
def test_device_numbers(spec, pair):
    assert number(spec) == pair


@pytest.mark.parametrize("spec", ["/dev/sda1", "8:1", "801", 'UUID="AA-bb"', "LABEL=my disk", "/dev/disk/by-label/my\\x20disk", "PARTUUID=p-1",
                                  "/dev/disk/by-path/pci-1-part1", "/dev/disk/by-id/ata-X-part1"])  # fmt: skip
def test_what_is_meant(spec):
    found = collect([DISK, ROOT]).reference(spec)
    assert found.devices == (ROOT,)
    assert found.candidate == "UUID=aa-BB"


def test_candidates():
    def candidate(*others, **changes):
        device = ROOT._replace(**changes)
        return collect([device, *others]).candidate(device)

    assert candidate(uuid="") == "PARTUUID=P-1"
    assert candidate(uuid="", partuuid="", label="x") == "LABEL=x"
    assert candidate(uuid="", partuuid="") == ""  # a label with a blank
    assert candidate(ROOT._replace(name="sdb1", partuuid="P-2")) == "PARTUUID=P-1"  # a cloned file system
    assert candidate(fstype="LVM2_member") == "PARTUUID=P-1"
    for kind in ("lvm", "crypt", "dm", "md"):
        assert candidate(kind=kind) == ""
    assert candidate(kind="multipath") == "UUID=aa-BB"


def test_copies_that_another_device_stands_for():
    copies = [ROOT._replace(name=name) for name in ("sdb1", "sdc1")]
    assert collect([ROOT, *copies]).reference("UUID=aa-BB").is_ambiguous
    btrfs = [one._replace(fstype="btrfs") for one in [ROOT, *copies]]
    assert not collect(btrfs).reference("UUID=aa-BB").is_ambiguous
    members = [one._replace(fstype="linux_raid_member") for one in copies]
    assert not collect([ROOT, *members]).reference("UUID=aa-BB").is_ambiguous
    assert not collect([ROOT, copies[0]._replace(is_shadow=True)]).reference("UUID=aa-BB").is_ambiguous
    paths = [copies[0]._replace(name="sdx", parents=()), copies[1]._replace(name="sdx1", parents=("sdx",))]
    top = ROOT._replace(name="dm-0", kind="multipath", mapper="lun", parents=("sdx",))
    found = collect([*paths, top]).reference("UUID=aa-BB")
    assert found.devices == (top,) and not found.is_ambiguous


def test_where_names_break():
    block = collect([DISK, ROOT, DISK._replace(name="sdb"), DISK._replace(name="sdc", removable=True)])
    assert block.reference("/dev/sda1").breaks_on("vd")
    assert not block.reference("/dev/sda1").breaks_on("sd")
    assert block.reference("/dev/sda1").may_shift_on("sd")
    assert not collect([DISK, ROOT]).reference("/dev/sda1").may_shift_on("sd")
    assert block.reference("/dev/disk/by-id/ata-X-part1").breaks_on("sd")
    assert not block.reference("UUID=aa-BB").breaks_on("vd")
    assert block.reference("UUID=none").is_missing
    assert not block.reference("/dev/sdz").is_missing


def test_what_the_text_alone_tells():
    why = Unknown("no udev database")
    assert unresolved("/dev/sda1", "", why).breaks_on("vd")
    assert unresolved("/dev/mapper/mpatha1", "", why).breaks_on("vd")
    assert unresolved("/dev/sda1", "", why).expected
    for question in ("is_missing", "is_ambiguous"):
        with pytest.raises(Undetermined, match="udev"):
            getattr(unresolved("UUID=1", "", why), question)
    with pytest.raises(Undetermined):
        unresolved("/dev/sda1", "", why).may_shift_on("sd")


def test_a_stack_with_a_loop_in_it_ends():
    one, two = BlockDevice("dm-0", "lvm", parents=("dm-1",)), BlockDevice("dm-1", "crypt", parents=("dm-0",))
    assert set(collect([one, two]).stack(one)) == {one, two}


def test_no_database_is_not_no_identifier():
    files = {"/sys/class/block/sda/dev": b"8:0\n", "/etc/fstab": b"UUID=1 /x ext4\n/dev/sda1 /y ext4\n"}
    facts = Facts(Files(files))
    assert isinstance(facts.block, Unknown)
    missing, named = facts.fstab.entries
    assert named.device.breaks_on("vd")
    with pytest.raises(Undetermined):
        assert missing.device.is_missing


def test_many_devices_and_lines_cost_a_line_each():
    """Ten times as many ask for ten times as many steps; steps are counted, not seconds."""
    from migprep.facts import fstab, mounts

    def steps(count):
        devices = [ROOT._replace(name=f"sd{minor}", uuid=f"u-{minor}", number=f"8:{minor}") for minor in range(count)]
        table = "".join(f"UUID=u-{number} /m{number} ext4\n" for number in range(count))
        mounted = "".join(f"{number} 1 8:{number} / /m{number} rw - ext4 /dev/sd{number} rw\n" for number in range(count))
        entries = []
        taken = counted(lambda: entries.extend(fstab.parse(table, collect(devices), mounts.parse(mounted)).entries))
        assert len(entries) == count and all(entry.mounted for entry in entries)
        return taken

    assert steps(2000) < 11 * steps(200)


def counted(work):
    """How many lines of Python `work` runs, those of comprehensions and loops each time."""
    total = 0

    def line(*_):
        nonlocal total
        total += 1
        return line

    before = sys.gettrace()
    sys.settrace(line)
    try:
        work()
    finally:
        sys.settrace(before)
    return total


@pytest.mark.parametrize(("name", "prefix", "first"), [("sda2", "vd", "/dev/vda2"), ("sda", "vd", "/dev/vda"), ("sdb10", "nvme", "/dev/nvme0n1p10"),
                                                       ("nvme0n1p3", "sd", "/dev/sda3"), ("nvme0n1", "sd", "/dev/sda")])  # fmt: skip
def test_names_elsewhere(name, prefix, first):
    assert renamed(name, prefix)[0] == first


@pytest.mark.parametrize("pattern", ["", "a", "a|", "x|a|", "a|(|", "a|b"])
def test_a_filter_that_is_none(pattern):
    with pytest.raises(Undetermined):
        compiled((pattern,))


def test_device_lists_and_devices_file():
    found = device_lists("DEV a b # c\n d\n\tDEVICE e\nMAILADDR x\n y\ndevice\n", "/x")
    assert [(one.line, one.words) for one in found] == [(1, ("a", "b", "d", "DEVICE", "e")), (6, ())]
    entries = tracked("# IDTYPE=a\nHOSTNAME=h\nIDTYPE=sys_wwid IDNAME=n DEVNAME=/dev/a PVID=p\n", "", Unknown(""))
    assert [(one.line, one.idtype, one.is_refreshed) for one in entries] == [(3, "sys_wwid", True)]
