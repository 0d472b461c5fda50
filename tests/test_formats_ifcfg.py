"""What formats.ifcfg understands of the lines it keeps."""

from __future__ import annotations

import pytest

from migprep.formats import ifcfg


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("DEVICE=eth0\n", "eth0"),
        ('DEVICE="eth0" # c\n', "eth0"),
        ("export DEVICE='eth0'\r\n", "eth0"),
        ("DEVICE=$'\\x65th\\060'\n", "eth0"),
        ('DEVICE="et\nh0"\n', "et\nh0"),
        ("DEVICE=e\\th0 \t\n", "eth0"),
        ("DEVICE=", ""),
        (" DEVICE=et'h'0;X=1\n", "eth0"),
    ],
)
def test_the_shell_takes_quotes_away(text: str, value: str) -> None:
    assert ifcfg.values(ifcfg.parse(text)) == {"DEVICE": value}


@pytest.mark.parametrize("text", ["DEVICE = eth0\n", "# DEVICE=eth0\n", 'DEVICE="eth0\nX=1\n', "[DEVICE=eth0\n"])
def test_what_is_no_assignment_of_it(text: str) -> None:
    assert "DEVICE" not in ifcfg.values(ifcfg.parse(text))


def test_an_open_quote_costs_one_line_only() -> None:
    assert ifcfg.values(ifcfg.parse("A='b\nC=d\n")) == {"C": "d"}


def test_one_value_is_exchanged() -> None:
    line = ifcfg.parse('  BOOTPROTO="static"  # fixed\r\n')[0]
    assert line.with_value("dhcp") == "  BOOTPROTO=dhcp  # fixed\r\n"
    assert line.with_value("a b") == "  BOOTPROTO='a b'  # fixed\r\n"
