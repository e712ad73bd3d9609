"""Windows of text sessions: messages leave the conversation together with their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from poise import GREEDY, ContextOverflow, InvalidArgument, Sampling, Session
from poise.options import Window
from tests.support.byte_vocab import CHATML_TOOLS
from tests.support.text_world import bare_answer, sim_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poise import Engine

WINDOW = Window(keep_tokens=150, max_tokens=300)
SAYS = [f"Message {n}, and something about the number {n * 37}" for n in range(14)]
FORGETFUL = CHATML_TOOLS.replace(
    "'<|im_start|>assistant\\n' + message.content",
    "'<|im_start|>assistant\\n' + (message.content if loop.last else message.content[2:])",
)


STOPS = {"end_bias": 10.0}  # answers end by themselves, after some tokens


@pytest.fixture
def engine() -> Iterator[Engine]:
    with sim_engine(sim=STOPS) as engine:
        yield engine


def text_of(engine: Engine, ids: list[int]) -> str:
    assert engine.text is not None
    return engine.text.tokenizer.vocab.detokenize(ids, render_special=True).decode("utf-8", "replace")


def rendered(engine: Engine, session: Session) -> str:
    conversation = session._conversation
    assert conversation is not None
    assert engine.text is not None
    marked = [engine.text.mark(turned.shown) for turned in conversation.messages]
    return text_of(
        engine, engine.text.tokenizer.encode(engine.text.render(marked, conversation.context, prompt=False)).ids
    )


def chat(engine: Engine, session: Session, *, prepared: bool = True, wanted: int = 24) -> list[Any]:
    results = []
    for text in SAYS:
        if prepared:
            assert engine.wait_prepositioned()
        result = session.turn(text, max_new_tokens=wanted).result()
        log = list(session.state.log)
        assert len(log) <= WINDOW.max_tokens
        assert bare_answer(engine, log[: len(log) - len(result.tokens)], wanted) == list(result.tokens)
        results.append(result)
    return results


def test_a_long_chat_stays_within_its_window_and_its_log_is_the_rendering(engine: Engine) -> None:
    session = engine.open_session("Be kind.", sampling=GREEDY, window=WINDOW)
    results = chat(engine, session)
    counters = engine.counters
    assert counters.window_slides >= 2
    assert counters.window_slides_unprepared == 0
    assert counters.rebases == 0
    assert session.messages[0] == {"role": "system", "content": "Be kind."}
    assert session.messages[1]["role"] == "user"
    said = [message["content"] for message in session.messages if message["role"] == "user"]
    assert said == SAYS[-len(said) :]
    assert len(said) < len(SAYS)
    # what was generated may be no UTF-8; the rest is letter for letter what the template tells
    assert text_of(engine, list(session.state.log)).rstrip("\n") == rendered(engine, session).rstrip("\n")
    assert len(session.state.messages) == len(session.messages)
    assert len(results) == len(SAYS)


def test_a_request_behind_a_prepared_slide_prefills_its_own_tokens_only(engine: Engine) -> None:
    session = engine.open_session("Be kind.", sampling=GREEDY, window=WINDOW)
    slides = 0
    for text in SAYS:
        assert engine.wait_prepositioned()
        assert session._conversation is not None
        result = session.turn(text, max_new_tokens=24).result()
        assert result.start is not None
        own = result.start.prepositioned_tokens + result.start.delta_tokens
        assert result.end.usage.prefilled_tokens <= own + 1
        slides = engine.counters.window_slides
    assert slides >= 2


def test_without_idle_time_the_log_is_cut_when_it_must_be() -> None:
    with sim_engine(preposition=False, sim=STOPS) as engine:
        session = engine.open_session("Be kind.", sampling=GREEDY, window=WINDOW)
        chat(engine, session, prepared=False)
        assert engine.counters.window_slides_unprepared == engine.counters.window_slides >= 1


@pytest.mark.parametrize("history", ["generated", "rendered"])
def test_a_template_that_rewrites_history_goes_on_doing_so(history: str) -> None:
    with sim_engine(FORGETFUL, history=history, sim=STOPS) as engine:
        session = engine.open_session("Be kind.", sampling=GREEDY, window=WINDOW)
        chat(engine, session)
        assert engine.counters.window_slides >= 1
        assert engine.counters.rebases > engine.counters.window_slides
        said = [message["content"] for message in session.messages if message["role"] == "user"]
        assert said == SAYS[-len(said) :]


def test_answers_that_end_by_length(engine: Engine) -> None:
    """Their end belongs to the next message: such a log is told afresh when it is cut there."""
    session = engine.open_session("Be kind.", sampling=GREEDY, window=WINDOW)
    for text in SAYS:
        assert engine.wait_prepositioned()
        result = session.turn(text, max_new_tokens=3, sampling=Sampling(temperature=0.0, bias={0: -100.0})).result()
        assert result.end.finish_reason == "length"
        assert len(session.state.log) <= WINDOW.max_tokens
    assert engine.counters.window_slides >= 1
    log = text_of(engine, list(session.state.log))
    assert log.count("<|im_start|>") == log.count("<|im_end|>") + 1
    assert rendered(engine, session).startswith(log)


def test_appends_slide_too(engine: Engine) -> None:
    session = engine.open_session("Watch.", sampling=GREEDY, window=WINDOW, questions=["up or down?"])
    for n in range(20):
        session.append({"role": "user", "content": f"value {n} of the stream is {n * n}"})
        assert engine.wait_prepositioned()
        assert len(session.state.log) <= WINDOW.max_tokens
        assert session.ask("up or down?", max_new_tokens=4).result().path == "ready"
    counters = engine.counters
    assert counters.window_slides >= 2
    assert counters.window_slides_unprepared == counters.rebases == 0
    told = [message["content"] for message in session.messages[1:]]
    assert told == [f"value {n} of the stream is {n * n}" for n in range(20 - len(told), 20)]
    assert text_of(engine, list(session.state.log)).rstrip("\n") == rendered(engine, session).rstrip("\n")


def test_a_message_that_is_too_large_is_cut_and_the_session_goes_on(engine: Engine) -> None:
    session = engine.open_session("Be kind.", sampling=GREEDY, window=WINDOW)
    session.append({"role": "user", "content": "x" * 230})
    assert engine.wait_prepositioned()
    before = list(session.state.log)
    for text in ("one", "two", "three"):
        result = session.turn(text, max_new_tokens=6, stop_tokens=[0]).result()
        log = list(session.state.log)
        assert bare_answer(engine, log[: len(log) - len(result.tokens)], 6) == list(result.tokens)
    assert engine.counters.window_slides >= 1
    assert list(session.state.log)[:10] == before[:10]
    text = text_of(engine, list(session.state.log))
    assert text.count("x") <= 150
    assert all(word in text for word in ("one", "two", "three"))


def test_forks_and_windows(engine: Engine) -> None:
    session = engine.open_session("Be kind.", sampling=GREEDY, window=WINDOW)
    for text in SAYS[:4]:
        session.turn(text, max_new_tokens=24).result()
    child = session.fork()
    chat(engine, child)
    assert len(child.state.log) <= WINDOW.max_tokens
    session.turn("still here", max_new_tokens=4).result()
    child.close()
    session.close()


def test_token_sessions_slide_by_themselves() -> None:
    with sim_engine(text=False) as bare:
        session = bare.open_session(
            history=list(range(5, 25)), sampling=GREEDY, window=Window(head_tokens=10, keep_tokens=40, max_tokens=80)
        )
        for n in range(10):
            session.turn([30 + n] * 8, max_new_tokens=6).result()
            assert len(session.state.log) <= 80
        assert list(session.state.log)[:10] == list(range(5, 15))
        assert bare.counters.window_slides >= 1


def test_what_cannot_fit_is_refused_and_the_session_lives_on(engine: Engine) -> None:
    session = engine.open_session("Be kind.", sampling=GREEDY, window=WINDOW)
    session.turn("Hello", max_new_tokens=4).result()
    with pytest.raises(ContextOverflow, match="max_tokens"):
        session.turn("x" * 400, max_new_tokens=4)
    assert session.turn("Hello", max_new_tokens=4).result().end.finish_reason in ("stop", "length")
    with pytest.raises(InvalidArgument, match="keep_tokens"):
        engine.open_session("Be kind.", window=Window(keep_tokens=300, max_tokens=300))
