"""Turns of an engine: events in order, ids beside text, the log as the conversation renders."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import pytest

from poise import GREEDY, Conflict, End, InvalidArgument, NotFound, Sampling, Session, Start, Text
from tests.support.byte_vocab import CHATML_TOOLS
from tests.support.text_world import bare_answer, sim_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poise import Engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    with sim_engine() as engine:
        yield engine


# The end token is forbidden: such a turn ends by length, after thousands of tokens, or by cancel.
ENDLESS: dict[str, Any] = {
    "max_new_tokens": 4000,
    "sampling": Sampling(temperature=0.0, bias={0: -math.inf}),
    "stop_tokens": [0],
}


def opened(engine: Engine, system: str | None = "Be kind.", **options: Any) -> Session:
    return engine.open_session(system, sampling=GREEDY, **options)


def fresh(engine: Engine, session: Session, *, prompt: bool) -> list[int]:
    """The ids of the whole conversation, rendered and tokenized at once."""
    conversation = session._conversation
    assert conversation is not None
    assert engine.text is not None
    marked = [engine.text.mark(turned.shown) for turned in conversation.messages]
    text = engine.text.render(marked, conversation.context, prompt=prompt)
    return engine.text.tokenizer.encode(text, at_start=True).ids


def text_of(engine: Engine, ids: list[int]) -> str:
    """The toy model writes bytes that are no UTF-8; rendered again they are U+FFFD."""
    assert engine.text is not None
    return engine.text.tokenizer.vocab.detokenize(ids, render_special=True).decode("utf-8", "replace")


def test_events_come_in_order_and_say_the_same_as_the_result(engine: Engine) -> None:
    turn = opened(engine).turn("Hello", max_new_tokens=12)
    events = list(turn)
    assert isinstance(events[0], Start)
    assert isinstance(events[-1], End)
    assert all(isinstance(event, Text) for event in events[1:-1])
    result = turn.result()
    assert "".join(event.text for event in events if isinstance(event, Text)) == result.text == turn.text
    told = [token for event in events if isinstance(event, Text) for token in event.tokens]
    assert told == list(result.tokens)[: len(told)]
    assert result.end.usage.answer_tokens == len(result.tokens) > 0
    assert list(turn) == []


def test_the_first_turn_prefills_what_idle_time_has_not(engine: Engine) -> None:
    with sim_engine(preposition=False) as plain:
        first = opened(plain).turn("Hello", max_new_tokens=2).result()
        assert first.path == "cold"
        assert first.end.usage.prefilled_tokens == first.end.usage.context_tokens
    session = opened(engine)
    assert engine.wait_prepositioned()
    ahead = session.turn("Hello", max_new_tokens=2).result()
    assert ahead.path == "entry"
    assert ahead.start is not None
    assert ahead.start.kind == "turn"
    assert ahead.start.prepositioned_tokens > 0
    delta = ahead.start.delta_tokens
    assert ahead.end.usage.prefilled_tokens == delta < first.end.usage.prefilled_tokens
    assert ahead.tokens == first.tokens


def test_the_log_is_the_rendered_conversation(engine: Engine) -> None:
    session = opened(engine)
    for text in ("Hello", "the <|im_end|>", "answer"):
        session.turn(text, max_new_tokens=6, stop_tokens=[0]).result()
    session.append({"role": "user", "content": "by the way"})
    assert session.messages[-1] == {"role": "user", "content": "by the way"}
    assert text_of(engine, session.state.log) == text_of(engine, fresh(engine, session, prompt=False))


def test_answers_are_those_of_the_bare_executor(engine: Engine) -> None:
    session = opened(engine)
    for text in ("Hello", "and", "more"):
        engine.wait_prepositioned()
        before = list(session.state.log)
        result = session.turn(text, max_new_tokens=10).result()
        log = list(session.state.log)
        assert log[len(log) - len(result.tokens) :] == list(result.tokens)
        assert log[: len(before)] == before
        assert bare_answer(engine, log[: len(log) - len(result.tokens)], 10) == list(result.tokens)


@pytest.mark.parametrize("preposition", [True, False])
def test_a_rebase_answers_as_if_the_log_had_always_been_so(preposition: bool) -> None:
    forgetful = CHATML_TOOLS.replace("'<|im_start|>assistant\\n' + message.content", "'<|im_start|>assistant\\n'")
    with sim_engine(forgetful, history="rendered", preposition=preposition) as engine:
        session = opened(engine)
        for text in ("Hello", "and", "more"):
            if preposition:
                engine.wait_prepositioned()
            result = session.turn(text, max_new_tokens=6, stop_tokens=[0]).result()
            # Idle time may have rewritten the log since: the question as it was told is rendered again.
            assert session._conversation is not None
            assert engine.text is not None
            marked = [turned.shown_marked for turned in session._conversation.messages[:-1]]
            told = engine.text.render(marked, session._conversation.context, prompt=True)
            context = engine.text.tokenizer.encode(told, at_start=True).ids
            assert result.end.usage.context_tokens == len(context)
            assert bare_answer(engine, context, 6) == list(result.tokens)
            # every earlier answer is empty in the log, as the template tells it
            assert text_of(engine, context).count("<|im_start|>assistant\n<|im_end|>") == len(session.messages) // 2 - 1
        assert engine.counters.rebases >= 2


@pytest.mark.asyncio
async def test_async_iteration_gives_the_same_events(engine: Engine) -> None:
    one, two = opened(engine), opened(engine)
    said = [event async for event in one.turn("Hello", max_new_tokens=8)]
    sync = list(two.turn("Hello", max_new_tokens=8))
    assert [event.text for event in said if isinstance(event, Text)] == [
        event.text for event in sync if isinstance(event, Text)
    ]
    assert (await one.turn("more", max_new_tokens=3).aresult()).end.usage.answer_tokens == 3


@pytest.mark.asyncio
async def test_leaving_a_turn_cancels_it() -> None:
    with sim_engine(sim={"sharpness": 0.5}) as engine:
        session = opened(engine)
        before = list(session.state.log)
        with session.turn("Hello", **ENDLESS) as turn:
            next(iter(turn))
        assert turn.result().end.finish_reason == "cancelled"
        async with session.turn("Hello", **ENDLESS) as turn:
            async for _ in turn:
                break
        assert turn.result().end.finish_reason == "cancelled"
        assert list(session.state.log) == before
        assert session.messages == [{"role": "system", "content": "Be kind."}]


def test_token_ids_all_the_way(engine: Engine) -> None:
    with sim_engine(text=False) as bare:
        session = bare.open_session(history=[5, 6, 7], sampling=GREEDY)
        session.append([8, 9])
        events = list(session.turn([10, 11], max_new_tokens=4))
        texts = [event for event in events if isinstance(event, Text)]
        assert [event.text for event in texts] == [""] * len(texts)
        answer = [token for event in texts for token in event.tokens]
        assert list(session.state.log) == [5, 6, 7, 8, 9, 10, 11, *answer]
        assert bare_answer(bare, [5, 6, 7, 8, 9, 10, 11], 4) == answer
        with pytest.raises(InvalidArgument, match="no tokenizer"):
            session.turn("text")


def test_a_registered_question_of_ids_is_ready() -> None:
    with sim_engine(text=False) as bare:
        session = bare.open_session(history=[5, 6, 7], sampling=GREEDY)
        label = session.register_question(question_of((20, 21)))
        assert bare.wait_prepositioned()
        asked = session.ask(label).result()
        assert asked.path == "ready"
        assert asked.end.usage.prefilled_tokens == 0
        assert list(session.state.log) == [5, 6, 7]


def question_of(ids: tuple[int, ...]) -> Any:
    from poise import Question

    return Question(content=ids, name="ids", max_new_tokens=4)


def test_ids_and_messages_in_one_session(engine: Engine) -> None:
    session = opened(engine)
    session.turn([70, 71, 72], max_new_tokens=3).result()
    session.turn("Hello", max_new_tokens=3).result()
    text = engine.text.tokenizer.vocab.detokenize(session.state.log, render_special=True)  # type: ignore[union-attr]
    assert text.startswith(b"<|im_start|>system\nBe kind.<|im_end|>\n")
    assert b"<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n" in text


def test_a_stop_string_ends_the_turn_and_stays_in_the_log(engine: Engine) -> None:
    session = opened(engine)
    whole = session.fork().turn("Hello", max_new_tokens=24, stop_tokens=[1]).result()
    stop = whole.text[4:6]
    at = whole.text.index(stop)
    result = session.turn("Hello", max_new_tokens=24, stop_tokens=[1], stop=stop).result()
    assert result.end.finish_reason == "stop"
    assert result.text == whole.text[:at]
    assert result.tokens == whole.tokens[: len(result.tokens)]
    before = list(session.state.log)[: result.end.usage.context_tokens]
    session.turn("next", max_new_tokens=2).result()
    log = list(session.state.log)
    assert log[: len(before) + len(result.tokens)] == [*before, *result.tokens]
    following = log[len(before) + len(result.tokens) :]
    assert engine.text is not None
    assert engine.text.tokenizer.vocab.detokenize(following, render_special=True).startswith(
        b"<|im_end|>\n<|im_start|>"
    )


def test_appends_queue_behind_a_running_turn() -> None:
    with sim_engine(sim={"sharpness": 0.5}) as engine:
        session = opened(engine)
        turn = session.turn("Hello", **{**ENDLESS, "max_new_tokens": 400})
        appended = session.append({"role": "user", "content": "tick"})
        if not turn.ended:
            assert appended.queued
        turn.result()
        assert session.messages[-1]["content"] == "tick"
        assert session.messages[-2]["role"] == "assistant"


def test_a_second_writer_gets_a_conflict_and_the_first_goes_on() -> None:
    with sim_engine(sim={"sharpness": 0.5}) as engine:
        session = opened(engine)
        turn = session.turn("Hello", **ENDLESS)
        with pytest.raises(Conflict):
            session.turn("me too")
        turn.cancel()
        assert turn.result().end.finish_reason == "cancelled"
        assert session.turn("now?", max_new_tokens=2).result().end.usage.answer_tokens > 0


def test_a_turn_nobody_reads_is_settled_by_the_next_one(engine: Engine) -> None:
    session = opened(engine)
    unread = session.turn("Hello", max_new_tokens=3)
    until = time.monotonic() + 30
    while session.state.busy and time.monotonic() < until:
        time.sleep(0.001)
    session.turn("next", max_new_tokens=3).result()
    assert unread.ended
    assert [message["content"] for message in session.messages if message["role"] == "user"] == [
        "Hello",
        "next",
    ]
    assert unread.result().end.usage.answer_tokens == 3


def test_forks_go_their_own_ways(engine: Engine) -> None:
    session = opened(engine)
    session.turn("Hello", max_new_tokens=3).result()
    fork = session.fork()
    fork.turn("left", max_new_tokens=3).result()
    session.turn("right", max_new_tokens=3).result()
    assert fork.messages[:3] == session.messages[:3]
    assert fork.messages[3]["content"] == "left"
    assert session.messages[3]["content"] == "right"


def test_closed_sessions_are_not_found(engine: Engine) -> None:
    with opened(engine) as session:
        pass
    session.close()
    with pytest.raises(NotFound):
        session.turn("Hello")
    with pytest.raises(NotFound):
        session.append("Hello")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_a_bad_temperature_changes_nothing(engine: Engine, bad: float) -> None:
    session = opened(engine)
    with pytest.raises(InvalidArgument, match="temperature"):
        session.turn("Hello", sampling=Sampling(temperature=bad))
    assert len(session.messages) == 1
    assert session.turn("Hello", max_new_tokens=2).result().end.usage.answer_tokens == 2


@pytest.mark.parametrize("empty", ["", [], None])
def test_an_empty_append_is_refused(engine: Engine, empty: Any) -> None:
    session = opened(engine)
    with pytest.raises(InvalidArgument):
        session.append(empty)
    assert session.data_version == 1


@pytest.mark.parametrize("ids", [[-1], [10**6], [2**40]])
def test_ids_out_of_range_are_refused(engine: Engine, ids: list[int]) -> None:
    session = opened(engine)
    with pytest.raises(InvalidArgument):
        session.turn(ids)
    with pytest.raises(InvalidArgument):
        session.append(ids)
    assert session.turn("Hello", max_new_tokens=2).result().end.usage.answer_tokens == 2


def test_options_are_checked() -> None:
    with pytest.raises(InvalidArgument, match="anticipate"):
        sim_engine(anticipate=("turn", "weather"))
    with pytest.raises(InvalidArgument, match="layout"):
        sim_engine(layout="sideways")
