"""JUnit XML for CI servers: a test suite a target, a test case a rule.

An open finding of a blocker or high rule is a failure, one below that is told in system-out; a rule that could not be
judged is an error, one that does not apply is skipped. Format: the XSD that Jenkins publishes for its JUnit plugin.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET  # noqa: S405  only written, never parsed

from migprep.report.text import shown
from migprep.typed import Any

Item = dict[str, Any]


def render(document: Item) -> str:
    """One XML document."""
    top = ET.Element("testsuites", name="migprep")
    for target in document["targets"]:
        mine = [one for one in document["results"] if one["target"] == target["name"]]
        suite = ET.SubElement(
            top,
            "testsuite",
            name=f"migprep {target['name']}",
            tests=str(len(mine)),
            failures=str(sum(_kind(one) == "failure" for one in mine)),
            errors=str(sum(_kind(one) == "error" for one in mine)),
            skipped=str(sum(_kind(one) == "skipped" for one in mine)),
            time=str(document["run"]["seconds"]),
            timestamp=document["run"]["started"].rstrip("Z"),
            hostname=shown(document["host"]["name"]),
        )
        for one in mine:
            _case(suite, one, target["name"])
    ET.indent(top, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def _kind(result: Item) -> str:
    if result["status"] == "unknown":
        return "error"
    if result["status"] == "not_applicable":
        return "skipped"
    open_findings = any(not one.get("waiver") for one in result["findings"])
    return "failure" if open_findings and result["severity"] in ("blocker", "high") else ""


def _case(suite: ET.Element, result: Item, target: str) -> None:
    case = ET.SubElement(suite, "testcase", name=result["rule"], classname=f"migprep.{target}", time="0")
    kind, words = _kind(result), _words(result)
    if kind:
        message = result.get("reason") if kind != "failure" else result["title"]
        told = ET.SubElement(case, kind, message=shown(message))
        if kind != "skipped":
            told.set("type", result["severity"])
            told.text = words or None
    elif words:
        ET.SubElement(case, "system-out").text = words


def _words(result: Item) -> str:
    lines = []
    for finding in result["findings"]:
        waiver = finding.get("waiver")
        waived = f" (waived until {waiver['expires']}: {shown(waiver['reason'])})" if waiver else ""
        lines.append(shown(finding["message"]) + waived)
        for one in finding["evidence"]:
            place = shown(one["path"]) + (f":{one['line']}" if one["line"] else "")
            lines.append(f"  {place}: {shown(one['observed'])}")
            lines += [f"    expected: {shown(one['expected'])}"] if one["expected"] else []
    return "\n".join(lines)
