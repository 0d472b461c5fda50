"""The record of what was measured: a JSON document, its table, and what changed since the last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from .command import LabError

FILE = Path(__file__).parent / "results.json"


class Row(NamedTuple):
    """One scenario on one target: prediction, fate, and whether they agree."""

    scenario: str
    target: str
    verdict: str
    blocks: tuple[str, ...]
    fate: str
    agree: str
    date: str
    seconds: int
    not_found: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    note: str = ""
    fix: str = ""
    source_boots: str = ""
    after_fix: str = ""
    rollback: str = ""
    v2v: str = ""
    v2v_seconds: int = 0
    fix_seconds: int = 0
    capture: str = ""
    commit: str = ""

    @property
    def judged_in(self) -> str:
        """Where the verdict was given: in the live guest, or later on its capture or its disk."""
        return self.capture if self.capture in ("capture", "disk") else "guest"

    @property
    def passed(self) -> bool:
        return (
            self.agree == "agree"
            and not self.not_found
            and self.capture in ("", "same", "capture", "disk")
            and self.source_boots in ("", "whole")
            and (self.after_fix in ("", "whole") or self.after_fix.endswith(", as said"))
            and "exit" not in self.fix
            and self.rollback in ("", "identical")
        )


class Measure(NamedTuple):
    """How often prediction and fate agreed."""

    scenarios: int
    pairs: int
    agree: int
    missed: int
    false_alarms: int
    open: int

    def __str__(self) -> str:
        return (
            f"{self.scenarios} scenarios, {self.pairs} scenario-target pairs: {self.agree} agreements, "
            f"{self.missed} missed failures, {self.false_alarms} false alarms, {self.open} without a verdict"
        )


def measure(rows: Sequence[Row]) -> Measure:
    """Count the rows."""
    words = [row.agree for row in rows]
    return Measure(
        len({row.scenario for row in rows}), len(rows), words.count("agree"), words.count("missed"),
        words.count("false alarm"), words.count("open"),
    )  # fmt: skip


_COLUMNS = (
    ("scenario", lambda r: r.scenario),
    ("target", lambda r: r.target),
    ("said", lambda r: r.verdict + (f" ({'+'.join(r.blocks)})" if r.blocks else "")),
    ("fate", lambda r: r.fate),
    ("judged in", lambda r: r.judged_in),
    ("agree?", lambda r: r.agree + (f"; not found: {', '.join(r.not_found)}" if r.not_found else "")),
    ("fix", lambda r: r.fix),
    ("source after fix", lambda r: r.source_boots),
    ("target after fix", lambda r: r.after_fix),
    ("rollback", lambda r: r.rollback),
    ("virt-v2v", lambda r: f"{r.v2v} ({r.v2v_seconds} s)" if r.v2v else ""),
)


def table(rows: Iterable[Row]) -> str:
    """The rows as an aligned Markdown table; columns nobody filled are left out."""
    ordered = sorted(rows, key=lambda row: (row.scenario, row.target))
    columns = [c for c in _COLUMNS if c[0] in ("scenario", "target") or any(c[1](r) for r in ordered)]
    cells = [[head for head, _ in columns]] + [[value(row) for _, value in columns] for row in ordered]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def load(path: Path = FILE) -> tuple[dict[str, Any], list[Row]]:
    """Read the last record; none yet is an empty one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = [Row(**_tuples(row)) for row in document["rows"]]
    except FileNotFoundError:
        return {}, []
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path} is not a record of results: {error}") from error
    return document, rows


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def save(rows: Iterable[Row], date: str, versions: dict[str, str], path: Path = FILE) -> None:
    """Write the record, whole or not at all."""
    ordered = sorted(rows, key=lambda row: (row.scenario, row.target))
    document = {
        "date": date, "versions": versions, "measure": measure(ordered)._asdict(),
        "rows": [row._asdict() for row in ordered],
    }  # fmt: skip
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def merged(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """The old rows, replaced where there are new ones; columns that were not measured anew stay."""
    rows = {(row.scenario, row.target): row for row in old}
    for row in new:
        place = (row.scenario, row.target)
        rows[place] = _with_kept(rows[place], row) if place in rows else row
    return list(rows.values())


def _with_kept(old: Row, new: Row) -> Row:
    for columns in (("fix", "fix_seconds", "source_boots", "after_fix", "rollback"), ("v2v", "v2v_seconds")):
        if not getattr(new, columns[0]):
            new = new._replace(**{name: getattr(old, name) for name in columns})
    return new


def changes(old: Iterable[Row], new: Iterable[Row]) -> list[str]:
    """One sentence for every pair whose verdict, fate or agreement is not what it was."""
    before = {(row.scenario, row.target): row for row in old}
    said = []
    for row in new:
        was: Optional[Row] = before.get((row.scenario, row.target))
        if was is None:
            continue
        for what in ("verdict", "fate", "agree", "fix", "source_boots", "after_fix", "rollback"):
            then, now = getattr(was, what), getattr(row, what)
            if then != now and now:
                said.append(f"{row.scenario} on {row.target}: {what} was {then or '-'} ({was.date}), is {now}")
    return said
