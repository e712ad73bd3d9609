"""Thoughts are told from answers as they stream, and go to the template apart."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.answer import AnswerReader
from poise.errors import InvalidArgument
from poise.events import Text, Thought, ToolCall
from poise.options import EngineOptions
from poise.text.model import TextModel
from poise.text.thought import ThoughtMarks, ThoughtSplitter, find_marks
from tests.support.byte_vocab import CHATML_TOOLS, ByteVocab

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKS = ThoughtMarks("<think>", "</think>")
REASONING = CHATML_TOOLS.replace(
    "{{- '<|im_start|>assistant\\n' + message.content }}",
    "{{- '<|im_start|>assistant\\n' }}{%- if message.reasoning_content %}{{- '<think>\\n' + message.reasoning_content"
    " + '\\n</think>\\n\\n' }}{%- endif %}{{- message.content }}",
)


def split(pieces: Sequence[str], *, inside: bool = False) -> tuple[str, str]:
    splitter = ThoughtSplitter(MARKS, inside=inside)
    found = [piece for text in pieces for piece in splitter.feed(text)] + splitter.close()
    thoughts = [piece.thought for piece in found]
    assert thoughts == sorted(thoughts, reverse=True)  # the thought comes first
    return (
        "".join(piece.text for piece in found if piece.thought),
        "".join(piece.text for piece in found if not piece.thought),
    )


CASES: list[tuple[str, bool, str, str]] = [
    ("<think>\nhm, so\n</think>\n\nYes.", False, "hm, so", "Yes."),
    ("hm, so\n</think>\n\nYes.", True, "hm, so", "Yes."),
    ("\n <think>hm</think>Yes </think>", False, "hm", "Yes </think>"),
    ("No thought <think>here</think>", False, "", "No thought <think>here</think>"),
    ("<thin king>", False, "", "<thin king>"),
    ("<think>a </thin b\n\nc", False, "a </thin b\n\nc", ""),
    ("<think></think>Yes", False, "", "Yes"),
    ("</think>Yes", True, "", "Yes"),
    ("<think>never ends  ", False, "never ends", ""),
    ("", False, "", ""),
    ("<think>a\n\n b</think>", False, "a\n\n b", ""),
    ("<thi", False, "", "<thi"),
]


@pytest.mark.parametrize(("text", "inside", "thought", "answer"), CASES)
def test_thought_and_text(text: str, inside: bool, thought: str, answer: str) -> None:
    assert split([text], inside=inside) == (thought, answer)
    assert split(list(text), inside=inside) == (thought, answer)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "/think>", " ", "\n", "a", "b c"]), max_size=12).map("".join),
    st.lists(st.integers(0, 60), max_size=6),
    st.booleans(),
)
def test_where_the_pieces_are_cut_does_not_matter(text: str, cuts: list[int], inside: bool) -> None:
    ends = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    assert split([text[begin:end] for begin, end in pairwise(ends)], inside=inside) == split([text], inside=inside)


def read(model: TextModel, text: str, *, header: str = "", tools: bool = False, stop: Sequence[str] = ()) -> Any:
    reader = AnswerReader(model, stop, tools, lambda: "call00000", header=header)
    events = [event for token in [*model.tokenizer.encode(text).ids, 0] for event in reader.feed(token)]
    return reader, events + reader.close()


def test_events_of_an_answer_with_a_thought_and_a_call() -> None:
    model = TextModel(ByteVocab(REASONING))
    call = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    said = f"<think>\nhm\n</think>\n\nWait.\n{call}"
    reader, events = read(model, said, tools=True, stop=["hm"])  # a stop string stops the text, not the thought
    assert "".join(event.text for event in events if isinstance(event, Thought)) == "hm"
    assert "".join(event.text for event in events if isinstance(event, Text)) == "Wait." == reader.text
    assert [event.name for event in events if isinstance(event, ToolCall)] == ["f"]
    message = reader.message()
    assert message["reasoning_content"] == "hm" == reader.thought
    assert message["content"] == "Wait."
    assert "reasoning_content" not in reader.told()
    assert reader.thought_tokens == len(model.tokenizer.encode("<think>\nhm\n</think>").ids)
    assert not reader.stopped
    told = [token for event in events if not isinstance(event, ToolCall) for token in event.tokens]
    assert len(told) == len(set(range(len(told))))


def test_the_header_may_open_the_thought() -> None:
    model = TextModel(ByteVocab(REASONING))
    reader, _ = read(model, "hm</think>Yes", header="assistant\n<think>\n")
    assert (reader.thought, reader.text) == ("hm", "Yes")
    assert reader.thought_tokens == len(model.tokenizer.encode("hm</think>").ids)
    reader, _ = read(model, "hm</think>Yes", header="assistant\n")
    assert (reader.thought, reader.text, reader.thought_tokens) == ("", "hm</think>Yes", 0)


def test_marks_that_are_special_tokens() -> None:
    control = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>")
    model = TextModel(ByteVocab(REASONING, control=control))
    reader, _ = read(model, "<think>hm</think>Yes")
    assert (reader.thought, reader.text) == ("hm", "Yes")


def test_marks_come_from_the_template_or_from_options() -> None:
    assert find_marks(CHATML_TOOLS) is None
    assert find_marks(REASONING) == ThoughtMarks("<think>", "</think>", "reasoning_content")
    assert find_marks("[THINK] x [/THINK]{{ message.thinking }}") == ThoughtMarks("[THINK]", "[/THINK]", "thinking")
    assert find_marks(REASONING, ()) is None
    assert find_marks("", ("<a>", "<b>")) == ThoughtMarks("<a>", "<b>")
    assert EngineOptions(thought_marks="<a>...<b>").thought_pair == ("<a>", "<b>")
    assert EngineOptions(thought_marks="none").thought_pair == ()
    assert EngineOptions().thought_pair is None
    with pytest.raises(InvalidArgument, match=r"BEGIN\.\.\.END"):
        EngineOptions(thought_marks="<think>")
    with pytest.raises(InvalidArgument, match="thought_tokens"):
        EngineOptions(thought_tokens=-1)
