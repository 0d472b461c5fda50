"""The hand-over sheet: one page in Markdown for whoever creates the target and moves the machine there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from migprep.report.outcome import unmended

#: Characters that mean something to Markdown or HTML, anywhere in a line.
SIGNS = re.compile(r"([\\`*_\[\]<>|#~&])")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
SIZES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"))
UNKNOWN = "not known"


def render(document: dict[str, Any]) -> str:
    """The sheet, with a part for each target. Texts of the machine are escaped: none of them is markup."""
    lines = [f"# {plain(document['host']['name'] or 'This machine')}: hand-over sheet", "", *_head(document), ""]
    lines += ["## Create the target with", "", *_table(("what", "as on the source"), _target(document)), ""]
    lines += ["### Disks, in this order", "", *_disks(document), "", "### Network cards", "", *_cards(document), ""]
    lines += ["### What disks and filesystems are known by", "", *_names(document), ""]
    lines += ["### Network configuration", "", *_network(document), ""]
    for target in document["targets"]:
        lines += _part(document, target)
    return "\n".join(lines).rstrip() + "\n"


def plain(value: object) -> str:
    """A text of the machine on one line, in which nothing is markup."""
    return SIGNS.sub(r"\\\1", CONTROL.sub("?", str(value)))


def size(number: object) -> str:
    """12.5 GiB."""
    if not isinstance(number, int) or not number:
        return UNKNOWN
    return next((f"{number / unit:.1f} {name}" for unit, name in SIZES if number >= unit), f"{number} bytes")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def _head(document: dict[str, Any]) -> list[str]:
    host, run = document["host"], document["run"]
    kernel = f"kernel {host['kernel']}" if host["kernel"] else ""
    words = ", ".join(plain(one) for one in (host["os"], kernel, host["architecture"]) if one) or "System not known"
    told = f"{words}. Inspected {plain(run['started'])} by migprep {plain(document['tool']['version'])}."
    return [told, *([] if run["complete"] else ["", "**Not everything could be read: see `migprep check`.**"])]


def _target(document: dict[str, Any]) -> list[tuple[str, ...]]:
    machine, cpu = document["inventory"].get("machine") or {}, document["inventory"]["cpu"] or {}
    level, model = cpu.get("level", ""), cpu.get("pool_model", "")
    needs = f"{level} (QEMU: {model} or newer)" if level and model else level
    rows = (
        ("firmware", document["host"]["firmware"]),
        ("processors", cpu.get("count")),
        ("processor today", cpu.get("model")),
        ("processor level to keep", needs),
        ("memory", machine.get("memory") and f"{size(machine['memory'])} as the kernel counts it: round up"),
        ("hardware clock", machine.get("clock")),
        ("system UUID", machine.get("uuid")),
        ("serial number", machine.get("serial")),
        ("model today", machine.get("model")),
        *((f"boot entry {one['number']} today", _entry(one)) for one in machine.get("boot_entries") or ()),
    )
    return [(name, plain(value or UNKNOWN)) for name, value in rows]


def _entry(entry: dict[str, Any]) -> str:
    """What firmware's boot entry starts; the entry stays behind."""
    return f"{entry['title']}: {entry['loader'] or 'no file'}{' (started this machine)' if entry['is_current'] else ''}"


def _disks(document: dict[str, Any]) -> list[str]:
    disks, machine = document["inventory"]["disks"], document["inventory"].get("machine") or {}
    if disks is None:
        return [f"The disks are {UNKNOWN}."]
    boot = machine.get("boots_from") or []
    fixed = [one for one in disks if not one["removable"] and one["size"]]
    ordered = sorted(fixed, key=lambda one: one["name"] not in boot)  # stable: the others stay in their order
    rows = [
        (
            str(number), plain(one["name"]) + (" (boots)" if one["name"] in boot else ""), size(one["size"]),
            plain(one["bus"]), plain(one.get("serial") or "none"), plain(one["model"]),
        )
        for number, one in enumerate(ordered, 1)
    ]  # fmt: skip
    return _table(("#", "today", "size", "bus", "serial", "model"), rows)


def _names(document: dict[str, Any]) -> list[str]:
    """The identifiers of each filesystem and partition, which files name it, and names that mean something else."""
    filesystems, references = document["inventory"]["filesystems"], document["inventory"].get("references") or []
    if filesystems is None:
        return [f"The filesystems are {UNKNOWN}."]
    users: dict[str, list[str]] = {}
    for one in references:
        for device in one["devices"]:
            users.setdefault(device, []).append(one["path"])
    rows = [
        (
            plain(one["device"]), *(plain(one[name] or "none") for name in ("type", "uuid", "label", "partuuid")),
            _listed(sorted(set(users.get(one["device"], ())))),
        )
        for one in filesystems
    ]  # fmt: skip
    lines = _table(("today", "type", "UUID", "label", "PARTUUID", "named in"), rows)
    wrong = [one for one in references if _means(one)]
    lost = [f"- {plain(one['path'])}{_line(one)}: {plain(one['text'])} {_means(one)}." for one in wrong]
    return [*lines, *(["", *lost] if lost else []), *_restored(filesystems)]


def _restored(filesystems: list[dict[str, Any]]) -> list[str]:
    """How one that is made anew on the target gets the identifiers back; older reports do not tell all."""
    ways = ("restore_uuid", "restore_label", "restore_partuuid")
    commands: dict[str, list[str]] = {}
    for way in ways:
        for one in filesystems:
            if one.get(way):
                commands.setdefault(one[way], []).append(one["device"])
    if not commands:
        return []
    told = "Whoever makes one of them anew (files are copied, not blocks) gives it its names back, unmounted. DEVICE "
    told += "is the new one, DISK what it lies on, VG its volume group:"
    return ["", told, "", *_table(("today", "with"), [(_listed(who), plain(how)) for how, who in commands.items()])]


def _line(reference: dict[str, Any]) -> str:
    return f" line {reference['line']}" if reference["line"] else ""


def _means(reference: dict[str, Any]) -> str:
    """What is wrong with a name; "" for one that means what it should."""
    devices = plain(", ".join(reference["devices"]))
    words = {
        "missing": "means no device",
        "ambiguous": f"means {devices}",
        "other": f"means {devices}, which is not mounted there",
    }
    return words.get(reference["state"], "")


def _cards(document: dict[str, Any]) -> list[str]:
    cards = document["inventory"]["nics"]
    if cards is None:
        return [f"The cards are {UNKNOWN}."]
    rows = [
        (
            plain(one["name"]), plain(one["mac"]), plain(one["driver"] or UNKNOWN), plain(one.get("place") or "none"),
            _listed([each for each in one["addresses"] or () if not each.startswith("fe80:")]),
            _listed(one.get("gateways")), plain(one["configured_by"] or "nothing"),
            _listed(one.get("carries")),
        )
        for one in cards
    ]  # fmt: skip
    head = ("today", "MAC address", "driver", "place", "addresses", "gateway", "configured by", "carries")
    return _table(head, rows)


def _network(document: dict[str, Any]) -> list[str]:
    settings = document["inventory"].get("network")
    if not settings:
        return [f"The network configuration is {UNKNOWN}." if settings is None else "None is brought up at boot."]
    leases = {one["name"]: one.get("lease") for one in document["inventory"]["nics"] or []}
    rows = [
        (
            plain(one["name"]), _method(one, leases.get(one["name"])), _listed(one["addresses"]),
            plain(one["gateway"] or "none"), _listed(one["dns"]), plain(one["mtu"] or "usual"),
            _listed(one["stands_on"]), _listed(one["below"]),
            plain(f"{one['configured_by']}: {one['configured_in']}"),
        )
        for one in settings
    ]  # fmt: skip
    return _table(("interface", "how", "addresses", "gateway", "DNS", "MTU", "on", "below", "who and where"), rows)


def _method(setting: dict[str, Any], lease: dict[str, str] | None) -> str:
    if setting["method"] != "dhcp" or not lease:
        return plain(setting["method"])
    server = f" from {lease['server']}" if lease["server"] else ""
    identity = f" for {lease['identity']}" if lease["identity"] else ""
    return plain(f"dhcp: {lease['address']}{server}{identity}")


def _listed(words: list[str] | None) -> str:
    return plain(", ".join(words or []) or "none")


def _part(document: dict[str, Any], target: dict[str, Any]) -> list[str]:
    results = [one for one in document["results"] if one["target"] == target["name"]]
    fix = "migprep fix" if target["name"] == "kvm" else f"migprep fix --target {plain(target['name'])}"
    lines = [f"## Moving to {plain(target['name'])}: {target['verdict'].replace('_', ' ').upper()}", ""]
    if target["after_fixes"] != target["verdict"]:
        lines += [f"After `{fix} --apply`: {target['after_fixes'].replace('_', ' ')}.", ""]
    unjudged = [plain(one["rule"]) for one in results if one["status"] == "unknown" and one["severity"] == "blocker"]
    if unjudged:
        many = f" and {len(unjudged) - 5} more" if len(unjudged) > 5 else ""
        told = f"**What may stop this move could not be judged:** {', '.join(unjudged[:5])}{many}."
        lines += [f"{told} `migprep check` tells what could not be read.", ""]
    for title, found in (
        ("Before the move", list(_before(target, results, fix))),
        (f"As the last act on the source: `{fix} --cutover --apply --poweroff`", list(_cutover(results, fix))),
        ("On the target, after the first start", list(_after(results))),
    ):
        lines += [f"### {title}", "", *(found or ["Nothing."]), ""]
    return lines


def _open(results: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for result in results:
        yield from ((result, finding) for finding in result["findings"] if "waiver" not in finding)


def _phase(finding: dict[str, Any]) -> str:
    return str((finding["fix"] or {}).get("phase", ""))


def _safety(finding: dict[str, Any]) -> str:
    return str((finding["fix"] or {}).get("safety", "manual"))


def _before(target: dict[str, Any], results: list[dict[str, Any]], fix: str) -> Iterator[str]:
    for result, finding in _open(results):
        if result["severity"] in ("blocker", "high") and _phase(finding) in ("", "prepare"):
            told = f"{plain(finding['message'])} ({result['severity']}, {plain(result['rule'])})."
            yield f"- [ ] {told} {_how(result['rule'], finding, fix, unmended(target, finding))}"


def _how(rule: str, finding: dict[str, Any], fix: str, reason: str) -> str:
    """What mends it: migprep by itself, migprep when it is asked for that rule, or a person."""
    if reason:
        return f"`migprep fix` does not mend it here ({plain(reason)}): see `migprep explain {rule}`."
    title = f"{plain(finding['fix']['title'])}: " if finding["fix"] else ""
    by_safety = {"safe": f"`{fix} --apply`.", "risky": f"if wanted, `{fix} --only {rule} --include risky --apply`."}
    return title + by_safety.get(_safety(finding), f"see `migprep explain {rule}`.")


def _cutover(results: list[dict[str, Any]], fix: str) -> Iterator[str]:
    wanted: dict[str, list[str]] = {}
    for result, finding in _open(results):
        if _phase(finding) == "cutover":
            told = f"{plain(finding['fix']['title'])}: {plain(finding['message'])} ({plain(result['rule'])})."
            if _safety(finding) == "risky":
                wanted.setdefault(result["rule"], []).append(f"  - {told}")
            else:
                by_hand = f" By hand: `migprep explain {result['rule']}`." if _safety(finding) == "manual" else ""
                yield f"- [ ] {told}{by_hand}"
    for rule, all_told in wanted.items():
        yield f"- Only where it is wanted: `{fix} --cutover --only {rule} --include risky --apply`"
        yield from all_told


def _after(results: list[dict[str, Any]]) -> Iterator[str]:
    yield "- [ ] Start it without a network while the source may still run: two machines with one address harm both."
    yield "- [ ] `migprep check` there: nothing may be open. Leave machine-id, SSH host keys and DHCP identity alone."
    for result, finding in _open(results):
        if _phase(finding) == "after":
            yield f"- [ ] {plain(finding['fix']['title'])}: {plain(finding['message'])} ({plain(result['rule'])})."
