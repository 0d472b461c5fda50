"""The line grammars give back every byte of what they read, and count lines as an editor does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.formats import ifcfg, ini, stanzas

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
ANY = st.text(st.characters(blacklist_categories=())) | st.text(
    st.sampled_from(list("A=b'\"\\$ \t\r\n#;[]\x0c\u2028iface auto"))
)
FOLDERS = {
    ifcfg: ("ifcfg", "hostile"),
    ini: ("networkd", "nmconnection", "nm-conf", "hostile"),
    stanzas: ("interfaces", "hostile"),
}


@pytest.mark.parametrize("grammar", FOLDERS, ids=lambda grammar: grammar.__name__)
@given(text=ANY)
def test_joining_gives_back_every_character(grammar, text: str) -> None:
    lines = grammar.parse(text)
    assert "".join(line.raw for line in lines) == text
    number = 1
    for line in lines:
        assert line.number == number
        number += line.raw.count("\n")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of real files is not here")
@pytest.mark.parametrize(("grammar", "folder"), [(one, folder) for one, folders in FOLDERS.items() for folder in folders])
def test_real_files_come_back_whole(grammar, folder: str) -> None:
    for path in sorted((CORPUS / folder).iterdir()):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        assert "".join(line.raw for line in grammar.parse(text)) == text, path
