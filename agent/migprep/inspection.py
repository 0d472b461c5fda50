"""One inspection: the root, its facts, the rules and targets that a command line names."""

from __future__ import annotations

import os
import time

from migprep import data, evaluate, rules, targets, tracked, waivers
from migprep.data import SITE
from migprep.facts import Facts
from migprep.model import Finding, MigprepError, Phase, Result, Safety, Status, Unknown, Verdict
from migprep.report import document
from migprep.root import Root, Tree
from migprep.rules import Rule
from migprep.targets import Target
from migprep.typed import TYPE_CHECKING, Any, Callable, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migprep.cache import Cache
    from migprep.plan import Change
    from migprep.waivers import Grant

T = TypeVar("T")

DEFAULT_TARGET = "kvm"


class UsageError(MigprepError):
    """A command line that names something that is not there."""

    code = 64


class PlatformError(MigprepError):
    """A machine for which the answer would make no sense."""

    code = 69


class Inspection(NamedTuple):
    """What one run works with; `refused` holds a sentence for each site file that was left out."""

    facts: Facts
    rules: tuple[Rule, ...]
    targets: tuple[Target, ...]
    grants: tuple[Grant, ...]
    refused: tuple[str, ...]


def begin(
    root: str | None, names: Sequence[str], site: str = SITE, *, place: Root | None = None, scan: bool = False
) -> Inspection:
    """Open `root` (None: the running machine) for the targets `names` (none: the default one).

    `scan`: the whole disk is searched too, and the folders that the site names.
    """
    all_targets, refused_targets = load_targets(site)
    chosen = choose(all_targets, names)
    all_rules, refused_rules = load_rules(site)
    folders, refused_folders = load_folders(site) if scan else (None, ())
    opened = place or open_root(root)
    facts = Facts(opened, cache_of(opened), folders)
    facts = facts if scan else tracked.of(facts)  # noting every file of a disk would cost memory
    refuse(facts)
    grants, refused_waivers = load_waivers(facts, site)
    refused = refused_targets + refused_rules + refused_waivers + refused_folders
    return Inspection(facts, all_rules, chosen, grants, refused)


def no_rule(name: str, known: Iterable[str]) -> UsageError:
    """That there is no rule of that name, and which are called alike."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, 3, 0.4)
    return UsageError(f"there is no rule {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))


def open_root(name: str | None) -> Root:
    """The running machine, a directory, or a capture. Raises UsageError, CaptureError."""
    if name is None:
        return Tree("/", live=True)
    if os.path.isdir(name):
        if os.path.exists(os.path.join(name, "migprep/meta.json")):
            from migprep import capture

            return capture.unpacked(name)
        return Tree(name)
    if os.path.isfile(name):
        from migprep import capture

        return capture.load(name)
    raise UsageError(f"--root {name}: there is no such directory or capture")


def cache_of(root: Root) -> Cache | None:
    """The cache of the running machine; other roots are read afresh."""
    if not root.live or os.geteuid() != 0:
        return None
    from migprep.cache import Cache

    return Cache()


def refuse(facts: Facts) -> None:
    """A system that does not boot from its own disks: only `--root` makes sense there. Raises PlatformError.

    A chroot may be a machine in the making: it gets its report, which says what it is and is never ready.
    """
    if not facts.root.live or isinstance(facts.system, Unknown):
        return
    system = facts.system
    if system.container and system.container != "chroot":
        raise PlatformError(
            f"this is a container ({system.container}): it does not boot by itself; check its host, or an image with "
            "--root DIR"
        )
    if system.live_media:
        raise PlatformError(
            f"this system runs from a live or installation medium ({system.live_media}); mount the installed one and "
            "check it with --root DIR"
        )


def load_folders(site: str = SITE) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The folders that the site wants searched (scan.conf: one a line), and a sentence for each line refused."""
    path = os.path.join(site, "scan.conf")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            lines = stream.read(1 << 20).split("\n")
    except FileNotFoundError:
        return (), ()
    except OSError as error:
        return (), (f"{path}: {(error.strerror or '').lower()}",)
    found, refused = [], []
    for number, line in enumerate(lines, 1):
        words = line.strip()
        if words.startswith("/") and len(words) > 1:
            found.append("/" + words.strip("/"))
        elif words and not words.startswith("#"):
            refused.append(f"{path}:{number}: {words!r} is not the whole path of a folder")
    return tuple(found), tuple(refused)


def report(work: Inspection, name: str) -> dict[str, Any]:
    """The report on every target of `work`; `name` is what the root is called. The caller says when it was."""
    results = judge(work)
    judged = [
        document.Judged(target, results[target.name], *after_fixes(work, target, results[target.name]))
        for target in work.targets
    ]
    every = [one for target in work.targets for one in results[target.name]]
    listed = waivers.register(work.grants, every, time.strftime("%Y-%m-%d"))
    return document.build(work.facts, work.rules, judged, document.Run("", 0.0, name, work.refused, tuple(listed)))


def load_targets(site: str = SITE) -> tuple[dict[str, Target], tuple[str, ...]]:
    """All targets by name, those of the site winning, and a sentence for each file refused."""
    found = targets.load()
    given, refused = _site(site, "targets.d", targets.parse)
    found.update((target.name, target) for target in given)
    return found, refused


def load_rules(site: str = SITE) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """All rules by id, and a sentence for each site file refused."""
    found = {rule.id: rule for rule in rules.load()}
    if not found:
        raise MigprepError("this installation holds no rules: install it again")
    given, refused = _site(site, "rules.d", _linted)
    for rule in given:
        if rule.id in found:
            refused += (f"{rule.path}: rule {rule.id} is defined by {found[rule.id].path} too",)
        else:
            found[rule.id] = rule
    return tuple(found[name] for name in sorted(found)), refused


def _linted(content: dict[str, object], path: str) -> Rule:
    from migprep.lint import lint

    rule = rules.parse(content, path)
    for fault in lint(rule):
        raise rules.RuleError(f"{path}: {fault.words}")
    return rule


def load_waivers(facts: Facts, site: str = SITE) -> tuple[tuple[Grant, ...], tuple[str, ...]]:
    """Waivers for this host, also those that have ended, and a sentence for each one refused."""
    paths, refused = _files(site, "waivers.d")
    if not paths:
        return (), refused
    loaded = [waivers.load(path) for path in paths]
    host = document.text(lambda: facts.system.hostname)
    grants = tuple(one for found, _ in loaded for one in found if one.is_for(host))
    return grants, (*refused, *(sentence for _, faults in loaded for sentence in faults))


def _files(site: str, kind: str) -> tuple[list[str], tuple[str, ...]]:
    """The YAML files of one folder of the site, sorted, and a sentence when it cannot be read."""
    folder = os.path.join(site, kind)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".yaml", ".yml")))
    except (FileNotFoundError, NotADirectoryError):
        return [], ()
    except OSError as error:
        return [], (f"{folder}: {(error.strerror or '').lower()}",)
    return [os.path.join(folder, name) for name in names], ()


def _site(site: str, kind: str, parse: Callable[[dict[str, object], str], T]) -> tuple[list[T], tuple[str, ...]]:
    paths, faults = _files(site, kind)
    found, refused = [], list(faults)
    for path in paths:
        try:
            found.append(parse(data.strict(path), path))
        except MigprepError as error:
            refused.append(str(error))
        except Exception as error:  # data of a stranger must not end the run
            refused.append(f"{path}: {type(error).__name__}: {error}")
    return found, tuple(refused)


def choose(known: dict[str, Target], names: Sequence[str]) -> tuple[Target, ...]:
    """The targets called `names`, each once. Raises UsageError listing those there are."""
    for name in names:
        if name not in known:
            raise UsageError(f"there is no target {name!r}; there are {', '.join(sorted(known))}")
    return tuple(known[name] for name in dict.fromkeys(names or (DEFAULT_TARGET,)))


def judge(inspection: Inspection) -> dict[str, tuple[Result, ...]]:
    """The results of every rule, per target."""
    return {
        target.name: tuple(
            waivers.apply(inspection.grants, _judged(rule, inspection.facts, target)) for rule in inspection.rules
        )
        for target in inspection.targets
    }


def _judged(rule: Rule, facts: Facts, target: Target) -> Result:
    try:
        return evaluate.evaluate(rule, facts, target)
    except Exception as error:  # a fault of ours in one rule must not lose the others, nor pass
        if os.environ.get("MIGPREP_DEBUG"):
            raise
        return Result(
            rule.id, target.name, Status.UNKNOWN, f"internal error in this rule: {type(error).__name__}: {error}"
        )


class Foreseen(NamedTuple):
    """What `migprep fix --apply` would come to: the verdict then, what it changes, runs and mends."""

    verdict: Verdict
    changes: tuple[Change, ...] = ()
    commands: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()  # fingerprints
    unmended: tuple[tuple[str, str], ...] = ()  # fingerprint and reason of each whose fix does not do it here


def after_fixes(inspection: Inspection, target: Target, results: tuple[Result, ...]) -> Foreseen:
    """What planning the safe fixes on an overlay shows."""
    now = Foreseen(evaluate.verdict(inspection.rules, results))
    if not any(_is_mendable(finding) for result in results for finding in result.findings):
        return now
    try:
        return _planned(inspection, target)
    except Exception:
        if os.environ.get("MIGPREP_DEBUG"):
            raise
        return now


def _is_mendable(finding: Finding) -> bool:
    mend = finding.fix
    return bool(mend and not finding.waiver and mend.safety is Safety.SAFE and mend.phase is Phase.PREPARE)


def _planned(inspection: Inspection, target: Target) -> Foreseen:
    from migprep import obstacles, plan

    def again(rule: Rule, facts: Facts, target: Target) -> Result:
        return waivers.apply(inspection.grants, _judged(rule, facts, target))

    def refusal(path: str) -> str:
        place = tracked.bare(inspection.facts.root)
        return obstacles.obstacle(place, path) if isinstance(place, Tree) else ""

    made = plan.plan(inspection.rules, inspection.facts, target, judge=again, refusal=refusal)
    mended = tuple(one.fingerprint for one in made.mended)
    commands = tuple(one.command for one in made.builds)
    unmended = tuple((one.fingerprint, reason) for one, reason in made.unmended if _is_mendable(one))
    return Foreseen(made.verdict_after, made.changes, commands, mended, unmended)


def can_apply(rule: Rule, target: Target) -> bool:
    """Whether a rule may apply to `target` as far as can be said without a machine."""
    from migprep import expr

    try:
        return rule.applies is None or bool(expr.evaluate(rule.applies, {"target": target}))
    except NameError:  # it asks for a fact
        return True
