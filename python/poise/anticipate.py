"""What may come next, as token ids: the guesses that a session makes after each commit.

Everything here is seen from the session's own conversation, from what its caller declared, and from
what its tenant's tools have returned before. Nothing is taken from the future or from other tenants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poise import _core
from poise.errors import InvalidArgument
from poise.text.messages import Message, tool_message
from poise.text.model import common

_USER: Message = {"role": "user", "content": ""}

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from poise.events import ToolCall
    from poise.options import Question
    from poise.text.conversation import Conversation, Plan

# Two contents without a common beginning or end: what their renderings share is the template's.
_PROBES = ("Qx 7", "why, then?")


@dataclass(frozen=True)
class Guess:
    """One anticipation; equal guesses are one."""

    kind: str
    source: str
    tokens: tuple[int, ...]
    label: str
    decides: bool = True
    completion_tokens: int = 0
    completion_stops: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    weight: float = 1.0
    persistent: bool = False
    asked: Question | None = None
    constraint: _core.Constraint | None = None

    def core(self) -> _core.Anticipation:
        """The guess as the core takes it."""
        guess = _core.Anticipation(
            kind=getattr(_core.AnticipationKind, self.kind),
            source=getattr(_core.AnticipationSource, self.source),
            tokens=list(self.tokens),
            decides=self.decides,
            completion_tokens=self.completion_tokens,
            completion_stops=list(self.completion_stops),
            suffix=list(self.suffix),
            weight=self.weight,
            persistent=self.persistent,
            label=self.label,
        )
        if self.constraint is not None:
            guess.constraint = self.constraint
        return guess


@dataclass(frozen=True)
class ToolGuess:
    """A result that a pending call may have."""

    result: str
    source: str  # declared or learned
    weight: float


def framing(conversation: Conversation) -> Iterable[Guess]:
    """What every next user message begins with; after data that asks nothing, also the bare request for an
    answer."""
    shown = conversation.messages[-1].shown if conversation.messages else None
    if shown is not None and shown["role"] not in ("assistant", "system"):
        plan = _try(conversation, [])
        if plan is not None:
            yield Guess("turn", "none", tuple(plan.ids), "answer now")
    ids = _envelope(conversation, [_USER]).prefix
    if ids:
        yield Guess("turn", "none", ids, "user message", decides=False)


def question(conversation: Conversation | None, asked: Question) -> Iterable[Guess]:
    """A registered question, whole."""
    if not isinstance(asked.content, str):
        ids: tuple[int, ...] = tuple(asked.content)
    elif conversation is None or (plan := _try(conversation, [{"role": "user", "content": asked.content}])) is None:
        return
    else:
        ids = tuple(plan.ids)
    yield Guess("question", "declared", ids, asked.label, persistent=True, asked=asked)


def tool_results(
    conversation: Conversation,
    calls: Sequence[ToolCall],
    likely: Callable[[ToolCall], Sequence[ToolGuess]],
    *,
    model_tokens: int,
) -> Iterable[Guess]:
    """The envelope of the pending calls' results; the likely contents; and what the model thinks will come.

    Several calls are guessed together, each by its likeliest result.
    """
    label = ", ".join(call.name for call in calls)
    envelope = _envelope(conversation, _answers(calls, [""] * len(calls)))
    if envelope.prefix:
        yield Guess("tool_result", "none", envelope.prefix, label, decides=False)
    guesses = [likely(call) for call in calls]
    if len(calls) == 1:
        chosen = [([guess.result], guess.source, guess.weight) for guess in guesses[0]]
    elif all(guesses):
        best = [ranked[0] for ranked in guesses]
        sources = {guess.source for guess in best}
        weight = 1.0
        for guess in best:
            weight *= guess.weight
        chosen = [([guess.result for guess in best], "declared" if "declared" in sources else "learned", weight)]
    else:
        chosen = []
    for results, source, weight in chosen:
        plan = _try(conversation, _answers(calls, results))
        if plan is not None:
            yield Guess("tool_result", source, tuple(plan.ids), f"{label}: {'; '.join(results)}", weight=weight)
    if model_tokens > 0 and len(calls) == 1 and envelope.prefix and len(envelope.suffix) > 1:
        yield Guess(
            "tool_result",
            "model",
            envelope.prefix,
            f"{label}: the model's guess",
            completion_tokens=model_tokens,
            completion_stops=envelope.suffix[:1],
            suffix=envelope.suffix[1:],
            weight=max(0.0, 1.0 - sum(weight for _, _, weight in chosen)),
        )


@dataclass(frozen=True)
class _Envelope:
    prefix: tuple[int, ...]  # ids up to where the content begins
    suffix: tuple[int, ...]  # ids from the first special token behind the content


def _envelope(conversation: Conversation, shape: Sequence[Message]) -> _Envelope:
    """The template's own part around the contents of messages like these."""
    tokenizer = conversation.model.tokenizer
    known = conversation.prepare(shape)
    if known is not None:
        head, tail = known.pattern.head, known.pattern.tail
    else:  # the template looks into contents: what two renderings share is likely its own
        plans = [_try(conversation, [{**message, "content": probe} for message in shape]) for probe in _PROBES]
        texts = [plan.text for plan in plans if plan is not None]
        if len(texts) < 2:
            return _Envelope((), ())
        one, two = texts
        head, tail = one[: common(one, two)], one[len(one) - common(one[::-1], two[::-1]) :]
    prefix = tokenizer.stable(head, at_start=conversation.log_tokens == 0)
    first = tokenizer.special.first(tail)
    return _Envelope(tuple(prefix), tuple(tokenizer.encode(tail[first[0] :]).ids) if first else ())


def expected(calls: Sequence[ToolCall]) -> list[Message]:
    """What the next request most likely brings: results of the calls that wait for them, or else a user message."""
    return _answers(calls, _PROBES[:1] * len(calls)) if calls else [{**_USER, "content": _PROBES[0]}]


def _answers(calls: Sequence[ToolCall], results: Sequence[Any]) -> list[Message]:
    return [tool_message(call.name, result, call.id) for call, result in zip(calls, results, strict=True)]


def _try(conversation: Conversation, messages: Sequence[Message]) -> Plan | None:
    """The plan for messages, or nothing if the template refuses them or would rewrite the log."""
    try:
        plan = conversation.plan(messages, prompt=True)
    except InvalidArgument:
        return None
    return plan if plan.rebase_to is None and plan.ids else None


def beginning(conversation: Conversation, messages: Sequence[Message]) -> tuple[int, ...]:
    """The ids of messages whose last one is still being typed: what more typing cannot change."""
    *whole, last = messages
    typed = {**last, "content": last["content"].rstrip()}
    texts = []
    for more in (" more", "ly, x"):
        plan = _try(conversation, [*whole, {**typed, "content": typed["content"] + more}])
        if plan is None:
            return ()
        texts.append(plan.text)
    one, two = texts
    tokenizer = conversation.model.tokenizer
    return tuple(tokenizer.stable(one[: common(one, two)], at_start=conversation.log_tokens == 0))
