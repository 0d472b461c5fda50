"""Manual pages and completion scripts: made from the parser and the rules, read by the programs that show them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packages.trees import TOP

from migprep import cli

sys.path.insert(0, str(TOP / "packaging"))
command = pytest.importorskip("command")

COMMANDS = list(command.commands(command.parser()))


def need(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"needs {program}")


def output(*argv: str, given: str | None = None) -> str:
    done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return done.stdout


# --- manual pages ---


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("manual")
    found = {}
    for name in ("migprep.1", "migprep-rules.7"):
        found[name] = folder / name
        found[name].write_text(output(sys.executable, str(TOP / "packaging/manual.py"), name))
    return found


@pytest.mark.parametrize("name", ["migprep.1", "migprep-rules.7"])
def test_a_page_has_no_fault(pages: dict[str, Path], name: str) -> None:
    need("mandoc")
    assert output("mandoc", "-Tlint", "-Wwarning", str(pages[name])) == ""


@pytest.mark.parametrize("name", ["migprep.1", "migprep-rules.7"])
def test_groff_warns_of_nothing(pages: dict[str, Path], name: str) -> None:
    need("groff")
    output("groff", "-ww", "-man", "-Tutf8", str(pages[name]))


def shown(page: Path) -> str:
    need("mandoc")
    return output("sh", "-c", f"mandoc -Tutf8 -Owidth=200 {page} | col -b")


def test_the_page_tells_every_option_and_every_exit_code(pages: dict[str, Path]) -> None:
    text = shown(pages["migprep.1"])
    for verb in COMMANDS:
        for action in command.actions(verb.parser)[0]:
            assert action.option_strings[-1] in text, (verb.words, action.option_strings)
    codes = [line.split()[0] for line in text.partition("EXIT STATUS")[2].partition("FILES")[0].split("\n") if line.strip()]
    assert codes == "0 1 2 3 4 5 6 64 65 69 75 77 78".split()


def test_the_page_tells_every_rule(pages: dict[str, Path]) -> None:
    headings = [line.strip() for line in shown(pages["migprep-rules.7"]).split("\n") if line[3:4].strip() and not line[:3].strip()]
    assert sorted(headings) == command.names("rules")


# --- completion ---


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("shtab")
    folder = tmp_path_factory.mktemp("completion")
    found = {}
    for shell, name in (("bash", "migprep"), ("zsh", "_migprep"), ("fish", "migprep.fish")):
        found[shell] = folder / name
        found[shell].write_text(output(sys.executable, str(TOP / "packaging/completion.py"), shell))
    return found


def options(verb: command.Command) -> set[str]:
    return {name for action in verb.parser._actions for name in action.option_strings if name.startswith("--")}


BASH = """\
complete() { :; }
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_migprep
printf '%s\\n' "${COMPREPLY[@]}"
"""


def bash(script: Path, *words: str) -> set[str]:
    return set(output("bash", "--norc", "-c", BASH, "bash", str(script), *words).split())


def fish(script: Path, *words: str) -> set[str]:
    line = " ".join(words)
    told = output("fish", "--no-config", "-c", f"source {script}; complete -C '{line}'")
    return {one.split("\t")[0] for one in told.split("\n") if one}


@pytest.mark.parametrize("verb", COMMANDS, ids=lambda verb: " ".join(verb.words))
def test_bash_offers_the_options_of_every_command(scripts: dict[str, Path], verb: command.Command) -> None:
    need("bash")
    assert bash(scripts["bash"], "migprep", *verb.words, "--") == options(verb)


@pytest.mark.parametrize("verb", COMMANDS, ids=lambda verb: " ".join(verb.words))
def test_fish_offers_the_options_of_every_command(scripts: dict[str, Path], verb: command.Command) -> None:
    need("fish")
    assert fish(scripts["fish"], "migprep", *verb.words, "--") == options(verb)


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_names_are_offered(scripts: dict[str, Path], shell: str) -> None:
    need(shell)
    ask = {"bash": bash, "fish": fish}[shell]
    assert set(cli.OPTIONS) <= ask(scripts[shell], "migprep", "")
    assert ask(scripts[shell], "migprep", "check", "--target", "kv") == {"kvm", "kvm-scsi"}
    assert ask(scripts[shell], "migprep", "explain", "fstab/volatile-") >= {"fstab/volatile-device-name"}
    assert ask(scripts[shell], "migprep", "check", "--fail-on", "") >= {"blocker", "high", "low", "info"}


def test_zsh_reads_its_script(scripts: dict[str, Path]) -> None:
    need("zsh")
    output("zsh", "-n", str(scripts["zsh"]))
    named = set(re.findall(r"--[a-z][a-z-]*", scripts["zsh"].read_text()))
    assert named >= {name for verb in COMMANDS for name in options(verb)}
