"""GRUB's menu as a script: positions are those of the text, values come back as they were written, and nothing hangs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.facts import menuvars
from migprep.formats import grubscript
from migprep.root import Files

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
MENU, ENVIRONMENT = "/boot/grub/grub.cfg", "/boot/grub/grubenv"
PARTS = ["set a=1\n", "set b='$a x'\n", 'c="${b}"; ', "unset a\n", "if [ -f x ]; then\n", "else\n", "elif true; then ", "fi\n",
         "menuentry 'm' {\n", "function f {\n", "}\n", "load_env -f e a\n", "search --set=root x\n", "linux /v $a ${b}\n",
         "# c '\n", "'", '"', "\\", "${", "\x0c", "\u2028", " "]  # fmt: skip
ANY = st.text(st.characters(blacklist_categories=())) | st.lists(st.sampled_from(PARTS)).map("".join)
NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(text=ANY)
def test_any_text_is_read(text: str) -> None:
    last = -1
    for one in grubscript.assignments(text):
        assert last <= one.offset <= len(text)
        last = one.offset
        if one.start >= 0:
            assert one.offset < one.start <= one.end <= len(text)
            assert text[one.offset : one.start].rstrip("\"'").endswith(f"{one.name}=") or one.start == one.end
    for offset in range(0, len(text) + 1, 7):
        assert all(text[start] == "{" and start < offset for start in grubscript.blocks_at(text, offset))


@given(given=st.lists(st.tuples(NAMES, st.lists(NAMES | st.just("word"), max_size=3)), max_size=8))
def test_values_are_put_together_as_grub_does(given: list[tuple[str, list[str]]]) -> None:
    known: dict[str, str] = {}
    text = ""
    for name, parts in given:
        parts = [part for part in parts if part in known or part == "word"]
        text += f'set {name}="{" ".join(part if part == "word" else "${" + part + "}" for part in parts)}"\n'
        known[name] = " ".join(part if part == "word" else known[part] for part in parts)
    root = Files({MENU: text.encode()})
    told = menuvars.before(root, MENU, ENVIRONMENT, MENU, len(text), tuple(known))
    assert {name: told.filled(f"${name}") for name in known} == known


@pytest.mark.parametrize(
    "text",
    ["${" * 50_000, "{" * 50_000, "if [ x ]; then\n" * 20_000, "'" * 100_001, 'set a="' * 20_000,
     "menuentry 'a' {\nset a=1\n" * 10_000],
    ids=["open braces", "blocks", "conditions", "quotes", "values", "entries"],
)  # fmt: skip
def test_what_is_no_menu_of_a_machine_costs_little(text: str) -> None:
    assert len(grubscript.assignments(text)) <= 10_000
    menuvars.before(Files({MENU: text.encode()}), MENU, ENVIRONMENT, MENU, len(text), ("a",))


def test_a_name_with_too_many_values_is_not_known() -> None:
    text = "set a=1\n" * (menuvars.STATEMENTS + 1)
    told = menuvars.before(Files({MENU: text.encode()}), MENU, ENVIRONMENT, MENU, len(text), ("a",))
    assert not any(one.is_known for one in told.of("a"))


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of real files is not here")
def test_every_line_that_sets_a_name_in_real_menus_is_found() -> None:
    lines = 0
    for path in sorted((CORPUS / "grub2-cfg").iterdir()):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        found = {one.offset: one for one in grubscript.assignments(text)}
        for line in re.finditer(r"(?m)^[ \t]*(?P<at>)set[ \t]+(?P<name>[A-Za-z_]\w*)=(?P<value>\w*)$", text):
            one = found[line.start("at")]
            assert (one.name, text[one.start : one.end]) == line.group("name", "value"), path
            lines += 1
    assert lines > 100
