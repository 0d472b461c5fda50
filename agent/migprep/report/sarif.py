"""SARIF 2.1.0 for code-scanning viewers: a run a target, a result a finding, files relative to the machine's root.

Standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from urllib.parse import quote

from migprep.report.text import shown
from migprep.typed import Any

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"blocker": "error", "high": "warning", "low": "note", "info": "note"}
Item = dict[str, Any]


def render(document: Item) -> str:
    """The log, indented, pure ASCII."""
    runs = [_run(document, target) for target in document["targets"]]
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": runs}, indent=1) + "\n"


def _run(document: Item, target: Item) -> Item:
    mine = [
        one
        for one in document["results"]
        if one["target"] == target["name"] and (one["findings"] or one["status"] == "unknown")
    ]
    return {
        "tool": {
            "driver": {
                "name": "migprep",
                "version": document["tool"]["version"],
                "rules": [_rule(one) for one in mine],
            }
        },
        "automationDetails": {"id": f"migprep/{shown(document['host']['name'])}/{target['name']}/"},
        "originalUriBaseIds": {"ROOT": {"uri": "file:///", "description": {"text": "The root of the machine."}}},
        "properties": {"target": target["name"], "verdict": target["verdict"], "afterFixes": target["after_fixes"]},
        "invocations": [
            {
                "executionSuccessful": True,
                "startTimeUtc": document["run"]["started"],
                "toolExecutionNotifications": [_gap(one, number) for number, one in enumerate(mine) if _is_gap(one)],
            }
        ],
        "results": [
            _result(result, number, finding) for number, result in enumerate(mine) for finding in result["findings"]
        ],
    }


def _rule(result: Item) -> Item:
    explain = f"migprep explain {result['rule']}"
    return {
        "id": result["rule"],
        "shortDescription": {"text": result["title"]},
        "fullDescription": {"text": result.get("why") or result["title"]},
        "help": {"text": f"{result.get('by_hand', '')}\n{explain}".strip()},
        "defaultConfiguration": {"level": LEVELS[result["severity"]]},
        "properties": {"severity": result["severity"], "blocks": result["blocks"], "link": result["link"]},
    }


def _is_gap(result: Item) -> bool:
    return bool(result["status"] == "unknown")


def _gap(result: Item, number: int) -> Item:
    return {
        "level": "warning",
        "message": {"text": f"not judged: {shown(result['reason'])}"},
        "associatedRule": {"id": result["rule"], "index": number},
    }


def _result(result: Item, number: int, finding: Item) -> Item:
    told: Item = {
        "ruleId": result["rule"],
        "ruleIndex": number,
        "level": LEVELS[result["severity"]],
        "message": {"text": _message(finding)},
        "locations": [_location(one) for one in finding["evidence"]],
        "partialFingerprints": {"migprep/v1": finding["fingerprint"]},
    }
    if finding.get("waiver"):
        waiver = finding["waiver"]
        words = f"{shown(waiver['reason'])} (until {waiver['expires']})"
        told["suppressions"] = [{"kind": "external", "status": "accepted", "justification": words}]
    return told


def _message(finding: Item) -> str:
    expected = [shown(one["expected"]) for one in finding["evidence"] if one["expected"]]
    return shown(finding["message"]) + "".join(f"; expected: {one}" for one in dict.fromkeys(expected)) + "."


def _location(evidence: Item) -> Item:
    path = evidence["path"].lstrip("/").encode("utf-8", "surrogateescape")
    place: Item = {"artifactLocation": {"uri": quote(path), "uriBaseId": "ROOT"}}
    if evidence["line"]:
        place["region"] = {"startLine": evidence["line"]}
        if evidence["observed"]:
            place["region"]["snippet"] = {"text": shown(evidence["observed"])}
    return {"physicalLocation": place}
