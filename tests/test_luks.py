"""LUKS headers: what opens a device, read from the format's own bytes; no key leaves it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.facts import luks
from migprep.model import Undetermined


def header(tokens: dict[str, Any], slots: tuple[str, ...] = ("0", "1")) -> bytes:
    """The beginning of a device with LUKS2, as far as it tells of keys."""
    area = json.dumps({"keyslots": {one: {"type": "luks2"} for one in slots}, "tokens": tokens}).encode()
    return (luks.MAGIC + b"\0\2" + (16384).to_bytes(8, "big")).ljust(4096, b"\0") + area.ljust(12288, b"\0")


def sealed(pin: str, *inside: str) -> str:
    """The protected header of a JSON web encryption, as clevis(1) writes it."""
    told: dict[str, Any] = {"pin": pin}
    if pin == "sss":
        told["sss"] = {"t": 1, "jwe": [f"{one}.a.b.c.d" for one in inside]}
    return base64.urlsafe_b64encode(json.dumps({"clevis": told}).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("tokens", "keepers"),
    [
        ({}, []),
        ({"0": {"type": "systemd-tpm2", "keyslots": ["1"], "tpm2-blob": "secret"}}, [("tpm2", ("1",))]),
        ({"0": {"type": "systemd-recovery", "keyslots": ["1"]}}, [("recovery", ("1",))]),
        ({"0": {"type": "clevis", "keyslots": ["1"], "jwe": {"protected": sealed("tang")}}}, [("tang", ("1",))]),
        ({"0": {"type": "clevis", "keyslots": ["1"], "jwe": {"protected": sealed("sss", sealed("tpm2"))}}}, [("tpm2", ("1",))]),
        ({"0": {"type": "clevis", "keyslots": ["1"], "jwe": {"protected": "!"}}}, [("clevis", ("1",))]),
        ({"0": {"type": "fido2 x", "keyslots": []}}, [("fido2 x", ())]),
    ],
)
def test_tokens_are_told(tokens: dict[str, Any], keepers: list[tuple[str, tuple[str, ...]]]) -> None:
    version, slots, found = luks.parse(header(tokens), "/dev/x")
    assert (version, slots, [tuple(one) for one in found]) == (2, ("0", "1"), keepers)
    text = luks.kept((version, slots, found))
    assert "secret" not in text
    assert luks.restored(text)[:2] == (2, ("0", "1"))
    assert [one.slots for one in luks.restored(text)[2]] == [one.slots for one in found]


def test_version_1_has_slots() -> None:
    content = bytearray((luks.MAGIC + b"\0\1").ljust(1024, b"\0"))
    content[luks.SLOTS + luks.STEP : luks.SLOTS + luks.STEP + 4] = luks.ACTIVE.to_bytes(4, "big")
    assert luks.parse(bytes(content), "/dev/x") == (1, ("1",), ())


@given(st.binary(max_size=400), st.text(max_size=200))
def test_any_bytes_are_read(content: bytes, text: str) -> None:
    start = luks.MAGIC + b"\0\2" + (16384).to_bytes(8, "big")
    for one in (content, luks.MAGIC + content, start.ljust(4096, b"\0") + content):
        try:
            luks.parse(one, "/dev/x")
        except Undetermined as error:
            assert "/dev/x" in str(error)
    luks.restored(text)
