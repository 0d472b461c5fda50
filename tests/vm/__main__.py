"""The lab's command line: python -m tests.vm list | build | run | rejudge | unit | prune | table | v2v."""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from . import cache, command, disk, machine, mend, results, trial, unit, v2v
from .command import LabError
from .results import Row
from .scenario import TARGETS, Scenario, ScenarioError, load, load_all


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Do what was asked; the exit code is 0 when all is as it should be, 2 for a refusal."""
    parser = _parser()
    asked = parser.parse_args(argv)
    command.begin()
    for sign in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background ignores the first
        signal.signal(sign, signal.default_int_handler)
    try:
        return int(asked.do(asked))
    except (LabError, ScenarioError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"lab: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab: stopped", file=sys.stderr)
        return 130
    finally:
        command.stop_all()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="list|build|run|rejudge|unit|prune|table|v2v")
    for name, do, text in (
        ("list", _list, "name every scenario and its story"),
        ("build", _build, "build disks without booting them"),
        ("run", _run, "boot, predict, compare"),
        (
            "rejudge",
            _rejudge,
            "judge the kept captures with today's rules and compare with the known fates; boots nothing",
        ),
        ("prune", _prune, "remove disks, fates and captures that no scenario makes any more"),
        ("table", _table, "print the newest results"),
        ("unit", _unit, "compare migprep's report in the shell with that of its systemd unit, in the source guest"),
        ("v2v", _v2v, "convert disks with virt-v2v and boot what comes out"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(do=do)
        sub.add_argument("--results", type=Path, default=results.FILE, help="record of results")
        if name in ("build", "run", "rejudge", "unit", "v2v"):
            sub.add_argument("names", nargs="*", metavar="NAME")
            sub.add_argument("--all", action="store_true", help="every scenario")
            sub.add_argument("--smoke", action="store_true", help="only the few that prove the lab")
        if name in ("run", "rejudge"):
            sub.add_argument("--target", action="append", choices=TARGETS, help="only this target")
        if name == "rejudge":
            sub.add_argument("--save", action="store_true", help="keep the rows in the record of results")
        if name == "run":
            sub.add_argument("--jobs", type=int, default=2, choices=(1, 2), help="boots at a time")
            sub.add_argument("--fix", choices=mend.WAYS, default="", help="also apply fixes and roll them back, there")
            sub.add_argument("--kept", action="store_true", help="take the source's last words and capture, boot it not")
            sub.add_argument("--fresh", action="store_true", help="boot targets again, known fate or not")
    return parser


def _chosen(asked: argparse.Namespace) -> list[Scenario]:
    if asked.names:
        return [load(name) for name in asked.names]
    if not (asked.all or asked.smoke):
        raise LabError("name scenarios, or say --all or --smoke")
    return [scenario for scenario in load_all() if scenario.smoke or not asked.smoke]


def _possible(scenarios: list[Scenario]) -> list[Scenario]:
    """Those for which this host has the tools; the others are told, and only where none is left is there nothing to do."""
    command.require("qemu-system-x86_64", "qemu-img", *disk.TOOLS)
    lacking = {scenario.name: command.lacks(*disk.tools(scenario)) for scenario in scenarios}
    for name, missing in lacking.items():
        if missing:
            print(f"skipped: {name}: {missing}", flush=True)
    if scenarios and all(lacking.values()):
        command.require(*(tool for scenario in scenarios for tool in disk.tools(scenario)))
    return [scenario for scenario in scenarios if not lacking[scenario.name]]


def _list(asked: argparse.Namespace) -> int:
    for scenario in load_all():
        mark = " [smoke]" if scenario.smoke else ""
        print(f"{scenario.name}{mark} → {', '.join(scenario.targets)}\n    {scenario.story}")
    return 0


def _build(asked: argparse.Namespace) -> int:
    cache.sweep()
    failed = 0
    for scenario in _chosen(asked):
        try:
            print(f"{scenario.name}: {disk.disk(scenario)}", flush=True)
        except LabError as error:
            failed += 1
            print(f"lab: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


def _prune(asked: argparse.Namespace) -> int:
    cache.sweep()
    for path in cache.prune({disk.name(scenario) for scenario in load_all()}):
        print(path)
    return 0


def _table(asked: argparse.Namespace) -> int:
    document, rows = results.load(asked.results)
    if not rows:
        raise LabError(f"no results yet in {asked.results}")
    dates, commits = sorted({row.date for row in rows}), sorted({row.commit for row in rows if row.commit})
    print(
        f"Measured {dates[0]} to {dates[-1]} UTC with QEMU {document['versions']['QEMU']}, migprep {', '.join(commits)}.\n"
    )
    print(f"{results.table(rows)}\n\n{results.measure(rows)}")
    return 0


def _run(asked: argparse.Namespace) -> int:
    cache.sweep()
    scenarios = _possible(_chosen(asked))
    if machine.product(trial.CHECKOUT) is None:
        print("migprep has no command line in this checkout: no prediction", flush=True)
    date, commit = _now(), _commit()
    _, old = results.load(asked.results)
    new: list[Row] = []
    broken: list[str] = []

    def one(scenario: Scenario) -> list[Row]:
        targets = _targets(scenario, asked)
        rows = trial.run(scenario, targets, date, fresh=asked.fresh, fix=asked.fix, kept=asked.kept)
        return [row._replace(commit=commit) for row in rows]

    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        waiting = {pool.submit(one, scenario): scenario for scenario in scenarios}
        try:
            for done in concurrent.futures.as_completed(waiting):
                try:
                    new += done.result()
                except (LabError, OSError) as error:
                    broken.append(f"{waiting[done].name}: {error}")
                    print(f"lab: {broken[-1]}", file=sys.stderr, flush=True)
                    continue
                results.save(results.merged(old, new), date, versions(), asked.results)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            command.stop_all()
            raise
    return _summary(old, new, broken)


def _targets(scenario: Scenario, asked: argparse.Namespace) -> tuple[str, ...]:
    return tuple(target for target in scenario.targets if not asked.target or target in asked.target)


def _rejudge(asked: argparse.Namespace) -> int:
    date, commit = _now(), _commit()
    _, old = results.load(asked.results)
    scenarios = _chosen(asked) if asked.names or asked.smoke else load_all()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        judged = list(pool.map(lambda one: trial.rejudge(one, _targets(one, asked), date), scenarios))
    new = [row._replace(commit=commit) for rows in judged for row in rows]
    missing = [scenario.name for scenario, rows in zip(scenarios, judged) if not rows]
    if missing:
        print(f"not booted yet: {', '.join(missing)}")
    if asked.save:  # what an older capture cannot answer takes no verdict away that was given in the guest
        answered = [row for row in new if row.verdict not in ("unknown", "-")]
        results.save(results.merged(old, answered), date, versions(), asked.results)
    return _summary(old, new, [])


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")


def _summary(old: list[Row], new: list[Row], broken: list[str]) -> int:
    print(f"\n{results.table(new)}\n")
    for change in results.changes(old, new):
        print(f"changed: {change}")
    for row in new:
        if not row.passed:
            print(f"look: {row.scenario} on {row.target}: said {row.verdict}, {row.fate}. {row.note}".rstrip())
    for sentence in broken:
        print(f"not measured: {sentence}")
    print(results.measure(new))
    failed = sum(not row.passed for row in new) + len(broken)
    print(f"{len(new) + len(broken) - failed} passed, {failed} failed")
    return 1 if failed else 0


def versions() -> dict[str, str]:
    """What the results were measured with."""
    return {"QEMU": _first_line("qemu-system-x86_64", "--version"), "migprep": _commit()}


def _first_line(*argv: str) -> str:
    out = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    return out.split("\n")[0].partition("version ")[2].split(" ")[0] or "unknown"


def _commit() -> str:
    argv = ("git", "-C", str(trial.CHECKOUT), "describe", "--always", "--dirty")
    out = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    return out.strip() or "unknown"


def _unit(asked: argparse.Namespace) -> int:
    failed = 0
    for scenario in _chosen(asked):
        act = unit.parity(scenario, machine.product(trial.CHECKOUT))
        failed += act.code != 0
        print(f"{scenario.name}: {'the same' if act.code == 0 else 'DIFFERENT'}\n{act.words}", flush=True)
    return 1 if failed else 0


def _v2v(asked: argparse.Namespace) -> int:
    _, old = results.load(asked.results)
    date = _now()
    rows: list[Row] = []
    for row in v2v.compare(_chosen(asked), old, date):
        rows.append(row)
        results.save(results.merged(old, rows), date, versions(), asked.results)
    print(f"\n{results.table(rows)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
