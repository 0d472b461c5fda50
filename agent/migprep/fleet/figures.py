"""What a fleet comes to: counts, waves, the fixes that help most. Queries only; long lists are cut, and say so."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = "migprep/fleet/1.0"
#: Names that one list holds; the database has them all.
LISTED = 1000
#: A host whose newest report is so many days older than the fleet's newest has fallen silent.
SILENT_DAYS = 7

#: In which order a fleet can move; the first that fits.
WAVES = (
    ("ready", "ready now", "verdict = 'ready'"),
    ("after_fixes", "ready after migprep fix --apply", "after_fixes = 'ready'"),
    ("decide", "after a decision", "after_fixes = 'conditional'"),
    ("by_hand", "after work by hand", "after_fixes = 'not_ready'"),
    ("unknown", "not known yet: look what could not be read", "1"),
)
_WAVE = "CASE " + " ".join(f"WHEN {test} THEN {at}" for at, (_, _, test) in enumerate(WAVES)) + " END"

_BADNESS = "CASE verdict WHEN 'not_ready' THEN 3 WHEN 'unknown' THEN 2 WHEN 'conditional' THEN 1 ELSE 0 END"

#: Per machine and target: what keeps it from being ready.
_HINDRANCES = """
CREATE TEMP TABLE IF NOT EXISTS hindrance AS
SELECT judged.id AS judged, judged.target AS target,
  (SELECT count(DISTINCT rule) FROM finding WHERE finding.judged = judged.id AND waived_until IS NULL
     AND severity IN ('blocker', 'high')) AS open_rules,
  (SELECT count(*) FROM finding WHERE finding.judged = judged.id AND waived_until IS NOT NULL AND severity = 'blocker')
  + (SELECT count(*) FROM unjudged WHERE unjudged.judged = judged.id AND severity = 'blocker') AS others
FROM judged
"""


def document(base: sqlite3.Connection) -> dict[str, Any]:
    """Everything but the list of hosts: schema migprep/fleet/1.0."""
    base.row_factory = sqlite3.Row
    base.execute(_HINDRANCES)
    newest = _one(base, "SELECT max(started) FROM judged") or ""
    return {
        "schema": SCHEMA,
        "hosts": _one(base, "SELECT count(*) FROM machine"),
        "newest": newest,
        "oldest": _one(base, "SELECT min(started) FROM judged") or "",
        "targets": [_target(base, name) for (name,) in base.execute("SELECT DISTINCT target FROM judged ORDER BY 1")],
        "rules": _rules(base),
        "unjudged": _rows(base, """
            SELECT rule, reason, count(DISTINCT judged.machine) AS hosts
            FROM unjudged JOIN judged ON unjudged.judged = judged.id
            GROUP BY rule, reason ORDER BY hosts DESC, rule, reason LIMIT 100"""),
        "silent": _listed(base, """
            SELECT host, '' AS last FROM expected
            WHERE lower(host) NOT IN (SELECT lower(host) FROM machine)
            UNION SELECT host, started FROM machine
            WHERE julianday(started) < julianday(?) - ?""", (newest, SILENT_DAYS)),
        "unexpected": _listed(base, """
            SELECT host FROM machine WHERE EXISTS (SELECT 1 FROM expected)
            AND lower(host) NOT IN (SELECT lower(host) FROM expected)"""),
        "twice": _listed(base, "SELECT host, count(*) AS machines FROM machine GROUP BY host HAVING count(*) > 1"),
        "versions": _rows(base, """
            SELECT version, rules, count(DISTINCT machine) AS hosts FROM judged GROUP BY version, rules
            ORDER BY hosts DESC, version, rules LIMIT 100"""),
        "waivers": _rows(base, """
            SELECT place, rule, fingerprint, reason, expires, state, count(DISTINCT machine) AS hosts FROM waiver
            GROUP BY place, rule, fingerprint, reason, expires, state ORDER BY expires, place LIMIT 1000"""),
        "broken": _listed(base, "SELECT path, reason FROM broken"),
        "since": _since(base),
    }  # fmt: skip


def hosts(base: sqlite3.Connection, worst_first: bool = False) -> Iterator[dict[str, Any]]:
    """Every machine with its verdict per target, one after another."""
    order = f"max({_BADNESS}) OVER (PARTITION BY machine.id) DESC," if worst_first else ""
    rows = base.execute(f"""
        SELECT machine.id, host, identity, os, kernel, machine.started, target, verdict, after_fixes, {_WAVE} AS wave,
          (SELECT group_concat(rule, ' ') FROM (SELECT DISTINCT rule FROM finding WHERE finding.judged = judged.id
             AND waived_until IS NULL AND severity IN ('blocker', 'high') ORDER BY rule)) AS open
        FROM machine JOIN judged ON machine = machine.id ORDER BY {order} host, machine.id, target""")
    current: dict[str, Any] = {}
    key = None
    for row in rows:
        if row["id"] != key:
            if current:
                yield current
            current = {name: row[name] for name in ("host", "identity", "os", "kernel", "started")}
            current["targets"] = {}
            key = row["id"]
        current["targets"][row["target"]] = {
            "verdict": row["verdict"], "after_fixes": row["after_fixes"], "wave": WAVES[row["wave"]][0],
            "open": (row["open"] or "").split(),
        }  # fmt: skip
    if current:
        yield current


def _one(base: sqlite3.Connection, query: str, values: tuple[Any, ...] = ()) -> Any:
    return base.execute(query, values).fetchone()[0]


def _rows(base: sqlite3.Connection, query: str, values: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    return [dict(row) for row in base.execute(query, values)]


def _listed(base: sqlite3.Connection, query: str, values: tuple[Any, ...] = ()) -> dict[str, Any]:
    """How many there are, and the first LISTED of them."""
    count = _one(base, f"SELECT count(*) FROM ({query})", values)
    columns = "1, 2" if "," in query.partition("FROM")[0] else "1"
    query = f"SELECT * FROM ({query}) ORDER BY {columns} LIMIT {LISTED}"
    return {"count": count, "first": _rows(base, query, values)}


def _target(base: sqlite3.Connection, name: str) -> dict[str, Any]:
    def counted(column: str) -> dict[str, int]:
        found = dict.fromkeys(("ready", "conditional", "not_ready", "unknown"), 0)
        query = f"SELECT {column}, count(*) FROM judged WHERE target = ? GROUP BY 1"
        found.update((word, number) for word, number in base.execute(query, (name,)))
        return found

    return {
        "name": name,
        "hosts": _one(base, "SELECT count(*) FROM judged WHERE target = ?", (name,)),
        "verdict": counted("verdict"),
        "after_fixes": counted("after_fixes"),
        "waves": [
            {"wave": word, "title": title, **_listed(base, f"""
                SELECT host FROM judged JOIN machine ON machine.id = machine
                WHERE target = ? AND {_WAVE} = {at}""", (name,))}
            for at, (word, title, _) in enumerate(WAVES)
        ],
    }  # fmt: skip


def _rules(base: sqlite3.Connection) -> list[dict[str, Any]]:
    """Per rule and target: hosts with an open finding, and those that it alone keeps from being ready."""
    return _rows(base, """
        SELECT rule, target, max(title) AS title, min(severity) AS severity, max(blocks) AS blocks,
          count(*) AS hosts, sum(alone) AS unlocks, sum(automatic) AS automatic
        FROM (
          SELECT rule, hindrance.target AS target, max(title) AS title, min(severity) AS severity,
            max(blocks) AS blocks, min(open_rules = 1 AND others = 0) AS alone,
            min(mended) AS automatic
          FROM finding JOIN hindrance ON hindrance.judged = finding.judged
          WHERE waived_until IS NULL AND severity IN ('blocker', 'high')
          GROUP BY finding.judged, rule)
        GROUP BY rule, target ORDER BY unlocks DESC, hosts DESC, rule, target LIMIT 1000""")  # fmt: skip


def _since(base: sqlite3.Connection) -> dict[str, Any] | None:
    """What is new against the merge that is attached as `earlier`."""
    if "earlier" not in [row["name"] for row in base.execute("PRAGMA database_list")]:
        return None
    # a machine without an identity is taken for the one of the same name
    pair = """main.judged AS now JOIN main.machine AS box ON box.id = now.machine
        LEFT JOIN earlier.machine AS old_box ON old_box.host = box.host AND old_box.identity = box.identity
        LEFT JOIN earlier.judged AS old ON old.machine = old_box.id AND old.target = now.target"""
    return {
        "newest": _one(base, "SELECT max(started) FROM earlier.judged") or "",
        "new_hosts": _listed(base, f"SELECT DISTINCT box.host FROM {pair} WHERE old_box.id IS NULL"),
        "gone_hosts": _listed(base, """
            SELECT host FROM earlier.machine WHERE host NOT IN (SELECT host FROM main.machine)"""),
        "verdicts": _listed(base, f"""
            SELECT box.host, now.target, old.verdict AS before, now.verdict AS after FROM {pair}
            WHERE old.verdict <> now.verdict"""),
        "new_findings": _rows(base, f"""
            SELECT rule, now.target, count(DISTINCT box.id) AS hosts FROM {pair}
            JOIN main.finding AS f ON f.judged = now.id
            WHERE old.id IS NOT NULL AND severity IN ('blocker', 'high') AND waived_until IS NULL
            AND NOT EXISTS (SELECT 1 FROM earlier.finding AS g WHERE g.judged = old.id
                            AND g.fingerprint = f.fingerprint AND g.waived_until IS NULL)
            GROUP BY rule, now.target ORDER BY hosts DESC, rule LIMIT 100"""),
    }  # fmt: skip
