"""An engine on the shipped model: its template, its tokenizer, its tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from poise import GREEDY, Engine, Gate, Question
from poise.cli.loading import shipped_model
from poise.demo.scripts import DeskScript, held_out
from tests.support.text_world import bare_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poise import Session


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine.load(shipped_model(), max_sequences=4, context_tokens=2048) as engine:
        yield engine


def fresh(engine: Engine, session: Session) -> list[int]:
    """The conversation so far, with its calls taken apart, rendered and tokenized at once."""
    conversation, text = session._conversation, engine.text
    assert conversation is not None
    assert text is not None
    messages = [text.mark(turned.parsed or turned.message) for turned in conversation.messages]
    rendered = text.render(messages, conversation.context, prompt=False)
    return text.tokenizer.encode(rendered, at_start=True).ids


def test_a_desk_session_with_tools(engine: Engine) -> None:
    script = next(script for script in held_out(2) if isinstance(script, DeskScript))
    with engine.open_session(script.system, tools=script.tools, sampling=GREEDY) as session:
        result = session.turn(script.says[0]).result()
        rounds = 0
        while result.tool_calls and rounds < 4:
            rounds += 1
            known = {tool["function"]["name"] for tool in script.tools}
            assert {call.name for call in result.tool_calls} <= known
            assert result.end.finish_reason == "tool_calls"
            assert "<tool_call>" not in result.text
            assert session.pending_calls == result.tool_calls
            result = session.turn(results=[script.answer(call) for call in result.tool_calls]).result()
        assert rounds > 0
        assert result.text
        assert result.end.finish_reason == "stop"
        log = list(session.state.log)
        # the log lacks only the line break behind the last end token
        assert fresh(engine, session)[: len(log)] == log
        assert bare_answer(engine, log[: len(log) - len(result.tokens)], 256) == list(result.tokens)


def test_a_declared_result_is_ready_and_answers_the_same(engine: Engine) -> None:
    script = next(script for script in held_out(2) if isinstance(script, DeskScript))
    tool = next(tool for tool in script.tools if "x-results" in tool)
    name, results = tool["function"]["name"], tool["x-results"]
    call = {"id": "c", "function": {"name": name, "arguments": {}}}
    history = [
        {"role": "user", "content": "please look"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    with engine.open_session("Be brief.", tools=[tool], history=history, sampling=GREEDY) as session:
        assert engine.wait_prepositioned(120)
        result = session.turn(results=results[0], max_new_tokens=12).result()
        assert result.path == "ready"
        assert result.end.usage.prefilled_tokens == 0
        log = list(session.state.log)
        assert bare_answer(engine, log[: len(log) - len(result.tokens)], 12) == list(result.tokens)


def test_a_question_about_a_stream_and_the_gate(engine: Engine) -> None:
    question = Question(
        content="Over the last 32 values, is the trend up or down? Answer with one word.",
        name="trend",
        max_new_tokens=4,
        gate=Gate(answers=("up", "down"), gap_threshold=0.0),
    )
    with engine.open_session("You watch the load.", questions=[question], sampling=GREEDY) as session:
        session.append({"role": "user", "content": " ".join(f"{100 + value}.0" for value in range(32))})
        assert engine.wait_prepositioned(120)
        version = session.data_version
        answer = session.ask("trend").result()
        assert answer.path in ("ready", "gate")
        assert answer.text in ("up", "down")
        assert answer.end.usage.prefilled_tokens == 0
        assert session.data_version == version
        assert session.ask("trend", use_entries=False, gate=None).result().text == answer.text


def test_stop_strings_on_real_text(engine: Engine) -> None:
    script = next(script for script in held_out(2) if isinstance(script, DeskScript))
    said = script.says[0]
    with engine.open_session(script.system, sampling=GREEDY) as session:
        whole = session.fork().turn(said, max_new_tokens=24).result()
        assert len(whole.text) > 8
        stop = whole.text[3:5]
        result = session.turn(said, max_new_tokens=24, stop=[stop, "never this"]).result()
        assert result.text == whole.text[: whole.text.index(stop)]
        assert result.end.finish_reason == "stop"
        session.turn("And now?", max_new_tokens=2).result()
        assert session.messages[2]["content"].startswith(result.text + stop)
