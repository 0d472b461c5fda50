"""The device database: the same devices from libudev and from its files."""

from pathlib import Path

import pytest
import yaml

from migprep import udevdb
from migprep.facts import Facts
from migprep.model import Undetermined
from migprep.root import Files, Tree

TREES = Path(__file__).parent / "trees"


def machine(name):
    tree = yaml.safe_load((TREES / f"{name}.yaml").read_text())
    return Files({path: value["link"] if isinstance(value, dict) else value.encode() for path, value in tree.items()})


def test_links_and_properties():
    links, properties = udevdb.parse("S:disk/by-uuid/1\nS:vg/root\nI:123\nE:ID_FS_TYPE=ext4\nE:X=a=b\nE:broken\nG:systemd\nV:1\n")
    assert links == ("/dev/disk/by-uuid/1", "/dev/vg/root")
    assert properties == {"ID_FS_TYPE": "ext4", "X": "a=b"}


def test_no_sys_is_not_no_device():
    with pytest.raises(Undetermined, match="no /sys/class/net"):
        udevdb.devices(Files({"/etc/fstab": b""}), "net")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("sda", {"sda": "disk", "sda1": "partition", "sda2": "partition", "sda3": "partition"}),
        ("vda", {"vda": "disk", "vda1": "partition", "vda2": "partition"}),
        ("lvm", {"sda": "disk", "sda1": "partition", "sda2": "partition", "dm-0": "lvm", "dm-1": "lvm"}),
        ("luks", {"sda": "disk", "sda1": "partition", "sda2": "partition", "dm-0": "crypt",
                  "sdb": "disk", "sdb1": "partition", "sdb2": "partition"}),
        ("md", {"sda": "disk", "sda1": "partition", "sda2": "partition", "md0": "md", "sdb": "disk", "sdb1": "partition"}),
    ],
)  # fmt: skip
def test_trees(name, kinds):
    block = Facts(machine(name)).block
    assert {device.name: device.kind for device in block.devices} == kinds


def test_what_stands_on_what():
    block = Facts(machine("md")).block
    assert {one.name for one in block.stack(block.named("md0"))} == {"md0", "sda2", "sda", "sdb1", "sdb"}
    block = Facts(machine("lvm")).block
    assert block.reference("/dev/vg0/root").devices == block.reference("/dev/mapper/vg0-root").devices != ()
    assert {one.bus for one in block.disks} == {"ata"}


def test_live_and_by_files_agree():
    live, plain = Tree("/", live=True), Tree("/")
    if not udevdb.has_database(live):
        pytest.skip("no udev database here")
    one, other = udevdb.devices(live, "block"), udevdb.devices(plain, "block")
    assert [device.name for device in one] == [device.name for device in other]
    assert [sorted(device.links) for device in one] == [sorted(device.links) for device in other]
