"""What the next request would rewrite of the log is committed and prefilled before it comes."""

from __future__ import annotations

from typing import Any

from poise import GREEDY, Engine, Session
from tests.support.byte_vocab import CHATML_TOOLS
from tests.support.text_world import bare_answer, sim_engine

# An earlier answer is told in brackets, as a stand-in for templates that take its thought out.
FORGETFUL = CHATML_TOOLS.replace(
    "'<|im_start|>assistant\\n' + message.content",
    "'<|im_start|>assistant\\n' + (message.content if loop.last else '(' + message.content + ')')",
)


def fresh(engine: Engine, session: Session, *, prompt: bool) -> list[int]:
    assert session._conversation is not None
    assert engine.text is not None
    marked = [turned.shown_marked for turned in session._conversation.messages]
    text = engine.text.render(marked, session._conversation.context, prompt=prompt)
    return engine.text.tokenizer.encode(text, at_start=True).ids


def asked(engine: Engine, session: Session) -> list[int]:
    """The context of the newest answer. The log may have been rewritten since."""
    assert session._conversation is not None
    assert engine.text is not None
    marked = [turned.shown_marked for turned in session._conversation.messages[:-1]]
    text = engine.text.render(marked, session._conversation.context, prompt=True)
    return engine.text.tokenizer.encode(text, at_start=True).ids


def opened(engine: Engine, **options: Any) -> Session:
    return engine.open_session("Be kind.", sampling=GREEDY, **options)


def test_a_rewritten_tail_waits_in_the_log_already_prefilled() -> None:
    with sim_engine(FORGETFUL, history="rendered") as engine:
        session = opened(engine)
        for number, text in enumerate(("Hello", "and?", "so")):
            assert engine.wait_prepositioned()
            rebases = engine.counters.rebases
            assert rebases == number  # one an answer, in idle time
            log = list(session.state.log)
            result = session.turn(text, max_new_tokens=6, stop_tokens=[0]).result()
            context = asked(engine, session)
            assert result.end.usage.context_tokens == len(context)
            assert context[: len(log)] == log
            assert bare_answer(engine, context, 6) == list(result.tokens)
            assert result.path == "entry"
            assert result.start is not None
            assert result.end.usage.prefilled_tokens == result.start.delta_tokens
        assert engine.text is not None
        told = engine.text.tokenizer.vocab.detokenize(context, render_special=True).decode("utf-8", "replace")
        assert told.count("<|im_start|>assistant\n(") == 2


def test_a_busy_engine_rewrites_with_the_turn() -> None:
    with sim_engine(FORGETFUL, history="rendered", preposition=False) as engine:
        session = opened(engine)
        for text in ("Hello", "and?"):
            result = session.turn(text, max_new_tokens=6, stop_tokens=[0]).result()
            log = list(session.state.log)
            context = log[: len(log) - len(result.tokens)]
            assert bare_answer(engine, context, 6) == list(result.tokens)
        assert engine.counters.rebases == 1


def test_idle_time_changes_no_answer_and_a_generated_history_rewrites_nothing() -> None:
    def play(**options: Any) -> tuple[list[tuple[int, ...]], int]:
        with sim_engine(FORGETFUL, **options) as engine:
            session = opened(engine)
            answers = []
            for text in ("Hello", "and?", "so"):
                if engine.options.preposition:
                    assert engine.wait_prepositioned()
                answers.append(session.turn(text, max_new_tokens=6, stop_tokens=[0]).result().tokens)
            if engine.options.preposition:
                assert engine.wait_prepositioned()
            return answers, engine.counters.rebases

    ahead, behind = play(history="rendered"), play(history="rendered", preposition=False)
    assert ahead[0] == behind[0]
    # Idle time also rewrites behind the last answer, which no turn follows.
    assert (ahead[1], behind[1]) == (3, 2)
    assert play()[1] == 0


def test_canonical_answers_are_left_alone() -> None:
    with sim_engine(history="rendered") as engine:
        session = opened(engine)
        for text in ("Hello", "and?"):
            session.turn(text, max_new_tokens=6, stop_tokens=[0]).result()
            assert engine.wait_prepositioned()
            log, told = list(session.state.log), fresh(engine, session, prompt=False)
            assert told[: len(log)] == log


def test_a_fork_before_the_rewritten_part() -> None:
    with sim_engine(FORGETFUL, history="rendered") as engine:
        session = opened(engine)
        for text in ("Hello", "and?"):
            session.turn(text, max_new_tokens=6, stop_tokens=[0]).result()
            assert engine.wait_prepositioned()
        for messages in range(len(session.messages) + 1):
            fork = session.fork(messages=messages)
            result = fork.turn("other", max_new_tokens=4, stop_tokens=[0]).result()
            context = asked(engine, fork)
            assert result.end.usage.context_tokens == len(context)
            assert [message["role"] for message in fork.messages[:messages]] == [
                message["role"] for message in session.messages[:messages]
            ]
            assert bare_answer(engine, context, 4) == list(result.tokens)
