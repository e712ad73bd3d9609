"""What a turn says, in order: one Start, any number of Thought, Text, ToolCall and Notice, one End."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Start:
    """How the first token was produced. Comes before it, or with it."""

    path: str  # ready, gate, entry, prefix or cold
    # of the entry that was consumed: declared, learned, model, client; "none" for framing or no entry
    source: str
    kind: str | None  # of that entry: turn, question, tool_result, partial, hint
    label: str
    placement: str  # of that entry: resident, branch, detached
    prepositioned_tokens: int  # of the request's tokens: paid for before it came
    continuation_tokens: int  # of the answer's tokens: already there
    delta_tokens: int  # of the request's tokens: new
    gap: float | None  # logit gap of the ready distribution, on ready and gate
    gap_threshold: float | None  # on gate
    data_version: int  # what the answer saw
    entry_age_ms: float
    thought_tokens: int = 0  # of continuation_tokens: inside a thought


@dataclass(frozen=True)
class Thought:
    """A piece of what the model thinks before it answers. No part of the answer's text."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Text:
    """A piece of the answer. Without a tokenizer `text` is empty and `tokens` says it all."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class ToolCall:
    """A call that the answer makes. `raw` is what was generated, marks included."""

    name: str
    arguments: dict[str, Any]
    raw: str
    id: str = ""


@dataclass(frozen=True)
class Notice:
    """Something the caller should know, for example a tool call that is not JSON and is reported as text."""

    message: str


@dataclass(frozen=True)
class Usage:
    """Tokens of a turn. Speculative ones that were not used are never counted here."""

    context_tokens: int  # log and request
    answer_tokens: int
    reused_tokens: int
    prefilled_tokens: int  # before the first token, while the client waited
    reprefilled_tokens: int  # after the first token was out
    decoded_tokens: int
    thought_tokens: int = 0  # of answer_tokens: the thought, its marks included


@dataclass(frozen=True)
class Timings:
    """Wall time from turn() on."""

    first_token_ms: float
    total_ms: float


@dataclass(frozen=True)
class End:
    """The whole answer, and what it cost. `finish_reason`: stop, tool_calls, length, constraint, cancelled
    or error."""

    finish_reason: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    tokens: tuple[int, ...]  # as committed, the completing stop token included
    data_version: int
    usage: Usage
    timings: Timings
    error: str = ""
    thought: str = ""


Event: TypeAlias = Start | Thought | Text | ToolCall | Notice | End


@dataclass(frozen=True)
class TurnResult:
    """A finished turn: its Start, its End, and what it noticed."""

    start: Start | None  # none only if the turn failed before its first token
    end: End
    notices: tuple[Notice, ...]

    @property
    def text(self) -> str:
        """The answer's text, tool calls left out."""
        return self.end.text

    @property
    def thought(self) -> str:
        """What the model thought before it answered."""
        return self.end.thought

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that the answer makes."""
        return self.end.tool_calls

    @property
    def tokens(self) -> tuple[int, ...]:
        """The answer's ids, as committed."""
        return self.end.tokens

    @property
    def path(self) -> str:
        """How the first token was produced; cold if there was none."""
        return self.start.path if self.start else "cold"
