"""xorg.conf: every byte comes back, sections and names are read as the server reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.facts.display import XFile, devices
from migprep.facts.graphical import manager
from migprep.formats import xorg
from migprep.root import Files

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
SAMPLES = sorted(CORPUS.glob("xorg/*"))

PIECES = st.sampled_from(
    [
        'Section "Device"',
        "EndSection",
        ' Driver "nv',
        '"',
        "#",
        "\n",
        "\r\n",
        "\x0b",
        "\x85",
        "\u2028",
        "\udcff",
        "\0",
        "Bus_ID",
        "\t",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_every_byte_comes_back(text: str) -> None:
    config = xorg.parse(text)
    assert "".join(line.raw for line in config.lines) == text
    inside = [line.number for section in config.sections for line in section.lines]
    assert inside == sorted(set(inside))


@pytest.mark.skipif(not SAMPLES, reason="no corpus here")
def test_every_real_file_comes_back() -> None:
    for path in SAMPLES:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        config = xorg.parse(text)
        assert "".join(line.raw for line in config.lines) == text
        assert text.lower().count("endsection") <= len(config.sections) + text.count("#"), path.name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('  Driver   "nvidia"  # the card', ("driver", "nvidia")),
        ("Driver nvidia", ("driver", "nvidia")),
        ('Bus_ID "PCI:1:0:0"', ("busid", "PCI:1:0:0")),
        ('Option "a#b" "c d"\r\n', ("option", "a#b", "c d")),
        ("# Driver", ()),
        ("", ()),
        ('Identifier "not closed\n', ("identifier", "not closed")),
    ],
)
def test_words(line: str, words: tuple[str, ...]) -> None:
    assert xorg.words(line) == words


def test_the_last_entry_counts() -> None:
    config = xorg.parse('Section "Device"\nDriver "nv"\nDriver "nvidia"\nEndSection\n')
    assert config.sections[0].entry("driver").value == "nvidia"
    assert config.sections[0].entry("busid") == xorg.NOTHING


def test_a_section_without_its_end() -> None:
    config = xorg.parse('Section "Device"\nDriver "nv"\nSection "Screen"\n')
    assert [section.kind for section in config.sections] == ["device", "screen"]


SCREEN = 'Section "Screen"\nIdentifier "S"\nDevice "card 0"\nEndSection\n'
CARD = 'Section "Device"\nIdentifier "Card_0"\nDriver "nvidia"\nEndSection\n'


def _file(path: str, text: str) -> XFile:
    return XFile(path, xorg.parse(text))


def test_what_goes_with_a_device() -> None:
    (device,) = devices((_file("/a", CARD + SCREEN),))
    assert device.is_contained
    assert len(device.bound) == 8


def test_a_screen_in_another_file_keeps_the_fix_away() -> None:
    (device,) = devices((_file("/a", CARD), _file("/b", SCREEN)))
    assert not device.is_contained


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({}, ""),
        (
            {"/etc/systemd/system/display-manager.service": "/lib/systemd/system/gdm.service"},
            "/etc/systemd/system/display-manager.service",
        ),
        (
            {
                "/etc/systemd/system/display-manager.service": "/lib/systemd/system/gdm.service",
                "/lib/systemd/system/default.target": "multi-user.target",
            },
            "",
        ),
        ({"/etc/inittab": b"id:5:initdefault:\n", "/usr/bin/Xorg": b""}, "/etc/inittab"),
        ({"/etc/inittab": b"id:3:initdefault:\n", "/usr/bin/Xorg": b""}, ""),
        ({"/etc/inittab": b"id:2:initdefault:\n", "/etc/rc2.d/S22gdm3": b""}, "/etc/rc2.d/S22gdm3"),
        ({"/etc/init/lightdm.conf": b""}, "/etc/init/lightdm.conf"),
    ],
)
def test_what_starts_x(files: dict[str, bytes | str], path: str) -> None:
    assert manager(Files(files)) == path
