"""The device database: the same devices from libudev and from its files."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from migprep import udevdb
from migprep.facts import Facts
from migprep.model import Undetermined
from migprep.root import Files, Tree

AGENT = Path(__file__).parent.parent / "agent"
TREES = Path(__file__).parent / "trees"


def machine(name):
    tree = yaml.safe_load((TREES / f"{name}.yaml").read_text())
    return Files({path: value["link"] if isinstance(value, dict) else value.encode() for path, value in tree.items()})


def test_links_and_properties():
    links, properties = udevdb.parse("S:disk/by-uuid/1\nS:vg/root\nI:123\nE:ID_FS_TYPE=ext4\nE:X=a=b\nE:broken\nG:systemd\nV:1\n")
    assert links == ("/dev/disk/by-uuid/1", "/dev/vg/root")
    assert properties == {"ID_FS_TYPE": "ext4", "X": "a=b"}


def test_the_database_of_an_old_udev():
    kept = b"N:sda1\nS:disk/by-uuid/1\nL:0\nE:ID_FS_UUID=1\n"
    root = Files({"/sys/class/block/sda1/dev": b"8:1\n", "/dev/.udev/db/block:sda1": kept})
    (device,) = udevdb.devices(root, "block")
    assert device.links == ("/dev/disk/by-uuid/1",) and device.properties["ID_FS_UUID"] == "1"
    assert udevdb.has_database(root, "block") and not udevdb.has_database(root, "net")


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


@pytest.mark.parametrize("subsystem", ["block", "net"])
def test_live_and_by_files_agree(subsystem):
    live, plain = Tree("/", live=True), Tree("/")
    one, other = udevdb.devices(live, subsystem), udevdb.devices(plain, subsystem)
    assert [device.name for device in one] == [device.name for device in other]
    assert [sorted(device.links) for device in one] == [sorted(device.links) for device in other]


def test_libudev_is_asked_without_starting_a_program():
    """In an interpreter of its own, for the library may be loaded here already."""
    code = """if True:
        import subprocess
        def refuse(*a, **k): raise AssertionError("a program was started")
        subprocess.Popen.__init__ = refuse
        from migprep import udevdb
        assert udevdb._asked("block") is not None
    """
    pytest.importorskip("pyudev")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(AGENT)})
    if "AssertionError" in done.stderr and "program" not in done.stderr:
        pytest.skip("no libudev here")
    assert done.returncode == 0, done.stderr


def test_a_number_that_is_none():
    with pytest.raises(Undetermined, match="/sys/class/block/sda/dev does not hold a number"):
        udevdb.devices(Files({"/sys/class/block/sda/dev": b"8:\0"}), "block")
