"""Tool calls in a stream: any cutting of the text gives the same events."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.tools.parser import ParsedCall, ParsedNotice, ParsedText, ToolParser

CALL = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
ANSWERS = [
    "plain text\n",
    CALL,
    "Let me see.\n" + CALL,
    CALL + "\n" + CALL + "\n",
    "a <tool_ca b </tool_call> c",
    "<tool_call>not json</tool_call> and on",
    '<tool_call>{"name": 3}</tool_call>',
    '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>',
    "text " + CALL + " more text " + CALL,
    '<tool_call>{"name": "f"}',
    "<tool_call>" * 3,
    "<tool_call>[1]</tool_call>",
    "  \n",
]


def parse(pieces: list[str]) -> tuple[str, list[ParsedCall], int]:
    parser = ToolParser()
    found = [item for piece in pieces for item in parser.feed(piece)] + parser.close()
    text = "".join(item.text for item in found if isinstance(item, ParsedText))
    calls = [item for item in found if isinstance(item, ParsedCall)]
    return text, calls, sum(isinstance(item, ParsedNotice) for item in found)


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 200), max_size=20))
def test_cutting_changes_nothing(answer: str, cuts: list[int]) -> None:
    places = [0, *sorted(cut % (len(answer) + 1) for cut in cuts), len(answer)]
    pieces = [answer[a:b] for a, b in itertools.pairwise(places)]
    assert parse(pieces) == parse([answer])


def test_text_comes_before_the_calls_and_layout_is_dropped() -> None:
    text, calls, notices = parse(["Let me see.\n" + CALL + "\n" + CALL + "\n"])
    assert text == "Let me see."
    assert [(call.name, call.arguments) for call in calls] == [("f", {"a": 1})] * 2
    assert calls[0].raw == CALL
    assert notices == 0


def test_text_without_calls_is_untouched() -> None:
    assert parse([" a \n\n b\n"]) == (" a \n\n b\n", [], 0)


@pytest.mark.parametrize(
    "inside",
    ["not json", '{"name": 3}', '{"arguments": {}}', "[1]", '{"name": "f", "arguments": 3}', "", "[" * 5000],
)
def test_what_is_no_call_stays_text_with_a_notice(inside: str) -> None:
    raw = f"<tool_call>{inside}</tool_call>"
    assert parse([raw]) == (raw, [], 1)


def test_arguments_may_be_a_string_of_json() -> None:
    _, calls, _ = parse(['<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>'])
    assert calls[0].arguments == {"a": 1}


def test_a_missing_end_mark_is_forgiven_if_the_json_is_whole() -> None:
    assert parse(['<tool_call>{"name": "f", "arguments": {}}'])[1][0].name == "f"
    assert parse(['<tool_call>{"name": "f", "argu'])[2] == 1
