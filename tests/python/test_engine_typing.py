"""Session.typing(): what is typed is in KV before it is sent, and changes no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from poise import GREEDY, InvalidArgument, Session
from tests.support.text_world import bare_answer, sim_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poise import Engine

SAID = "Hello there, is the answer on its way to me?"


@pytest.fixture
def engine() -> Iterator[Engine]:
    with sim_engine() as engine:
        yield engine


def opened(engine: Engine, **options: Any) -> Session:
    session = engine.open_session("Be kind.", sampling=GREEDY, **options)
    engine.wait_prepositioned()
    return session


def partials(session: Session) -> list[Any]:
    return [entry for entry in session.state.entries if entry.kind.name == "partial"]


def test_a_message_that_was_typed_and_rested_is_ready(engine: Engine) -> None:
    session = opened(engine)
    for length in range(1, len(SAID) + 1):
        session.typing(SAID[:length], rest_ms=20.0)
    assert engine.wait_prepositioned()
    (entry,) = partials(session)
    assert entry.ready
    result = session.turn(SAID, max_new_tokens=6).result()
    assert result.path == "ready"
    assert result.start is not None
    assert result.start.kind == "partial"
    assert result.end.usage.prefilled_tokens == 0
    assert partials(session) == []
    context = list(session.state.log)[: -len(result.tokens)]
    assert bare_answer(engine, context, 6) == list(result.tokens)


def test_a_message_that_goes_on_finds_its_beginning(engine: Engine) -> None:
    session = opened(engine)
    session.typing(SAID[:30], rest_ms=1e6)
    deadline = 200
    while deadline and not any(entry.tokens for entry in partials(session)):
        deadline -= 1
        engine.background.join(0.02)
    engine.manager.wait_prepositioned(5000.0)
    assert engine.wait_prepositioned(0.0) is False  # the rest is still awaited
    fresh = opened(engine).turn(SAID, max_new_tokens=6).result()
    result = session.turn(SAID, max_new_tokens=6).result()
    assert result.path == "entry"
    assert result.start is not None
    assert result.start.kind == "partial"
    assert result.end.usage.prefilled_tokens < fresh.end.usage.prefilled_tokens
    assert result.tokens == fresh.tokens
    session.close()


def test_one_guess_however_much_is_typed_and_taken_back(engine: Engine) -> None:
    session = opened(engine)
    for text in ("Hel", "Hello", "Hello th", "Hell", "Hello you", "Hello"):
        session.typing(text, rest_ms=0.0)
        assert engine.wait_prepositioned()
        assert len(partials(session)) == 1
    outcomes = engine.counters.entry_outcomes
    assert outcomes["cancelled"]["partial"] == 5
    assert outcomes["stale"]["partial"] == 0
    session.typing("")
    assert partials(session) == []
    assert engine.counters.entry_outcomes["cancelled"]["partial"] == 6


def test_an_append_and_the_end_of_a_turn_have_it_made_anew(engine: Engine) -> None:
    session = opened(engine)
    session.typing("Hello", rest_ms=0.0)
    engine.wait_prepositioned()
    session.append({"role": "user", "content": "by the way"})
    engine.wait_prepositioned()
    (entry,) = partials(session)
    assert entry.ready
    assert entry.data_version == session.data_version
    turn = session.turn("something else", max_new_tokens=4)
    session.typing("Thanks", rest_ms=0.0)  # while the answer comes
    turn.result()
    engine.wait_prepositioned()
    assert [entry.ready for entry in partials(session)] == [True]
    assert session.turn("Thanks", max_new_tokens=4).result().path == "ready"


def test_an_ephemeral_question_leaves_it(engine: Engine) -> None:
    session = opened(engine)
    session.typing("Hello", rest_ms=0.0)
    engine.wait_prepositioned()
    session.ask("why?").result()
    engine.wait_prepositioned()
    assert session.turn("Hello", max_new_tokens=4).result().path == "ready"


def test_only_the_newest_text_is_rendered(engine: Engine) -> None:
    """Many keys between two looks of the background thread cost one guess."""
    session = opened(engine)
    with session._lock:  # the background cannot declare anything meanwhile
        for length in range(1, len(SAID) + 1):
            session.typing(SAID[:length], rest_ms=0.0)
    assert engine.wait_prepositioned()
    outcomes = engine.counters.entry_outcomes
    assert sum(outcomes[how]["partial"] for how in outcomes) <= 1
    assert session.turn(SAID, max_new_tokens=4).result().path == "ready"


def test_without_prepositioning_or_a_tokenizer() -> None:
    with sim_engine(preposition=False) as plain:
        session = plain.open_session("Be kind.", sampling=GREEDY)
        session.typing("Hello", rest_ms=0.0)
        assert session.turn("Hello", max_new_tokens=4).result().path == "cold"
    with sim_engine(text=False) as bare, pytest.raises(InvalidArgument, match="no tokenizer"):
        bare.open_session(history=[5, 6, 7]).typing("Hello")


def test_a_closed_session_hears_nothing(engine: Engine) -> None:
    session = opened(engine)
    session.typing("Hello", rest_ms=10.0)
    session.close()
    session.typing("Hello you", rest_ms=0.0)
    assert engine.wait_prepositioned()
