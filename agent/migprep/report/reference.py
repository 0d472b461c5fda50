"""The rules as reference pages, made of the rules alone: migprep-rules(7) and the table of the README."""

from __future__ import annotations

from typing import TYPE_CHECKING

import migprep
from migprep.model import Link
from migprep.report.pages import FAMILIES, PHASE, SAFETY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migprep.rules import Rule

STOPS = {"boot": "stops the boot", "network": "stops the network", "data": "loses data"}


def markdown(rules: Sequence[Rule]) -> str:
    """A table by link of the boot chain: GitHub Flavored Markdown."""
    lines = ["| link | rule | | what is wrong | fix |", "|---|---|---|---|---|"]
    for link in Link:
        for number, rule in enumerate(_of(rules, link)):
            grade = STOPS.get(rule.blocks, rule.severity.value)
            title = rule.title.replace("|", "\\|")
            lines.append(f"| {'' if number else link.value} | `{rule.id}` | {grade} | {title} | {_fix(rule)} |")
    return "\n".join([*lines, "", f"{len(rules)} rules."]) + "\n"


def _of(rules: Sequence[Rule], link: Link) -> list[Rule]:
    return [rule for rule in rules if rule.link is link]


def _fix(rule: Rule) -> str:
    if not rule.fix or rule.fix.mend.safety.value == "manual":
        return "by hand"
    phase = rule.fix.mend.phase.value
    return rule.fix.mend.safety.value + (f", {phase}" if phase != "prepare" else "")


def man(rules: Sequence[Rule]) -> str:
    """Write the manual page of section 7."""
    lines = [
        f'.TH MIGPREP-RULES 7 "" "migprep {migprep.__version__}"', ".SH NAME",
        "migprep-rules \\- what migprep judges, and how each of it is mended", ".SH DESCRIPTION",
        "The rules of", ".BR migprep (1),", "by the link of the boot chain that they judge.",
        "A blocker stops the move; high asks for a decision; low and info are told.",
    ]  # fmt: skip
    for link in Link:
        mine = _of(rules, link)
        if mine:
            lines.append(f'.SH "{_roff(link.value.upper())}"')
            lines += [line for rule in mine for line in _entry(rule)]
    return "\n".join([*lines, ".SH SEE ALSO", ".BR migprep (1)"]) + "\n"


def _entry(rule: Rule) -> list[str]:
    grade = f"{rule.severity.value}, {STOPS[rule.blocks]}" if rule.blocks else rule.severity.value
    lines = [f".SS {_roff(rule.id)}", f"{_roff(rule.title)} ({grade}).", ".PP", *_prose(rule.why)]
    if rule.symptom:
        lines += [".TP", "What you would see:", *_prose(rule.symptom)]
    lines += [".TP", "How it is found:", *_prose(_found(rule))]
    lines += [".TP", "Fix:", *_prose(_fixed(rule))]
    for hint in dict.fromkeys(rule.by_hand.values()):
        families = [FAMILIES.get(name, name) for name, one in rule.by_hand.items() if one == hint]
        where = "" if len(families) == len(rule.by_hand) else f" on {', '.join(families)}"
        lines += [".TP", f"By hand{_roff(where)}:", *_prose(hint)]
    if rule.references:
        lines += [".TP", "Known from:", *_prose("; ".join(rule.references) + ".")]
    return lines


def _found(rule: Rule) -> str:
    loop = f"for each {rule.item} of {rule.for_each.text}: " if rule.for_each else ""
    applies = f" (where {rule.applies.text})" if rule.applies else ""
    return f"{loop}{rule.when.text}{applies}; reads {', '.join(rule.needs)}."


def _fixed(rule: Rule) -> str:
    if not rule.fix:
        return "none; only a person can do this."
    fix = rule.fix
    words = f"{fix.mend.title}; {SAFETY[fix.mend.safety.value].format(id=rule.id)}; {PHASE[fix.mend.phase.value]}"
    return words + (f"; only where {fix.only_if.text}." if fix.only_if else ".")


def _prose(text: str) -> list[str]:
    """Lines of roff; an empty line is a new paragraph's distance."""
    return [_roff(line.strip()) if line.strip() else ".sp" for line in text.strip().split("\n")]


def _roff(text: str) -> str:
    """Text in which nothing is an escape or a request (groff(7))."""
    escaped = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    )
    escaped = escaped.replace("~", "\\(ti").replace('"', "\\(dq")
    escaped = "".join(sign if ord(sign) < 128 else f"\\[u{ord(sign):04X}]" for sign in escaped)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
