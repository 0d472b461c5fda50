"""formats.ini gives back every byte of what it reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.formats import ini

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
ANY = st.text(st.characters(blacklist_categories=())) | st.text(
    st.sampled_from(list("A=b'\"\\$ \t\r\n#;[]\x0c\u2028iface auto"))
)


@given(ANY)
def test_joining_gives_back_every_character(text: str) -> None:
    lines = ini.parse(text)
    assert "".join(line.raw for line in lines) == text
    number = 1
    for line in lines:
        assert line.number == number
        number += line.raw.count("\n")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of real files is not here")
@pytest.mark.parametrize("folder", ["networkd", "nmconnection", "nm-conf", "hostile"])
def test_real_files_come_back_whole(folder: str) -> None:
    for path in sorted((CORPUS / folder).iterdir()):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        assert "".join(line.raw for line in ini.parse(text)) == text, path


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
