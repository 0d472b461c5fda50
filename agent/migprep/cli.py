"""The command line: parse, call the layers, print, return the exit code. Nothing else prints."""

from __future__ import annotations

import os
import sys

import migprep
from migprep.typed import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import argparse

    from migprep.report.text import Style
    from migprep.root import Root

SEVERITIES = ("blocker", "high", "low", "info")
USAGE, INTERRUPTED = 64, 130


HELP = {
    "check": "inspect the machine and say what stands in the way of the move",
    "fix": "show what would be mended; with --apply, mend it",
    "rollback": "restore every byte that fix changed",
    "capture": "write the machine as one archive, to be checked elsewhere with --root",
    "report": "convert a saved report, or compare two",
    "export": "write the target as a libvirt domain, from what this machine has",
    "fleet": "merge the reports of many machines",
    "explain": "tell all about one rule, or how one finding came about",
    "rules": "list the rules",
    "targets": "list the targets",
    "history": "list what fix has done",
}
ROOT = "a mounted image or a chroot, instead of this machine"
ANY_ROOT = "a mounted image, a chroot, or a capture, instead of this machine"


def parser(words: list[str]) -> argparse.ArgumentParser:
    """The options of every verb that stands in `words`; the other verbs only by name, which is faster."""
    import argparse

    top = argparse.ArgumentParser(
        prog="migprep",
        description="Tells whether this Linux machine will boot, reach its network and keep its data on other "
        "virtual hardware.",
        epilog="Exit codes: 0 nothing to do, 2 action needed, 3 unknown, 4 fix failed and undone, "
        "5 a person must look, 6 refused, 64 usage, 65 bad site file, 69 platform, 75 locked, 77 needs root, "
        "78 configuration, 1 internal error.",
        formatter_class=_formatter,
    )
    top.add_argument("--version", action="version", version=_version() if "--version" in words else "")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", required=True, prog="migprep")
    for name, options in OPTIONS.items():
        verb = verbs.add_parser(name, help=HELP[name], description=HELP[name], formatter_class=_formatter)
        if name in words:
            options(verb)
    return top


def _version() -> str:
    """Name and version, and how it was built where the package tells (the one file does)."""
    from migprep import data

    try:
        return f"migprep {migprep.__version__} ({data.packaged('built').decode()})"
    except OSError:
        return f"migprep {migprep.__version__}"


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Help for 80 columns or what the terminal has less; argparse's own way to ask imports archive formats."""
    import argparse

    try:
        columns = os.get_terminal_size(1).columns or 80
    except OSError:
        columns = 80
    return argparse.HelpFormatter(prog, width=min(columns, 80) - 2)


def _check(verb: argparse.ArgumentParser) -> None:
    add = verb.add_argument
    add(
        "--target",
        metavar="NAME",
        action="append",
        default=[],
        help="where it moves to (default: kvm); may be repeated",
    )
    add("--root", metavar="DIR", help=ANY_ROOT)
    _formats(verb)
    add(
        "--fail-on",
        choices=SEVERITIES,
        default="blocker",
        metavar="SEVERITY",
        help="exit 2 from here on: blocker (default), high, low, info",
    )
    add("--scan", action="store_true", help="also search the whole disk for device names (minutes, not milliseconds)")
    add("--cron", action="store_true", help="print only what changed since the last such run; keeps 30 reports")
    add(
        "--splay",
        metavar="MINUTES",
        type=float,
        default=0.0,
        help="wait first, so long at most; each machine its own time",
    )


def _formats(verb: argparse.ArgumentParser) -> None:
    from migprep.report import FORMATS

    verb.add_argument(
        "--format", choices=FORMATS, default="text", metavar="FORMAT", help=f"text (default), {', '.join(FORMATS[1:])}"
    )
    verb.add_argument(
        "--output",
        metavar="[FORMAT=]FILE",
        action="append",
        default=[],
        help="write the report there (mode 0600) instead of printing it; may be repeated",
    )


def _report(verb: argparse.ArgumentParser) -> None:
    acts = verb.add_subparsers(dest="act", metavar="convert|diff", required=True)
    words = "write a saved JSON report in another format"
    convert = acts.add_parser("convert", help=words, description=words, formatter_class=_formatter)
    convert.add_argument("reports", metavar="REPORT", nargs=1, help="what check --format json wrote")
    _formats(convert)
    words = "tell what is new, gone and changed between two reports; exits 2 when they differ"
    diff = acts.add_parser("diff", help=words, description=words, formatter_class=_formatter)
    diff.add_argument("reports", metavar="REPORT", nargs=2, help="the older one, then the newer")
    diff.add_argument(
        "--format", choices=("text", "json"), default="text", metavar="FORMAT", help="text (default), json"
    )


def _fleet(verb: argparse.ArgumentParser) -> None:
    from migprep.fleet import FORMATS

    add = verb.add_argument
    add("paths", metavar="REPORT_OR_DIR", nargs="+", help="JSON reports, or folders with *.json below them")
    add(
        "--expect", metavar="FILE", help="the hosts that there should be, one a line; those without a report are listed"
    )
    add("--since", metavar="FILE", help="tell what is new since the merge that this SQLite file holds")
    add(
        "--format", choices=FORMATS[:-1], default="text", metavar="FORMAT", help="text (default), html, csv, json, prom"
    )
    add(
        "--output",
        metavar="[FORMAT=]FILE",
        action="append",
        default=[],
        help="write it there; may be repeated; sqlite=FILE keeps the database, to be queried and for the next --since",
    )


def _fix(verb: argparse.ArgumentParser) -> None:
    add = verb.add_argument
    add("--target", metavar="NAME", default="kvm", help="where it moves to (default: kvm)")
    add("--root", metavar="DIR", help=ANY_ROOT)
    add(
        "--format",
        choices=("text", "json", "patch"),
        default="text",
        metavar="FORMAT",
        help="text (default), json, patch",
    )
    add("--only", metavar="RULE", action="append", default=[], help="only what this rule found; may be repeated")
    add(
        "--include",
        choices=("risky",),
        action="append",
        default=[],
        metavar="risky",
        help="also fixes that need a decision; with --only",
    )
    add("--cutover", action="store_true", help="also the last acts before the final shutdown")
    add("--apply", action="store_true", help="make the changes (without it they are only shown)")
    add("--yes", action="store_true", help="do not ask")
    add("--poweroff", action="store_true", help="shut down at the end, when the verdict allows it")


def _rollback(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("transaction", nargs="?", metavar="TRANSACTION", help="which one (default: the newest)")
    verb.add_argument("--root", metavar="DIR", help=ROOT)
    verb.add_argument(
        "--format", choices=("text", "json"), default="text", metavar="FORMAT", help="text (default), json"
    )
    verb.add_argument("--dry-run", action="store_true", help="only tell what would be restored")


def _capture(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("-o", "--output", metavar="FILE", required=True, help="the archive (tar.gz)")


def _export(verb: argparse.ArgumentParser) -> None:
    add = verb.add_argument
    add("kind", choices=("libvirt",), metavar="KIND", help="libvirt: a domain for virsh define")
    add("--target", metavar="NAME", default="kvm", help="where it moves to (default: kvm)")
    add("--root", metavar="DIR", help=ANY_ROOT)
    add("-o", "--output", metavar="FILE", help="write it there (mode 0600) instead of printing it")


def _explain(verb: argparse.ArgumentParser) -> None:
    add = verb.add_argument
    add("rule", metavar="RULE_OR_FINGERPRINT", help="for example fstab/volatile-device-name; or what a report names")
    add("--root", metavar="DIR", help=f"for a fingerprint: {ANY_ROOT}")
    add("--target", metavar="NAME", action="append", default=[], help="for a fingerprint: only on this target")


def _rules(verb: argparse.ArgumentParser) -> None:
    words = "lint FILE... explains mistakes in rule files; test FILE... runs the cases inside them; else all are listed"
    verb.add_argument("act", nargs="?", choices=("lint", "test"), metavar="lint|test", help=words)
    verb.add_argument("files", nargs="*", metavar="FILE", help="rule files of the site")
    verb.add_argument("--target", metavar="NAME", help="only those that can matter for this target")
    verb.add_argument(
        "--format",
        choices=("text", "man", "md"),
        default="text",
        metavar="FORMAT",
        help="text (default), man, md (a table)",
    )


def _targets(verb: argparse.ArgumentParser) -> None:
    """It has none."""


def _history(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--root", metavar="DIR", help=ROOT)


OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "check": _check,
    "fix": _fix,
    "rollback": _rollback,
    "capture": _capture,
    "report": _report,
    "export": _export,
    "fleet": _fleet,
    "explain": _explain,
    "rules": _rules,
    "targets": _targets,
    "history": _history,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command line; returns its exit code and lets no exception out."""
    options = _parsed(argv)
    if isinstance(options, int):
        return options
    from migprep.model import MigprepError

    try:
        _careful_output()
        _announce(options)
        return VERBS[options.verb](options)
    except MigprepError as error:
        return _complain(str(error), error.code)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _silence()
        return 1
    except Exception as error:
        if os.environ.get("MIGPREP_DEBUG"):
            raise
        _drop_unwritten()
        return _complain(
            f"internal error, no verdict: {type(error).__name__}: {error} (MIGPREP_DEBUG=1 shows where)", 1
        )


def _parsed(argv: list[str] | None) -> argparse.Namespace | int:
    words = sys.argv[1:] if argv is None else argv
    if words == ["--version"]:
        print(_version())
        return 0
    if not words:
        parser(words).print_help(sys.stderr)
        return USAGE
    try:
        return parser(words).parse_args(words)
    except SystemExit as end:  # argparse prints and exits: 0 for --help, 2 for what the contract calls 64
        return USAGE if end.code else 0


def _complain(sentence: str, code: int) -> int:
    import contextlib

    from migprep.report.text import shown

    with contextlib.suppress(OSError, ValueError):
        print(f"migprep: {shown(sentence)}", file=sys.stderr)
    return code


def _careful_output() -> None:
    """No character of the machine's may stop us from printing it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_unwritten() -> None:
    """What a full device did not take must not fail again when Python ends, which would change the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _silence()


def _silence() -> None:
    """Nobody reads on: let Python's last flush go nowhere (signal(7), SIGPIPE)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(words: str) -> None:
    """Print to standard output; whoever stops reading does not change the exit code."""
    try:
        sys.stdout.write(words)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()


def terminal() -> Style:
    """What standard output can show."""
    from migprep.report.text import Style

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in (None, "", "dumb")
    return Style(unicode=is_utf8(dict(os.environ)), colour=colour)


def is_utf8(environment: dict[str, str]) -> bool:
    """Whether the locale is UTF-8, before Python itself made it so (PEP 538 sets LC_CTYPE alone)."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = environment.get(name, "")
        if name == "LC_CTYPE" and value == "C.UTF-8" and not environment.get("LANG"):
            continue
        if value:
            return value.lower().replace("-", "").endswith("utf8")
    return False


# --- verbs ---


def check(options: argparse.Namespace) -> int:
    """Inspect, judge, tell."""
    import time

    from migprep.report import outcome

    outputs = _outputs(options)
    if options.cron:
        _step_back(options)
    started, clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.monotonic()
    report = _current(options)
    report["run"].update(started=started, seconds=round(time.monotonic() - clock, 3))
    for sentence in outcome.refused(report):
        _complain(f"{sentence} (left out; the rest is used)", 65)
    if options.cron:
        _remember(report, outputs)
    else:
        _tell(report, outputs)
    return outcome.code(report, options.fail_on)


def _current(options: argparse.Namespace) -> dict[str, Any]:
    """The report; of the running machine the one that was made before, where nothing changed since."""
    if options.root is not None or options.scan or os.geteuid() != 0:
        return _inspected(options)
    from migprep import recall

    return recall.report(options.target, lambda place: _inspected(options, place))


def _inspected(options: argparse.Namespace, place: Root | None = None) -> dict[str, Any]:
    from migprep import inspection

    work = inspection.begin(options.root, options.target, place=place, scan=options.scan)
    return inspection.report(work, options.root or "/")


def _outputs(options: argparse.Namespace, known: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """(format, file) of everything that is asked for; no file for what is printed. Raises UsageError."""
    import re

    from migprep.report import FORMATS

    known = known or FORMATS
    found = []
    for given in options.output:
        form, equals, path = given.partition("=")
        if equals and re.fullmatch("[a-z]+", form):
            if form not in known:
                from migprep.inspection import UsageError

                words = ", ".join(known)
                raise UsageError(
                    f"--output {given}: there is no format {form!r}; there are {words} (a file: ./{given})"
                )
            if not path:
                from migprep.inspection import UsageError

                raise UsageError(f"--output {given}: which file? (--format {form} prints it)")
            found.append((form, path))
        else:
            found.append((options.format, given))
    return found or [(options.format, "")]


def _tell(report: dict[str, Any], outputs: list[tuple[str, str]]) -> None:
    """Write the files; print the report, or where it is."""
    files = _write(report, outputs)
    if files:
        from migprep.report import text

        say("\n".join([*text.summary(report, terminal()), *(f"report: {path}" for path in files), ""]))
    else:
        say(_rendered(report, outputs[0][0], terminal()))


def _write(report: dict[str, Any], outputs: list[tuple[str, str]]) -> list[str]:
    """Write each output that has a file; returns the files."""
    from migprep import output
    from migprep.report import text

    files = [(form, path) for form, path in outputs if path]
    for form, path in files:
        # node_exporter reads it as another user; there are only numbers in it
        mode = 0o644 if form == "prom" else 0o600
        output.write(path, _rendered(report, form, text.PLAIN).encode("utf-8", "backslashreplace"), mode)
    return [path for _, path in files]


def _rendered(report: dict[str, Any], form: str, style: Style) -> str:
    if form == "text":
        from migprep.report import text

        return text.render(report, style)
    from migprep.report import render

    return render(report, form)


def _step_back(options: argparse.Namespace) -> None:
    """Leave the machine to its work: lowest priority, and not when all others of a fleet start."""
    from migprep import memory

    os.nice(19)
    if options.splay > 0:
        import time

        from migprep import root

        place = root.Tree("/", live=True)
        time.sleep(memory.splay(options.splay * 60, root.value(place, "/etc/machine-id") or os.uname().nodename))


def _remember(report: dict[str, Any], outputs: list[tuple[str, str]]) -> None:
    """Keep the report, write the files, and speak only when something changed."""
    from migprep import memory, output
    from migprep.report import changes

    before = memory.last(report)
    found = changes.compare(before or changes.nothing(report), report)
    try:
        path = memory.keep(report)
    except output.OutputError as error:
        _complain(f"{error}; the next run will tell everything again", 0)
        path = ""
    _write(report, outputs)
    if before is None or not found.is_empty:
        since = before["run"]["started"].replace("T", " ").replace("Z", " UTC") if before else ""
        words = changes.render(found, report, terminal(), since)
        say(words + (f"all of it: migprep report convert {path}\n" if path else ""))


def report(options: argparse.Namespace) -> int:
    """Convert a saved report, or compare two."""
    from migprep import saved

    loaded = [saved.load(path) for path in options.reports]
    if options.act == "convert":
        _tell(loaded[0], _outputs(options))
        return 0
    from migprep.report import changes

    found = changes.compare(*loaded)
    if options.format == "json":
        import json

        say(json.dumps(found.document(), indent=2) + "\n")
    else:
        since = loaded[0]["run"]["started"].replace("T", " ").replace("Z", " UTC")
        say(changes.render(found, loaded[1], terminal(), since))
    return 0 if found.is_empty else 2


def fleet(options: argparse.Namespace) -> int:
    """Merge the reports of many machines and tell what the fleet comes to."""
    import tempfile

    try:
        from migprep.fleet import FORMATS, figures, store
    except ImportError as error:
        return _complain(f"this Python cannot merge reports ({error}): use an installed migprep for the fleet", 69)
    outputs = _outputs(options, FORMATS)
    kept = next((path for form, path in outputs if form == "sqlite"), "")
    with tempfile.TemporaryDirectory(prefix="migprep-", dir=os.path.dirname(kept) or None if kept else None) as folder:
        place = os.path.join(folder, "fleet.sqlite")
        base = store.create(place)
        if options.expect:
            store.expect(base, options.expect)
        if not store.merge(base, options.paths).reports:
            raise store.NoReports(f"no report was found in {', '.join(options.paths)}")
        for since in [options.since or kept] if options.since or kept else []:
            if not store.attach(base, since) and options.since:
                raise store.FleetError(f"--since {since}: there is no such file")
        found = figures.document(base)
        _tell_fleet(found, base, outputs, place)
        base.close()
    return 0


def _tell_fleet(found: dict[str, Any], base: Any, outputs: list[tuple[str, str]], place: str) -> None:
    from migprep import output
    from migprep.fleet import render

    for form, path in outputs:
        if not path:
            for piece in (
                render.text(found, base, terminal()) if form == "text" else render.RENDERERS[form](found, base)
            ):
                say(piece)
        elif form == "sqlite":
            with open(place, "rb") as stream:
                output.write(path, iter(lambda: stream.read(1 << 20), b""))
        else:
            pieces = render.RENDERERS[form](found, base)
            mode = 0o644 if form == "prom" else 0o600
            output.write(path, (piece.encode("utf-8", "backslashreplace") for piece in pieces), mode)
    if any(path for _, path in outputs):
        files = (f"report: {path}" for _, path in outputs if path)
        say("\n".join([*render.summary(found), *files, ""]))


def explain(options: argparse.Namespace) -> int:
    """One rule's page, or the trace of one finding."""
    import re

    from migprep import inspection
    from migprep.report import pages

    if re.fullmatch("[0-9a-f]{6,16}", options.rule):
        say(_traced(options))
        return 0
    found = {rule.id: rule for rule in inspection.load_rules()[0]}
    if options.rule not in found:
        raise inspection.no_rule(options.rule, found)
    say(pages.explain(found[options.rule], terminal()))
    return 0


def _traced(options: argparse.Namespace) -> str:
    """How the finding whose fingerprint begins so came about. Raises UsageError when there is none."""
    from migprep import inspection, trace

    names = options.target or sorted(inspection.load_targets()[0], key=lambda one: one != inspection.DEFAULT_TARGET)
    work = inspection.begin(options.root, names)
    judged = inspection.judge(work)
    rules = {rule.id: rule for rule in work.rules}
    for target in work.targets:
        for result in judged[target.name]:
            for finding in result.findings:
                if finding.fingerprint.startswith(options.rule):
                    rule = rules[finding.rule]
                    found = trace.trace(rule, work.facts.root, target, finding.subject)
                    return trace.page(rule, finding, target, found, terminal())
    where = ", ".join(target.name for target in work.targets)
    more = "" if options.root else "; --root leads to the files of another"
    raise inspection.UsageError(f"no finding of this machine has the fingerprint {options.rule} (on {where}){more}")


def rules(options: argparse.Namespace) -> int:
    """All rules, or those that can matter for one target; or a site's rule files held to the light."""
    from migprep import inspection
    from migprep.report import pages

    if options.act:
        if not options.files:
            raise inspection.UsageError(f"migprep rules {options.act} needs a FILE")
        return _linted(options.files) if options.act == "lint" else _tried(options.files)

    found, refused = inspection.load_rules()
    if options.target:
        target = inspection.choose(inspection.load_targets()[0], [options.target])[0]
        found = tuple(rule for rule in found if inspection.can_apply(rule, target))
    if options.format == "text":
        say(pages.rules(found, terminal()))
    else:
        from migprep.report import reference

        say(reference.man(found) if options.format == "man" else reference.markdown(found))
    return _refusals(refused)


def _linted(paths: list[str]) -> int:
    """Show the mistakes of rule files; 65 when there is one."""
    from migprep import proof

    found = [fault for path in paths for fault in proof.faults(path)]
    for fault in found:
        say(f"{fault}\n")
    say(f"{len(found)} mistake{'s' * (len(found) != 1)} in {len(paths)} file{'s' * (len(paths) != 1)}\n")
    return 65 if found else 0


def _tried(paths: list[str]) -> int:
    """Run the cases inside rule files; 2 when one comes out otherwise than written."""
    from migprep import proof
    from migprep.report.text import shown

    failed = count = 0
    for path in paths:
        for trial in proof.tried(path):
            count += 1
            failed += bool(trial.faults)
            say(f"{'FAILED' if trial.faults else 'ok':<8}{shown(path)}: {shown(trial.name)}\n")
            for fault in trial.faults:
                say(f"        {shown(fault)}\n")
    say(f"{count - failed} of {count} cases came out as written\n")
    return 2 if failed else 0


def targets(options: argparse.Namespace) -> int:
    """All targets."""
    from migprep import inspection
    from migprep.report import pages

    found, refused = inspection.load_targets()
    say(pages.targets([found[name] for name in sorted(found)], terminal()))
    return _refusals(refused)


def _refusals(refused: tuple[str, ...]) -> int:
    for sentence in refused:
        _complain(sentence, 65)
    return 65 if refused else 0


def capture(options: argparse.Namespace) -> int:
    """The machine as one archive."""
    from migprep import capture as archive

    told = archive.write(options.output)
    say(f"{options.output}: {told}\n")
    return 0


def export(options: argparse.Namespace) -> int:
    """The target as a file that its hypervisor takes."""
    from migprep import inspection, output
    from migprep.report import libvirt

    work = inspection.begin(options.root, [options.target])
    words = libvirt.render(inspection.report(work, options.root or "/"), work.targets[0])
    if options.output:
        output.write(options.output, words.encode("utf-8", "backslashreplace"))
        say(f"{options.output}: give it the disks, then virsh define {options.output}\n")
    else:
        say(words)
    return 0


def _announce(options: argparse.Namespace) -> None:
    """An interrupted fix is told before anything else, by every command."""
    base = getattr(options, "root", None) or ""
    if os.path.isdir(f"{base}/var/lib/migprep/transactions"):
        from migprep import journal
        from migprep.root import Tree

        sentence = journal.unfinished(Tree(base or "/", live=not base))
        if sentence:
            _complain(sentence, 0)


def _mend(name: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        from migprep import mend

        code: int = getattr(mend, name)(options)
        return code

    return run


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "check": check,
    "report": report,
    "export": export,
    "fleet": fleet,
    "explain": explain,
    "rules": rules,
    "targets": targets,
    "capture": capture,
    "fix": _mend("fix"),
    "rollback": _mend("rollback"),
    "history": _mend("history"),
}
