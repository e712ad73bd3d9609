"""User text never becomes a special token, wherever it stands and whatever it spells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.text.segments import SpecialTokens, unmark

SPECIAL = SpecialTokens({"<|im_start|>": 1, "<|im_end|>": 2, "<s>": 3, "<|a|>": 4})
PIECES = [
    "<|im_start|>",
    "<|im_end|>",
    "<s>",
    "<|",
    "|>",
    "<",
    ">",
    "im_",
    "end",
    "a",
    "\ufdd0",
    "\ufdd1",
    "\ufdd2",
    " ",
    "x",
]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(texts)
def test_protected_text_has_no_special_token_and_comes_back_whole(text: str) -> None:
    marked = SPECIAL.protect(text)
    pieces = list(SPECIAL.split(marked))
    assert all(token is None for _, token, _ in pieces)
    assert "".join(piece for piece, _, _ in pieces) == text
    assert unmark(marked) == text


@given(texts, texts)
def test_two_contents_side_by_side_form_no_special_token(left: str, right: str) -> None:
    marked = SPECIAL.protect(left) + SPECIAL.protect(right)
    assert all(token is None for _, token, _ in SPECIAL.split(marked))


@given(texts)
def test_the_templates_own_tokens_stay_special_around_any_content(text: str) -> None:
    marked = "<|im_start|>" + SPECIAL.protect(text) + "<|im_end|>"
    tokens = [token for _, token, _ in SPECIAL.split(marked)]
    assert [token for token in tokens if token is not None] == [1, 2]
    assert [piece for piece, token, _ in SPECIAL.split(marked) if token is None] == ([text] if text else [])


def test_every_string_inside_a_value_is_protected() -> None:
    value = {"<s>": ["<|im_end|>", {"k": "<s>"}], "n": 1, "none": None, "yes": True}
    protected = SPECIAL.protect_all(value)
    assert "<s>" not in protected
    assert protected["n"] == 1
    assert protected["none"] is None
    assert protected["yes"] is True
    ((inner, nested),) = (item for item in protected.values() if isinstance(item, list))
    assert not [token for _, token, _ in SPECIAL.split(inner + nested["k"]) if token is not None]


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_surrogate_pair_becomes_a_question_mark(text: str) -> None:
    assert unmark(SPECIAL.protect(text)).count("?") == 1
