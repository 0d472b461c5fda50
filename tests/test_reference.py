"""Pages made of the rules: they are current, clean for their readers, and a finding's trace shows what decided."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests import machines
from tests.test_mend_machines import MACHINES, files, on_disk

from migprep import cli, inspection, trace
from migprep.report import pages, reference
from migprep.report.text import held

RULES = inspection.load_rules("/nowhere")[0]


def test_manual_is_clean_for_groff_and_mandoc() -> None:
    words = reference.man(RULES).encode()
    readers = [["groff", "-ww", "-man", "-Tutf8", "-z"], ["mandoc", "-Tlint", "-Wwarning"]]
    found = [argv for argv in readers if shutil.which(argv[0])]
    if not found:
        pytest.skip("neither groff nor mandoc is here")
    for argv in found:
        said = subprocess.run(argv, input=words, capture_output=True, check=False)
        complaints = [line for line in (said.stdout + said.stderr).decode().split("\n") if line and "missing date" not in line]
        assert complaints == []


def test_manual_tells_all_rules_and_escapes_what_roff_would_obey() -> None:
    rule = machines.rule("a/b", why=".so /etc/passwd\n'br\nC:\\n[x] a-b", symptom="Zeile mit ü", references=["x"])
    words = reference.man([rule])
    assert ".so" not in [line[:3] for line in words.split("\n")] and "\n'br" not in words
    assert "C:\\en[x] a\\-b" in words and "\\[u00FC]" in words
    assert all(f".SS {reference._roff(one.id)}\n" in reference.man(RULES) for one in RULES)


def test_readme_has_the_current_table() -> None:
    """MIGPREP_GOLDEN=write makes it so."""
    path = Path(__file__).parent.parent / "README.md"
    head, mark, rest = path.read_text().partition("<!-- rules: migprep rules --format md -->\n")
    end = rest.index("<!-- end of rules -->")
    if os.environ.get("MIGPREP_GOLDEN") == "write":
        path.write_text(head + mark + reference.markdown(RULES) + rest[end:])
    else:
        assert rest[:end] == reference.markdown(RULES), "MIGPREP_GOLDEN=write pytest tests/test_reference.py writes it"


def test_table_has_a_row_for_every_rule() -> None:
    rows = reference.markdown(RULES).split("\n")
    assert [sum(f"`{rule.id}`" in row for row in rows) for rule in RULES] == [1] * len(RULES)
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows[: len(RULES) + 2])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_a_page(rule: inspection.Rule) -> None:
    page = pages.explain(rule)
    for heading in ("Why\n", "How it is found\n", "Fix\n"):
        assert f"\n{heading}" in page
    commands = {one for hint in rule.by_hand.values() for one in held(hint)}
    assert all(len(line) <= 80 or " " not in line.strip() or line.strip() in commands for line in page.split("\n"))


def test_every_finding_of_a_machine_can_be_traced(tmp_path: Path) -> None:
    given = files(MACHINES["debian"])
    given["/etc/network/interfaces"] = b"auto eth0\niface eth0 inet static\n\taddress 192.0.2.10/24\n"
    on_disk(tmp_path, given)
    work = inspection.begin(str(tmp_path), ["kvm"], "/nowhere")
    rules = {rule.id: rule for rule in work.rules}
    results = [result for result in inspection.judge(work)["kvm"] if result.findings]
    assert len(results) > 2
    for result in results:
        for finding in result.findings:
            found = trace.trace(rules[result.rule], work.facts.root, work.targets[0], finding.subject)
            conditions = dict(found.conditions)
            assert conditions["when"][0].value not in ("False", "None", "''", "()"), finding
            if rules[result.rule].fix and rules[result.rule].fix.only_if:
                assert (conditions["fix.only_if"][0].value == "True") is (finding.fix is not None)
            page = trace.page(rules[result.rule], finding, work.targets[0], found)
            assert finding.evidence[0].path in page
            assert all(len(line) <= 80 and line.isprintable() for line in page.split("\n"))


def test_parts_stop_where_it_was_decided() -> None:
    names = {"a": machines.known_target(), "n": 3}
    words = "n > 4 and a.name == 'kvm' or n < 9 or n == 0"
    told = [(part.depth, part.text, part.value) for part in trace.parts(words, names)]
    assert told == [
        (0, words, "True"),
        (1, "n > 4 and a.name == 'kvm'", "False"),
        (2, "n > 4", "False"), (3, "n", "3"), (2, "a.name == 'kvm'", "not needed"),
        (1, "n < 9", "True"), (2, "n", "3"), (1, "n == 0", "not needed"),
    ]  # fmt: skip


def test_explain_a_fingerprint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on_disk(tmp_path, files(MACHINES["debian"]))
    work = inspection.begin(str(tmp_path), ["kvm"], "/nowhere")
    finding = next(one for result in inspection.judge(work)["kvm"] for one in result.findings)
    assert cli.main(["explain", finding.fingerprint[:8], "--root", str(tmp_path), "--target", "kvm"]) == 0
    words = capsys.readouterr().out
    assert words.startswith(f"{finding.fingerprint} on kvm\n{finding.rule}")
    assert cli.main(["explain", "0123456789abcdef", "--root", str(tmp_path), "--target", "kvm"]) == 64
    assert "no finding of this machine" in capsys.readouterr().err
