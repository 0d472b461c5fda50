"""Results -> changes, each tried on an overlay and judged again before anyone sees it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, cast

from migprep import actions, evaluate, expr, menus, render, root, tracked
from migprep.facts import Facts
from migprep.model import Finding, MigprepError, Phase, Result, Safety, Severity, Status, Undetermined, Unknown, Verdict
from migprep.root import Overlay, Root
from migprep.tracked import Tracked

if TYPE_CHECKING:
    from migprep.builds import Build
    from migprep.rules import Rule
    from migprep.targets import Target

#: Fixes may need each other: the plan is gone through until nothing more helps, at most so often.
ROUNDS = 3
#: Folders that fixes may change.
ALLOWED = ("/etc/", "/boot/", "/efi/")

Judge = Callable[["Rule", Facts, "Target"], Result]


class Change(NamedTuple):
    """One file before and after; None where it is absent. `path` is resolved in its root.

    `argv` is the command by which alone the file may be changed; {} stands for a copy of it, which must come out as
    `after`.
    """

    path: str
    before: bytes | None
    after: bytes | None
    rules: tuple[str, ...]
    argv: tuple[str, ...] = ()


class Plan(NamedTuple):
    """The exact list of what a fix run would do, and the machine judged before and after it."""

    target: Target
    changes: tuple[Change, ...]
    actions: tuple[str, ...]
    builds: tuple[Build, ...]
    unmended: tuple[tuple[Finding, str], ...]
    verdict_before: Verdict
    verdict_after: Verdict
    results_before: tuple[Result, ...]
    results_after: tuple[Result, ...]
    mended: tuple[Finding, ...]
    foreseen: dict[str, bytes]  # listings that stand for the images which the actions would make
    expected: tuple[Finding, ...] = ()  # of `mended`, those that only the outcome of an action can show

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes and not self.actions

    def overlay(self, place: Root) -> Overlay:
        """The machine as it would be."""
        return Overlay(place, {**{one.path: one.after for one in self.changes}, **self.foreseen})


#: Why most findings are not mended by a run that names a few rules.
LEFT_OUT = "left out by --only"


class Wish(NamedTuple):
    """What a fix run was asked for."""

    only: tuple[str, ...] = ()
    risky: bool = False
    cutover: bool = False

    def ruled_out(self, rule: Rule) -> str:
        """Why the fix of this rule is not tried, whatever it would do; "" when it may be."""
        if rule.fix is None:
            return "there is no automatic fix for it"
        mend = rule.fix.mend
        if mend.safety is Safety.MANUAL:
            return "only a person can do this"
        if mend.phase is Phase.AFTER:
            return "can only be done on the target, after the move"
        if self.only and rule.id not in self.only:
            return LEFT_OUT
        if mend.safety is Safety.RISKY and not (self.risky and rule.id in self.only):
            return f"needs your decision: --include risky --only {rule.id}"
        if mend.phase is Phase.CUTOVER and not self.cutover:
            return "left for the last act before the final shutdown: --cutover"
        return ""


# --- one fix ---


class Draft(NamedTuple):
    """What one rule's fix would do: files by resolved path, then actions; and what it could not."""

    files: dict[str, bytes | None]
    actions: tuple[str, ...]
    faults: tuple[str, ...] = ()


def _names(rule: Rule, facts: Facts, target: Target) -> dict[str, object]:
    names: dict[str, object] = {"target": target}
    for need in rule.needs:
        value = getattr(facts, need)
        if isinstance(value, Unknown):
            raise Undetermined(value.reason)
        names[need] = value
    return names


def _failing(rule: Rule, names: dict[str, object], open_subjects: set[str] | None) -> dict[str, list[object]]:
    """The items that the fix is for, by the file that it would change."""
    assert rule.fix is not None
    found: dict[str, list[object]] = {}
    items: Iterable[object] = expr.evaluate(rule.for_each, names) if rule.for_each else (None,)  # type: ignore[assignment]
    for item in items:
        scope = {**names, rule.item: item} if rule.for_each else names
        try:
            if not expr.evaluate(rule.when, scope):
                continue
            if rule.fix.only_if and not expr.evaluate(rule.fix.only_if, scope):
                continue
        except Undetermined:
            continue
        if open_subjects is None or expr.render(rule.subject, scope) in open_subjects:
            found.setdefault(expr.render(rule.fix.file, scope) if rule.fix.file else "", []).append(item)
    return found


def draft(
    rule: Rule, facts: Facts, target: Target, open_subjects: set[str] | None = None, folder: str = render.FOLDER
) -> Draft:
    """What the rule's fix would make of this machine. Raises Undetermined, RenderError."""
    assert rule.fix is not None
    names = _names(rule, facts, target)
    files: dict[str, bytes | None] = {}
    faults = []
    groups = _failing(rule, names, open_subjects)
    for path, items in groups.items():
        if not path or not rule.fix.template:
            continue
        try:
            where, after = _rendered(rule, facts.root, path, items, names, folder)
        except MigprepError as error:
            faults.append(str(error))
            continue
        if after != root.read(facts.root, where):
            files[where] = after
    return Draft(files, rule.fix.then if groups else (), tuple(faults))


def _rendered(
    rule: Rule, place: Root, path: str, items: list[object], names: dict[str, object], folder: str
) -> tuple[str, bytes | None]:
    assert rule.fix is not None
    where = root.real(place, path)
    before = root.text(place, where)
    reason = refused(path, where, before)
    if reason:
        raise MigprepError(reason)
    given = render.Items(tuple(item for item in items if item is not None or rule.for_each))
    text = render.render(rule.fix.template, {**names, "items": given, "text": before or ""}, folder)
    if text is None or (before is None and not text):
        return where, None
    return where, text.encode("utf-8", "surrogateescape")


def refused(path: str, where: str, text: str | None) -> str:
    """Why the file is not ours to change; "" when it is."""
    if not where.startswith(ALLOWED):
        return (
            f"{path} leads to {where}, outside /etc and /boot" if where != path else f"{path} is outside /etc and /boot"
        )
    if where.lower().endswith(".efi"):
        return f"{path} is a program: only the way it was made can make it anew"
    owner = manager(text or "")
    if owner:
        return f"{path} is written by {owner}, which would undo the change: change it there"
    return ""


#: What rewrites files, as their headers name it. Not anaconda, dracut or write_net_rules: they write once.
MANAGERS = {
    one.lower(): one
    for one in (
        "Ansible",
        "Puppet",
        "Chef",
        "Salt",
        "SaltStack",
        "CFEngine",
        "Rudder",
        "Bcfg2",
        "Terraform",
        "Uyuni",
        "Foreman",
        "cloud-init",
        "NetworkManager",
        "netplan",
        "systemd-resolved",
        "resolvconf",
    )  # fmt: skip
}
_VERBS = "managed|generated|maintained|controlled|created|written|installed|deployed"
# /etc/netplan/50-cloud-init.yaml: "# This file is generated from information provided by the datasource.  Changes
# to it will not persist across an instance reboot."
_DATASOURCE = "information provided by the datasource"


def manager(text: str) -> str:
    """Which program rewrites the file, by its header; "" when none says so.

    Understood: "managed by Puppet", "generated automatically by the Salt minion", "Ansible managed".
    """
    comments = [line for line in text[:4096].split("\n")[:25] if line.lstrip().startswith(("#", ";", "//", "!"))]
    header = "\n".join(comments).lower()
    if _DATASOURCE in header:
        return "cloud-init"
    if not any(name in header for name in MANAGERS):
        return ""
    import re

    names = "|".join(map(re.escape, sorted(MANAGERS, key=len, reverse=True)))
    by = rf"\b(?:{_VERBS})(?: automatically)? (?:by|with|using|via|through) (?:the |an? )?({names})\b"
    found = re.search(rf"{by}|\b({names})[ -](?:{_VERBS})\b", header)
    return MANAGERS[found.group(1) or found.group(2)] if found else ""


def mended(rule: Rule, facts: Facts, target: Target) -> dict[str, bytes | None]:
    """Files that one rule's fix would change, by path; None for one that would go. Raises Undetermined, RenderError."""
    return draft(rule, facts, target).files if rule.fix else {}


# --- the whole machine ---


class _Maker:
    """A plan in the making: the overlay so far, and the machine as judged on it."""

    def __init__(self, rules: Sequence[Rule], facts: Facts, target: Target, judge: Judge, folder: str) -> None:
        self.rules, self.target, self.judge, self.folder = rules, target, judge, folder
        self.facts = tracked.of(facts)
        self.now = self.facts
        self.place = tracked.bare(facts.root)
        self.files: dict[str, bytes | None] = {}
        self.foreseen: dict[str, bytes] = {}
        self.authors: dict[str, list[str]] = {}
        self.actions: list[str] = []
        self.everything = False  # whether all images are to be made anew, not only those that lack a driver
        self.expected: dict[str, tuple[Finding, ...]] = {}
        self.reasons: dict[str, str] = {}
        self.results = {rule.id: judge(rule, self.facts, target) for rule in rules}

    def consider(self, rule: Rule, refusal: Callable[[str], str]) -> bool:
        """Try the fix of one rule; whether it was kept."""
        result = self.results[rule.id]
        subjects = {one.subject for one in result.findings if not one.waiver and one.fix}
        if not subjects:
            return False
        try:
            made = draft(rule, self.facts, self.target, subjects, self.folder)
        except MigprepError as error:
            self.reasons[rule.id] = str(error)
            return False
        except Exception as error:  # a fault of ours must cost one fix, not the run
            self.reasons[rule.id] = f"internal error in its fix: {type(error).__name__}: {error}"
            return False
        unable = "; ".join(filter(None, (actions.unable(name, self.facts, self.place) for name in made.actions)))
        if unable:
            self.reasons[rule.id] = unable
            return False
        unfit = {path: refusal(path) or menus.unwritable(path, self.place) for path in made.files}
        files = {path: after for path, after in made.files.items() if not unfit[path]}
        faults = [*made.faults, *filter(None, unfit.values())]
        if faults:
            self.reasons[rule.id] = "; ".join(dict.fromkeys(faults))
            if not files:
                return False
        return self._keep_best(rule, made._replace(files=files))

    def _keep_best(self, rule: Rule, made: Draft) -> bool:
        """All files of the fix together; when that does harm, each by itself."""
        if not made.files and not (made.actions and set(made.actions) - set(self.actions)):
            self.reasons.setdefault(rule.id, "the fix would change nothing")
            return False
        reason = self._try(rule, made)
        if not reason:
            return True
        self.reasons.setdefault(rule.id, reason)
        if len(made.files) < 2:
            return False
        kept = [not self._try(rule, made._replace(files={path: after})) for path, after in made.files.items()]
        return any(kept)

    def _try(self, rule: Rule, made: Draft) -> str:
        """Lay the files over the machine and judge again; why they are taken off again, or ""."""
        files = {**self.files, **made.files}
        names = tuple(dict.fromkeys([*self.actions, *made.actions]))
        everything = self.everything or ("initramfs" in made.actions and actions.reaches_all(made.files))
        facts = self._facts(files, self.foreseen, made.files)
        foreseen = {**self.foreseen, **actions.imagined(names, facts, self.place, everything)}
        if foreseen != self.foreseen:
            facts = self._facts(files, foreseen, {**made.files, **_different(self.foreseen, foreseen)})
        results = self._judged(facts)
        reason, expected = self._worth(rule, made, results)
        if reason:
            return reason
        self.files, self.foreseen, self.facts, self.results = files, foreseen, facts, results
        self.actions, self.everything = list(names), everything
        if expected:
            self.expected[rule.id] = expected
            self.results[rule.id] = _without(results[rule.id], expected)
        for path in made.files:
            self.authors.setdefault(path, []).append(rule.id)
        return ""

    def _facts(self, files: dict[str, bytes | None], foreseen: dict[str, bytes], changed: dict[str, Any]) -> Facts:
        overlay = Overlay(self.place, {**files, **foreseen})
        before = self.facts.root
        paths = {path: (content is None) != (not root.exists(before, path)) for path, content in changed.items()}
        return cast(Tracked, self.facts).changed(overlay, paths)

    def _judged(self, facts: Facts) -> dict[str, Result]:
        """Every rule again; those whose facts were taken over keep their result."""
        old, new = cast(Tracked, self.facts), cast(Tracked, facts)
        results = {}
        for rule in self.rules:
            same = all(new.known(need) is not None and new.known(need) is old.known(need) for need in rule.needs)
            judged = self.results[rule.id] if same else self.judge(rule, facts, self.target)
            results[rule.id] = _without(judged, self.expected.get(rule.id, ()))
        return results

    def _worth(self, rule: Rule, made: Draft, results: dict[str, Result]) -> tuple[str, tuple[Finding, ...]]:
        """Why the fix is not worth keeping ("" when it is), and the findings that only its action can show gone.

        A new remark that is less grave than what is mended does not count: a changed argument is untried, for one.
        """
        heeded = max(rule.severity.rank, Severity.HIGH.rank)
        harm = [
            other.id
            for other in self.rules
            if other.id != rule.id
            and other.severity.rank <= heeded
            and _is_worse(self.results[other.id], results[other.id])
        ]
        if harm:
            return f"the fix would make {', '.join(harm)} worse", ()
        before, after = self.results[rule.id], results[rule.id]
        if after.status is Status.UNKNOWN and not before.reason:
            return f"after the fix it could not be checked: {after.reason}", ()
        if _open(after) < _open(before) and not _is_new(before, after):
            return "", ()
        made_anew = set(menus.generated(self.place)) if "grub-menu" in made.actions else set()
        shown = tuple(one for one in after.findings if one.evidence and one.evidence[0].path in made_anew)
        if shown and len(shown) == len(after.findings) and not _is_new(before, after):
            return "", shown
        return "the fix would not help: the finding stays", ()


def _without(result: Result, expected: tuple[Finding, ...]) -> Result:
    """The result, but for findings that only the outcome of an action can show to be gone."""
    gone = {one.fingerprint for one in expected}
    left = tuple(one for one in result.findings if one.fingerprint not in gone)
    if left == result.findings:
        return result
    status = result.status if left else Status.PASS
    return result._replace(status=status, findings=left, reason="once the boot menu is made anew")


def _open(result: Result) -> int:
    return sum(1 for one in result.findings if not one.waiver)


def _is_new(before: Result, after: Result) -> bool:
    return bool({one.fingerprint for one in after.findings} - {one.fingerprint for one in before.findings})


def _is_worse(before: Result, after: Result) -> bool:
    if _is_new(before, after):
        return True
    return after.status is Status.UNKNOWN and before.status is not Status.UNKNOWN and not before.reason


def _different(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, bytes]:
    return {path: content for path, content in after.items() if before.get(path) != content}


def plan(
    rules: Sequence[Rule],
    facts: Facts,
    target: Target,
    only: Sequence[str] = (),
    include: Sequence[str] = (),
    cutover: bool = False,
    judge: Judge = evaluate.evaluate,
    refusal: Callable[[str], str] = lambda path: "",
    folder: str = render.FOLDER,
) -> Plan:
    """Everything that can be mended for `target`, as it would be done, and what cannot be and why.

    `judge` lets waivers in; `refusal` says why a path cannot be changed on the disk; `folder` holds the templates.
    """
    wish = Wish(tuple(only), "risky" in include, cutover)
    maker = _Maker(rules, facts, target, judge, folder)
    before = dict(maker.results)
    candidates = [rule for rule in rules if not wish.ruled_out(rule)]
    for _ in range(ROUNDS):
        kept = [maker.consider(rule, refusal) for rule in candidates]
        if not any(kept):
            break
    return _finished(maker, before, wish)


def _finished(maker: _Maker, before: dict[str, Result], wish: Wish) -> Plan:
    rules = maker.rules
    made = [
        Change(path, root.read(maker.place, path), after, tuple(dict.fromkeys(maker.authors[path])))
        for path, after in sorted(maker.files.items())
    ]
    changes = tuple(_with_tool(maker.place, change) for change in made if change.before != change.after)
    left = {one.fingerprint for result in maker.results.values() for one in result.findings}
    unmended = tuple(
        (one, _reason(rule, one, wish, maker.reasons))
        for rule in rules
        if rule.severity is not Severity.INFO
        for one in maker.results[rule.id].findings
        if not one.waiver
    )
    results_before, results_after = (tuple(results[rule.id] for rule in rules) for results in (before, maker.results))
    return Plan(
        maker.target, changes, tuple(maker.actions),
        actions.builds(tuple(maker.actions), maker.now, maker.facts, maker.place, maker.everything), unmended,
        evaluate.verdict(rules, results_before), evaluate.verdict(rules, results_after), results_before, results_after,
        tuple(one for result in results_before for one in result.findings if one.fingerprint not in left),
        maker.foreseen,
        tuple(one for findings in maker.expected.values() for one in findings),
    )  # fmt: skip


def _with_tool(place: Root, change: Change) -> Change:
    if not menus.is_environment(change.path) or change.before is None or change.after is None:
        return change
    return change._replace(argv=menus.editing(place, change.before, change.after))


def _reason(rule: Rule, finding: Finding, wish: Wish, reasons: dict[str, str]) -> str:
    ruled_out = wish.ruled_out(rule)
    if ruled_out:
        return ruled_out
    if finding.fix is None:
        return "not safe to mend here without a person"
    return reasons.get(rule.id, "the fix did not reach it")
