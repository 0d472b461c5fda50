"""One line for Nagios and its kin: state, what is wrong, performance data (Monitoring Plugins guidelines).

The exit code of a check stays migprep's own; it is Nagios's too, but for a conditional verdict, which is 0 there
unless --fail-on high asks for 2.
"""

from __future__ import annotations

from migprep.report.text import VERDICTS, shown
from migprep.typed import Any

STATES = {"ready": "OK", "conditional": "WARNING", "not_ready": "CRITICAL", "unknown": "UNKNOWN"}
#: The worst first.
ORDER = ("not_ready", "unknown", "conditional", "ready")
Item = dict[str, Any]


def render(document: Item) -> str:
    """The worst target speaks first; the lines after the first are Nagios's long output."""
    targets = sorted(document["targets"], key=lambda one: ORDER.index(one["verdict"]))
    told = [f"{one['name']} {VERDICTS[one['verdict']].lower()}" for one in targets]
    open_findings = _open(document)
    words = ", ".join(told) + (f": {_counted(open_findings)}" if open_findings else "")
    first = f"MIGPREP {STATES[targets[0]['verdict']]} - {document['host']['name'] or 'this machine'} {words}"
    return "\n".join([f"{plain(first)} | {_performance(document)}", *_long(open_findings)]) + "\n"


def plain(words: str) -> str:
    """Text without the bar that would begin performance data."""
    return shown(words).replace("|", "/")


def _open(document: Item) -> dict[str, Item]:
    """Open blockers and high findings, each once, the worst first."""
    results = sorted(document["results"], key=lambda one: one["severity"] != "blocker")
    return {
        finding["fingerprint"]: {**finding, "rule": result["rule"], "severity": result["severity"]}
        for result in results
        if result["severity"] in ("blocker", "high")
        for finding in result["findings"]
        if not finding.get("waiver")
    }


def _counted(found: dict[str, Item]) -> str:
    rules = list(dict.fromkeys(one["rule"] for one in found.values()))
    more = f" and {len(rules) - 3} more" if len(rules) > 3 else ""
    return f"{len(found)} to mend ({', '.join(rules[:3])}{more})"


def _performance(document: Item) -> str:
    counts = dict.fromkeys(("blocker", "high"), 0)
    for one in _open(document).values():
        counts[one["severity"]] += 1
    unknown = len({one["rule"] for one in document["results"] if one["status"] == "unknown"})
    return (
        f"blockers={counts['blocker']};;0 high={counts['high']};0 unknown={unknown} time={document['run']['seconds']}s"
    )


def _long(found: dict[str, Item]) -> list[str]:
    return [plain(f"{one['severity']}: {one['rule']}: {one['message']}") for one in found.values()]
