"""Sessions on real vocabularies and a simulated executor: whatever was anticipated, the log holds canonical ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poise import GREEDY, Engine, EngineOptions, _core
from tests.support.vocabularies import FAMILIES, tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATES = {
    "llama-bpe": "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    "qwen2": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "gpt-2": "{% for m in messages %}{{ m.role }}: {{ m.content }}<|endoftext|>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}",
    "llama-spm": "{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]{% else %}"
    " {{ m.content }}</s>{% endif %}{% endfor %}",
}
TEXT = (
    st.lists(
        st.sampled_from(
            [" ", "  ", "\n", "the ", "The quick", "'s", "don't ", "12", "3.5", ", ", "\u4e2d\u6587", "\u00e9"]
        )
        | st.sampled_from(["\U0001f600", "<s>", "<|im_end|>", "[INST]", "\u0e01", "a" * 30, "\u2581", "x_y", "\t"])
        | st.text(max_size=5),
        min_size=1,
        max_size=10,
    )
    .map(lambda parts: "".join(parts).encode("utf-8", "replace").decode())
    .filter(bool)
)


@pytest.fixture(scope="module", params=FAMILIES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    vocab = tokenizer(request.param).vocab
    executor = _core.SimExecutor(_core.SimOptions(vocab_size=len(vocab), threaded=True))
    with Engine(executor, EngineOptions(seed=1), vocab=vocab, chat_template=TEMPLATES[request.param]) as engine:
        yield engine


@given(first=TEXT, second=TEXT, guess=TEXT, typed=st.integers(0, 40))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_guesses_never_change_a_token(engine: Engine, first: str, second: str, guess: str, typed: int) -> None:
    assert engine.text is not None

    def play(*, guessing: bool) -> list[int]:
        with engine.open_session("Be kind.", sampling=GREEDY, preposition=guessing) as session:
            for text in (first, second):
                if guessing:
                    engine.background.join(10.0)
                    session.anticipate(guess)  # wrong, mostly
                    if text[:typed]:
                        session.anticipate(text[:typed], kind="partial")
                    assert engine.wait_prepositioned()
                session.turn(text, max_new_tokens=1).result()
            return list(session.state.log)

    with engine.open_session("Be kind.", sampling=GREEDY, preposition=False) as session:
        marked = [
            engine.text.mark({"role": role, "content": text})
            for role, text in [("system", "Be kind."), ("user", first)]
        ]
        assert session._conversation is not None
        told = engine.text.render(marked, session._conversation.context, prompt=True)
    whole = engine.text.tokenizer.encode(told, at_start=True).ids
    plain, guessed = play(guessing=False), play(guessing=True)
    assert guessed == plain
    assert plain[: len(whole)] == whole
