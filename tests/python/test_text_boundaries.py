"""Ids that are called certain never change, whatever text follows."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poise.text.boundaries import LongestMatchCuts, NoCuts, PairCuts, WordCuts, find_boundaries
from poise.text.model import common
from tests.support.vocabularies import FAMILIES, MORE, tokenizer

SPACES = (" ", "  ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "\u0085", "\u2028", "\x1c", "\u2581")
WORDS = (
    "the",
    " The",
    "123",
    "4",
    "'s",
    "'re",
    "\u4e2d\u6587",
    "\u00e9",
    "e\u0301",
    "\u0627",
    "\u0915\u094d",
    "\uac00",
)
SIGNS = ("'", "\u2019", ".", "...", ",", "!?", "\u3002", "\U0001f600", "\u200d", "\ufeff", "_", "-", "/", '{"', '":')
PIECES = st.sampled_from([*SPACES, *WORDS, *SIGNS, "<|", "|>", "<s>"])
TEXT = (
    st.lists(PIECES | st.text(max_size=6), max_size=14)
    .map("".join)
    .map(lambda text: text.encode("utf-8", "replace").decode())
)
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("family", [*FAMILIES, *MORE])
@given(text=TEXT, more=TEXT)
@SETTINGS
def test_no_continuation_changes_certain_ids(family: str, text: str, more: str) -> None:
    tokens = tokenizer(family)
    protect = tokens.special.protect
    certain = tokens.stable(protect(text))
    whole = tokens.encode(protect(text + more)).ids
    assert whole[: len(certain)] == certain


@pytest.mark.parametrize("family", [*FAMILIES, *MORE])
@given(text=TEXT, more=TEXT, token=st.integers(0, 10**6))
@SETTINGS
def test_nor_does_a_special_token(family: str, text: str, more: str, token: int) -> None:
    tokens = tokenizer(family)
    specials = sorted(tokens.special.ids)
    special = specials[token % len(specials)] if specials else ""
    protect = tokens.special.protect
    certain = tokens.stable(special + protect(text))
    whole = tokens.encode(special + protect(text) + special + protect(more)).ids
    assert whole[: len(certain)] == certain


@pytest.mark.parametrize("family", FAMILIES)
def test_every_character_at_a_cut(family: str) -> None:
    """All characters of the basic plane, in front of a space and behind one: what counts as white space or as a letter
    differs from splitter to splitter."""
    tokens = tokenizer(family)
    random.seed(3)
    chars = [chr(code) for code in range(0x20, 0x10000) if not 0xD800 <= code < 0xE000]
    for begin in range(0, len(chars), 40):
        some = chars[begin : begin + 40]
        text = "".join(f"a{char} " for char in some)
        certain = tokens.stable(text)
        for more in ("b", " b", "'re", "\n", "\u0301", "1"):
            assert tokens.plain(text + more)[: len(certain)] == certain, hex(ord(some[0]))
        for char in random.sample(some, 4):
            certain = tokens.stable(f"so {char} x{char}")
            assert tokens.plain(f"so {char} x{char}{char}y")[: len(certain)] == certain, hex(ord(char))


@pytest.mark.parametrize("family", FAMILIES)
@given(text=TEXT, cuts=st.lists(st.integers(0, 200), max_size=4))
@SETTINGS
def test_a_guess_by_parts_is_a_prefix_of_the_whole(family: str, text: str, cuts: list[int]) -> None:
    """Text that is typed on: each guess is kept by the next, up to the ids of the whole."""
    tokens = tokenizer(family)
    protect = tokens.special.protect
    whole = tokens.encode(protect(text)).ids
    longest = 0
    for cut in sorted(cuts):
        certain = tokens.stable(protect(text[:cut]))
        assert common(certain, whole) == len(certain)
        assert len(certain) >= longest
        longest = len(certain)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_last_word_of_prose_is_uncertain(family: str) -> None:
    tokens = tokenizer(family)
    prose = "The quick brown fox jumps over the lazy dog, and then it sleeps near the wa"
    certain = tokens.stable(prose)
    assert tokens.text(certain).strip() == prose.rpartition(" ")[0]


def test_families_and_their_cuts() -> None:
    pieces = [b"", b"ab", b" c", b"d"]
    assert isinstance(find_boundaries("gpt2", "qwen2", pieces), WordCuts)
    assert isinstance(find_boundaries("gpt2", "superbpe", pieces), NoCuts)
    assert isinstance(find_boundaries("gpt2", "gemma4", pieces), PairCuts)
    assert isinstance(find_boundaries("llama", "default", pieces), PairCuts)
    assert isinstance(find_boundaries("rwkv", "", pieces), LongestMatchCuts)
    assert isinstance(find_boundaries("t5", "default", pieces), NoCuts)
    assert find_boundaries("t5", "", pieces).last_cut("some words here") == 0


def test_a_token_across_words_takes_that_cut_away() -> None:
    assert WordCuts(["x", " y"], marks=False).last_cut("of course not") == 9
    assert WordCuts(["x", "of course"], marks=False).last_cut("of course not") == 0
    assert WordCuts(["x"], marks=True).last_cut("user\n") == 4
    assert WordCuts(["user\n"], marks=True).last_cut("user\n") == 0


def test_a_long_text_is_cut_near_its_end() -> None:
    cuts = WordCuts([], marks=False)
    text = "word " * 100_000
    assert cuts.last_cut(text + "end") == len(text) - 1
    assert cuts.last_cut("x" * 5000 + " " + "y" * 5000) == 5000
    assert sys.getsizeof(cuts) < 10_000
