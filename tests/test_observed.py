"""What only the running kernel can tell: live, from a capture, and when it cannot be told."""

from __future__ import annotations

import json

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


def test_a_missing_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(observed.importlib, "import_module", missing)
    for name, module in (("network", "psutil"), ("gateways", "netifaces")):
        with pytest.raises(Undetermined, match=module):
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
