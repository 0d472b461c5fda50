"""Expressions are found where libdm finds them, any text is read or refused in words, and nothing hangs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprep.formats import expression
from migprep.formats.expression import HEAD, TAIL

# (how libdm writes it, the same for Python where ^ and $ are characters around the text)
PIECES = st.sampled_from([
    ("a", "a"), ("b", "b"), ("^", HEAD), ("$", TAIL), (".", r"[^\n\r\0]"), ("[ab]", "[ab]"), ("[^a]", r"[^a\0]"), ("[b-d]", "[b-d]"),
    ("[d-b]", "[b-d]"), (r"[\]a]", r"[\]a]"), (r"\.", r"\."), (r"\n", r"\n"), ("{1}", r"\{1\}"),
])  # fmt: skip
GRAMMAR = st.recursive(
    PIECES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("*+?")).map(lambda made: (f"({made[0][0]}){made[1]}", f"(?:{made[0][1]}){made[1]}")),
        st.lists(inner, min_size=2, max_size=3).map(lambda made: tuple("".join(part) for part in zip(*made))),
        st.lists(inner, min_size=2, max_size=3).map(lambda made: tuple(f"({'|'.join(part)})" for part in zip(*made))),
    ),
    max_leaves=6,
)


@given(made=GRAMMAR, text=st.text("abcd.]-{1}/\n", max_size=6))
def test_what_is_found(made: tuple[str, str], text: str) -> None:
    assert expression.parse(made[0]).found_in(text) == bool(re.search(made[1], HEAD + text + TAIL)), made


@given(text=st.text(max_size=60) | st.text("ab()[]|*+?^$.\\-", max_size=30), name=st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str, name: str) -> None:
    try:
        found = expression.parse(text)
    except ValueError as error:
        assert str(error)
    else:
        assert found.found_in(name) in (True, False)


@pytest.mark.parametrize("text", ["(.+)+(.+)+(.*)*x$", "((((a*)*)*)*)*b", ".*.*.*.*.*.*.*.*.*.*x$", "(a|aa)+$b", "(" * 40 + "a*" + ")*" * 40 + "b"])
def test_a_long_name_takes_no_years(text: str) -> None:
    assert not expression.parse(text).found_in("a" * 250)


@pytest.mark.parametrize("text", ["", "(", ")", "a)", "*a", "a|", "|a", "[a", "[^", "[a-]", "a\\", "()", "(" * 100 + "a" + ")" * 100, "a" * 501])
def test_what_makes_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        expression.parse(text)
