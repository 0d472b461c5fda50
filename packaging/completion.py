"""Completion for bash, zsh and fish, made by shtab from the real parser: `python packaging/completion.py SHELL`."""

from __future__ import annotations

import argparse
import re
import sys

import command
import shtab

SHELLS = ("bash", "zsh", "fish")
FILES = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}


def script(shell: str) -> str:
    """The whole completion script."""
    top = command.parser()
    known = {"RULE": command.names("rules"), "NAME": command.names("targets")}
    for verb in command.commands(top):
        for action in (one for group in command.actions(verb.parser) for one in group):
            _complete(action, known)
    return str(shtab.complete(top, shell=shell))


def _complete(action: argparse.Action, known: dict[str, list[str]]) -> None:
    """Say what may stand there; the word that the help shows for it tells."""
    for shown in re.findall("[A-Z]+", str(action.metavar or "")):
        if shown in FILES:
            action.complete = FILES[shown]  # type: ignore[attr-defined]
        elif shown in known and action.choices is None:
            action.choices = known[shown]


if __name__ == "__main__":
    sys.stdout.write(script(sys.argv[1]))
