"""What sessions guess by themselves, and what it saves."""

from __future__ import annotations

from typing import Any

import pytest

from poise import GREEDY, Engine, Gate, InvalidArgument, Question, Session, TurnResult
from tests.support.byte_vocab import CHATML_TOOLS
from tests.support.text_world import sim_engine

TOOL = {
    "type": "function",
    "function": {"name": "check_stock", "parameters": {"type": "object", "properties": {}}},
}
DECLARED = {**TOOL, "x-results": [{"in_stock": True}, {"in_stock": False}]}
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "is A there?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "function": {"name": "check_stock", "arguments": '{"sku": "A"}'}}],
    },
]


def opened(engine: Engine, **options: Any) -> Session:
    return engine.open_session("Be kind.", sampling=GREEDY, **options)


def calling(engine: Engine, **options: Any) -> Session:
    """A session whose newest answer made a call: the toy model never makes one by itself."""
    session = opened(engine, history=CALLED, **options)
    assert engine.wait_prepositioned()
    return session


def labels(session: Session, kind: str) -> set[tuple[str, str]]:
    return {(entry.source.name, entry.label) for entry in session.state.entries if entry.kind.name == kind}


def test_framing_is_known_and_what_is_typed_is_not() -> None:
    with sim_engine() as engine:
        session = opened(engine)
        assert engine.wait_prepositioned()
        entries = session.state.entries
        assert [(entry.kind.name, entry.decides) for entry in entries] == [("turn", False)]
        # "<|im_start|>", "user\\n": a line break at a message's beginning would melt into the latter
        assert 1 <= entries[0].tokens <= 2


def test_declared_results_are_ready_for_the_matching_one() -> None:
    with sim_engine(anticipate=("turn", "tool_result:declared")) as engine:
        session = calling(engine, tools=[DECLARED])
        assert labels(session, "tool_result") == {
            ("none", "check_stock"),
            ("declared", 'check_stock: {"in_stock": true}'),
            ("declared", 'check_stock: {"in_stock": false}'),
        }
        result = session.turn(results={"in_stock": False}, max_new_tokens=6).result()
        assert result.path == "ready"
        assert result.start is not None
        assert (result.start.source, result.start.kind) == ("declared", "tool_result")
        assert result.end.usage.prefilled_tokens == 0


def test_an_append_confirms_a_guess_and_the_turn_behind_it_is_ready() -> None:
    with sim_engine(anticipate=("tool_result:declared",)) as engine:
        session = calling(engine, tools=[DECLARED])
        appended = session.append(results={"in_stock": True})
        assert appended.advanced_entries >= 1
        result = session.turn(max_new_tokens=6).result()
        assert result.path == "ready"
        assert result.end.usage.prefilled_tokens == 0


def test_results_seen_before_are_learned_but_only_within_a_tenant() -> None:
    with sim_engine(anticipate=("tool_result:learned",)) as engine:
        first = calling(engine, tools=[TOOL], tenant="a")
        assert [source for source, _ in labels(first, "tool_result")] == ["none"]
        first.turn(results="42 pieces", max_new_tokens=2).result()
        again = calling(engine, tools=[TOOL], tenant="a")
        assert ("learned", "check_stock: 42 pieces") in labels(again, "tool_result")
        other = calling(engine, tools=[TOOL], tenant="b")
        assert [source for source, _ in labels(other, "tool_result")] == ["none"]
        result = again.turn(results="42 pieces", max_new_tokens=2).result()
        assert result.start is not None
        assert (result.path, result.start.source) == ("ready", "learned")


def test_the_model_may_guess_the_result_itself() -> None:
    with sim_engine(anticipate=("tool_result:model",), model_guess_tokens=8) as engine:
        session = calling(engine, tools=[TOOL])
        assert ("model", "check_stock: the model's guess") in labels(session, "tool_result")


def test_everything_can_be_switched_off() -> None:
    with sim_engine(anticipate=()) as engine:
        session = calling(engine, tools=[DECLARED], questions=["up?"])
        assert session.state.entries == []


def test_a_registered_question_follows_the_log() -> None:
    with sim_engine() as engine:
        session = opened(engine, questions=[Question(content="up or down?", name="trend", max_new_tokens=4)])
        for value in ("1 2 3", "4 5 6"):
            session.append({"role": "user", "content": value})
            assert engine.wait_prepositioned()
            version = session.data_version
            asked = session.ask("trend").result()
            assert asked.path == "ready"
            assert asked.start is not None
            assert asked.start.kind == "question"
            assert asked.end.usage.prefilled_tokens == 0
            assert session.data_version == version
        session.turn("and you?", max_new_tokens=3, stop_tokens=[0]).result()
        assert engine.wait_prepositioned()
        # behind an answer the question begins with the line break of its end
        assert session.ask("trend").result().path == "ready"


def test_many_questions_share_one_sequence() -> None:
    questions = [f"question number {number}?" for number in range(20)]
    with sim_engine(sim={"max_sequences": 2}) as engine:
        session = opened(engine, questions=questions)
        assert engine.wait_prepositioned()
        for question in questions:
            assert session.ask(question, max_new_tokens=3).result().path == "ready"
        assert engine.executor.stats().sequences_used == 1


def test_the_answers_are_those_without_guesses() -> None:
    def play(engine: Engine) -> list[tuple[int, ...]]:
        session = opened(engine, tools=[DECLARED], questions=["up?"])
        said: list[TurnResult] = []
        for text in ("Hello", "and now", "the end"):
            engine.background.join(10.0)
            if engine.options.preposition:
                engine.wait_prepositioned()
            said += [
                session.turn(text, max_new_tokens=20).result(),
                session.ask("up?", max_new_tokens=20).result(),
            ]
        return [result.tokens for result in said]

    with sim_engine() as guessing, sim_engine(preposition=False) as plain:
        assert play(guessing) == play(plain)
        assert guessing.counters.turns_by_path != plain.counters.turns_by_path


def test_a_hint_and_a_retraction() -> None:
    with sim_engine(anticipate=()) as engine:
        session = opened(engine)
        session.anticipate("Hello")
        wrong = session.anticipate("Bye", label="wrong")
        session.retract(wrong)
        assert engine.wait_prepositioned()
        assert [entry.label for entry in session.state.entries] == [""]
        result = session.turn("Hello", max_new_tokens=3).result()
        assert result.start is not None
        assert (result.path, result.start.kind, result.start.source) == ("ready", "hint", "client")


def test_text_that_is_still_being_typed() -> None:
    with sim_engine(anticipate=()) as engine:
        session = opened(engine)
        session.anticipate("Hello the an", kind="partial")
        assert engine.wait_prepositioned()
        result = session.turn("Hello the answer", max_new_tokens=3).result()
        assert result.start is not None
        assert (result.path, result.start.kind) == ("entry", "partial")
        assert result.start.prepositioned_tokens > 4


def test_a_gate_answers_only_where_it_may() -> None:
    with sim_engine(text=False, sim={"sharpness": 6.0}) as engine:
        session = engine.open_session(history=[5, 6, 7], sampling=GREEDY)
        session.anticipate([20, 21])
        assert engine.wait_prepositioned()
        (entry,) = session.state.entries
        other = (entry.top1 + 1) % 200
        request = [20, 21, 22]  # more than the entry proves

        def ask(**gate: Any) -> str:
            return session.turn(request, durable=False, max_new_tokens=1, **gate).result().path

        assert ask() == "entry"
        assert ask(gate=Gate(answers=(entry.top1, other), gap_threshold=0.0)) == "gate"
        assert ask(gate=Gate(answers=(entry.top1, other), gap_threshold=1e6)) == "entry"
        assert ask(gate=Gate(answers=(other, (other + 1) % 200), gap_threshold=0.0)) == "entry"


def test_answers_of_a_gate_must_differ_in_their_first_token() -> None:
    with sim_engine() as engine:
        session = opened(engine)
        with pytest.raises(InvalidArgument, match="same token"):
            session.ask("up?", gate=Gate(answers=("up", "upwards")))
        with pytest.raises(InvalidArgument, match="empty"):
            session.ask("up?", gate=Gate(answers=("up", "")))


def test_a_template_that_forgets_is_guessed_behind_its_rewritten_log() -> None:
    forgetful = CHATML_TOOLS.replace("'<|im_start|>assistant\\n' + message.content", "'<|im_start|>assistant\\n'")
    with sim_engine(forgetful, history="rendered") as engine:
        session = opened(engine)
        session.turn("Hello", max_new_tokens=3).result()
        assert engine.wait_prepositioned()
        assert engine.counters.rebases == 1
        assert labels(session, "turn") == {("none", "user message")}
        result = session.turn("next", max_new_tokens=3).result()
        assert result.path == "entry"
