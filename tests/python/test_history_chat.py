"""Clients that resend everything: each request finds the session that holds most of it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from poise import GREEDY, ContextOverflow, Engine, EngineOptions, InvalidArgument, Sampling, TurnResult, _core
from tests.support.byte_vocab import ByteVocab
from tests.support.text_world import bare_answer, sim_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

Messages = list[dict[str, Any]]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SYSTEM = {"role": "system", "content": "Be kind."}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.fixture
def engine() -> Iterator[Engine]:
    with sim_engine() as engine:
        yield engine


def chat(engine: Engine, messages: Messages, **options: Any) -> TurnResult:
    options.setdefault("max_new_tokens", 6)
    return engine.chat(messages, sampling=GREEDY, stop_tokens=[0], **options).result()


def say(engine: Engine, messages: Messages, text: str, **options: Any) -> TurnResult:
    """One more question and its answer, which join the client's own copy of the conversation."""
    messages.append(user(text))
    result = chat(engine, messages, **options)
    messages.append({"role": "assistant", "content": result.text})
    return result


def only(engine: Engine) -> Any:
    (found,) = engine.chats._open
    return found.session


def log_of(engine: Engine, session: Any) -> str:
    assert engine.text is not None
    log = engine.text.tokenizer.vocab.detokenize(session.state.log, render_special=True)
    return log.decode("utf-8", "replace")


def context_of(result: TurnResult, session: Any) -> list[int]:
    return list(session.state.log)[: len(session.state.log) - len(result.tokens)]


def test_a_conversation_goes_on_in_its_session(engine: Engine) -> None:
    messages: Messages = [SYSTEM]
    for text in ("Hello", "and?", "the answer"):
        result = say(engine, messages, text)
        session = only(engine)
        assert list(result.tokens) == bare_answer(engine, context_of(result, session), 6)
    assert engine.counters.forks == 0
    assert len(engine.manager.sessions()) == 1
    assert [message["content"] for message in session.messages] == [message["content"] for message in messages]


def test_what_matched_is_neither_rendered_nor_tokenized() -> None:
    class Counting(ByteVocab):
        chars = 0

        def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
            Counting.chars += len(text)
            return super().tokenize(text, add_special=add_special, parse_special=parse_special)

    vocab = Counting()
    executor = _core.SimExecutor(_core.SimOptions(vocab_size=len(vocab), threaded=True, max_context_tokens=20_000))
    with Engine(executor, EngineOptions(seed=1), vocab=vocab) as engine:
        assert engine.text is not None
        assert engine.text.template is not None
        messages: Messages = [{"role": "system", "content": "x" * 5000}]
        say(engine, messages, "y" * 5000)
        for text in ("short", "shorter"):
            assert engine.wait_prepositioned()
            renderings, Counting.chars = engine.text.template.renderings, 0
            messages.append(user(text))
            turn = engine.chat(messages, sampling=GREEDY, stop_tokens=[0], max_new_tokens=6)
            assert engine.text.template.renderings == renderings
            assert Counting.chars < 100
            result = turn.result()
            assert result.path in ("entry", "ready")
            messages.append({"role": "assistant", "content": result.text})
        # an edit forks where the histories part, and still renders nothing
        assert engine.wait_prepositioned()
        engine.background.join(10.0)
        edited = [*messages[:3], user("instead")]
        renderings, Counting.chars = engine.text.template.renderings, 0
        turn = engine.chat(edited, sampling=GREEDY, stop_tokens=[0], max_new_tokens=6)
        assert Counting.chars < 200
        assert turn.result().end.usage.prefilled_tokens < 100
        assert engine.counters.forks == 1


def test_an_edit_forks_from_where_the_histories_part(engine: Engine) -> None:
    messages: Messages = [SYSTEM]
    first = say(engine, messages, "Hello")
    say(engine, messages, "and?")
    original = only(engine)
    before = list(original.state.log)
    edited = [*messages[:3], user("but why?")]
    result = chat(engine, edited)
    fork = next(found.session for found in engine.chats._open if found.session is not original)
    assert engine.counters.forks == 1
    assert list(original.state.log) == before
    assert [message["content"] for message in fork.messages[:4]] == [message["content"] for message in edited]
    assert f"{first.text}<|im_end|>\n<|im_start|>user\nbut why?<|im_end|>\n" in log_of(engine, fork)
    assert list(result.tokens) == bare_answer(engine, context_of(result, fork), 6)
    # both branches go on, each in its own session
    assert list(chat(engine, [*messages, user("a")]).tokens)
    branch = [*edited, {"role": "assistant", "content": result.text}, user("b")]
    assert list(chat(engine, branch).tokens)
    assert engine.counters.forks == 1
    assert original.messages[-2]["content"] == "a"
    assert fork.messages[-2]["content"] == "b"


def test_an_answer_asked_for_again_forks_before_the_question(engine: Engine) -> None:
    messages: Messages = [SYSTEM]
    say(engine, messages, "Hello")
    second = say(engine, messages, "and?")
    again = chat(engine, messages[:-1])
    assert engine.counters.forks == 1
    assert again.tokens == second.tokens  # greedy
    assert len(engine.chats) == 2
    assert chat(engine, [*messages, user("on")]).end.usage.answer_tokens > 0
    assert engine.counters.forks == 1


def test_the_very_first_question_asked_again(engine: Engine) -> None:
    messages: Messages = []
    first = say(engine, messages, "Hello")
    assert chat(engine, messages[:1]).tokens == first.tokens
    assert chat(engine, [user("Hallo")]).end.usage.answer_tokens > 0


def test_the_longest_history_wins(engine: Engine) -> None:
    messages: Messages = [SYSTEM]
    say(engine, messages, "Hello")
    say(engine, messages, "and?")
    other = [*messages[:3], user("but?")]
    chat(engine, other)
    sessions = len(engine.manager.sessions())
    result = chat(engine, [*messages, user("so")])
    assert len(engine.manager.sessions()) == sessions
    assert result.end.usage.context_tokens > 0
    found = next(chat.session for chat in engine.chats._open if chat.session.messages[-2]["content"] == "so")
    assert [message["content"] for message in found.messages[:5]] == [message["content"] for message in messages]


@pytest.mark.parametrize(
    "arguments",
    ['{"id": "7", "n": 1}', '{"n":1,"id":"7"}', '{\n  "n": 1,\n  "id": "7"\n}', {"id": "7", "n": 1}],
)
def test_a_call_in_other_clothes_is_the_same_history(engine: Engine, arguments: Any) -> None:
    def history(told: Any, call_id: str) -> Messages:
        call = {"id": call_id, "type": "function", "function": {"name": "f", "arguments": told}}
        return [
            user("where?"),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": "late"},
        ]

    first = chat(engine, history({"id": "7", "n": 1}, "c1"), tools=[TOOL])
    told = [*history(arguments, "other"), {"role": "assistant", "content": [{"type": "text", "text": first.text}]}]
    chat(engine, [*told, user("why?")], tools=[TOOL])
    assert (len(engine.chats), engine.counters.forks) == (1, 0)
    assert len(only(engine).messages) == 6


def test_a_call_of_the_model_comes_back_as_the_client_wrote_it_down(engine: Engine) -> None:
    assert engine.text is not None
    session = engine.open_session(tools=[TOOL], sampling=GREEDY)
    raw = '<tool_call>\n{"name": "f", "arguments": {"b": 1, "a": "x"}}\n</tool_call>'
    from poise.answer import AnswerReader
    from poise.text import identity
    from poise.text.messages import normalize

    reader = AnswerReader(engine.text, (), True, session._mint_call_id)
    for token in [*engine.text.tokenizer.plain("One moment." + raw), 0]:
        reader.feed(token)
    reader.close()
    call = {"id": reader.calls[0].id, "function": {"name": "f", "arguments": json.dumps({"a": "x", "b": 1}, indent=1)}}
    resent = normalize({"role": "assistant", "content": "One moment.", "tool_calls": [call]})
    assert identity.digest(resent) == identity.digest(reader.told())


def test_tenants_tools_and_arguments_part_histories(engine: Engine) -> None:
    messages: Messages = [SYSTEM]
    say(engine, messages, "Hello")
    more = [*messages, user("and?")]
    others: list[dict[str, Any]] = [{"tenant": "b"}, {"tools": [TOOL]}, {"template_arguments": {"x": 1}}]
    others += [{"adapter": 1}, {"adapter": 1, "adapter_scale": 0.5}]
    for other in others:
        before = len(engine.chats)
        chat(engine, more, **other)
        assert len(engine.chats) == before + 1
    assert engine.counters.forks == 0


def test_a_busy_session_is_forked_not_refused() -> None:
    endless = {"max_new_tokens": 4000, "sampling": Sampling(temperature=0.0, bias={0: -math.inf}), "stop_tokens": [0]}
    with sim_engine(sim={"sharpness": 0.5}) as engine:
        messages: Messages = [SYSTEM]
        say(engine, messages, "Hello")
        with engine.chat([*messages, user("long")], **endless):
            other = chat(engine, [*messages, user("meanwhile")])
            assert other.end.usage.answer_tokens > 0
        assert engine.counters.forks == 1
        # cancelled: the first session still stands where it stood
        assert chat(engine, [*messages, user("now")]).end.usage.answer_tokens > 0
        assert engine.counters.forks == 1


def test_sessions_are_bounded_and_closed_ones_are_forgotten() -> None:
    with sim_engine(max_chats=3) as engine:
        histories: list[Messages] = [[user(f"chat {n}")] for n in range(5)]
        for messages in histories:
            result = chat(engine, messages)
            messages.append({"role": "assistant", "content": result.text})
        assert len(engine.chats) == len(engine.manager.sessions()) == 3
        assert len(engine.chats.index) == 3
        chat(engine, [*histories[4], user("on")])
        assert len(engine.manager.sessions()) == 3
        chat(engine, [*histories[0], user("on")])  # its session is gone: a new one is made of what was sent
        assert len(engine.manager.sessions()) == 3
        for found in list(engine.chats._open):
            found.session.close()
        assert (len(engine.chats), len(engine.chats.index), engine.chats.index.keys_held) == (0, 0, 0)
        assert chat(engine, [*histories[4], user("on")]).end.usage.answer_tokens > 0


def test_no_room_in_the_manager_closes_the_oldest_chat() -> None:
    with sim_engine(max_sessions=2) as engine:
        for n in range(4):
            chat(engine, [user(f"chat {n}")])
        assert len(engine.manager.sessions()) == 2


def test_a_request_that_fails_leaves_nothing_behind(engine: Engine) -> None:
    with pytest.raises(ContextOverflow):
        chat(engine, [user("word " * 100_000)])
    with pytest.raises(InvalidArgument):
        chat(engine, [])
    with pytest.raises(InvalidArgument):
        chat(engine, [{"role": "user", "content": 7}])
    assert (len(engine.chats), engine.manager.sessions()) == (0, [])
    messages: Messages = [SYSTEM]
    say(engine, messages, "Hello")
    with pytest.raises(ContextOverflow):
        chat(engine, [*messages, user("word " * 100_000)])
    with pytest.raises(ContextOverflow):
        chat(engine, [*messages[:-1], {"role": "assistant", "content": "edited"}, user("word " * 100_000)])
    assert chat(engine, [*messages, user("fine")]).end.usage.answer_tokens > 0
    assert len(engine.chats) == 1


def test_a_thought_that_is_resent_must_be_the_one_that_was_thought(engine: Engine) -> None:
    messages: Messages = [SYSTEM]
    say(engine, messages, "Hello")
    messages[-1]["reasoning_content"] = "something else"
    chat(engine, [*messages, user("and?")])
    assert len(engine.chats) == 2
    messages[-1]["reasoning_content"] = ""
    chat(engine, [*messages, user("another")])  # without one, the first session goes on
    assert (len(engine.chats), engine.counters.forks) == (2, 1)
