"""What formats.stanzas understands of the lines it keeps."""

from __future__ import annotations

from migprep.formats import stanzas


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
