"""The report as one HTML file: opens from a mail, prints, needs no network, no mouse and no script."""

from __future__ import annotations

from migprep.report import page
from migprep.report.outcome import failing
from migprep.report.text import (
    VERDICT_SIGNS,
    VERDICTS,
    Block,
    command,
    counted,
    differs,
    facts_of,
    groups,
    name,
    stale_waivers,
    system,
    unjudged,
)
from migprep.typed import Any

Item = dict[str, Any]

STATES = {"pass": "in order", "warn": "needs a decision", "fail": "breaks", "unknown": "not known"}
#: The marks inside the circles of the chain, as SVG paths in a box of 40 by 40.
STROKES = {
    "pass": "M12 21l6 6 11-13",
    "warn": "M20 11v12M20 28.5v.5",
    "fail": "M13 13l14 14M27 13L13 27",
    "unknown": "M14.5 16c0-7 11-7 11 0 0 4-5.5 4-5.5 8M20 29v.5",
}


def render(document: Item) -> str:
    """The whole page."""
    return page.render("report.html", {
        "name": name(document), "head": system(document), "run": document["run"], "tool": document["tool"],
        "targets": [_target(one, document) for one in document["targets"]],
        "groups": _groups(document), "waivers": stale_waivers(document),
        "inventory": _inventory(document["inventory"]), "diff_lines": diff_lines,
        "STATES": STATES, "STROKES": STROKES, "VERDICTS": VERDICTS, "VERDICT_SIGNS": VERDICT_SIGNS,
    })  # fmt: skip


def diff_lines(words: str) -> list[dict[str, str]]:
    """The lines of a unified diff with what each of them is."""
    kinds = {"+": "plus", "-": "minus", "@": "hunk"}
    return [
        {"text": line, "kind": "hunk" if line.startswith(("+++ ", "--- ")) else kinds.get(line[:1], "")}
        for line in words.split("\n")[:-1]
    ]


def _target(target: Item, document: Item) -> Item:
    mine = [one for one in document["results"] if one["target"] == target["name"]]
    links = [{"symptom": "", "reached": True, **link} for link in target["boot_chain"]]
    results = [{"reason": "", **one} for one in mine]
    stops = next((link for link in links if link["status"] == "fail"), None)
    commands = target.get("fixes", {}).get("commands", [])
    return {
        **target,
        "links": links,
        "counted": counted(mine),
        "results": results,
        "commands": commands,
        "stops": stops,
    }


def _groups(document: Item) -> list[Item]:
    """What was found, the most urgent first: a page is read from its top."""
    made = []
    for title, status, found in reversed(groups(document)):
        group: Item = {"title": title.capitalize(), "status": status, "kind": status, "reasons": []}
        if title == "WAIVED":
            group["kind"] = "waived"
        if status == "unknown":
            group["reasons"] = _reasons(document)
        group["blocks"] = [_block(block, document) for block in found]
        group["count"] = sum(len(block.findings) for block in found) + len(group["reasons"])
        made += [group] if group["count"] else []
    return made


def _reasons(document: Item) -> list[Item]:
    reasons = unjudged(document)
    made = [
        {"reason": reason, "rules": sorted(rules), "targets": sorted(set().union(*rules.values()))}
        for reason, rules in sorted(reasons.items(), key=lambda one: (-len(one[1]), one[0]))
    ]
    names = [one["name"] for one in document["targets"]]
    return made + [
        {"reason": f"{gap['fact']}: {gap['reason']}", "rules": [], "targets": names}
        for gap in document["run"]["gaps"]
        if gap["reason"] not in reasons
    ]


def _block(block: Block, document: Item) -> Item:
    result = block.result
    findings = [_finding(finding, targets if differs(block) else ()) for finding, targets in block.findings]
    targets = sorted({target for _, names in block.findings for target in names})
    reasons = [failing(document, finding, names) for finding, names in block.findings]
    fixes = [
        finding["fix"]
        for (finding, _), reason in zip(block.findings, reasons)
        if finding["fix"] and finding["fix"]["safety"] != "manual" and not reason
    ]
    by_hand = result.get("by_hand", "") if len(fixes) < len(block.findings) else ""
    rule, *facts = facts_of(block, document)
    return {
        "rule": rule, "facts": facts, "title": result["title"], "findings": findings, "targets": targets,
        "anchor": rule.replace("/", "-"), "why": result.get("why", ""), "symptom": result.get("symptom", ""),
        "fix": fixes[0] if fixes else None, "command": command(rule, fixes[0], document, targets) if fixes else "",
        "unmended": list(dict.fromkeys(filter(None, reasons))),
        "by_hand": [line for line in by_hand.split("\n") if line.strip()],
        "changes": _changes(rule, document) if fixes else [], "searched": _searched(result, findings),
    }  # fmt: skip


def _finding(finding: Item, targets: tuple[str, ...]) -> Item:
    evidence = [
        {**one, "place": one["path"] + (f":{one['line']}" if one["line"] else "")} for one in finding["evidence"]
    ]
    return {"waiver": None, **finding, "evidence": evidence, "targets": targets}


def _searched(result: Item, findings: list[Item]) -> str:
    """All that the search looks into."""
    words = [result["rule"], result["title"]]
    for finding in findings:
        words += [finding["message"], finding["subject"], finding["fingerprint"]]
        words += [text for one in finding["evidence"] for text in (one["path"], one["observed"], one["expected"])]
    return " ".join(words)


def _changes(rule: str, document: Item) -> list[Item]:
    """The files that the fix of a rule changes; told once when it is the same for all targets."""
    found: dict[tuple[str, str], list[str]] = {}
    others: dict[str, list[str]] = {}
    for target in document["targets"]:
        for change in target.get("fixes", {}).get("changes", []):
            if rule in change["rules"]:
                found.setdefault((change["path"], change["diff"]), []).append(target["name"])
                others[change["path"]] = [one for one in change["rules"] if one != rule]
    alone = len({path for path, _ in found}) == len(found)
    return [
        {"path": path, "diff": words, "target": "" if alone else ", ".join(names), "others": others[path]}
        for (path, words), names in found.items()
    ]


# --- inventory ---


def _inventory(inventory: Item) -> list[Item]:
    return [
        _table("Disks", inventory["disks"], ("name", "size", "bus", "driver", "model")),
        _table(
            "Filesystems, swap and partitions",
            inventory["filesystems"],
            ("device", "type", "uuid", "label", "partuuid", "partlabel", "size", "stands_on"),
        ),
        _table(
            "What they are known by besides, and how one made anew gets it back",
            _restored(inventory["filesystems"]),
            ("device", "links", "changed_by", "written_back_with"),
        ),
        _table("Names of devices", inventory.get("references"), ("path", "line", "text", "kind", "devices", "state")),
        _table("Network cards", inventory["nics"], ("name", "mac", "driver", "addresses", "gateways", "configured_by")),
        _table(
            "Network configuration",
            inventory.get("network"),
            ("name", "method", "addresses", "gateway", "dns", "configured_by", "configured_in"),
        ),
        _table("Processor", [inventory["cpu"]] if inventory["cpu"] else None, ("vendor", "model", "count", "level")),
    ]


def _restored(filesystems: list[Item] | None) -> list[Item] | None:
    """The filesystems with the commands that write their identifiers back; older reports do not tell all."""
    ways = ("restore_uuid", "restore_label", "restore_partuuid")
    return filesystems and [
        {**one, "written_back_with": [one[way] for way in ways if one.get(way)]} for one in filesystems
    ]


def _table(title: str, rows: list[Item] | None, columns: tuple[str, ...]) -> Item:
    return {
        "title": title,
        "columns": [one.replace("_", " ") for one in columns],
        "rows": [[_cell(column, row.get(column)) for column in columns] for row in rows or ()],
        "empty": "Could not be read." if rows is None else "None.",
    }


def _cell(column: str, value: object) -> str:
    if isinstance(value, int) and column == "size":
        return size(value)
    if isinstance(value, (list, tuple)):
        return "\n".join(map(str, value))
    return "" if value is None else str(value)


def size(number: float) -> str:
    """Bytes as a person says them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.3g} {unit}"
        number /= 1024
    return f"{number:.4g} TiB"
