"""The plan: composed per file, judged again, honest about what it leaves."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migprep import mend, plan, render, rules, targets, tracked
from migprep.facts import Facts
from migprep.model import Safety, Verdict
from migprep.plan import Change
from migprep.root import Files, Overlay
from migprep.rules import Rule

KVM = targets.load()["kvm"]
FSTAB = b"/dev/sdb1\t/data  ext4 defaults 0 2 # \xe9\r\nUUID=7 / ext4 defaults 0 1\r\n\r\n/dev/sdb10 /more ext4"
SIMPLE = '{{ text.replace("/dev/sdb1\\t", "UUID=1\\t") }}'


def rule(name: str, folder: Path, template: str = "", **given: Any) -> Rule:
    """A small rule about /etc/fstab, with its template in `folder`."""
    content: dict[str, Any] = {
        "id": name, "title": "t", "severity": "high", "link": "mounts", "needs": ["fstab"], "why": "w",
        "for_each": "fstab.entries", "as": "entry", "when": "entry.spec == '/dev/sdb1'", "subject": "{entry.mountpoint}",
        "message": "m", "evidence": {"path": "/etc/fstab", "line": "{entry.line}", "observed": "o", "expected": "e"},
    }  # fmt: skip
    content.update(given)
    if template:
        fix = {"title": "f", "safety": "safe", "phase": "prepare", "file": "/etc/fstab", "template": f"{name}.j2"}
        content["fix"] = {**fix, **content.get("fix", {})}
        (folder / f"{name}.j2").write_text(template)
    return rules.parse(content, name)


def made(root: Any, folder: Path, *given: Rule, **more: Any) -> plan.Plan:
    return plan.plan(given, Facts(root), KVM, folder=str(folder), **more)


def machine(**more: bytes | str) -> Files:
    return Files({"/etc/fstab": FSTAB, **{path.replace("~", "/"): content for path, content in more.items()}})


def test_one_token_changes_and_nothing_else(tmp_path: Path) -> None:
    found = made(machine(), tmp_path, rule("a", tmp_path, SIMPLE))
    assert found.changes == (Change("/etc/fstab", FSTAB, FSTAB.replace(b"/dev/sdb1\t", b"UUID=1\t"), ("a",)),)
    assert (found.verdict_before, found.verdict_after) == (Verdict.CONDITIONAL, Verdict.READY)
    assert not found.unmended and [one.rule for one in found.mended] == ["a"]


def test_a_second_plan_is_empty(tmp_path: Path) -> None:
    root = machine()
    mine = rule("a", tmp_path, SIMPLE)
    first = made(root, tmp_path, mine)
    again = made(Overlay(root, {one.path: one.after for one in first.changes}), tmp_path, mine)
    assert again.is_empty and again.verdict_before is first.verdict_after


def test_two_fixes_compose_on_one_file(tmp_path: Path) -> None:
    second = rule("b", tmp_path, '{{ text.replace("/dev/sdb10", "UUID=2") }}', when="entry.spec == '/dev/sdb10'")
    found = made(machine(), tmp_path, rule("a", tmp_path, SIMPLE), second)
    assert len(found.changes) == 1 and found.changes[0].rules == ("a", "b")
    assert found.changes[0].after == FSTAB.replace(b"/dev/sdb10", b"UUID=2").replace(b"/dev/sdb1\t", b"UUID=1\t")


def test_a_fix_that_does_not_help_is_dropped(tmp_path: Path) -> None:
    found = made(machine(), tmp_path, rule("a", tmp_path, "{{ text }}\n"))
    assert found.is_empty and found.verdict_after is found.verdict_before
    assert [(one.rule, reason) for one, reason in found.unmended] == [
        ("a", "the fix would not help: the finding stays")
    ]


def test_a_fix_that_harms_another_rule_is_dropped(tmp_path: Path) -> None:
    guard = rule("b", tmp_path, when="entry.spec == 'UUID=1'")
    found = made(machine(), tmp_path, rule("a", tmp_path, SIMPLE), guard)
    assert found.is_empty
    assert found.unmended[0][1] == "the fix would make b worse"


@pytest.mark.parametrize(("severity", "count"), [("info", 1), ("low", 1), ("high", 0)])
def test_a_new_remark_does_not_keep_a_fix_back(severity: str, count: int, tmp_path: Path) -> None:
    """As applying it does not either: only what is grave is then put back."""
    guard = rule("b", tmp_path, when="entry.spec == 'UUID=1'", severity=severity)
    assert len(made(machine(), tmp_path, rule("a", tmp_path, SIMPLE), guard).changes) == count
    slight = made(machine(), tmp_path, rule("a", tmp_path, SIMPLE, severity="low"), guard)
    assert len(slight.changes) == (severity == "info")


def test_a_fix_that_another_one_makes_possible(tmp_path: Path) -> None:
    needs = rule(
        "a",
        tmp_path,
        '{{ text.replace("/more", "/even") if "UUID=2" in text else text }}',
        when="entry.mountpoint == '/more'",
    )
    second = rule("b", tmp_path, '{{ text.replace("/dev/sdb10", "UUID=2") }}', when="entry.spec == '/dev/sdb10'")
    found = made(machine(), tmp_path, needs, second)
    assert {one.rule for one in found.mended} == {"a", "b"}


@pytest.mark.parametrize(
    ("fix", "more", "reason"),
    [
        ({"safety": "risky"}, {}, "needs your decision: --include risky --only a"),
        ({"safety": "risky"}, {"include": ["risky"]}, "needs your decision: --include risky --only a"),
        ({"safety": "risky"}, {"include": ["risky"], "only": ["a"]}, ""),
        ({"phase": "cutover"}, {}, "left for the last act before the final shutdown: --cutover"),
        ({"phase": "cutover"}, {"cutover": True}, ""),
        ({"phase": "after"}, {"cutover": True}, "can only be done on the target, after the move"),
        ({"safety": "manual"}, {}, "only a person can do this"),
        ({}, {"only": ["b"]}, "left out by --only"),
        ({"only_if": "entry.mountpoint == '/other'"}, {}, "not safe to mend here without a person"),
    ],
)
def test_what_is_not_asked_for_is_not_done(
    tmp_path: Path, fix: dict[str, str], more: dict[str, Any], reason: str
) -> None:
    found = made(machine(), tmp_path, rule("a", tmp_path, SIMPLE, fix=fix), **more)
    assert [why for _, why in found.unmended] == ([reason] if reason else [])
    assert found.is_empty == bool(reason)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ text.__class__.__mro__ }}", "SecurityError"),
        ("{{ items[9].spec }}", "has no element 9"),
    ],
)
def test_a_template_that_fails_costs_one_fix(tmp_path: Path, template: str, said: str) -> None:
    found = made(machine(), tmp_path, rule("a", tmp_path, template))
    assert found.is_empty and said in found.unmended[0][1]


@pytest.mark.parametrize(
    ("header", "owner"),
    [
        (b"# Ansible managed\n", "Ansible"),
        (b"# This file is managed by Puppet. DO NOT EDIT.\n", "Puppet"),
        (b"# Generated by Chef for host\n", "Chef"),
        (b"#\n# file managed by Salt, do not edit\n", "Salt"),
        (b"# This file is generated from information provided by the datasource.  Changes\n", "cloud-init"),
        (b"# Generated by NetworkManager\n", "NetworkManager"),
        (b"# Created by anaconda on Mon Jan  1 2024\n", ""),
        (b"# Generated by dracut initrd\n", ""),
        (b"# salt and pepper, managed by hand\n# see the ansible wiki\n", ""),
        (b"puppet:/export /mnt nfs managed\n", ""),
    ],
)
def test_files_of_other_programs_are_told_not_fought(tmp_path: Path, header: bytes, owner: str) -> None:
    found = made(Files({"/etc/fstab": header + FSTAB}), tmp_path, rule("a", tmp_path, SIMPLE))
    assert found.is_empty == bool(owner)
    if owner:
        assert f"is written by {owner}" in found.unmended[0][1]


def test_links_are_followed_and_must_stay_in_etc(tmp_path: Path) -> None:
    inside = Files({"/etc/fstab": "conf/fstab", "/etc/conf/fstab": FSTAB})
    assert made(inside, tmp_path, rule("a", tmp_path, SIMPLE)).changes[0].path == "/etc/conf/fstab"
    outside = Files({"/etc/fstab": "/srv/fstab", "/srv/fstab": FSTAB})
    found = made(outside, tmp_path, rule("a", tmp_path, SIMPLE))
    assert found.is_empty and "leads to /srv/fstab, outside /etc and /boot" in found.unmended[0][1]


def test_a_path_that_the_disk_refuses_is_told(tmp_path: Path) -> None:
    found = made(machine(), tmp_path, rule("a", tmp_path, SIMPLE), refusal=lambda path: f"{path} is immutable")
    assert found.is_empty and found.unmended[0][1] == "/etc/fstab is immutable"


def test_a_waived_finding_is_left_alone(tmp_path: Path) -> None:
    from migprep import evaluate
    from migprep.model import Waiver

    def judge(one: Rule, facts: Facts, target: Any) -> Any:
        result = evaluate.evaluate(one, facts, target)
        return result._replace(
            findings=tuple(found._replace(waiver=Waiver("w", "2030-01-01")) for found in result.findings)
        )

    assert made(machine(), tmp_path, rule("a", tmp_path, SIMPLE), judge=judge).is_empty


def test_an_action_that_cannot_run_drops_the_fix(tmp_path: Path) -> None:
    written = Overlay(machine(), {"/boot/grub/grub.cfg": b"menuentry x {}\n"})
    found = made(written, tmp_path, rule("a", tmp_path, SIMPLE, fix={"then": ["grub-menu"]}))
    assert found.is_empty and "was not made by grub-mkconfig" in found.unmended[0][1]


def test_mended_renders_one_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = rule("a", tmp_path, SIMPLE)
    monkeypatch.setattr(render, "FOLDER", str(tmp_path))
    assert plan.draft(mine, Facts(machine()), KVM, folder=str(tmp_path)).files["/etc/fstab"] == FSTAB.replace(
        b"/dev/sdb1\t", b"UUID=1\t"
    )
    assert plan.mended(rule("b", tmp_path), Facts(machine()), KVM) == {}


def test_facts_that_a_change_does_not_touch_are_kept() -> None:
    root = machine()
    before = tracked.of(Facts(root))
    fstab, display = before.fstab, before.display
    changes: dict[str, bytes | None] = {"/etc/fstab": b""}
    after = before.changed(Overlay(root, changes), {"/etc/fstab": False})  # type: ignore[attr-defined]
    assert after.display is display
    assert after.fstab is not fstab and after.fstab.lines == ()
    new = before.changed(Overlay(root, {"/etc/X11/xorg.conf": b""}), {"/etc/X11/xorg.conf": True})  # type: ignore[attr-defined]
    assert new.display is not display and new.fstab is fstab


def test_ten_thousand_lines_are_linear(tmp_path: Path) -> None:
    template = "{% for line in fstab.lines %}{{ line.raw.replace('/dev/sdb1', 'UUID=1') }}{% endfor %}"
    mine = rule("a", tmp_path, template)

    def seconds(count: int) -> float:
        text = b"".join(b"/dev/sdb1 /data%d ext4 defaults 0 2\n" % number for number in range(count))
        started = time.process_time()
        found = made(Files({"/etc/fstab": text}), tmp_path, mine)
        mend.text(found)
        assert len(found.changes) == 1
        return time.process_time() - started

    seconds(10)
    assert seconds(10_000) < 30 * max(seconds(1_000), 0.01)


# --- render ---


@settings(deadline=None)
@given(st.text(alphabet=st.characters(blacklist_categories=()), max_size=60))
def test_every_text_survives_a_template(text: str) -> None:
    environment = render.environment("/nowhere")
    assert environment.from_string("{{ text }}").render(text=text) == text


def test_absent_means_delete(tmp_path: Path) -> None:
    (tmp_path / "gone.j2").write_text("{{ absent() }}")
    assert render.render("gone.j2", {}, str(tmp_path)) is None


# --- diff and patch ---

content = st.lists(st.sampled_from(["a\n", "b\n", "c\r\n", "\n", "d e\n", "\udcff\n", "end"]), max_size=25).map("".join)


def patched(folder: Path, before: str | None, after: str | None) -> bytes | None:
    """What patch(1) makes of our diff."""
    folder.mkdir()
    coded = [one if one is None else one.encode("utf-8", "surrogateescape") for one in (before, after)]
    if coded[0] is not None:
        (folder / "etc").mkdir()
        (folder / "etc/f").write_bytes(coded[0])
    text = mend.patch([Change("/etc/f", coded[0], coded[1], ("r",))]).encode("utf-8", "surrogateescape")
    done = subprocess.run(["patch", "-p1", "--binary", "-s"], cwd=folder, input=text, capture_output=True)
    assert done.returncode == 0, (done.stdout, done.stderr, text)
    target = folder / "etc/f"
    return target.read_bytes() if target.exists() else None


@pytest.mark.skipif(not shutil.which("patch"), reason="needs patch(1)")
@settings(deadline=None)
@given(before=content, after=content)
def test_patch_applies(tmp_path_factory: pytest.TempPathFactory, before: str, after: str) -> None:
    if before == after or not before or not after:
        return
    folder = tmp_path_factory.mktemp("patch") / "root"
    assert patched(folder, before, after) == after.encode("utf-8", "surrogateescape")


@pytest.mark.skipif(not shutil.which("patch"), reason="needs patch(1)")
def test_patch_creates_and_deletes(tmp_path: Path) -> None:
    assert patched(tmp_path / "new", None, "a\nb") == b"a\nb"
    assert patched(tmp_path / "gone", "a\nb\n", None) is None


def test_text_tells_everything(tmp_path: Path) -> None:
    risky = rule("b", tmp_path, SIMPLE, when="entry.spec == '/dev/sdb10'", fix={"safety": Safety.RISKY.value})
    told = mend.text(made(machine(), tmp_path, rule("a", tmp_path, SIMPLE), risky), "/mnt/x y")
    for words in ("/etc/fstab (a)", "--- a/etc/fstab", "@@ -1,4 +1,4 @@", "--include risky --only b",
                  "conditional now, conditional after", "migprep rollback --root '/mnt/x y'"):  # fmt: skip
        assert words in told
    assert "Not mended (1):" in told
    told = mend.text(made(machine(), tmp_path, rule("a", tmp_path, SIMPLE), risky, only=["a"]))
    assert "Left out by --only: 1 other finding.\n" in told and "Not mended" not in told


def test_every_line_of_the_text_but_a_diffs_fits_a_terminal(tmp_path: Path) -> None:
    rules = [
        rule("a" * 40, tmp_path, SIMPLE),
        rule("b" * 40, tmp_path, '{{ text.replace("/dev/sdb10", "UUID=2") }}', when="entry.spec == '/dev/sdb10'"),
    ]
    told = mend.text(made(machine(), tmp_path, *rules))
    assert max(map(len, told.split("\n"))) <= 80
