"""The command line as the packages tell of it: the real parser, with the names of rules and targets filled in."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "agent"))

from migprep import cli, data  # noqa: E402


class Command(NamedTuple):
    """One verb: its words after `migprep`, its help and its parser."""

    words: tuple[str, ...]
    help: str
    parser: argparse.ArgumentParser


def parser() -> argparse.ArgumentParser:
    """The parser of every verb with all its options."""
    return cli.parser(list(cli.OPTIONS))


def commands(of: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[Command]:
    """Every verb below `of`, those that hold verbs of their own before these."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            told = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, verb in action.choices.items():
                yield Command((*words, name), told.get(name, ""), verb)
                yield from commands(verb, (*words, name))


def actions(verb: argparse.ArgumentParser) -> tuple[list[argparse.Action], list[argparse.Action]]:
    """(options, operands) of one verb, without those that argparse or nobody shows."""
    shown = [
        one
        for one in verb._actions
        if one.help != argparse.SUPPRESS and not isinstance(one, (argparse._SubParsersAction, argparse._HelpAction))
    ]
    return [one for one in shown if one.option_strings], [one for one in shown if not one.option_strings]


def names(kind: str) -> list[str]:
    """Ids of the shipped rules, or names of the shipped targets."""
    return sorted(str(content["id" if kind == "rules" else "name"]) for _, content in data.shipped(kind))
