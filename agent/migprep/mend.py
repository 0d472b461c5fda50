"""`fix`, `rollback` and `history`: the plan told to people, and made real when they say so."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from migprep import apply, evaluate, inspection, journal, obstacles, plan, room, tracked, waivers
from migprep import root as files
from migprep.diff import unified
from migprep.facts import Facts
from migprep.inspection import Inspection, UsageError
from migprep.model import Finding, MigprepError, Result, Severity, Status, Verdict
from migprep.plan import Change, Plan
from migprep.root import Tree

if TYPE_CHECKING:
    import argparse

    from migprep.rules import Rule
    from migprep.targets import Target

SCHEMA = "migprep/plan/1.0"
ROLLBACK_SCHEMA = "migprep/rollback/1.0"
Say = Callable[[str], None]
CODES = {Verdict.NOT_READY: 2, Verdict.UNKNOWN: 3}


class NoRoot(MigprepError):
    """Only root may change the machine."""

    code = 77


def fix(options: argparse.Namespace, say: Say | None = None, ask: Callable[[str], bool] | None = None) -> int:
    """Plan, tell, and with --apply do it. Returns the exit code; raises MigprepError with another."""
    say = say or _printer(options.format)
    work = _begin(options)
    place = work.facts.root
    _check_options(options, work)
    if not options.apply:
        made = _planned(work, options)
        say(_told(made, options, lack=_shortage(made, tracked.bare(place))))
        return 2 if not made.is_empty else CODES.get(made.verdict_before, 0)
    tree = _changeable(tracked.bare(place), options.root)
    with apply.locked(_lock(tree)):
        waiting = journal.unfinished(tree)
        if waiting:
            raise apply.Refused(waiting)
        made = _planned(work, options)
        return _apply(made, tree, work, options, say, ask or _ask)


def _begin(options: argparse.Namespace) -> Inspection:
    work = inspection.begin(options.root, [options.target])
    for sentence in work.refused:
        _aside(f"{sentence} (left out; the rest is used)")
    return work


def _check_options(options: argparse.Namespace, work: Inspection) -> None:
    known = {rule.id for rule in work.rules}
    for name in options.only:
        if name not in known:
            raise inspection.no_rule(name, known)
    if options.include and not options.only:
        raise UsageError("--include risky is for single fixes: name each with --only RULE")
    if options.poweroff and not options.apply:
        raise UsageError("--poweroff goes with --apply")
    if options.poweroff and options.root:
        raise UsageError("--poweroff is for the running machine, not for --root")


def _changeable(place: object, name: str | None) -> Tree:
    if not isinstance(place, Tree):
        raise UsageError(
            f"--root {name}: a capture cannot be changed; fix the machine itself, or its files in a directory"
        )
    if os.geteuid() != 0:
        raise NoRoot("changing the machine needs root")
    return place


def _lock(tree: Tree) -> str:
    return f"{tree.base}{files.real(tree, '/var/lib/migprep')}/lock" if tree.base else apply.LOCK


def _judge(work: Inspection) -> plan.Judge:
    def judge(rule: Rule, facts: Facts, target: Target) -> Result:
        try:
            return waivers.apply(work.grants, evaluate.evaluate(rule, facts, target))
        except Exception as error:  # a fault of ours in one rule must not lose the others, nor pass
            if os.environ.get("MIGPREP_DEBUG"):
                raise
            words = f"internal error in this rule: {type(error).__name__}: {error}"
            return Result(rule.id, target.name, Status.UNKNOWN, words)

    return judge


def _planned(work: Inspection, options: argparse.Namespace) -> Plan:
    place = tracked.bare(work.facts.root)

    def refusal(path: str) -> str:
        return obstacles.obstacle(place, path) if isinstance(place, Tree) else ""

    return plan.plan(
        work.rules, work.facts, work.targets[0], options.only, options.include, options.cutover, _judge(work), refusal
    )


def _apply(
    made: Plan, tree: Tree, work: Inspection, options: argparse.Namespace, say: Say, ask: Callable[[str], bool]
) -> int:
    if options.format == "text":
        say(text(made, options.root, applying=True))
    if made.is_empty:
        if options.format != "text":
            say(_told(made, options))
        return _after(made.verdict_before, options, applied=False)
    _check_devices(made, tree)
    if not options.yes and not ask("Make these changes?"):
        raise apply.Refused("not confirmed; nothing was changed (--yes does it without asking)")
    _survive_hangup()
    done = apply.apply(
        tree, _work(made, tree, options), lambda: _staying(made, work, options), progress=_progress(options)
    )
    if done.code:
        _aside(f"{done.words}. Every file is as it was before.")
        return done.code
    if options.format == "text":
        say(_done(made, done.name, options.root))
    else:
        say(_told(made, options, done.name))
    return _after(made.verdict_after, options, applied=True)


def _shortage(made: Plan, place: object) -> str:
    """Which filesystem has no room for what is planned; "" for none, or where that cannot be told."""
    if made.is_empty or not isinstance(place, Tree):
        return ""
    with contextlib.suppress(OSError, MigprepError):
        return room.shortage(place, made.changes, made.builds)
    return ""


def _check_devices(made: Plan, tree: Tree) -> None:
    """Commands that run in a directory need the kernel's folders there: without them they would write to plain files.

    Raises Refused.
    """
    if not tree.base or not (made.builds or any(change.argv for change in made.changes)):
        return
    if not os.path.exists(f"{tree.base}/proc/self") or not os.path.exists(f"{tree.base}/dev/null"):
        raise apply.Refused(
            f"commands would run in {tree.base}, which has no /dev and /proc: for each of dev, proc and sys do "
            f"`mount --rbind --make-rslave /NAME {tree.base}/NAME`, then try again"
        )


def _done(made: Plan, name: str, root: str | None) -> str:
    """What the last lines say: how things stand, and the way back."""
    count = len({*(one.path for one in made.changes), *(one.path for one in made.builds)})
    return (
        f"Done: {count} file{'s' * (count != 1)} changed. Verdict for {made.target.name} now: "
        f"{_word(made.verdict_after)}.\nTo undo every byte: {_rollback(name, root)}\n"
    )


def _work(made: Plan, tree: Tree, options: argparse.Namespace) -> apply.Work:
    name = apply.new_name(journal.names(tree))
    return apply.Work(name, made.changes, made.builds, document(made, options.root, name))


def _staying(made: Plan, work: Inspection, options: argparse.Namespace) -> list[str]:
    """Judge the changed machine afresh: findings that should be gone, and findings that were not there."""
    facts = Facts(inspection.open_root(options.root), work.facts.cache)
    judge = _judge(work)
    promised = {one.fingerprint for one in made.mended}
    known = {one.fingerprint for result in (*made.results_before, *made.results_after) for one in result.findings}
    touched = {rule for change in made.changes for rule in change.rules} | {one.rule for one in made.mended}
    faults = []
    for rule in work.rules:
        result = judge(rule, facts, made.target)
        for one in result.findings:
            is_new = one.fingerprint not in known and rule.severity.rank <= Severity.HIGH.rank
            if one.fingerprint in promised or is_new:
                faults.append(f"{one.rule}: {one.message}")
        if rule.id in touched and result.status is Status.UNKNOWN and _was_known(rule, made):
            faults.append(f"{rule.id} cannot be checked any more: {result.reason}")
    return faults


def _was_known(rule: Rule, made: Plan) -> bool:
    return all(one.status is not Status.UNKNOWN for one in made.results_after if one.rule == rule.id)


def _after(verdict: Verdict, options: argparse.Namespace, applied: bool) -> int:
    """The exit code, and the shutdown where it is asked for and the verdict allows it.

    What was applied exits 0 whatever is left; where there was nothing to apply, the verdict speaks as in a dry run.
    """
    if verdict in CODES:
        told = "not shut down" if options.poweroff else "DO NOT MOVE THIS MACHINE YET"
        _aside(f"{told}: the verdict for {options.target} is {_word(verdict).upper()}")
        return 0 if applied and not options.poweroff else CODES[verdict]
    if options.poweroff:
        apply.poweroff()
    return 0


def _survive_hangup() -> None:
    """A terminal that goes away must not stop a change half-way (signal(7), SIGHUP)."""
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


# --- speaking ---


def _printer(form: str) -> Say:
    if form == "patch":  # a patch must keep every byte of the files, whatever the terminal's encoding

        def write(words: str) -> None:
            sys.stdout.buffer.write(words.encode("utf-8", "surrogateescape"))
            sys.stdout.buffer.flush()

        return write

    def say(words: str) -> None:
        sys.stdout.write(words)
        sys.stdout.flush()

    return say


def _aside(words: str) -> None:
    from migprep.report.text import shown

    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"migprep: {shown(words)}\n")


def _progress(options: argparse.Namespace) -> apply.Progress:
    """A line a step, to a terminal only; one that has gone away must not stop the work."""
    return _aside if sys.stderr.isatty() else apply.silent


def _ask(question: str) -> bool:
    """Ask once on a terminal; nobody there is a no."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _told(made: Plan, options: argparse.Namespace, applied: str = "", lack: str = "") -> str:
    if options.format == "json":
        import json

        return json.dumps(document(made, options.root, applied, lack), indent=2, sort_keys=True) + "\n"
    return patch(made.changes) if options.format == "patch" else text(made, options.root, lack=lack)


def _word(verdict: Verdict) -> str:
    return verdict.value.replace("_", " ")


def _rollback(name: str, root: str | None) -> str:
    return f"migprep rollback{_asked(root)}" + (f" {name}" if name else "")


def _asked(root: str | None) -> str:
    """The option that leads to the same machine, with a blank before it."""
    import shlex

    return f" --root {shlex.quote(root)}" if root else ""


def text(made: Plan, root: str | None = None, applying: bool = False, lack: str = "") -> str:
    """The plan for people: diffs, commands, what is left and why, the verdict before and after; `lack` of room."""
    import shlex

    from migprep.report.text import shown, wrap

    lines: list[str] = []
    if made.mended:
        lines += [f"This mends for {made.target.name} ({len(made.mended)}):"]
        lines += [one for found in made.mended for one in wrap(f"{found.rule}: {found.message}", "  ", "    ")] + [""]
    for change in made.changes:
        lines += wrap(f"{shown(change.path)} ({', '.join(change.rules)})", "", "  ")
        lines += [f"  written by: {shown(shlex.join(change.argv))}, {{}} being a copy"] if change.argv else []
        lines += [shown(one) for one in "".join(unified(*change[:3])).split("\n")[:-1]] + [""]
    if made.builds:
        lines += [
            "Then run:",
            *(f"  {shown(build.command)}\n    checked, then put in place as {build.path}" for build in made.builds),
            "",
        ]
    if made.expected:
        lines += ["Shown to be gone only once that has run (if not, everything is put back):"]
        lines += [one for found in made.expected for one in wrap(f"{found.rule}: {found.message}", "  ", "    ")] + [""]
    lines += _unmended(made)
    if made.is_empty:
        lines += ["Nothing to change."]
    lines += [
        f"Verdict for {made.target.name}: {_word(made.verdict_before)} now, {_word(made.verdict_after)} after this."
    ]
    if made.verdict_after is Verdict.UNKNOWN:
        target = "" if made.target.name == "kvm" else f" --target {made.target.name}"
        lines += [f"What could not be checked, and why: migprep check{target}{_asked(root)}"]
    if lack:
        lines += wrap(f"Nothing was changed, and --apply would refuse: {lack}.", "", "  ")
    elif not made.is_empty and not applying:
        lines += ["Nothing was changed. --apply does it; afterwards this undoes it:", f"  {_rollback('', root)}"]
    return "\n".join([*lines, ""])


def _unmended(made: Plan) -> list[str]:
    """Findings that are left and why; those of rules that nobody asked for are only counted."""
    from migprep.report.text import wrap

    lines: list[str] = []
    asked = [(found, reason) for found, reason in made.unmended if reason != plan.LEFT_OUT]
    if asked:
        lines += [f"Not mended ({len(asked)}):"]
        for found, reason in asked:
            lines += [*wrap(f"{found.rule}: {found.message}", "  ", "    "), *wrap(reason, "    why: ", "    ")]
        lines += ["By hand: migprep explain RULE", ""]
    others = len(made.unmended) - len(asked)
    return [*lines, f"Left out by --only: {others} other finding{'s' * (others != 1)}.", ""] if others else lines


def document(made: Plan, root: str | None = None, applied: str = "", lack: str = "") -> dict[str, Any]:
    """The plan for machines; `refused`: why applying it now would be refused."""
    return {
        "schema": SCHEMA,
        "target": made.target.name,
        "root": root or "/",
        "transaction": applied or None,
        "verdict": {"before": made.verdict_before.value, "after": made.verdict_after.value},
        "changes": [
            {
                "path": _plain(change.path), "rules": list(change.rules), "before": _hash(change.before),
                "after": _hash(change.after), "diff": _plain("".join(unified(*change[:3]))),
            }
            for change in made.changes
        ],
        "commands": [
            {"argv": [_plain(one) for one in build.argv], "replaces": _plain(build.path)} for build in made.builds
        ],
        "mended": [_finding(one) for one in made.mended],
        "unmended": [{**_finding(one), "reason": _plain(reason)} for one, reason in made.unmended],
        "rollback": _rollback(applied, root),
        "refused": _plain(lack) or None,
    }  # fmt: skip


def _finding(one: Finding) -> dict[str, str]:
    return {
        "rule": one.rule,
        "fingerprint": one.fingerprint,
        "subject": _plain(one.subject),
        "message": _plain(one.message),
    }


def _plain(words: str) -> str:
    """Text that JSON can carry: bytes that are not UTF-8 are written as escapes."""
    return words.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _hash(content: bytes | None) -> str | None:
    import hashlib

    return None if content is None else "sha256:" + hashlib.sha256(content).hexdigest()


def patch(changes: Sequence[Change]) -> str:
    """All changes as one unified diff for `patch -p1` in the root; its lines hold every byte (PEP 383)."""
    return "".join(one for change in changes for one in unified(*change[:3]))


# --- the way back ---


class Way(NamedTuple):
    """What a rollback comes to: which transaction, how it stands, and what is done to each file."""

    name: str
    state: str  # nothing, pending or undone
    files: tuple[tuple[str, str], ...]  # path, and restore or delete


def rollback(options: argparse.Namespace, say: Say | None = None) -> int:
    """Restore what one transaction changed: the one named, or the newest that stands."""
    say = say or _printer("text")
    tree = _changeable(_rooted(options.root), options.root)
    name = _chosen(tree, options.transaction)
    if not name or journal.look(tree, name).word in ("prepared", "rolled back"):
        say(_told_back(Way(name, "nothing", ()), options))
        return 0
    files = tuple((path, what) for path, what in apply.restorable(tree, name) if what != "nothing")
    if options.dry_run:
        say(_told_back(Way(name, "pending", files), options))
        return 2
    with apply.locked(_lock(tree)):
        _undo(tree, name)
    say(_told_back(Way(name, "undone", files), options))
    return 0


def _told_back(way: Way, options: argparse.Namespace) -> str:
    if options.format == "json":
        import json

        files = [{"path": _plain(path), "action": what} for path, what in way.files]
        told = {"schema": ROLLBACK_SCHEMA, "root": options.root or "/", "transaction": way.name or None}
        return json.dumps({**told, "state": way.state, "files": files}, indent=2, sort_keys=True) + "\n"
    count = len(way.files)
    if way.state == "undone":
        return f"{way.name} is undone: {count} file{'s' * (count != 1)} restored, everything is as before.\n"
    if way.state == "nothing":
        return f"{way.name}: nothing of it is left to undo.\n" if way.name else "There is nothing to roll back.\n"
    lines = [f"  {what:8}{path}" for path, what in way.files]
    return "\n".join([f"{way.name} would be undone:", *lines, "Nothing was changed.", ""])


def _undo(tree: Tree, name: str) -> None:
    """Do it, and name the command that goes on where a step fails."""
    _survive_hangup()
    try:
        apply.undo(tree, name, progress=_aside if sys.stderr.isatty() else apply.silent)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise apply.Lost(
            f"{where}{(error.strerror or str(error)).lower()}; run `{_rollback(name, tree.base)}` again"
        ) from None


def _rooted(name: str | None) -> object:
    return inspection.open_root(name)


def _chosen(tree: Tree, wanted: str | None) -> str:
    known = journal.names(tree)
    if wanted:
        if wanted not in known:
            raise UsageError(f"there is no transaction {wanted!r}; `migprep history` lists them")
        return wanted
    words = {name: journal.look(tree, name) for name in reversed(known)}
    standing = [name for name, phase in words.items() if phase.is_open] + [
        name for name, phase in words.items() if phase.word == "applied"
    ]
    return standing[0] if standing else ""


def history(options: argparse.Namespace, say: Say | None = None) -> int:
    """List the transactions, the newest last."""
    say = say or _printer("text")
    place = inspection.open_root(options.root)
    if not isinstance(place, Tree):
        raise UsageError(f"--root {options.root}: a capture does not tell what fix has done; ask the machine itself")
    lines = []
    for name in journal.names(place):
        phase = journal.look(place, name)
        paths = [one["path"] for one in phase.records if one["type"] == "INTENT" and one["kind"] == "file"]
        if phase.word != "prepared":
            lines += [f"{name}  {phase.word:12}  {' '.join(dict.fromkeys(paths))}".rstrip()]
    say("\n".join([*(lines or ["Nothing was ever changed here."]), ""]))
    return 0
