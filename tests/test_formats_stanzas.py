"""formats.stanzas gives back every byte of what it reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.formats import stanzas

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
ANY = st.text(st.characters(blacklist_categories=())) | st.text(
    st.sampled_from(list("A=b'\"\\$ \t\r\n#;[]\x0c\u2028iface auto"))
)


@given(ANY)
def test_joining_gives_back_every_character(text: str) -> None:
    lines = stanzas.parse(text)
    assert "".join(line.raw for line in lines) == text
    number = 1
    for line in lines:
        assert line.number == number
        number += line.raw.count("\n")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of real files is not here")
@pytest.mark.parametrize("folder", ["interfaces", "hostile"])
def test_real_files_come_back_whole(folder: str) -> None:
    for path in sorted((CORPUS / folder).iterdir()):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        assert "".join(line.raw for line in stanzas.parse(text)) == text, path


def test_continued_lines_and_comments() -> None:
    lines = stanzas.parse("# a comment \\\nauto lo \\\n  ens3\niface ens3 inet \\\n static\n  address 10.0.0.5/24\n")
    assert [line.words for line in lines if line.words] == [
        ("auto", "lo", "ens3"),
        ("iface", "ens3", "inet", "static"),
        ("address", "10.0.0.5/24"),
    ]
    assert [line.stanza for line in lines] == [0, 1, 2, 2]
    assert [line.number for line in lines] == [1, 2, 4, 6]


def test_one_word_is_exchanged() -> None:
    line = stanzas.parse("iface  ens3 inet\tstatic\r\n")[0]
    assert line.with_word(3, "dhcp") == "iface  ens3 inet\tdhcp\r\n"
