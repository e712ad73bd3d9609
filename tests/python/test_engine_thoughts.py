"""Thoughts of a text engine: the template says how they are marked."""

from __future__ import annotations

from poise import GREEDY
from tests.support.byte_vocab import CHATML_TOOLS
from tests.support.text_world import bare_answer, sim_engine

# The header opens a thought, as some templates do; the toy model's never ends.
THINKING = CHATML_TOOLS.replace(
    "{{- '<|im_start|>assistant\\n' }}{%- endif %}",
    "{{- '<|im_start|>assistant\\n<think>' }}{%- endif %}{#- </think> #}",
)


def test_a_thought_is_decoded_ahead_to_its_cap() -> None:
    with sim_engine(THINKING, thought_tokens=40, continuation_tokens=4, sim={"end_bias": -50.0}) as engine:
        session = engine.open_session("Be kind.", questions=["Well?"], sampling=GREEDY)
        assert engine.wait_prepositioned()
        result = session.ask("Well?", max_new_tokens=60).result()
        assert result.path == "ready"
        assert result.start is not None
        assert result.start.thought_tokens == result.start.continuation_tokens == 40
        conversation = session._conversation
        assert conversation is not None
        asked = conversation.plan([{"role": "user", "content": "Well?"}], prompt=True).ids
        assert bare_answer(engine, [*session.state.log, *asked], 60) == list(result.tokens)


def test_a_template_without_thoughts_has_none() -> None:
    with sim_engine(continuation_tokens=4, sim={"end_bias": -50.0}) as engine:
        session = engine.open_session("Be kind.", questions=["Well?"], sampling=GREEDY)
        assert engine.wait_prepositioned()
        result = session.ask("Well?", max_new_tokens=8).result()
        assert result.start is not None
        assert (result.start.thought_tokens, result.start.continuation_tokens) == (0, 4)
