"""Target profiles: the shipped ones are complete, and a wrong one is refused with a sentence."""

from __future__ import annotations

import re

import pytest

from migprep import targets
from migprep.facts.block import name_prefix
from migprep.targets import TargetError

SHIPPED = targets.load()
NAMES = {"sd": "/dev/sda1", "vd": "/dev/vda1", "xvd": "/dev/xvda1", "nvme": "/dev/nvme0n1p1"}


def test_the_promised_targets_are_there() -> None:
    assert set(SHIPPED) >= {"kvm", "kvm-scsi", "xen", "vmware", "hyperv", "aws", "azure", "gcp", "generic"}


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_member_has_its_form(name: str) -> None:
    target = SHIPPED[name]
    assert name_prefix(NAMES[target.disk.prefix]) == target.disk.prefix
    assert set(target.firmware) <= {"bios", "uefi", "secure-boot"}
    assert 1 <= target.cpu.level <= 4
    assert target.console
    for drivers in (target.disk.drivers, target.nic.drivers, target.display.kernel_drivers):
        assert isinstance(drivers, tuple)
        assert all(re.fullmatch(r"[a-z0-9_]+(\|[a-z0-9_]+)*", one) for one in drivers), drivers
    assert target.disk.drivers and target.nic.drivers


def _content() -> dict[str, object]:
    return {
        "name": "x", "title": "X", "firmware": ["bios"], "cpu": {"level": 1},
        "disk": {"bus": "b", "prefix": "sd", "drivers": ["ahci"]}, "nic": {"model": "m", "drivers": ["e1000"]},
        "display": {"model": "m", "kernel_drivers": [], "x_drivers": []},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": "red"}, "unknown member 'colour'"),
        ({"disk": "sda"}, "disk: must be a mapping"),
        ({"disk": {"bus": "b", "prefix": "sd"}}, "missing 'drivers'"),
        ({"cpu": {"level": 1, "speed": 2}}, "unknown member 'speed'"),
    ],
)
def test_a_wrong_target_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(TargetError, match=re.escape(sentence)) as error:
        targets.parse({**_content(), **change}, "here.yaml")
    assert str(error.value).startswith("here.yaml: ")


def test_a_target_without_a_member_is_refused() -> None:
    content = _content()
    del content["nic"]
    with pytest.raises(TargetError, match="missing 'nic'"):
        targets.parse(content, "here.yaml")


@pytest.mark.parametrize("macs", [["52:54:00:1a:b0:01"], {"52:54:00:1A:B0:01": "52:54:00:1a:b0:02"}, {"52:54:00:1a:b0:01": 5}])
def test_a_map_of_addresses_that_is_none_is_refused(macs: object) -> None:
    content = _content()
    content["nic"] = {**content["nic"], "macs": macs}
    with pytest.raises(TargetError, match="nic: macs: must map addresses"):
        targets.parse(content, "site.yaml")


def test_two_cards_do_not_get_one_address() -> None:
    content = _content()
    macs = {"52:54:00:1a:b0:01": "0a:00:00:00:00:07", "52:54:00:1a:b0:02": "0a:00:00:00:00:07"}
    content["nic"] = {**content["nic"], "macs": macs}
    with pytest.raises(TargetError, match="two cards would get the same address"):
        targets.parse(content, "site.yaml")
