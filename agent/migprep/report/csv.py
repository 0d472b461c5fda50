"""Comma-separated values (RFC 4180) for spreadsheets: one row a finding or unjudged rule, and a row for a clean target.

A cell that a spreadsheet would take for a formula gets an apostrophe in front: the text comes from the machine.
"""

from __future__ import annotations

import csv
import io

from migprep.report.text import shown
from migprep.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = ("host", "target", "verdict", "rule", "severity", "blocks", "link", "status", "subject", "message", "path",
           "line", "observed", "expected", "fix", "safety", "waived_until", "fingerprint")  # fmt: skip
Item = dict[str, Any]


def render(document: Item) -> str:
    """A head line and the rows, each ended by CR LF."""
    return table(COLUMNS, ([row.get(name, "") for name in COLUMNS] for row in _rows(document)))


def table(head: tuple[str, ...], rows: Iterator[list[object]]) -> str:
    """Any rows as such a text."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(head)
    writer.writerows([cell(one) for one in row] for row in rows)
    return stream.getvalue()


def cell(value: object) -> object:
    """A number as it is; a text on one line that no spreadsheet calculates."""
    if value is None or isinstance(value, (int, float)):
        return value
    words = shown(value)
    return f"'{words}" if words.startswith(("=", "+", "-", "@", "\t", "\r")) else words


def _rows(document: Item) -> Iterator[Item]:
    for target in document["targets"]:
        common = {"host": document["host"]["name"], "target": target["name"], "verdict": target["verdict"]}
        told = False
        for result in document["results"]:
            if result["target"] == target["name"]:
                for row in _result(result):
                    told = True
                    yield {**common, **row}
        if not told:
            yield common


def _result(result: Item) -> Iterator[Item]:
    common = {key: result[key] for key in ("rule", "severity", "blocks", "link")}
    for finding in result["findings"]:
        fix, waiver = finding["fix"] or {}, finding.get("waiver") or {}
        first = finding["evidence"][0]
        yield {
            **common, **{key: first[key] for key in ("path", "line", "observed", "expected")},
            "status": "waived" if waiver else "fail", "subject": finding["subject"], "message": finding["message"],
            "fix": fix.get("title", ""), "safety": fix.get("safety", ""), "waived_until": waiver.get("expires", ""),
            "fingerprint": finding["fingerprint"],
        }  # fmt: skip
    if result["status"] == "unknown":
        yield {**common, "status": "unknown", "message": result["reason"]}
