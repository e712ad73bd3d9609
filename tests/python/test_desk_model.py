"""The shipped model: its data generator, its template, its tokenizer, and what it gets right."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from poise import GREEDY, Engine

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "engines" / "embedded"
HELD_OUT = ROOT / "python" / "poise" / "data" / "desk_heldout.jsonl"

sys.path.insert(0, str(EMBEDDED))

from desk.flows import FLOWS  # noqa: E402
from desk.pools import split_of  # noqa: E402
from desk.render import render  # noqa: E402
from desk.session import Session, make_session  # noqa: E402
from desk.stream import WINDOW, make_stream, messages_of  # noqa: E402
from desk.tools import TOOLS  # noqa: E402

IDS = ("order_id", "invoice_id", "serial", "email", "account", "code")


def ids_of(session: Session) -> set[str]:
    return {
        value
        for call in session.world
        for key, value in call["arguments"].items()
        if key in IDS and call["result"] != {"error": "not found"}
    }


def records() -> list[dict[str, Any]]:
    return [json.loads(line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("index", range(5))
def test_a_seed_gives_the_same_session(index: int) -> None:
    assert make_session(5, index, "train") == make_session(5, index, "train")
    assert make_stream(5, index, "train") == make_stream(5, index, "train")
    assert make_session(5, index, "train") != make_session(6, index, "train")


def test_held_out_ids_are_not_those_of_training() -> None:
    seen = {split: set[str]() for split in ("train", "heldout")}
    for index in range(60):
        seen["train"] |= ids_of(make_session(3, index, "train"))
        seen["heldout"] |= ids_of(make_session(3, index, "heldout"))
    assert len(seen["heldout"]) > 100
    assert not seen["train"] & seen["heldout"]
    for split, values in seen.items():
        assert {split_of(value) for value in values} == {split}


def test_every_workflow_and_every_tool_occurs() -> None:
    sessions = [make_session(8, index, "train") for index in range(120)]
    assert {flow for session in sessions for flow in session.flows} == set(FLOWS)
    calls = [m["tool_calls"][0]["function"] for s in sessions for m in s.messages if m.get("tool_calls")]
    assert {call["name"] for call in calls} == set(TOOLS)


def test_only_declared_tools_are_called_with_declared_results() -> None:
    for index in range(60):
        session = make_session(9, index, "heldout")
        offered = {tool["function"]["name"]: tool for tool in session.tools}
        for known in session.world:
            tool = offered[known["name"]]
            assert list(known["arguments"]) == tool["function"]["parameters"]["required"]
            if "x-results" in tool and "error" not in known["result"]:
                assert known["result"] in tool["x-results"]


def test_the_template_only_appends() -> None:
    for index in range(12):
        session = make_session(4, index, "heldout")
        before = render(session.messages[:1], session.tools)
        for count in range(2, len(session.messages) + 1):
            if session.messages[count - 1]["role"] == "assistant":
                before = render(session.messages[: count - 1], session.tools, add_generation_prompt=True)
            after = render(session.messages[:count], session.tools)
            assert after.startswith(before)
            before = after


def test_the_template_takes_arguments_as_text_and_as_an_object() -> None:
    text = make_session(4, 1, "train")
    messages = json.loads(json.dumps(text.messages))
    for message in messages:
        for call in message.get("tool_calls") or []:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert render(messages, text.tools) == render(text.messages, text.tools)


def test_likely_results_are_never_shown_to_the_model() -> None:
    session = make_session(4, 2, "train")
    assert any("x-results" in tool for tool in session.tools)
    assert "x-results" not in render(session.messages, session.tools)


def test_a_stream_asks_about_values_it_has_told() -> None:
    stream = make_stream(2, 7, "heldout", values=160, questions=4)
    assert len(stream.asked) == 4
    width = len(stream.data[0].split())
    assert all(WINDOW <= question.after * width <= 160 for question in stream.asked)
    answers = [m["content"] for m in messages_of(stream) if m["role"] == "assistant"]
    assert answers == [question.answer for question in stream.asked]


def test_the_held_out_file_keeps_its_schema() -> None:
    lines = records()
    assert HELD_OUT.stat().st_size <= 1_000_000
    assert len({line["id"] for line in lines}) == len(lines) >= 60
    closed = asked = 0
    for line in lines:
        assert line["kind"] in ("desk", "stream")
        if line["kind"] == "stream":
            assert line["answer_set"] == ["up", "down"]
            asks = [step for step in line["steps"] if "ask" in step]
            assert asks
            assert all(step["expected_answer"] in line["answer_set"] for step in asks)
            assert all(step["ask"] < len(line["questions"]) for step in asks)
            continue
        known = {call["name"] + json.dumps(call["arguments"], sort_keys=True) for call in line["world"]}
        listed = {tool["function"]["name"] for tool in line["tools"] if "x-results" in tool}
        for step in line["steps"]:
            assert step["role"] == "user"
            for call in step["expected_calls"]:
                assert call["name"] + json.dumps(call["arguments"], sort_keys=True) in known
                asked += 1
                closed += call["name"] in listed
    assert closed / asked >= 0.5


@pytest.fixture(scope="module")
def engine() -> Any:
    with Engine.load(EMBEDDED / "desk.gguf", preposition=False, threads=1, context_tokens=4096) as engine:
        yield engine


def test_token_ids_are_those_of_hugging_face(engine: Engine) -> None:
    assert engine.text is not None
    vocab = engine.text.tokenizer.vocab
    for line in (EMBEDDED / "tokenizer.cases.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        ids = vocab.tokenize(case["text"], add_special=False, parse_special=True)
        assert list(ids) == case["ids"]
        assert vocab.detokenize(ids, render_special=True).decode() == case["text"]
    for answer in ("up", "down"):
        assert len(engine.text.tokenizer.plain(answer)) == 1


def test_the_file_carries_the_template_of_training(engine: Engine) -> None:
    assert engine.text is not None
    source = (EMBEDDED / "desk" / "chat_template.jinja").read_text(encoding="utf-8")
    assert engine.text.tokenizer.vocab.chat_template() == source


@pytest.mark.slow
def test_held_out_tool_choices_are_right(engine: Engine) -> None:
    """At least 40 choices, played live; a conversation ends at its first wrong call."""
    asked = right = 0
    for line in [record for record in records() if record["kind"] == "desk"][1:]:
        if asked >= 40:
            break
        world = {c["name"] + json.dumps(c["arguments"], sort_keys=True): c["result"] for c in line["world"]}
        with engine.open_session(line["system"], tools=line["tools"], sampling=GREEDY) as session:
            good = True
            for step in line["steps"]:
                result = session.turn(step["content"]).result()
                for call in step["expected_calls"]:
                    asked += 1
                    made = result.tool_calls
                    right += bool(made) and made[0].name == call["name"]
                    good = bool(made) and (made[0].name, made[0].arguments) == (
                        call["name"],
                        call["arguments"],
                    )
                    if not good:
                        break
                    answer = world[call["name"] + json.dumps(call["arguments"], sort_keys=True)]
                    result = session.turn(results=[answer]).result()
                if not good:
                    break
    assert asked >= 40
    assert right / asked >= 0.9, f"{right} of {asked}"
