"""What can be said about an answer, and what is refused: before anything is enqueued."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from poise import GREEDY, InvalidArgument, Question, choices, grammar, json_schema, regex
from poise.constraint import Spec, from_response_format
from tests.support.text_world import sim_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poise import Engine

NEVER_ENDS = {
    "$ref": "#/$defs/a",
    "$defs": {
        "a": {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/a"}},
            "required": ["a"],
            "additionalProperties": False,
        }
    },
}

#: name -> (spec, what the error says)
REFUSED: dict[str, tuple[Spec, str]] = {
    "unknown type": (json_schema({"type": "word"}), "the JSON schema: Invalid type: word"),
    "minimum above maximum": (json_schema({"type": "integer", "minimum": 5, "maximum": 3}), "Unsatisfiable"),
    "incompatible": (json_schema({"allOf": [{"type": "string"}, {"type": "integer"}]}), "Unsatisfiable"),
    "no member": (json_schema({"enum": []}), "Unsatisfiable"),
    "required but impossible": (
        json_schema({"type": "object", "properties": {"a": False}, "required": ["a"]}),
        "Unsatisfiable",
    ),
    "unsupported keyword": (json_schema({"not": {"type": "string"}}), "Unimplemented keys"),
    "never ends": (json_schema(NEVER_ENDS), "forced tokens"),
    "open group": (regex("(a"), "unclosed group"),
    "look-ahead": (regex("a(?=b)"), "look-around"),
    "no text": (regex(r"a[^\s\S]"), "no text satisfies it"),
    "unknown rule": (grammar('start: "a" foo'), "unknown name"),
    "endless rule": (grammar('start: "a" start'), "forced tokens"),
    "no grammar": (grammar("hello"), "the grammar"),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with sim_engine(preposition=False) as engine:
        yield engine


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_spec_is_refused_and_the_session_goes_on(engine: Engine, name: str) -> None:
    spec, message = REFUSED[name]
    with engine.open_session("Hello", sampling=GREEDY) as session:
        before = engine.executor.stats(), list(session.state.log)
        with pytest.raises(InvalidArgument, match=message):
            session.turn("Say something", constraint=spec)
        with pytest.raises(InvalidArgument, match=message):
            session.register_question(Question(content="What?", constraint=spec))
        after = engine.executor.stats(), list(session.state.log)
        assert (after[0].steps, after[1]) == (before[0].steps, before[1])
        assert session.ask("Well?", max_new_tokens=3).result().end.usage.answer_tokens <= 3
        with pytest.raises(InvalidArgument, match=message):
            engine.open_session("Hello", questions=[Question(content="What?", constraint=spec)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: json_schema("{"), "is not JSON"),
        (lambda: json_schema("[1]"), "must be an object"),
        (lambda: json_schema({"a": object()}), "cannot be written"),
        (lambda: json_schema({"const": float("nan")}), "cannot be written"),
        (lambda: json_schema({}, whitespace="much"), "whitespace: 'much'"),  # type: ignore[arg-type]
        (lambda: regex(3), "must be text"),  # type: ignore[arg-type]
        (lambda: grammar(b"start"), "must be text"),  # type: ignore[arg-type]
        (lambda: choices([]), "at least one"),
        (lambda: choices(["a", ""]), "none of them empty"),
        (lambda: choices([1]), "at least one"),  # type: ignore[list-item]
        (lambda: from_response_format({"type": "yaml"}), "'yaml' is unknown"),
        (lambda: from_response_format({"type": "json_schema"}), "the key `schema`"),
    ],
)
def test_what_is_no_spec_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


def test_equal_specs_share_one_compiled_constraint(engine: Engine) -> None:
    one = engine.constraint(json_schema({"type": "integer"}))
    assert engine.constraint(json_schema('{"type": "integer"}')) is one
    assert engine.constraint(json_schema({"type": "integer"}, whitespace="free")) is not one
    assert engine.constraint(None) is None


def test_the_order_of_properties_is_the_schemas() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    assert list(json.loads(json_schema(schema).schema)["properties"]) == ["b", "a"]


def test_response_formats() -> None:
    schema = {"type": "object", "properties": {}}
    given = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    assert from_response_format(given) == json_schema(schema)
    assert from_response_format({"type": "json_object"}) == json_schema({"type": "object"})
    assert from_response_format({"type": "text"}) is None


def test_one_of_both(engine: Engine) -> None:
    with pytest.raises(InvalidArgument, match="not both"):
        engine.constraint(regex("a"), {"type": "json_object"})


def test_without_a_tokenizer_there_are_no_specs() -> None:
    with sim_engine(text=False) as engine, pytest.raises(InvalidArgument, match="no tokenizer"):
        engine.constraint(regex("a"))


def test_a_missing_llguidance_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with sim_engine() as engine, pytest.raises(InvalidArgument, match=r"pip install 'poise-llm\[structured\]'"):
        engine.constraint(regex("a"))
