"""Streamed text equals text decoded at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from poise.text.template import ChatTemplate
from poise.text.tokenizer import Tokenizer
from tests.support.byte_vocab import ByteVocab

TOKENIZER = Tokenizer(ByteVocab())


@given(st.text(max_size=40))
def test_pieces_join_to_the_whole_text(text: str) -> None:
    decoder = TOKENIZER.decoder()
    pieces = [decoder.feed(token) for token in TOKENIZER.plain(text)]
    assert "".join(pieces) + decoder.close() == text
    assert "\ufffd" not in "".join(pieces) or "\ufffd" in text


def test_a_character_comes_out_whole_with_its_last_byte() -> None:
    decoder = TOKENIZER.decoder()
    pieces = [decoder.feed(token) for token in TOKENIZER.plain("\u4e2d")]
    assert pieces == ["", "", "\u4e2d"]


def test_a_character_that_never_became_whole_is_marked() -> None:
    decoder = TOKENIZER.decoder()
    decoder.feed(TOKENIZER.plain("\u4e2d")[0])
    assert decoder.close() == "\ufffd"


def test_special_tokens_print_nothing_unless_visible() -> None:
    start = TOKENIZER.special.ids["<|im_start|>"]
    assert TOKENIZER.decoder().feed(start) == ""
    assert TOKENIZER.decoder(frozenset({start})).feed(start) == "<|im_start|>"


def test_templates_run_as_transformers_runs_them() -> None:
    source = (
        "{% for m in messages %}\n    {% generation %}{{ m.content | tojson }}{% endgeneration %}\n"
        "    {% if loop.first %}{% continue %}{% endif %}!{% endfor %}{{ strftime_now('%Y') | length }}"
    )
    template = ChatTemplate(source)
    assert template.render([{"content": "<\u00e9>"}, {"content": "b"}]) == '"<\u00e9>""b"!4'
