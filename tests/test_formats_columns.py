"""Tables of fields: every byte is given back, and one field changes alone."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.facts import crypttab, fstab
from migprep.formats import columns, lvmconf
from migprep.model import Unknown

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
TABLES = [path for kind in ("fstab", "crypttab", "hostile") for path in sorted((CORPUS / kind).glob("*"))]
NOTHING = Unknown("not looked at")


@given(st.text(alphabet=st.one_of(st.sampled_from(" \t\r\n#\\\"\ufeff\x0b\x85\u2028\0"), st.characters()), max_size=200))
def test_every_character_is_given_back(text):
    lines = columns.parse(text)
    assert columns.join(lines) == text
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))


@given(st.binary(max_size=200))
def test_every_byte_is_given_back(content):
    text = content.decode("utf-8", "surrogateescape")
    assert columns.join(columns.parse(text)).encode("utf-8", "surrogateescape") == content
    fstab.parse(text, NOTHING, NOTHING)
    crypttab.parse(text, NOTHING, NOTHING)
    lvmconf.settings(text)


@given(st.text(alphabet=st.sampled_from("ab \t\n\r#\\/é"), max_size=60))
def test_a_value_survives_its_encoding(value):
    assert columns.decode(columns.encode(value)) == value
    line = columns.parse("x y\n")[0].with_field(0, columns.encode(value) or "-")
    assert "\n" not in line[:-1]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_corpus(path):
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    table = fstab.parse(text, NOTHING, NOTHING)
    assert columns.join(table.lines).encode("utf-8", "surrogateescape") == path.read_bytes()
    assert table.render(()) == text
    assert crypttab.parse(text, NOTHING, NOTHING).render(()) == text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/dev/sda1 / ext4\n", "UUID=1 / ext4\n"),
        ("\t/dev/sda1\t/\text4 defaults 0 1 # the disk /dev/sda1\r\n", "\tUUID=1\t/\text4 defaults 0 1 # the disk /dev/sda1\r\n"),
        ("\ufeff/dev/sda1 / ext4", "\ufeffUUID=1 / ext4"),
        ('"/dev/sda1" / ext4\n', "UUID=1 / ext4\n"),
    ],
)
def test_one_field_changes(line, expected):
    assert columns.parse(line)[0].with_field(0, "UUID=1") == expected


def test_only_a_line_feed_ends_a_line():
    assert [line.number for line in columns.parse("a b\x0bc\x85d\u2028e\nf g\n")] == [1, 2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bug", "has no mount point"),
        ("this is broken line with unexpected number of fields", "'with' stands where a number must"),
        ("/dev/sda1 / ext4 defaults 0 x", "'x' stands where a number must"),
        ("/dev/sda1 /", ""),
        ("/dev/sda1 / ext4 defaults 1", ""),
        ("/dev/sda1 / ext4 defaults 0 1 one more", ""),
    ],
)
def test_what_cannot_be_used(text, reason):
    assert fstab.fault(columns.parse(text)[0]) == reason


def test_lvm_settings():
    text = 'devices { # x = "}"\n filter=["a|x|",\n "r|.*|" ] }\ndevices/dir = "/dev"\nlog { filter = "a" }'
    found = lvmconf.settings(text)
    assert found["devices/filter"].strings == ("a|x|", "r|.*|")
    assert found["devices/filter"].line == 2
    assert found["devices/dir"].strings == ("/dev",)
    bare = found["log/filter"]
    assert text[bare.inside : bare.until] == '"a"'
    assert found["devices/filter"].until == -1
