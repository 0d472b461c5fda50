"""Text about what the program knows: one rule's page, the list of rules, the list of targets."""

from __future__ import annotations

from migprep.report.text import PLAIN, Style, held, wrap
from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migprep.rules import Rule
    from migprep.targets import Target

FAMILIES = {"debian": "Debian, Ubuntu", "redhat": "RHEL, Fedora and kin", "suse": "SUSE"}


def explain(rule: Rule, style: Style = PLAIN) -> str:
    """The page of one rule."""
    blocks = (
        f", stops the {rule.blocks}" if rule.blocks in ("boot", "network") else ", loses data" if rule.blocks else ""
    )
    lines = [
        style.paint(rule.id, "1"),
        *wrap(rule.title),
        "",
        f"{rule.severity.value}{blocks}; judged at: {rule.link.value}",
    ]
    lines += _section("Why", _reflowed(rule.why), style)
    lines += _section("What you would see", rule.symptom, style)
    lines += _section("How it is found", _detection(rule), style)
    lines += _section("Where", "\n".join(dict.fromkeys(one.path.text for one in rule.evidence)), style)
    lines += _section("Fix", _fix(rule), style)
    for hint in dict.fromkeys(rule.by_hand.values()):
        lines += ["", style.paint(_by_hand(hint, rule.by_hand), "1")]
        lines += [part for line in hint.split("\n") for part in wrap(held(line), "  ", "  ")]
    lines += _section("References", "\n".join(rule.references), style)
    return "\n".join(lines) + "\n"


def _detection(rule: Rule) -> str:
    lines = [f"reads: {', '.join(rule.needs)}"]
    if rule.applies:
        lines.append(f"applies when: {rule.applies.text}")
    if rule.for_each:
        lines.append(f"for each {rule.item} in: {rule.for_each.text}")
    return "\n".join([*lines, f"fails when: {rule.when.text}"])


SAFETY = {
    "safe": "safe: the machine still boots and works where it is, and migprep rollback restores every byte",
    "risky": "risky: made only when you name it: --include risky --only {id}",
    "manual": "manual: told, never made",
}
PHASE = {
    "prepare": "any time before the move",
    "cutover": "the last act before the final shutdown: --cutover; it may bind the machine to its target",
    "after": "on the target, after the move",
}


def _fix(rule: Rule) -> str:
    """What the fix does, and what it does not."""
    if not rule.fix:
        return "There is none: only a person can do this."
    fix = rule.fix
    lines = [f"{fix.mend.title}."]
    if fix.file:
        lines.append(f"- changes {fix.file.text}, and nothing in it but what is named above")
    if fix.then:
        lines.append(f"- then runs: {', '.join(fix.then)}")
    if fix.only_if:
        lines.append(f"- only where: {fix.only_if.text}; else see by hand")
    lines.append(f"- {SAFETY[fix.mend.safety.value].format(id=rule.id)}")
    lines.append(f"- when: {PHASE[fix.mend.phase.value]}")
    return "\n".join(lines)


def _by_hand(hint: str, by_hand: dict[str, str]) -> str:
    """The heading of a hint: whom it is for, unless it is the same for all."""
    names = [FAMILIES.get(family, family) for family, one in by_hand.items() if one == hint]
    return "By hand" if len(names) == len(by_hand) > 1 else f"By hand on {'; '.join(names)}"


def _reflowed(text: str) -> str:
    """Prose with one line a paragraph; what is indented or a list keeps its lines."""
    paragraphs = [""]
    for line in text.split("\n"):
        if line.strip() and paragraphs[-1] and not line.startswith((" ", "- ")):
            paragraphs[-1] += f" {line}"
        else:
            paragraphs.append(line)
    return "\n".join(paragraphs).strip("\n")


def _section(title: str, text: str, style: Style) -> list[str]:
    if not text:
        return []
    lines = ["", style.paint(title, "1")]
    for line in text.split("\n"):
        lines += wrap(line, "  ", "    " if line.startswith((" ", "- ")) else "  ") if line.strip() else [""]
    return lines


def rules(found: Sequence[Rule], style: Style = PLAIN) -> str:
    """One line per rule, with its title beneath; by link of the boot chain."""
    lines: list[str] = []
    for link in dict.fromkeys(rule.link for rule in sorted(found, key=_place)):
        lines += ["", style.paint(link.value, "1")] if lines else [style.paint(link.value, "1")]
        for rule in found:
            if rule.link is link:
                lines += [f"  {rule.id:<56}{_grade(rule)}".rstrip(), *wrap(rule.title, "      ", "      ")]
    lines += ["", f"{len(found)} rules; `migprep explain RULE` tells more about one"]
    return "\n".join(lines) + "\n"


def _place(rule: Rule) -> int:
    return list(type(rule.link)).index(rule.link)


def _grade(rule: Rule) -> str:
    return f"{rule.severity.value}: {rule.blocks}" if rule.blocks else rule.severity.value


def targets(found: Iterable[Target], style: Style = PLAIN) -> str:
    """One paragraph per target."""
    lines = []
    for target in found:
        lines += wrap(
            target.title, style.paint(f"{target.name:<10}", "1") + " ", " " * 11, 80 + (8 if style.colour else 0)
        )
        disk = f"disks {target.disk.bus}, /dev/{target.disk.prefix}*; network {target.nic.model}"
        mac = "" if target.nic.keeps_mac else " (new MAC addresses)"
        lines += wrap(
            f"{disk}{mac}; firmware {', '.join(target.firmware)}; CPU level x86-64-v{target.cpu.level}",
            " " * 11,
            " " * 11,
        )
    return "\n".join(lines) + "\n"
