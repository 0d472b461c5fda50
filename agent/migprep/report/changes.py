"""What is new, gone or changed between two reports of one machine. Pure."""

from __future__ import annotations

from migprep.report.text import PLAIN, VERDICTS, Style, name, shown, wrap
from migprep.typed import Any, NamedTuple

Item = dict[str, Any]
#: What tells a finding from others: target, rule and subject (the fingerprint is of the last two).
Key = tuple[str, str, str]


class Changes(NamedTuple):
    """Findings by what became of them, verdicts before and after, rules that can or cannot be judged any more."""

    new: tuple[Item, ...]
    gone: tuple[Item, ...]
    changed: tuple[tuple[Item, Item], ...]
    still: tuple[Item, ...]
    verdicts: tuple[tuple[str, str, str], ...]  # target, before ("" for none), after
    lost: tuple[Item, ...]  # unknown now, judged before
    regained: tuple[Item, ...]
    rules: tuple[str, str] | None  # the sets of rules, when they differ

    @property
    def is_empty(self) -> bool:
        """Whether both say the same."""
        return not (self.new or self.gone or self.changed or self.lost or self.regained or self._flips)

    @property
    def _flips(self) -> bool:
        return any(before != after for _, before, after in self.verdicts)

    def document(self) -> Item:
        """The same for programs: migprep/changes/1.0."""
        return {
            "schema": "migprep/changes/1.0",
            "verdicts": [{"target": one, "before": before or None, "after": now} for one, before, now in self.verdicts],
            "new": list(self.new), "gone": list(self.gone), "still": list(self.still),
            "changed": [{"before": before, "after": after} for before, after in self.changed],
            "lost": list(self.lost), "regained": list(self.regained),
            "rules": {"before": self.rules[0], "after": self.rules[1]} if self.rules else None,
        }  # fmt: skip


def compare(before: Item, after: Item) -> Changes:
    """Both are documents; the targets of both are compared."""
    old, new = _findings(before), _findings(after)
    same = [(old[key], new[key]) for key in new if key in old]
    dark_before, dark_after = _unknown(before), _unknown(after)
    was = {one["name"]: one["verdict"] for one in before["targets"]}
    versions = (_version(before), _version(after))
    return Changes(
        tuple(new[key] for key in new if key not in old),
        tuple(old[key] for key in old if key not in new),
        tuple(pair for pair in same if _substance(pair[0]) != _substance(pair[1])),
        tuple(one for _, one in same),
        tuple((one["name"], was.get(one["name"], ""), one["verdict"]) for one in after["targets"]),
        tuple(dark_after[key] for key in dark_after if key not in dark_before),
        tuple(dark_before[key] for key in dark_before if key not in dark_after),
        versions if versions[0] != versions[1] else None,
    )


def nothing(after: Item) -> Item:
    """A report of the same machine that says nothing: what the first one is compared with."""
    return {**after, "targets": [], "results": []}


def _findings(document: Item) -> dict[Key, Item]:
    return {
        (result["target"], result["rule"], finding["fingerprint"]): {
            **finding, "target": result["target"], "rule": result["rule"], "severity": result["severity"],
        }
        for result in document["results"] for finding in result["findings"]
    }  # fmt: skip


def _unknown(document: Item) -> dict[tuple[str, str], Item]:
    return {(one["target"], one["rule"]): one for one in document["results"] if one["status"] == "unknown"}


def _substance(finding: Item) -> object:
    """What makes a finding another one; that its line moved does not."""
    evidence = [[one["path"], one["observed"], one["expected"]] for one in finding["evidence"]]
    return [finding["message"], finding["severity"], bool(finding.get("waiver")), finding["fix"], evidence]


def _version(document: Item) -> str:
    return f"{document['tool']['version']}, rules {document['tool'].get('rules') or 'not told'}"


# --- told ---

#: Heading and mark of each part; `check --cron` and `report diff` use the same words.
PARTS = (("still", "STILL", "note"), ("gone", "FIXED", "pass"), ("changed", "CHANGED", "warn"), ("new", "NEW", "fail"))


def render(changes: Changes, after: Item, style: Style = PLAIN, since: str = "") -> str:
    """For people: the most urgent last, then the verdicts."""
    lines = wrap(shown(name(after)) + (f", since {since}" if since else ""))
    if changes.rules:
        lines += [
            "",
            *wrap(f"The program or its rules changed: {changes.rules[0]} became {changes.rules[1]}.", "", "  "),
        ]
    for member, heading, status in PARTS:
        found = getattr(changes, member)
        if found:
            lines += ["", style.paint(f"{heading} ({len(found)})", "1")]
            lines += [line for one in found for line in _told(one, status, style, brief=member in ("still", "gone"))]
    for heading, status, found in (
        ("JUDGED AGAIN", "pass", changes.regained),
        ("NOT JUDGED ANY MORE", "unknown", changes.lost),
    ):
        if found:
            lines += ["", style.paint(f"{heading} ({len(found)})", "1")]
            lines += _unjudged(found, status, style)
    return "\n".join([*lines, "", *_verdicts(changes, style)]) + "\n"


def _told(one: Any, status: str, style: Style, brief: bool) -> list[str]:
    before, finding = one if isinstance(one, tuple) else (None, one)
    words = f"{finding['target']}: {finding['rule']}: {shown(finding['message'])}"
    if finding.get("waiver"):
        words += f" (waived until {finding['waiver']['expires']})"
    first, *more = wrap(words, "    ", "      ")
    lines = [f"  {style.sign(status)} {first[4:]}", *more]
    if before and before["message"] != finding["message"]:
        lines += wrap(f"was: {shown(before['message'])}", "      ", "        ")
    if not brief:
        for evidence in finding["evidence"]:
            place = shown(evidence["path"]) + (f":{evidence['line']}" if evidence["line"] else "")
            lines += wrap(f"{place}: {shown(evidence['observed'])}", "      ", "        ")
            if evidence["expected"]:
                lines += wrap(f"{style.arrow} {shown(evidence['expected'])}", "        ", "          ")
    return lines


def _unjudged(found: tuple[Item, ...], status: str, style: Style) -> list[str]:
    """Each reason once, with the rules."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        reasons.setdefault(one["reason"], []).append(f"{one['target']}: {one['rule']}")
    lines = []
    for reason, rules in reasons.items():
        first, *more = wrap(shown(reason), "    ", "      ")
        lines += [f"  {style.sign(status)} {first[4:]}", *more, *wrap(", ".join(rules), "      ", "      ")]
    return lines


def _verdicts(changes: Changes, style: Style) -> list[str]:
    return [
        f"{name}: {VERDICTS[after]}" + (f" (was {VERDICTS[before]})" if before and before != after else "")
        for name, before, after in changes.verdicts
    ]
