"""Checkmk local checks: one line and one service a target (https://docs.checkmk.com/latest/en/localchecks.html)."""

from __future__ import annotations

from migprep.report.nagios import plain
from migprep.report.text import VERDICTS
from migprep.typed import Any

STATES = {"ready": 0, "conditional": 1, "not_ready": 2, "unknown": 3}
Item = dict[str, Any]


def render(document: Item) -> str:
    """`STATE "SERVICE" METRICS TEXT`, a line a target."""
    return "".join(_line(document, target) + "\n" for target in document["targets"])


def _line(document: Item, target: Item) -> str:
    mine = [one for one in document["results"] if one["target"] == target["name"]]
    found = [(one["severity"], finding) for one in mine for finding in one["findings"] if not finding.get("waiver")]
    blockers = [finding for severity, finding in found if severity == "blocker"]
    highs = [finding for severity, finding in found if severity == "high"]
    unknown = sum(one["status"] == "unknown" for one in mine)
    metrics = f"blockers={len(blockers)}|high={len(highs)}|unknown={unknown}"
    reasons = [one["message"] for one in blockers or highs]
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    words = VERDICTS[target["verdict"]].lower() + (f": {reasons[0]}{more}" if reasons else "")
    service = plain(f"migprep {target['name']}").replace('"', "'")
    return f'{STATES[target["verdict"]]} "{service}" {metrics} {plain(words)}'
