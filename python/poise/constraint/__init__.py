"""Structured output: what an answer may be, as a JSON schema, a regular expression, choices or a grammar."""

from poise.constraint.specs import (
    Choices,
    Grammar,
    JsonSchema,
    Regex,
    Spec,
    choices,
    from_response_format,
    grammar,
    json_schema,
    regex,
)

__all__ = [
    "Choices",
    "Grammar",
    "JsonSchema",
    "Regex",
    "Spec",
    "choices",
    "from_response_format",
    "grammar",
    "json_schema",
    "regex",
]
