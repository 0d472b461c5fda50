"""Prometheus text format for node_exporter's textfile collector: few series, no time stamps, no paths or rules.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import calendar
import time

from migprep.report.text import shown
from migprep.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

VERDICTS = ("ready", "conditional", "not_ready", "unknown")
SEVERITIES = ("blocker", "high", "low", "info")
Item = dict[str, Any]
Sample = tuple[dict[str, str], float]


def render(document: Item) -> str:
    """All metrics of one host; `instance` is added by whoever scrapes it."""
    run, names = document["run"], [one["name"] for one in document["targets"]]
    return "".join([
        metric("migprep_verdict", "1 for the state that the verdict is in.", _verdicts(document["targets"], "verdict")),
        metric("migprep_verdict_after_fixes", "The same, once migprep fix --apply has run.",
               _verdicts(document["targets"], "after_fixes")),
        metric("migprep_findings_open", "Findings that nobody has waived.", [
            ({"target": name, "severity": severity}, _count(document, name, False, severity))
            for name in names for severity in SEVERITIES]),
        metric("migprep_findings_waived", "Findings that somebody answers for.",
               [({"target": name}, _count(document, name, True)) for name in names]),
        metric("migprep_rules_unknown", "Rules that could not be judged.", [
            ({"target": name}, sum(one["status"] == "unknown" for one in _of(document, name))) for name in names]),
        metric("migprep_gaps", "Facts that could not be read.", [({}, len(run["gaps"]))]),
        metric("migprep_last_run_timestamp_seconds", "When the machine was inspected.",
               [({}, seconds(run["started"]))]),
        metric("migprep_run_duration_seconds", "How long that took.", [({}, run["seconds"])]),
        metric("migprep_info", "Which program and which rules judged.", [
            ({"version": document["tool"]["version"], "rules": document["tool"].get("rules", "")}, 1)]),
    ])  # fmt: skip


def metric(name: str, help_text: str, samples: Iterable[Sample]) -> str:
    """One gauge with its help and its samples; "" when it has none."""
    lines = [
        name
        + ("{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}" if labels else "")
        + f" {value:.15g}\n"
        for labels, value in samples
    ]
    return "".join([f"# HELP {name} {help_text}\n# TYPE {name} gauge\n", *lines]) if lines else ""


def _escaped(value: str) -> str:
    return shown(value).replace("\\", "\\\\").replace('"', '\\"')


def seconds(started: str) -> int:
    """Seconds since 1970 of a report's time."""
    return calendar.timegm(time.strptime(started, "%Y-%m-%dT%H:%M:%SZ"))


def _verdicts(targets: list[Item], member: str) -> list[Sample]:
    return [
        ({"target": one["name"], "state": state}, float(one[member] == state)) for one in targets for state in VERDICTS
    ]


def _of(document: Item, target: str) -> list[Item]:
    return [one for one in document["results"] if one["target"] == target]


def _count(document: Item, target: str, waived: bool, severity: str = "") -> int:
    return sum(
        bool(finding.get("waiver")) is waived
        for result in _of(document, target)
        if severity in ("", result["severity"])
        for finding in result["findings"]
    )
