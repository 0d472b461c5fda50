"""What only the running kernel can tell: live, from a capture, and when it cannot be told."""

from __future__ import annotations

import json
import sys

import pytest

from migprep.facts import observed
from migprep.model import Undetermined
from migprep.root import Files, Tree


@pytest.mark.parametrize("name", observed.NAMES)
def test_live_answers_are_json(name: str) -> None:
    value = observed.observed(Tree("/", live=True), name)
    assert json.loads(json.dumps(value)) == value


def test_live_network_has_the_loopback_address() -> None:
    addresses = [a for one in observed.network().values() for a in one["addresses"]]
    assert "127.0.0.1/8" in addresses


def test_a_capture_gives_back_what_was_observed() -> None:
    root = Files({"/migprep/observed/processes.json": b'["init"]'})
    assert observed.observed(root, "processes") == ["init"]


def test_a_damaged_capture_is_undetermined() -> None:
    with pytest.raises(Undetermined, match="processes.json"):
        observed.observed(Files({"/migprep/observed/processes.json": b"{"}), "processes")


@pytest.mark.parametrize("name", observed.NAMES)
def test_without_a_capture_it_is_undetermined(name: str) -> None:
    with pytest.raises(Undetermined, match="only the running machine"):
        observed.observed(Files({}), name)


@pytest.mark.parametrize("name", observed.NAMES)
def test_without_a_compiled_module_it_is_told_otherwise_or_the_module_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the zipapp, which carries nothing that is compiled."""

    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(observed.importlib, "import_module", missing)
    if name in ("network", "resources", "processes"):
        with pytest.raises(Undetermined, match="the Python module psutil is not installed"):
            observed.observed(Tree("/", live=True), name)
    else:
        observed.observed(Tree("/", live=True), name)


@pytest.mark.parametrize(
    ("mask", "length"),
    [
        ("255.255.255.0", 24),
        ("255.255.255.255", 32),
        ("0.0.0.0", 0),
        ("ffff:ffff:ffff:ffff::", 64),
        (None, 32),
        ("::", 0),
    ],
)
def test_prefix_lengths(mask: str | None, length: int) -> None:
    assert observed.prefix_length(mask) == length


IPV4 = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0202000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t00000000\t0102000A\t0003\t0\t0\t0\t00000080\t0\t0\t0
ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
"""
NOWHERE = "0" * 32
IPV6 = f"""{NOWHERE} 00 {NOWHERE} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
{NOWHERE} 00 {NOWHERE} 00 {NOWHERE} ffffffff 00000001 00000000 00200200       lo
fe800000000000000000000000000000 40 {NOWHERE} 00 {NOWHERE} 00000100 00000001 00000000 00000001     eth0
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the table was written by a little-endian kernel")
def test_gateways_without_netifaces() -> None:
    assert observed.routed(IPV4) == [{"address": "10.0.2.2", "interface": "eth0"}]
    assert observed.routed6(IPV6) == [{"address": "fe80::1", "interface": "eth0"}]


def test_the_kernels_tables_say_what_netifaces_says() -> None:
    pytest.importorskip("netifaces")
    told = observed.gateways()
    assert [*observed.routed(observed._table("route")), *observed.routed6(observed._table("ipv6_route"))] == told
