"""What an answer may be. Plain values: equal ones share one compiled constraint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from poise.errors import InvalidArgument

Whitespace = Literal["compact", "spaced", "free"]
_WHITESPACE = ("compact", "spaced", "free")


@dataclass(frozen=True)
class JsonSchema:
    """JSON text that a schema accepts. Made by json_schema()."""

    schema: str
    whitespace: Whitespace = "compact"


@dataclass(frozen=True)
class Regex:
    """Text that a regular expression matches as a whole."""

    pattern: str


@dataclass(frozen=True)
class Choices:
    """One of some texts."""

    options: tuple[str, ...]


@dataclass(frozen=True)
class Grammar:
    """Text of a context-free grammar in llguidance's variant of Lark."""

    lark: str


Spec: TypeAlias = JsonSchema | Regex | Choices | Grammar


def json_schema(schema: Mapping[str, Any] | str, *, whitespace: Whitespace = "compact") -> JsonSchema:
    """JSON text that `schema` accepts.

    `whitespace`: "compact" writes none, which forces the most ids; "spaced" one space behind each comma and
    colon; "free" leaves it to the model.
    """
    if whitespace not in _WHITESPACE:
        raise InvalidArgument(f"whitespace: {whitespace!r} is unknown; choose from {list(_WHITESPACE)}")
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError as error:
            raise InvalidArgument(f"the JSON schema is not JSON: {error}") from error
    if not isinstance(schema, Mapping):
        raise InvalidArgument(f"the JSON schema is a {type(schema).__name__}; it must be an object")
    try:
        # not sorted: properties are written in the schema's order
        return JsonSchema(json.dumps(schema, ensure_ascii=False, separators=(",", ":"), allow_nan=False), whitespace)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"the JSON schema cannot be written as JSON: {error}") from error


def regex(pattern: str) -> Regex:
    """Text that `pattern` matches as a whole, in the syntax of Rust's regex crate without look-around."""
    if not isinstance(pattern, str):
        raise InvalidArgument(f"the regular expression is a {type(pattern).__name__}; it must be text")
    return Regex(pattern)


def choices(options: Sequence[str]) -> Choices:
    """One of `options`, letter for letter."""
    known = tuple(dict.fromkeys([options] if isinstance(options, str) else options))
    if not known or "" in known or any(type(option) is not str for option in known):
        raise InvalidArgument(f"choices: {options!r}; give at least one text, none of them empty")
    return Choices(known)


def grammar(lark: str) -> Grammar:
    """Text of a grammar that begins with `start:`; JSON schemas (`%json`) and regular expressions may be part of it."""
    if not isinstance(lark, str):
        raise InvalidArgument(f"the grammar is a {type(lark).__name__}; it must be text")
    return Grammar(lark)


def from_response_format(given: Mapping[str, Any]) -> Spec | None:
    """OpenAI's `response_format`: text (no constraint), json_object, json_schema."""
    kind = given.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return json_schema({"type": "object"})
    if kind == "json_schema":
        inner = given.get("json_schema")
        if not isinstance(inner, Mapping) or not isinstance(inner.get("schema"), Mapping):
            raise InvalidArgument("response_format: json_schema needs an object with the key `schema`")
        return json_schema(inner["schema"])
    raise InvalidArgument(f"response_format: type {kind!r} is unknown; choose from text, json_object, json_schema")
