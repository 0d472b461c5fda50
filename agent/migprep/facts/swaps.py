"""Swap areas in use, from /proc/swaps."""

from __future__ import annotations

from migprep import root as files
from migprep.formats import columns
from migprep.model import Undetermined
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts


class Swap(NamedTuple):
    """One area in use; `size` in bytes."""

    path: str
    kind: str  # partition or file
    size: int


class Swaps(NamedTuple):
    """All areas in use."""

    entries: tuple[Swap, ...]


# /dev/sda2                               partition	998396	0	-2
def parse(text: str) -> Swaps:
    """/proc/swaps (proc_swaps(5)); sizes there are KiB."""
    rows = [line.split() for line in text.split("\n")[1:]]
    whole = [row for row in rows if len(row) >= 3 and row[2].isdigit()]
    return Swaps(tuple(Swap(columns.decode(row[0]), row[1], int(row[2]) * 1024) for row in whole))


def probe(facts: Facts) -> Swaps:
    """Read /proc/swaps."""
    text = files.text(facts.root, "/proc/swaps")
    if text is None:
        raise Undetermined("no /proc/swaps")
    return parse(text)
