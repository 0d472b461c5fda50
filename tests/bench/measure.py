"""CPU time and memory of commands, by wait4(2), with the runs of all commands taking turns."""

from __future__ import annotations

import os
import statistics
import subprocess
from typing import Callable, NamedTuple


class Cost(NamedTuple):
    """Medians: CPU seconds (user and system, children included) and peak resident MiB."""

    seconds: float
    memory: float
    code: int


def once(argv: list[str]) -> Cost:
    """One run, its output thrown away."""
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, child.returncode)


class Command(NamedTuple):
    """What is measured, and what is done before each run without being measured."""

    argv: list[str]
    before: Callable[[], object] | None = None


def in_turns(commands: dict[str, Command | list[str]], runs: int) -> dict[str, Cost]:
    """The median cost of each command over `runs` rounds, after one round that does not count."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, given in commands.items():
            command = given if isinstance(given, Command) else Command(given)
            if command.before:
                command.before()
            cost = once(command.argv)
            if turn:
                costs[name].append(cost)
    return {
        name: Cost(
            statistics.median(one.seconds for one in kept), statistics.median(one.memory for one in kept), kept[-1].code
        )
        for name, kept in costs.items()
    }
