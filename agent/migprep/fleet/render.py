"""A fleet as text, HTML, CSV, JSON and Prometheus metrics: each yields its text in pieces, however many hosts."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from migprep.fleet import figures
from migprep.report.text import PLAIN, VERDICT_SIGNS, VERDICTS, Style, shown, wrap

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

Item = dict[str, Any]
ORDER = ("ready", "conditional", "not_ready", "unknown")
#: Names and rows that a text shows of each list; a page of HTML shows more.
SHOWN, PAGE = 10, 2000


def text(found: Item, base: sqlite3.Connection, style: Style = PLAIN) -> Iterator[str]:
    """For people, the most urgent last."""
    lines = [
        style.paint(
            f"{_count(found['hosts'], 'host')}, reports from {_day(found['oldest'])} to {_day(found['newest'])}", "1"
        )
    ]
    lines += _versions(found, style)
    lines += _matrix(found, base, style)
    lines += _waivers(found, style)
    lines += _unjudged(found, style)
    lines += _since(found["since"], style)
    lines += _attention(found, style)
    lines += _waves(found, style)
    lines += _unlocks(found, style)
    lines += ["", *summary(found)]
    yield "\n".join(lines) + "\n"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _day(started: str) -> str:
    return started[:16].replace("T", " ") or "never"


def _heading(words: str, style: Style) -> list[str]:
    return ["", style.paint(words, "1")]


def _names(listed: Item, member: str = "host") -> str:
    names = [shown(one[member]) or "(no name)" for one in listed["first"][:SHOWN]]
    rest = listed["count"] - len(names)
    return ", ".join(names) + (f" and {rest:,} more" if rest else "")


def _versions(found: Item, style: Style) -> list[str]:
    if len(found["versions"]) < 2:
        return []
    lines = _heading("RULES IN USE: VERDICTS OF DIFFERENT RULES ARE NOT COMPARABLE", style)
    return lines + [
        f"  migprep {shown(one['version'])}, rules {shown(one['rules']) or 'not told'}: {_count(one['hosts'], 'host')}"
        for one in found["versions"][:SHOWN]
    ]


def _matrix(found: Item, base: sqlite3.Connection, style: Style) -> list[str]:
    names = [one["name"] for one in found["targets"]]
    shown_hosts = list(islice(figures.hosts(base, worst_first=True), 2 * SHOWN))
    width = max([len(shown(one["host"])[:24]) for one in shown_hosts] + [4])
    wide = [max(len(shown(name)), 3) + 2 for name in names]
    lines = [
        "",
        style.paint(f"{'HOST':<{width}}  " + "".join(f"{shown(n):<{w}}" for n, w in zip(names, wide)).rstrip(), "1"),
    ]
    for one in shown_hosts:
        cells = []
        for name, room in zip(names, wide):
            judged = one["targets"].get(name)
            cells.append((style.sign(VERDICT_SIGNS[judged["verdict"]]) if judged else " ") + " " * (room - 1))
        lines.append(f"{shown(one['host'])[:24]:<{width}}  {''.join(cells)}".rstrip())
    rest = found["hosts"] - len(shown_hosts)
    return (
        [*lines, f"... and {_count(rest, 'host')} more, none worse (csv, html, json and sqlite list them)"]
        if rest
        else lines
    )


def _waivers(found: Item, style: Style) -> list[str]:
    if not found["waivers"]:
        return []
    lines = _heading("WAIVERS", style)
    for one in found["waivers"][:SHOWN]:
        what = one["rule"] or one["fingerprint"]
        where = f"{_count(one['hosts'], 'host')} ({one['state']})"
        lines += wrap(f"until {one['expires']}: {shown(what)} on {where}: {shown(one['reason'])}", "  ", "    ")
    return lines


def _unjudged(found: Item, style: Style) -> list[str]:
    if not found["unjudged"]:
        return []
    reasons: dict[str, tuple[int, list[str]]] = {}
    for one in found["unjudged"]:
        hosts, rules = reasons.setdefault(one["reason"], (one["hosts"], []))
        rules.append(one["rule"])
    lines = _heading("COULD NOT CHECK", style)
    for reason, (hosts, rules) in list(reasons.items())[:SHOWN]:
        lines += wrap(f"{_count(hosts, 'host')}: {shown(reason)} ({_count(len(rules), 'rule')})", "  ", "    ")
    return lines


def _since(since: Item | None, style: Style) -> list[str]:
    if since is None:
        return []
    lines = _heading(f"NEW SINCE THE MERGE OF {_day(since['newest'])}", style)
    for member, what in (("new_hosts", "new"), ("gone_hosts", "gone")):
        if since[member]["count"]:
            lines += wrap(f"{what}: {_names(since[member])}", "  ", "    ")
    for one in since["verdicts"]["first"][:SHOWN]:
        became = f"{VERDICTS[one['before']]} became {VERDICTS[one['after']]}"
        lines += wrap(f"{shown(one['host'])} on {shown(one['target'])}: {became}", "  ", "    ")
    if since["verdicts"]["count"] > SHOWN:
        lines += [f"  ... and {since['verdicts']['count'] - SHOWN:,} more verdicts"]
    for one in since["new_findings"][:SHOWN]:
        lines += wrap(
            f"new finding on {_count(one['hosts'], 'host')}: {shown(one['rule'])} ({shown(one['target'])})",
            "  ",
            "    ",
        )
    return lines if len(lines) > 2 else [*lines, "  nothing"]


def _attention(found: Item, style: Style) -> list[str]:
    lines = []
    silent = found["silent"]
    if silent["count"]:
        lines += _heading(
            f"SILENT ({silent['count']:,}): EXPECTED AND NEVER SEEN, OR NOT FOR {figures.SILENT_DAYS} DAYS", style
        )
        lines += wrap(_names(silent), "  ", "  ")
    if found["unexpected"]["count"]:
        lines += _heading(f"NOT EXPECTED ({found['unexpected']['count']:,})", style) + wrap(
            _names(found["unexpected"]), "  ", "  "
        )
    if found["twice"]["count"]:
        lines += _heading(f"ONE NAME, SEVERAL MACHINES ({found['twice']['count']:,})", style) + wrap(
            _names(found["twice"]), "  ", "  "
        )
    if found["broken"]["count"]:
        lines += _heading(f"NO REPORTS ({found['broken']['count']:,})", style)
        for one in found["broken"]["first"][:SHOWN]:
            lines += wrap(f"{shown(one['path'])}: {shown(one['reason'])}", "  ", "    ")
        if found["broken"]["count"] > SHOWN:
            lines += [f"  ... and {found['broken']['count'] - SHOWN:,} more"]
    return lines


def _waves(found: Item, style: Style) -> list[str]:
    lines = []
    for target in found["targets"]:
        lines += _heading(f"WAVES TO {shown(target['name'])}", style)
        for number, wave in enumerate(target["waves"], 1):
            if wave["count"]:
                lines += wrap(f"{number}. {wave['title']} ({wave['count']:,}): {_names(wave)}", "  ", "     ")
    return lines


def sentence(one: Item) -> str:
    """What mending one rule would bring."""
    ready = f" and {one['unlocks']:,} become ready" if one["unlocks"] else ""
    by = "; migprep fix does it" if one["automatic"] == one["hosts"] else ""
    by = by or (f"; migprep fix does it on {one['automatic']:,}" if one["automatic"] else "")
    return f"fix {shown(one['rule'])} on {_count(one['hosts'], 'host')}{ready} ({shown(one['target'])}){by}"


def helpful(found: Item) -> list[Item]:
    """The rules of a fleet, those of the same numbers on several targets in one."""
    merged: dict[tuple[Any, ...], Item] = {}
    for one in found["rules"]:
        key = (one["rule"], one["hosts"], one["unlocks"], one["automatic"])
        if key in merged:
            merged[key]["target"] += f", {one['target']}"
        else:
            merged[key] = dict(one)
    return list(merged.values())


def _unlocks(found: Item, style: Style) -> list[str]:
    lines = _heading("WHAT HELPS MOST", style) if found["rules"] else []
    for one in helpful(found)[:SHOWN]:
        lines += wrap(sentence(one), "  ", "    ")
    return lines


def summary(found: Item) -> list[str]:
    """One line per target: how many hosts have which verdict."""
    lines = []
    for one in found["targets"]:
        told = [f"{one['verdict'][word]:,} {VERDICTS[word].lower()}" for word in ORDER if one["verdict"][word]]
        after = one["after_fixes"]["ready"]
        more = f"; {after:,} ready after migprep fix" if after > one["verdict"]["ready"] else ""
        lines += wrap(f"{shown(one['name'])}: {', '.join(told)}{more}", "", "  ")
    return lines


# --- for programs ---


def csv(found: Item, base: sqlite3.Connection) -> Iterator[str]:
    """One row a host and target."""
    from migprep.report.csv import table

    head = ("host", "identity", "os", "kernel", "started", "target", "verdict", "after_fixes", "wave", "open_rules")
    yield table(head, iter(()))
    for one in figures.hosts(base):
        common = [one[name] for name in head[:5]]
        rows = [
            [*common, name, judged["verdict"], judged["after_fixes"], judged["wave"], " ".join(judged["open"])]
            for name, judged in one["targets"].items()
        ]
        yield table((), iter(rows)).partition("\r\n")[2]


def as_json(found: Item, base: sqlite3.Connection) -> Iterator[str]:
    """The figures, and every host in `machines`."""
    yield json.dumps(found, indent=1)[:-2] + ',\n "machines": ['
    for number, one in enumerate(figures.hosts(base)):
        yield (",\n  " if number else "\n  ") + json.dumps(one)
    yield "\n ]\n}\n"


def prom(found: Item, base: sqlite3.Connection) -> Iterator[str]:
    """Counts for node_exporter's textfile collector."""
    from migprep.report.prom import metric, seconds

    targets = found["targets"]
    yield metric(
        "migprep_fleet_hosts",
        "Hosts by target and verdict.",
        [({"target": one["name"], "state": word}, one["verdict"][word]) for one in targets for word in ORDER],
    )
    yield metric(
        "migprep_fleet_hosts_after_fixes",
        "The same, once migprep fix --apply has run everywhere.",
        [({"target": one["name"], "state": word}, one["after_fixes"][word]) for one in targets for word in ORDER],
    )
    yield metric(
        "migprep_fleet_silent_hosts", "Hosts that were expected and are not heard of.", [({}, found["silent"]["count"])]
    )
    yield metric("migprep_fleet_broken_reports", "Files that are no reports.", [({}, found["broken"]["count"])])
    yield metric("migprep_fleet_rule_sets", "Different sets of rules in use.", [({}, len(found["versions"]))])
    if found["newest"]:
        yield metric("migprep_fleet_newest_report_timestamp_seconds", "When the newest report was made.",
                     [({}, seconds(found["newest"]))])  # fmt: skip


def html(found: Item, base: sqlite3.Connection) -> Iterator[str]:
    """A page in one file; PAGE hosts are listed, the worst first."""
    from migprep.report import page

    machines = list(islice(figures.hosts(base, worst_first=True), PAGE))
    yield page.render("fleet.html", {
        "fleet": found, "machines": machines, "rest": found["hosts"] - len(machines), "ORDER": ORDER,
        "VERDICTS": VERDICTS, "SIGNS": VERDICT_SIGNS, "helpful": helpful(found), "day": _day,
        "silent_days": figures.SILENT_DAYS,
    })  # fmt: skip


RENDERERS = {"text": text, "html": html, "csv": csv, "json": as_json, "prom": prom}
