"""The report as one document, which every other format is made of: schema migprep/report/1.0."""

from __future__ import annotations

import migprep
from migprep.digest import sha256
from migprep.evaluate import verdict
from migprep.facts import Facts, fact
from migprep.model import Evidence, Finding, Link, Result, Severity, Status, Undetermined, Unknown, Verdict
from migprep.report.outcome import SITE_FILES
from migprep.rules import Rule
from migprep.targets import Target
from migprep.typed import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from migprep.facts.card import Card
    from migprep.plan import Change

SCHEMA = "migprep/report/1.0"


class Run(NamedTuple):
    """When (ISO 8601, UTC) and on what; `refused` has a sentence for each site file left out; waivers as registered."""

    started: str
    seconds: float
    root: str
    refused: tuple[str, ...] = ()
    waivers: tuple[dict[str, str], ...] = ()


class Judged(NamedTuple):
    """One target with its results; its verdict once every safe fix is made, what that would change, run and mend."""

    target: Target
    results: tuple[Result, ...]
    after_fixes: Verdict | None = None
    changes: tuple[Change, ...] = ()
    commands: tuple[str, ...] = ()
    mended: tuple[str, ...] | None = None  # fingerprints; None where nobody planned
    unmended: tuple[tuple[str, str], ...] = ()  # fingerprint and reason of each whose safe fix does not do it here


def build(facts: Facts, rules: Sequence[Rule], judged: Sequence[Judged], run: Run) -> dict[str, Any]:
    """The whole report; facts that it is the first to ask for are probed here."""
    by_id = {rule.id: rule for rule in rules}
    host, family = _host(facts), _family(facts)
    stock = inventory(facts)
    gaps = _gaps(facts, run.refused)
    return {
        "schema": SCHEMA,
        "tool": {"name": "migprep", "version": migprep.__version__, "rules": digest(rules)},
        "host": host,
        "run": {
            "started": run.started,
            "seconds": run.seconds,
            "root": run.root,
            "complete": not gaps,
            "gaps": gaps,
            **searched(facts),
        },
        "targets": [_target(one, by_id) for one in judged],
        "results": [_result(result, by_id[result.rule], family) for one in judged for result in one.results],
        "waivers": list(run.waivers),
        "inventory": stock,
    }


def searched(facts: Facts) -> dict[str, int | None]:
    """How many files of the whole disk were opened in search of device names; None where that was not asked for."""
    scan = facts.scan
    return {} if isinstance(scan, Unknown) else {"searched": scan.files if scan.asked else None}


def digest(rules: Sequence[Rule]) -> str:
    """12 hex digits that tell one set of rules from another: a verdict may flip because the rules changed."""
    words = [[one.id, one.severity.value, one.when.text, *(x.text for x in (one.applies, one.for_each) if x)]
             for one in rules]  # fmt: skip
    return sha256(repr(words).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def told(ask: Callable[[], object]) -> object:
    """What `ask` answers, None where it meets an Unknown: for what is only shown, never judged."""
    try:
        value = ask()
        return None if isinstance(value, Unknown) else value
    except Undetermined:
        return None


def text(ask: Callable[[], object]) -> str:
    """`told` as text, "" for what is not known."""
    value = told(ask)
    return "" if value is None else str(getattr(value, "value", value))


def _gaps(facts: Facts, refused: Iterable[str]) -> list[dict[str, str]]:
    probed = ((name, facts.known(name)) for name, kind in vars(Facts).items() if isinstance(kind, fact))
    gaps = [{"fact": name, "reason": value.reason} for name, value in probed if isinstance(value, Unknown)]
    return gaps + _unread(facts) + [{"fact": SITE_FILES, "reason": reason} for reason in refused]


def _unread(facts: Facts) -> list[dict[str, str]]:
    """What only the running kernel could have told of its network devices: the same reason for all of them."""
    interfaces = facts.interfaces
    if isinstance(interfaces, Unknown):
        return []
    known = {name: getattr(device, name) for device in interfaces.devices[:1] for name in ("addresses", "gateways")}
    return [{"fact": name, "reason": value.reason} for name, value in known.items() if isinstance(value, Unknown)]


# --- verdicts and the boot chain ---


def _target(judged: Judged, by_id: dict[str, Rule]) -> dict[str, object]:
    now = verdict(tuple(by_id.values()), judged.results)
    return {
        "name": judged.target.name,
        "title": judged.target.title,
        "verdict": now.value,
        "after_fixes": (judged.after_fixes or now).value,
        "reasons": [finding.fingerprint for finding in _reasons(now, judged.results, by_id)],
        "boot_chain": list(_chain(judged.results, by_id)),
        "fixes": {
            "changes": [_change(one) for one in judged.changes],
            "commands": list(judged.commands),
            **({} if judged.mended is None else {"mended": list(judged.mended)}),
            "unmended": [{"fingerprint": one, "reason": reason} for one, reason in judged.unmended],
        },
    }


def _change(change: Change) -> dict[str, object]:
    """One file that the safe fixes change, as a diff without secrets."""
    from migprep.diff import unified
    from migprep.redact import is_forbidden, redacted

    sides = [None if one is None else redacted(change.path, one) for one in (change.before, change.after)]
    words = "" if is_forbidden(change.path) else "".join(unified(change.path, *sides))
    return {"path": change.path, "rules": list(change.rules), "diff": words}


def _reasons(now: Verdict, results: Sequence[Result], by_id: dict[str, Rule]) -> list[Finding]:
    """The findings that make the verdict: what is open and of the severity it speaks of."""
    blockers = [one for result in results if by_id[result.rule].severity is Severity.BLOCKER for one in result.findings]
    highs = [one for result in results if by_id[result.rule].severity is Severity.HIGH for one in result.findings]
    if now is Verdict.NOT_READY:
        return [one for one in blockers if not one.waiver]
    if now is Verdict.CONDITIONAL:
        return [one for one in blockers if one.waiver] + [one for one in highs if not one.waiver]
    return []


def _chain(results: Sequence[Result], by_id: dict[str, Rule]) -> Iterator[dict[str, object]]:
    """The links in their order; behind one at which the boot stops none is reached, whatever is known of it."""
    reached = True
    for link in Link:
        mine = [result for result in results if by_id[result.rule].link is link]
        yield _link(link, mine, by_id, reached)
        reached = reached and not any(by_id[one.rule].blocks == "boot" for one in _broken(mine, by_id))


def _link(link: Link, mine: Sequence[Result], by_id: dict[str, Rule], reached: bool) -> dict[str, object]:
    status, note = _state(mine, by_id)
    if status == "pass" and not reached:
        note = f"not reached ({note})"
    findings = [finding.fingerprint for result in mine for finding in result.findings]
    told_link: dict[str, object] = {"link": link.value, "status": status, "note": note}
    told_link.update(findings=findings, reached=reached)
    symptom = _symptom(mine, by_id) if status == "fail" else ""
    return {**told_link, "symptom": symptom} if symptom else told_link


def _symptom(results: Sequence[Result], by_id: dict[str, Rule]) -> str:
    """What the machine would show where a link breaks: the symptom of the first blocker that is open, as one line."""
    return " ".join(next((by_id[one.rule].symptom for one in _broken(results, by_id)), "").split())


def _broken(results: Sequence[Result], by_id: dict[str, Rule]) -> list[Result]:
    """What of a link is open and a blocker."""
    return [
        result
        for result in results
        if by_id[result.rule].severity is Severity.BLOCKER and any(not one.waiver for one in result.findings)
    ]


def _state(results: Sequence[Result], by_id: dict[str, Rule]) -> tuple[str, str]:
    """Status and one line of explanation for the rules of one link; the worst one speaks."""

    def having(severity: Severity, waived: bool) -> list[Finding]:
        mine = (one for result in results if by_id[result.rule].severity is severity for one in result.findings)
        return [one for one in mine if bool(one.waiver) is waived]

    def unknown(severity: Severity) -> list[Result]:
        return [one for one in results if by_id[one.rule].severity is severity and one.status is Status.UNKNOWN]

    if having(Severity.BLOCKER, False):
        return "fail", _told_once([one.message for one in having(Severity.BLOCKER, False)])
    if unknown(Severity.BLOCKER):
        return "unknown", _told_once(list(dict.fromkeys(one.reason for one in unknown(Severity.BLOCKER))))
    if having(Severity.HIGH, False):
        return "warn", _told_once([one.message for one in having(Severity.HIGH, False)])
    if having(Severity.BLOCKER, True):
        return "warn", _told_once([f"waived: {one.message}" for one in having(Severity.BLOCKER, True)])
    if unknown(Severity.HIGH):
        return "unknown", _told_once(list(dict.fromkeys(one.reason for one in unknown(Severity.HIGH))))
    if not results:
        return "unknown", "no rule judges this yet"
    return "pass", _passed(results)


def _passed(results: Sequence[Result]) -> str:
    passed = sum(result.status is Status.PASS for result in results)
    if not passed:
        return "nothing here that the move could break" if not any(one.findings for one in results) else "only remarks"
    return f"{passed} check{'s' if passed > 1 else ''} passed"


def _told_once(notes: list[str]) -> str:
    more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
    return notes[0] + more


# --- results ---


def _result(result: Result, rule: Rule, family: str) -> dict[str, object]:
    told_result: dict[str, object] = {
        "rule": result.rule,
        "title": rule.title,
        "status": result.status.value,
        "severity": rule.severity.value,
        "blocks": rule.blocks,
        "link": rule.link.value,
        "target": result.target,
        "findings": [_finding(finding) for finding in result.findings],
    }
    if result.reason:
        told_result["reason"] = result.reason
    if result.findings:
        told_result["by_hand"] = _by_hand(rule, family)
        told_result["why"] = rule.why
        told_result["symptom"] = rule.symptom
    return told_result


def _by_hand(rule: Rule, family: str) -> str:
    """How this machine's distribution family mends it; all families where it is not known."""
    if family in rule.by_hand:
        return rule.by_hand[family]
    hints = set(rule.by_hand.values())
    if len(hints) == 1:
        return hints.pop()
    return "\n".join(f"{name}: {hint}" for name, hint in sorted(rule.by_hand.items()))


def _finding(finding: Finding) -> dict[str, object]:
    told_finding: dict[str, object] = {
        "fingerprint": finding.fingerprint,
        "subject": finding.subject,
        "message": finding.message,
        "evidence": [_evidence(one) for one in finding.evidence],
        "fix": None,
    }
    if finding.fix:
        mend = finding.fix
        told_finding["fix"] = {"title": mend.title, "safety": mend.safety.value, "phase": mend.phase.value}
    if finding.waiver:
        told_finding["waiver"] = finding.waiver._asdict()
    return told_finding


def _evidence(evidence: Evidence) -> dict[str, object]:
    return evidence._asdict()


# --- host and inventory ---


def _family(facts: Facts) -> str:
    return text(lambda: facts.system.family)


def _host(facts: Facts) -> dict[str, object]:
    return {
        "name": text(lambda: facts.system.hostname),
        "id": _id(facts),
        "os": text(lambda: facts.system.name),
        "kernel": text(lambda: facts.system.kernel),
        "architecture": text(lambda: facts.system.machine),
        "firmware": text(lambda: facts.firmware.kind),
        "virtualization": text(lambda: facts.virtualization.name),
    }


def _id(facts: Facts) -> str:
    """16 hex digits that tell this host from another of its name; the machine-id itself is confidential."""
    from migprep import root

    found = root.value(facts.root, "/etc/machine-id")
    keyed = f"migprep\0{found}".encode("utf-8", "surrogateescape")
    return sha256(keyed).hexdigest()[:16] if len(found) == 32 else ""


def inventory(facts: Facts) -> dict[str, object]:
    """What the machine has, for the one who plans the move; null, and a gap, for what could not be read."""
    return {
        "disks": _disks(facts),
        "filesystems": _filesystems(facts),
        "references": _references(facts),
        "nics": _nics(facts),
        "network": _network(facts),
        "cpu": _cpu(facts),
        "machine": _machine(facts),
    }


def _disks(facts: Facts) -> list[dict[str, object]] | None:
    block = facts.block
    if isinstance(block, Unknown):
        return None
    return [
        {
            "name": one.name,
            "size": one.size,
            "bus": one.bus,
            "driver": one.driver,
            "model": one.model,
            "removable": one.removable,
            "serial": one.serial,
        }
        for one in block.devices
        if one.kind in ("disk", "multipath")
    ]


def _filesystems(facts: Facts) -> list[dict[str, object]] | None:
    from migprep.facts import references

    block = facts.block
    if isinstance(block, Unknown):
        return None
    return [
        {
            "device": one.path,
            "type": one.fstype,
            "uuid": one.uuid,
            "label": one.label,
            "partuuid": one.partuuid,
            "partlabel": one.partlabel,
            "size": one.size,
            "links": [link for link in one.links if block.is_stable(link)],
            "stands_on": list(one.parents),
            "changed_by": references.changers(one),
            "restore_uuid": references.writer(one),
            "restore_label": references.labeller(one),
            "restore_partuuid": references.partition_writer(one),
        }
        for one in block.devices
        if one.fstype or one.partuuid
    ]


def _references(facts: Facts) -> list[dict[str, object]] | None:
    """Which text in which file means which device now, and which mean none, two or another."""
    from migprep.facts import guarded, references

    found = guarded(lambda: references.of(facts), "references")
    return None if isinstance(found, Unknown) else [{**one._asdict(), "devices": list(one.devices)} for one in found]


def _nics(facts: Facts) -> list[dict[str, object]] | None:
    """The cards, and every MAC address: that is what the target must be given, or configuration be changed for."""
    interfaces, network = facts.interfaces, facts.network
    if isinstance(interfaces, Unknown):
        return None
    cards = {} if isinstance(network, Unknown) else {card.name: card for card in network.cards}
    return [
        {
            "name": one.name,
            "mac": one.own_mac or one.mac,
            "mac_is_local": one.is_local,
            "driver": one.driver,
            "bus": one.bus,
            "place": one.place,
            "master": one.master,
            "addresses": None if isinstance(one.addresses, Unknown) else one.addresses,
            "gateways": None if isinstance(one.gateways, Unknown) else one.gateways,
            **_configured(cards.get(one.name), isinstance(network, Unknown)),
            "lease": _lease(facts, one.name),
        }
        for one in interfaces.devices
        if one.is_physical
    ]


def _configured(card: Card | None, unknown: bool) -> dict[str, object]:
    """What configures a card and where, enough to write it again by hand; nulls when that could not be read."""
    if card is None:
        nothing: list[str] | None = None if unknown else []
        return {
            "configured_by": None if unknown else "", "configured_in": nothing, "named_in": nothing, "method": None,
            "configured_addresses": nothing, "dns": nothing, "carries": nothing,
        }  # fmt: skip
    return {
        "configured_by": ", ".join(card.configured_by),
        "configured_in": list(dict.fromkeys(one.where for one in card.configurations)),
        "named_in": [f"{pin.path}:{pin.line}" if pin.line else pin.path for pin in card.pins],
        "method": card.method,
        "configured_addresses": list(dict.fromkeys(each for one in card.configurations for each in one.addresses)),
        "dns": list(card.dns),
        "carries": list(card.above),
    }


def _network(facts: Facts) -> list[dict[str, object]] | None:
    """What is brought up at boot, on cards and on what stands on them: each as its own tool has it."""
    network = facts.network
    if isinstance(network, Unknown):
        return None
    return [
        {
            "name": one.device,
            "configured_by": one.tool,
            "configured_in": one.where,
            "method": one.method,
            "addresses": list(one.addresses),
            "gateway": one.gateway,
            "dns": list(one.dns),
            "mtu": one.mtu,
            "stands_on": list(one.uses),
            "below": list(one.over),
        }
        for one in network.in_use
    ]


def _lease(facts: Facts, name: str) -> dict[str, str] | None:
    """The address that DHCP lent a device, by which server and for which identity; null for none."""
    leases = facts.leases
    found = () if isinstance(leases, Unknown) else leases.of(name)
    told = ("address", "server", "gateway", "identity", "path")
    return {key: getattr(found[0], key) for key in told} if found else None


def _cpu(facts: Facts) -> dict[str, object] | None:
    cpu = facts.cpu
    if isinstance(cpu, Unknown):
        return None
    return {
        "architecture": cpu.architecture,
        "vendor": cpu.vendor,
        "model": cpu.model,
        "count": cpu.processors,
        "level": cpu.level_name,
        "pool_model": cpu.pool_model,
        "pool_flags": cpu.pool_flags,
    }


def _machine(facts: Facts) -> dict[str, object]:
    """What the one who creates the target must give it; null for what could not be read, "" for what is not set."""
    from migprep.facts import guarded, nvram

    entries = guarded(lambda: nvram.entries(facts.root), "boot entries")
    return {
        "model": told(lambda: facts.identity.model),
        "uuid": told(lambda: facts.identity.uuid),
        "serial": told(lambda: facts.identity.serial),
        "memory": told(lambda: facts.identity.memory),
        "clock": told(lambda: "localtime" if facts.clock.is_local else "utc"),
        "boots_from": told(lambda: [one.name for one in facts.storage.boot_disks]),
        "boot_entries": None if isinstance(entries, Unknown) else [one._asdict() for one in entries],
    }
