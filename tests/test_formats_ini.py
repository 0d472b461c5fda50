"""What formats.ini understands of the lines it keeps."""

from __future__ import annotations

import pytest

from migprep.formats import ini


def test_sections_keys_and_values() -> None:
    lines = ini.parse("# c\n[Match]\nName=ens3 \\\n# inside\n  ens4\n\n[Network]\n DNS = 1.1.1.1\nDNS=\nDNS=9.9.9.9")
    assert ini.values(lines, "Match", "Name") == ["ens3 ens4"]
    assert ini.values(lines, "Network", "DNS") == ["9.9.9.9"]
    assert [line.number for line in lines if line.key] == [3, 8, 9, 10]
    assert ini.value(lines, "Network", "Gateway", "none") == "none"


def test_a_keyfile_does_not_continue_lines() -> None:
    lines = ini.parse("[a]\nb=c\\\nd=e\n", continues=False)
    assert ini.value(lines, "a", "b") == "c\\"
    assert ini.value(lines, "a", "d") == "e"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("method=manual\n", "method=auto\n"),
        ("method = manual\r\n", "method = auto\r\n"),
        ("method=manual", "method=auto"),
    ],
)
def test_one_value_is_exchanged(raw: str, expected: str) -> None:
    assert ini.parse("[ipv4]\n" + raw)[1].with_value("auto") == expected
