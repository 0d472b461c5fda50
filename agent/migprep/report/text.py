"""The report for people: the boot chain first, then what was found, the worst last, 80 columns of words."""

from __future__ import annotations

from migprep.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH = 80
#: The column in which the notes on the boot chain begin.
CHAIN = 22
#: Rules that were not judged which are named rather than counted.
FEW = 6
#: Findings of one rule that are told before the rest is only counted.
SHOWN = 12
#: Digits of a fingerprint that tell a finding from the others of its machine.
DIGITS = 8

SIGNS = {"pass": "✓", "warn": "!", "fail": "✗", "unknown": "?", "note": "i"}
ASCII_SIGNS = {**SIGNS, "pass": "+", "fail": "x"}
COLOURS = {"pass": "32", "warn": "33", "fail": "31", "unknown": "35", "note": "36"}
VERDICTS = {"ready": "READY", "conditional": "CONDITIONAL", "not_ready": "NOT READY", "unknown": "UNKNOWN"}
VERDICT_SIGNS = {"ready": "pass", "conditional": "warn", "not_ready": "fail", "unknown": "unknown"}

Item = dict[str, Any]  # an object of the document


class Style(NamedTuple):
    """How the terminal can show it."""

    unicode: bool = True
    colour: bool = False

    def sign(self, status: str) -> str:
        """The mark of a link's status; colour only repeats what the mark says."""
        return self.paint((SIGNS if self.unicode else ASCII_SIGNS)[status], COLOURS[status])

    def paint(self, words: str, code: str) -> str:
        """`words` in a colour (ECMA-48 SGR), or as they are."""
        return f"\033[{code}m{words}\033[0m" if self.colour else words

    @property
    def arrow(self) -> str:
        return "→" if self.unicode else "->"

    @property
    def dot(self) -> str:
        return "·" if self.unicode else "-"


#: What is written to a file.
PLAIN = Style()


class Block(NamedTuple):
    """What one rule found, on whichever targets."""

    result: Item
    findings: tuple[tuple[Item, tuple[str, ...]], ...]


def render(document: Item, style: Style = PLAIN) -> str:
    """The whole report, ending with one line per target."""
    lines = _head(document, style)
    lines += _chain(document, style)
    for title, status, found in groups(document):
        if found:
            lines += ["", style.paint(f"{title} ({sum(len(block.findings) for block in found)})", "1")]
            for block in found:
                lines += _block(block, document, status, style)
        if status == "unknown":
            lines += _unchecked(document, style)
        if title == "WAIVED":
            lines += _stale_waivers(document, style)
    lines += [*_numbered(document), *_handed_over(document), "", *summary(document, style)]
    return "\n".join(lines) + "\n"


def shown(words: object) -> str:
    """Text of the machine as one line that is safe to print: no control characters, no stray bytes."""
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in str(words).strip("\n").replace("\t", " "))


def _escaped(sign: str) -> str:
    number = ord(sign)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is no UTF-8 (PEP 383)
        return f"\\x{number - 0xDC00:02x}"
    return {"\n": "\\n", "\r": "\\r"}.get(sign) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")


def wrap(words: str | Sequence[str], first: str = "", later: str = "", width: int = WIDTH) -> list[str]:
    """Lines of at most `width` columns; a word longer than a line stands there whole, so that it can be pasted."""
    lines, line, empty = [], first, True
    for word in words.split() if isinstance(words, str) else words:
        if not empty and len(line) + 1 + len(word) > width:
            lines.append(line)
            line, empty = later, True
        line, empty = line + ("" if empty else " ") + word, False
    return [*lines, line]


def held(words: str) -> list[str]:
    """The words of a hint, with a command's options, their values, paths and redirections held to what goes before."""
    found: list[str] = []
    for word in words.split():
        before = found[-1].rpartition(" ")[2] if found else ""
        takes = before[:1] in ("-", ">") and before[-1] not in ",;.)" and "=" not in before and word[0] != "("
        held_back = 1 if found and (takes or word[0] in "-/>") else 0
        if word[0] == ">":  # the whole command goes there
            held_back = next((count for count, one in enumerate(reversed(found)) if one[-1] in ",;:.)"), len(found))
        kept = len(found) - held_back
        found[kept:] = [" ".join([*found[kept:], word])]
    return found


# --- head and chain ---


def _head(document: Item, style: Style) -> list[str]:
    words = [shown(f"{name(document)}: {system(document)}"), search(document["run"])]
    return [line for one in words if one for line in wrap(one, "", "  ")]


def search(run: Item) -> str:
    """Whether the whole disk was searched for device names; older reports do not tell."""
    if "searched" not in run:
        return ""
    if run["searched"] is None:
        return "Device names: searched in what starts by itself; --scan searches the disk."
    return f"Device names: searched in {run['searched']:,} files of the whole disk ({run['seconds']:.1f} s in all)."


def name(document: Item) -> str:
    """What to call the machine."""
    where = "" if document["run"]["root"] == "/" else f" (from {document['run']['root']})"
    return (document["host"]["name"] or "this machine") + where


def system(document: Item) -> str:
    """What runs on which machine, in one line."""
    host = document["host"]
    parts = [
        host["os"] or "unknown system",
        host["kernel"] and f"kernel {host['kernel']}",
        host["firmware"].upper(),
        host["virtualization"] not in ("", "none") and f"on {host['virtualization']}",
    ]
    return ", ".join(part for part in parts if part)


def _chain(document: Item, style: Style) -> list[str]:
    targets = document["targets"]
    if len(targets) == 1:
        return _one_chain(targets[0], style)
    lines: list[str] = []
    for part in _fitting(targets):
        lines += [
            "",
            style.paint(f"{'Will it come up on':<20}", "1")
            + "".join(f"{one['name']:^{_column(one)}}" for one in part).rstrip(),
        ]
        for number, link in enumerate(part[0]["boot_chain"]):
            cells = "".join(_cell(one, number, style) for one in part)
            lines.append(f"  {link['link']:<18}{cells}".rstrip())
    if any(not link.get("reached", True) and link["status"] == "pass" for one in targets for link in one["boot_chain"]):
        lines.append(f"  {style.dot} in order, but the boot stops before it")
    return lines


def _one_chain(target: Item, style: Style) -> list[str]:
    lines = ["", *wrap(f"Will it come up on {target['name']} ({shown(target['title'])})?", "", "  ")]
    lines[1] = style.paint(lines[1], "1")
    for link in target["boot_chain"]:
        first, *more = wrap(_note(link), " " * CHAIN, " " * CHAIN)
        lines += [f"  {_mark(link, style)} {link['link']:<18}{first[CHAIN:]}".rstrip(), *more]
        if link.get("symptom"):
            lines += wrap(f"it would show: {shown(link['symptom'])}", " " * CHAIN, " " * (CHAIN + 2))
    return lines


def _mark(link: Item, style: Style) -> str:
    """The sign of a link; of one that is in order and that no boot reaches, only its place."""
    return style.dot if link["status"] == "pass" and not link.get("reached", True) else style.sign(link["status"])


def _note(link: Item) -> str:
    """What is known of a link; a long reason why nothing is stands below in full, so that its beginning does here."""
    note = shown(link["note"])
    short = note.partition(": ")[0]
    return short if link["status"] == "unknown" and len(note) > WIDTH - CHAIN and " " in short else note


def _column(target: Item) -> int:
    return max(7, len(target["name"]) + 2)


def _cell(target: Item, number: int, style: Style) -> str:
    width = _column(target)
    left = (width - 1) // 2
    return " " * left + _mark(target["boot_chain"][number], style) + " " * (width - 1 - left)


def _fitting(targets: list[Item]) -> list[list[Item]]:
    """Targets in rows that fit beside the names of the links."""
    rows: list[list[Item]] = [[]]
    for target in targets:
        if rows[-1] and 20 + sum(map(_column, [*rows[-1], target])) > WIDTH:
            rows.append([])
        rows[-1].append(target)
    return rows


# --- findings ---


def groups(document: Item) -> list[tuple[str, str, list[Block]]]:
    """(heading, status, blocks), the least urgent first: a terminal is read from its end."""
    found = blocks(document)
    waived = [_having(block, waived=True) for block in found]
    still = [_having(block, waived=False) for block in found]
    return [
        (
            "FOR YOUR INFORMATION",
            "note",
            [one for one in still if one.findings and one.result["severity"] in ("low", "info")],
        ),
        ("WAIVED", "warn", [one for one in waived if one.findings]),
        ("COULD NOT CHECK", "unknown", []),
        ("DECIDE", "warn", [one for one in still if one.findings and one.result["severity"] == "high"]),
        ("FIX BEFORE THE MOVE", "fail", [one for one in still if one.findings and one.result["severity"] == "blocker"]),
    ]


def blocks(document: Item) -> list[Block]:
    """Findings by rule, each once with the targets it concerns; info before low, else by rule."""
    found: dict[str, tuple[Item, dict[str, tuple[Item, list[str]]]]] = {}
    for result in document["results"]:
        for finding in result["findings"]:
            _, mine = found.setdefault(result["rule"], (result, {}))
            mine.setdefault(finding["fingerprint"], (finding, []))[1].append(result["target"])
    made = [
        Block(result, tuple((finding, tuple(targets)) for finding, targets in mine.values()))
        for result, mine in found.values()
    ]
    return sorted(made, key=lambda block: (block.result["severity"] != "info", block.result["rule"]))


def _having(block: Block, waived: bool) -> Block:
    return block._replace(findings=tuple(one for one in block.findings if bool(one[0].get("waiver")) is waived))


def _block(block: Block, document: Item, status: str, style: Style) -> list[str]:
    result = block.result
    if is_remark(block):
        return _remark(block, document, status, style)
    lines = _signed(shown(result["title"]), status, style)
    lines += wrap(f" {style.dot} ".join(facts_of(block, document)), "    ", "    ")
    for finding, targets in block.findings[:SHOWN]:
        number = finding["fingerprint"][:DIGITS] if len(block.findings) > 1 else ""
        lines += _finding(finding, number, targets if differs(block) else (), style)
    if len(block.findings) > SHOWN:
        lines.append(f"    ... and {len(block.findings) - SHOWN} more (--format json lists all)")
    return lines + _mend(block, document)


def is_remark(block: Block) -> bool:
    """Whether it asks nothing of anybody: information that neither a fix nor a person acts on before the move."""
    asks = block.result.get("by_hand") or any(finding["fix"] or finding.get("waiver") for finding, _ in block.findings)
    return block.result["severity"] == "info" and not asks


def _remark(block: Block, document: Item, status: str, style: Style) -> list[str]:
    """A line or two; where it was seen, and the rest, is what `explain` is for."""
    few = block.findings[:SHOWN]
    lines = [line for one, _ in few for line in _signed(shown(one["message"]), status, style)[one is not few[0][0] :]]
    more = len(block.findings) - SHOWN
    return lines + [f"    ... and {more} more (--format json lists all)"] * (more > 0) + _why(block, document)


def _signed(words: str, status: str, style: Style) -> list[str]:
    """An empty line, then `words` behind the mark of their status."""
    first, *more = wrap(words, "    ", "    ")
    return ["", f"  {style.sign(status)} " + style.paint(first[4:], "1"), *more]


def facts_of(block: Block, document: Item) -> list[str]:
    """The rule's name, what it blocks, and which of several targets it concerns."""
    facts = [block.result["rule"]]
    if block.result["blocks"]:
        facts.append(f"stops the {block.result['blocks']}" if block.result["blocks"] != "data" else "loses data")
    concerned = {target for _, targets in block.findings for target in targets}
    if len(document["targets"]) > 1 and not differs(block):
        every = len(concerned) == len(document["targets"])
        facts.append("all targets" if every else ", ".join(sorted(concerned)))
    return facts


def differs(block: Block) -> bool:
    """Whether the findings concern different targets, so that each must say its own."""
    return len({targets for _, targets in block.findings}) > 1


def _finding(finding: Item, number: str, targets: tuple[str, ...], style: Style) -> list[str]:
    where = (f" ({number})" if number else "") + (f" [{', '.join(targets)}]" if targets else "")
    lines = wrap(shown(finding["message"]) + where, f"    {style.dot} ", "      ")
    for evidence in finding["evidence"]:
        place = evidence["path"] + (f":{evidence['line']}" if evidence["line"] else "")
        lines += wrap(
            f"{shown(place)}: {shown(evidence['observed'])}" if evidence["observed"] else shown(place),
            "      ",
            "        ",
        )
        if evidence["expected"]:
            lines += wrap(f"{style.arrow} {shown(evidence['expected'])}", "        ", "          ")
    if finding.get("waiver"):
        lines += wrap(
            f"waived until {finding['waiver']['expires']}: {shown(finding['waiver']['reason'])}", "      ", "        "
        )
    return lines


def _mend(block: Block, document: Item) -> list[str]:
    """What mends it: the fix's command where there is one, and by hand what it leaves."""
    from migprep.report.outcome import failing

    fixes = [finding["fix"] for finding, _ in block.findings if finding["fix"]]
    reasons = [failing(document, finding, names) for finding, names in block.findings]
    automatic = [
        finding["fix"]
        for (finding, _), reason in zip(block.findings, reasons)
        if finding["fix"] and finding["fix"]["safety"] != "manual" and not reason
    ]
    lines = []
    for reason in dict.fromkeys(filter(None, reasons)):
        lines += wrap(f"migprep fix does not mend it here: {shown(reason)}", "    ", "         ")
    if automatic:
        targets = sorted({target for _, names in block.findings for target in names})
        lines += wrap([command(block.result["rule"], automatic[0], document, targets)], "    fix: ")
        lines += wrap(f"({shown(automatic[0]['title'])})", "         ", "         ")
    if len(automatic) < len(block.findings):
        lines += _by_hand(block.result, [fix for fix in fixes if fix["safety"] == "manual"])
    return lines + _why(block, document)


def _why(block: Block, document: Item) -> list[str]:
    """How to ask for the rule's page, and as a shell's comment what asks how a finding came about."""
    number = block.findings[0][0]["fingerprint"][:DIGITS] if len(block.findings) == 1 else "a number above"
    words = [f"migprep explain {block.result['rule']}", f"# or {number}"]
    return wrap(words, "    why: ", "         ")


def _by_hand(result: Item, manual: list[Item]) -> list[str]:
    hint = result.get("by_hand") or (manual[0]["title"] if manual else "")
    lines: list[str] = []
    for number, line in enumerate(line for line in hint.split("\n") if line.strip()):
        lines += wrap(held(shown(line)), "         " if number else "    by hand: ", "         ")
    return lines


def command(rule: str, fix: Item, document: Item, targets: list[str]) -> str:
    """The command that mends it, to be pasted; `kvm` need not be said."""
    words = ["migprep fix", f"--only {rule}"]
    if targets and "kvm" not in targets:
        words.insert(1, f"--target {targets[0]}")
    if _rooted(document):
        words.insert(1, _rooted(document).rstrip())
    if fix["safety"] == "risky":
        words.append("--include risky")
    if fix["phase"] == "cutover":
        words.append("--cutover")
    return " ".join(words)


def _rooted(document: Item) -> str:
    """The option that leads to files that are not this machine's own."""
    if document["run"]["root"] == "/":
        return ""
    import shlex

    return f"--root {shlex.quote(shown(document['run']['root']))} "


# --- what could not be checked ---


def unjudged(document: Item) -> dict[str, dict[str, set[str]]]:
    """Why something could not be judged: reason -> rule -> targets, each reason once."""
    reasons: dict[str, dict[str, set[str]]] = {}
    for result in document["results"]:
        if result["status"] == "unknown" or (result["status"] == "fail" and result.get("reason")):
            rules = reasons.setdefault(result["reason"], {})
            rules.setdefault(result["rule"], set()).add(result["target"])
    return reasons


def _unchecked(document: Item, style: Style) -> list[str]:
    reasons = unjudged(document)
    gaps = [gap for gap in document["run"]["gaps"] if gap["reason"] not in reasons]
    if not reasons and not gaps:
        return []
    lines = ["", style.paint(f"COULD NOT CHECK ({sum(map(len, reasons.values())) or len(gaps)})", "1")]
    for gap in gaps:
        lines += _signed(f"{gap['fact']}: {shown(gap['reason'])}", "unknown", style)
    for reason in sorted(reasons, key=lambda one: (len(reasons[one]), one)):
        lines += _signed(shown(reason), "unknown", style)
        lines += wrap(_told(sorted(reasons[reason])), "    not judged: ", "      ")
    hints = _hints(document, [*reasons, *(gap["reason"] for gap in gaps)])
    return lines + [line for hint in hints for line in ["", *wrap(hint, "    ", "    ")]]


def _told(rules: list[str]) -> str:
    """A few rules by name, many by how many of each area."""
    if len(rules) <= FEW:
        return ", ".join(rules)
    areas: dict[str, int] = {}
    for rule in rules:
        area = rule.partition("/")[0]
        areas[area] = areas.get(area, 0) + 1
    return f"{len(rules)} rules: " + ", ".join(f"{area} {number}" for area, number in areas.items())


def _hints(document: Item, reasons: list[str]) -> list[str]:
    """How more could be known."""
    hints = []
    if any("permission denied" in reason for reason in reasons):
        hints.append("Some files were closed to the user that ran this; unless that was root, run it as root.")
    if document["run"]["root"] != "/" and any(
        place in one for one in reasons for place in ("/proc/", "/sys/", "/run/udev")
    ):
        hints.append(
            "These are files only. What a running machine tells besides, migprep capture takes along: run it there and "
            "give the capture to --root."
        )
    return hints


# --- waivers ---


def stale_waivers(document: Item) -> list[tuple[str, str]]:
    """(place, what to know) of each waiver that has ended or covers nothing here."""
    words = {
        "expired": "expired on {expires}; what it covered is open again ({reason})",
        "unused": "covers nothing that was found here; remove it, or limit it with host and target",
    }
    return [
        (one["place"], words[one["state"]].format(**one))
        for one in document.get("waivers", ())
        if one["state"] in words
    ]


def _stale_waivers(document: Item, style: Style) -> list[str]:
    found = stale_waivers(document)
    lines = ["", style.paint(f"WAIVERS TO LOOK AT ({len(found)})", "1"), ""] if found else []
    for place, words in found:
        first, *more = wrap(shown(f"{place}: {words}"), "    ", "      ")
        lines += [f"  {style.sign('warn')} {first[4:]}", *more]
    return lines


# --- the end ---


def _numbered(document: Item) -> list[str]:
    """How the numbers behind `# or` are asked for where the files are not this machine's own; said once."""
    if not _rooted(document) or not any(result["findings"] for result in document["results"]):
        return []
    return ["", *wrap(["A finding by its number:", f"migprep explain {_rooted(document)}NUMBER"], "", "  ")]


def _handed_over(document: Item) -> list[str]:
    """Where the work is told that is left for the target, if there is any."""
    left = {
        finding["fingerprint"]
        for result in document["results"]
        for finding in result["findings"]
        if finding["fix"] and finding["fix"]["phase"] == "after" and not finding.get("waiver")
    }
    if not left:
        return []
    names = [target["name"] for target in document["targets"]]
    options = "".join(f"--target {name} " for name in names) if names != ["kvm"] else ""
    told = f"Left to do on the target: {len(left)}. The sheet for whoever makes it:"
    return ["", *wrap([*told.split(), f"migprep check {options}{_rooted(document)}--format md"], "", "  ")]


def summary(document: Item, style: Style = PLAIN) -> list[str]:
    """One line per target: the verdict, why, and what it would be after the fixes."""
    width = max(len(one["name"]) for one in document["targets"])
    return [line for one in document["targets"] for line in _verdict(one, document, width, style)]


def _verdict(target: Item, document: Item, width: int, style: Style) -> list[str]:
    mine = [result for result in document["results"] if result["target"] == target["name"]]
    verdict = VERDICTS[target["verdict"]]
    first, *more = wrap(
        f"{verdict} ({counted(mine)}){_after(target, mine)}", f"{target['name'] + ':':<{width + 1}} ", " " * (width + 2)
    )
    painted = style.paint(verdict, "1;" + COLOURS[VERDICT_SIGNS[target["verdict"]]])
    return [first[: width + 2] + first[width + 2 :].replace(verdict, painted, 1), *more]


def counted(results: list[Item]) -> str:
    """What one target's results come to, in words."""
    counts = [
        _count(_open(results, "blocker"), "to fix"),
        _count(_open(results, "high"), "to decide"),
        _count(sum(result["status"] == "unknown" for result in results), "not checked"),
    ]
    return ", ".join(one for one in counts if one) or "nothing found"


def _after(target: Item, results: list[Item]) -> str:
    """What `migprep fix` would do for the verdict, or at least for how many findings."""
    if target["after_fixes"] != target["verdict"]:
        return f"; {VERDICTS[target['after_fixes']]} after migprep fix"
    from migprep.report.outcome import mends

    mended = sum(mends(target, finding) for one in results for finding in one["findings"])
    return f"; migprep fix mends {mended}" if mended else ""


def _open(results: Iterable[Item], severity: str) -> int:
    return sum(
        not finding.get("waiver") for one in results if one["severity"] == severity for finding in one["findings"]
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number else ""
