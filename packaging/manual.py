"""The manual pages, made from the parser and the rules: `python packaging/manual.py migprep.1|migprep-rules.7`."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
import time
from collections.abc import Callable

import command
import migprep
from migprep import rules
from migprep.report import reference

#: What the parser does not know. Each section in roff, as it is printed.
DESCRIPTION = """\
.B migprep
runs inside a machine that is about to move to other hardware:
from metal to a hypervisor, from one hypervisor to another, to a cloud.
.B migprep check
reads the live machine and says, for each target,
what will break there and where it stands.
.B migprep fix
shows what it would mend;
.B migprep fix \\-\\-apply
mends it while the machine still runs as before;
.B migprep rollback
restores every byte.
.PP
There is no daemon.
Nothing but
.B fix \\-\\-apply
and
.B rollback
changes the machine.
Run it as root: what only root can read is otherwise told as unknown."""
FILES = (
    ("/etc/migprep/rules.d/*.yaml", "rules of the site"),
    ("/etc/migprep/targets.d/*.yaml", "targets of the site"),
    ("/etc/migprep/waivers.d/*.yaml", "findings that somebody has taken responsibility for, each with an end"),
    ("/etc/migprep/scan.conf", "more folders that check --scan searches, one a line"),
    ("/var/lib/migprep/transactions/", "what was changed, and the old contents; rollback needs them"),
    ("/var/lib/migprep/reports/", "the last 30 reports of check --cron"),
    ("/var/cache/migprep/", "what was learnt of files that are slow to read; may be removed at any time"),
    ("/run/migprep.lock", "held while the machine is changed"),
)
ENVIRONMENT = (
    ("NO_COLOR", "any value: no colours"),
    ("MIGPREP_DEBUG", "any value: an internal error shows where it happened"),
)
EXAMPLES = (
    ("Will this machine come up on KVM with virtio?", "migprep check"),
    ("On two targets, as a document for programs:", "migprep check --target kvm --target aws --format json"),
    ("See what would be mended, then mend it, then undo it:", "migprep fix\nmigprep fix --apply\nmigprep rollback"),
    ("Judge a machine elsewhere:", "migprep capture -o web1.tar.gz\nmigprep check --root web1.tar.gz"),
)


def quoted(text: str) -> str:
    """Text as roff prints it unchanged (groff_man(7): a leading dot or quote is a request)."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti").replace("`", "\\(ga")
    text = text.replace("'", "\\(aq").replace('"', "\\(dq")
    text = "".join(one if ord(one) < 128 else f"\\[u{ord(one):04X}]" for one in text)
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


def bold(text: str) -> str:
    """One word or more in bold."""
    return f"\\fB{quoted(text)}\\fR"


def italic(text: str) -> str:
    """What the reader puts in its place."""
    return f"\\fI{quoted(text)}\\fR"


def section(title: str, *parts: str) -> str:
    """A section of the page; its first paragraph begins without being told to."""
    return "\n".join([f".SH {title}", *parts]).replace(f"{title}\n.PP\n", f"{title}\n", 1)


def prose(text: str) -> str:
    """Running text: roff fills it, so that its own lines may be short."""
    return "\n".join(quoted(line) for line in textwrap.wrap(text, 72, break_on_hyphens=False))


def tagged(tag: str, text: str) -> str:
    """A paragraph that hangs on its tag."""
    return f".TP\n{tag}\n{text}"


def verbatim(text: str) -> str:
    """Lines that keep their breaks."""
    return f".PP\n.RS 4\n.nf\n{quoted(text)}\n.fi\n.RE"


def main_page(date: str) -> str:
    """migprep(1)."""
    top = command.parser()
    verbs = list(command.commands(top))
    groups = {verb.words for verb in verbs if any(other.words[:-1] == verb.words for other in verbs)}
    told = [verb for verb in verbs if verb.words not in groups]
    return "\n".join([
        f'.TH MIGPREP 1 {date} "migprep {migprep.__version__}"\n.nh\n.ad l',
        section("NAME", "migprep \\- tell whether a Linux machine will come up on other hardware"),
        section("SYNOPSIS", "\n.br\n".join(_usage(verb) for verb in told)),
        section("DESCRIPTION", DESCRIPTION),
        section("COMMANDS", *(_command(verb) for verb in told)),
        section("EXIT STATUS", *(tagged(bold(code), prose(words)) for code, words in exit_codes())),
        section("FILES", *(tagged(italic(path), prose(words)) for path, words in FILES)),
        section("ENVIRONMENT", *(tagged(bold(name), prose(words)) for name, words in ENVIRONMENT)),
        section("EXAMPLES", *(f".PP\n{prose(words)}\n{verbatim(line)}" for words, line in EXAMPLES)),
        section("SEE ALSO", "\\fBmigprep\\-rules\\fR(7)"),
        "",
    ])  # fmt: skip


def _usage(verb: command.Command) -> str:
    options, operands = command.actions(verb.parser)
    parts = [bold(" ".join(("migprep", *verb.words)))]
    parts += [one if action.required else f"[{one}]" for action in options for one in [_invocation(action)]]
    parts += [_operand(action) for action in operands]
    return " ".join(parts)


def _invocation(action: argparse.Action) -> str:
    """`--target NAME`, the longest spelling."""
    name = bold(max(action.option_strings, key=len))
    return name if action.nargs == 0 else f"{name} {italic(_value(action))}"


def _value(action: argparse.Action) -> str:
    """What the help shows for the value: a name for it, or the few words that may stand there."""
    few = [str(one) for one in action.choices or ()]
    return str(action.metavar or ("|".join(few) if 0 < len(few) < 4 else action.dest.upper().replace("_", "-")))


def _operand(action: argparse.Action) -> str:
    name = italic(_value(action))
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)


def _command(verb: command.Command) -> str:
    options, operands = command.actions(verb.parser)
    lines = [f".SS {bold(' '.join(verb.words))}", prose(_sentence(verb.help))]
    for action in operands:
        if action.help:
            lines.append(tagged(_operand(action), prose(_sentence(_help(action, verb)))))
    for action in options:
        names = ", ".join(bold(name) for name in action.option_strings)
        value = "" if action.nargs == 0 else f" {italic(_value(action))}"
        lines.append(tagged(names + value, prose(_sentence(_help(action, verb)))))
    return "\n".join(lines)


def _help(action: argparse.Action, verb: command.Command) -> str:
    return (action.help or "") % {"prog": "migprep", "default": action.default, "dest": action.dest}


def _sentence(words: str) -> str:
    words = words.strip()
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) else '.'}"


def exit_codes() -> list[tuple[str, str]]:
    """(code, meaning), out of what `migprep --help` ends with."""
    told = (command.parser().epilog or "").partition(":")[2].strip(" .")
    pairs = (one.strip().partition(" ")[::2] for one in told.split(","))
    return sorted(((code, _sentence(words)) for code, words in pairs), key=lambda pair: int(pair[0]))


PAGES: dict[str, Callable[[str], str]] = {
    "migprep.1": main_page,
    "migprep-rules.7": lambda date: reference.man(rules.load()).replace('7 ""', f"7 {date}", 1),
}


def page(name: str, epoch: int) -> str:
    """The text of one page, dated with `epoch` (seconds since 1970, UTC)."""
    return PAGES[name](time.strftime("%Y-%m-%d", time.gmtime(epoch)))


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1], int(time.time())))
