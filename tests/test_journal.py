"""The journal: every record whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migprep import journal
from migprep.journal import Journal, System

RECORDS = [{"type": "BEGIN"}, {"type": "INTENT", "path": "/etc/a\udcff b"}, {"type": "COMMITTED"}]
BYTES = b"".join(map(journal.line, RECORDS))

json = st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.lists(st.text()))


@settings(deadline=None)
@given(st.lists(json))
def test_what_is_written_is_read(records: list[dict[str, object]]) -> None:
    content = b"".join(map(journal.line, records))
    assert journal.parse(content) == (records, len(content))


@pytest.mark.parametrize("length", range(len(BYTES)))
def test_a_torn_last_record_is_not_there(length: int) -> None:
    records, end = journal.parse(BYTES[:length])
    assert records == RECORDS[: len(records)]
    assert BYTES[:end] == b"".join(map(journal.line, records))


@settings(deadline=None)
@given(st.integers(0, len(BYTES) - 1), st.integers(0, 255))
def test_a_flipped_byte_is_never_believed(at: int, value: int) -> None:
    content = BYTES[:at] + bytes([value]) + BYTES[at + 1 :]
    try:
        records, _ = journal.parse(content)
    except journal.JournalError:
        return
    assert all(record in RECORDS for record in records)


def test_damage_before_a_whole_record_is_told() -> None:
    lines = BYTES.splitlines(keepends=True)
    with pytest.raises(journal.JournalError, match="damaged after its record 1"):
        journal.parse(lines[0] + b"rubbish\n" + lines[2])


def test_writing_goes_on_after_a_torn_record(tmp_path: Path) -> None:
    book = Journal(str(tmp_path / "one"), System())
    book.open({})
    book.say("BEGIN")
    with open(book.path, "ab") as stream:
        stream.write(b"99 0000")
    assert book.records() == [{"type": "BEGIN"}]
    book.say("ROLLED_BACK")
    assert [one["type"] for one in book.records()] == ["BEGIN", "ROLLED_BACK"]


@pytest.mark.parametrize(
    ("types", "word", "is_open"),
    [
        ([], "prepared", False),
        (["BEGIN", "INTENT"], "unfinished", True),
        (["BEGIN", "COMMITTED"], "applied", False),
        (["BEGIN", "COMMITTED", "ROLLBACK"], "rolling back", True),
        (["BEGIN", "ROLLED_BACK"], "rolled back", False),
    ],
)
def test_phases(types: list[str], word: str, is_open: bool) -> None:
    found = journal.phase(b"".join(journal.line({"type": one}) for one in types))
    assert (found.word, found.is_open) == (word, is_open)
