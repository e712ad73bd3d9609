"""A session's messages beside its token log: what the next request adds, as ids.

The rendered conversation is the truth. For a template that only appends, the ids of a request are
the ids of what the rendering has grown by. When the rendering no longer extends the log (thinking
removed, tool calls written anew), the request replaces the log's tail: a rebase.

An answer is told to the template as it was generated, its tool calls still text; only if that
does not extend the log, as a message with tool calls taken apart. `history="rendered"` always does
the latter and compares ids, not text, so that the log is what a fresh rendering would give.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from poise.errors import InvalidArgument
from poise.text.messages import Message, digest
from poise.text.model import RenderContext, TextModel, common

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from poise.text.tokenizer import Encoded

History = Literal["generated", "rendered"]


@dataclass(frozen=True)
class Span:
    """One message of a plan; `begin` and `end` count ids of the plan."""

    role: str
    digest: str
    begin: int
    end: int


@dataclass(frozen=True)
class Plan:
    """What a request adds to the log, and what the conversation is afterwards. Changes nothing by itself."""

    ids: list[int]
    rebase_to: int | None  # position in the log from which `ids` replace it
    spans: list[Span]
    text: str  # marked text of the whole log afterwards
    boundaries: list[tuple[int, int]]  # of the whole log afterwards
    messages: list[Turned]


@dataclass(frozen=True)
class Turned:
    """A message, and for an answer also the form with its tool calls taken apart; both also marked."""

    message: Message
    marked: Message
    parsed: Message | None = None
    marked_parsed: Message | None = None
    apart: bool = False

    @property
    def shown(self) -> Message:
        """The form that the template gets to see."""
        return self.parsed if self.apart and self.parsed is not None else self.message

    @property
    def shown_marked(self) -> Message:
        """The same, marked."""
        return self.marked_parsed if self.apart and self.marked_parsed is not None else self.marked


@dataclass
class Conversation:
    """Not thread-safe: its session locks."""

    model: TextModel
    context: RenderContext
    history: History = "generated"
    messages: list[Turned] = field(default_factory=list)
    log_tokens: int = 0
    excess_tokens: int = 0  # the log is this much longer: ids behind a stop string, which the next turn removes
    log_text: str = ""  # marked text of the log
    _ids: list[int] = field(default_factory=list)  # kept for history="rendered" only
    _boundaries: list[tuple[int, int]] = field(default_factory=list)
    _floor: int = 0  # marked characters behind which a rebase may not reach: raw ids lie there

    def copy(self) -> Conversation:
        """An independent conversation in the same state."""
        return Conversation(
            self.model,
            self.context,
            self.history,
            list(self.messages),
            self.log_tokens,
            self.excess_tokens,
            self.log_text,
            list(self._ids),
            list(self._boundaries),
            self._floor,
        )

    def plan(self, new: Sequence[Message], *, prompt: bool) -> Plan:
        """What `new` messages add, with the assistant's header behind them if `prompt`."""
        added = [Turned(message, self.model.mark(message)) for message in new]
        told: tuple[str, list[Turned]] | None = None
        refused: InvalidArgument | None = None
        for view in self._views():
            messages = [*view, *added]
            try:
                text = self._render(messages, prompt)
            except InvalidArgument as error:  # perhaps not in another form
                refused = error
                continue
            if self.history == "generated" and text.startswith(self.log_text):
                return self._extension(text, messages, added)
            told = text, messages
        if told is None:
            assert refused is not None
            raise refused
        return self._rebase(*told)

    def plan_append(self, new: Sequence[Message]) -> Plan | None:
        """The same for data that asks nothing; nothing if the log would have to be rewritten, which only a
        turn can."""
        plan = self.plan(new, prompt=False)
        return None if plan.rebase_to is not None or not plan.ids else plan

    def hold(self, new: Sequence[Message]) -> None:
        """Messages that join the log with the next turn."""
        self.messages += [Turned(message, self.model.mark(message)) for message in new]

    def commit(self, plan: Plan, log_tokens: int | None = None) -> None:
        """The plan's ids are in the log now."""
        base = self.log_tokens if plan.rebase_to is None else plan.rebase_to
        self.messages = list(plan.messages)
        self.excess_tokens = 0
        self.log_text = plan.text
        self._boundaries = plan.boundaries
        self.log_tokens = base + len(plan.ids) if log_tokens is None else log_tokens
        if self.history == "rendered":
            self._ids[base:] = plan.ids

    def commit_answer(self, ids: Sequence[int], parsed: Message | None, *, excess_tokens: int = 0) -> None:
        """An answer is in the log behind a committed plan, then `excess_tokens` ids that do not count.

        `parsed` is it as a message with its tool calls apart.
        """
        self.excess_tokens = excess_tokens
        control = self.model.tokenizer.control
        protect = self.model.tokenizer.special.protect
        marked, run = "", []
        decoder = self.model.tokenizer.decoder()
        for index, token in enumerate(ids):
            run.append(decoder.feed(token))
            if token in control:
                marked += protect("".join(run)) + control[token]
                run = []
                self._boundaries.append((len(self.log_text) + len(marked), self.log_tokens + index + 1))
        run.append(decoder.close())
        content = "".join(run) if not marked else self._content(ids)
        self.log_text += marked + protect("".join(run))
        self.log_tokens += len(ids)
        if self.history == "rendered":
            self._ids += ids
        said: Message = {"role": "assistant", "content": content}
        marked_parsed = None if parsed is None else self.model.mark(parsed)
        apart = self.history == "rendered"
        self.messages.append(Turned(said, self.model.mark(said), parsed, marked_parsed, apart))

    def commit_ids(self, count: int) -> None:
        """Raw ids joined the log, `count` of them: nothing before them can be rendered differently any
        more."""
        self.log_tokens += count + self.excess_tokens
        self.excess_tokens = 0
        self.log_text = self._render(self.messages, False) if self.messages else ""
        self._floor = len(self.log_text)
        self._boundaries = [(self._floor, self.log_tokens)]

    def _content(self, ids: Sequence[int]) -> str:
        """What an answer says, up to the special token that ended it."""
        control = self.model.tokenizer.control
        body = list(ids)
        while body and body[-1] in control:
            body.pop()
        decoder = self.model.tokenizer.decoder(frozenset(body) & control.keys())
        return "".join(map(decoder.feed, body)) + decoder.close()

    def _views(self) -> Iterator[list[Turned]]:
        """Ways to tell the conversation, the one that has worked so far first."""
        yield self.messages
        if self.history == "rendered":
            return
        whole = [index for index, turned in enumerate(self.messages) if turned.parsed is not None and not turned.apart]
        for taken in (whole[-1:], whole):  # the newest answer, then all of them
            if taken:
                yield [
                    replace(turned, apart=turned.apart or index in taken) for index, turned in enumerate(self.messages)
                ]

    def _render(self, messages: Sequence[Turned], prompt: bool) -> str:
        return self.model.render([turned.shown_marked for turned in messages], self.context, prompt=prompt)

    def _extension(self, text: str, messages: list[Turned], added: list[Turned]) -> Plan:
        begin = len(self.log_text)
        encoded = self.model.tokenizer.encode(text[begin:], at_start=self.log_tokens == 0)
        boundaries = [(chars + begin, ids + self.log_tokens) for chars, ids in encoded.boundaries]
        spans = self._spans(messages, len(messages) - len(added), text, encoded)
        rebase_to = self.log_tokens if self.excess_tokens else None
        return Plan(encoded.ids, rebase_to, spans, text, [*self._boundaries, *boundaries], messages)

    def _rebase(self, text: str, messages: list[Turned]) -> Plan:
        if self.history == "rendered" and self._floor == 0:
            encoded = self.model.tokenizer.encode(text, at_start=True)
            keep = common(self._ids, encoded.ids)
            new = encoded.ids[keep:]
            rebase_to = keep if keep < self.log_tokens + self.excess_tokens else None
            if not new and rebase_to is not None:  # the rendering has shrunk: a request still needs one id
                rebase_to, new = keep - 1, encoded.ids[keep - 1 :]
            spans = [Span(messages[-1].shown["role"], digest(messages[-1].shown), 0, len(new))] if messages else []
            return Plan(new, rebase_to, spans, text, encoded.boundaries, messages)
        same = common(self.log_text, text)
        kept = [boundary for boundary in self._boundaries if boundary[0] <= same and boundary[0] < len(text)]
        if same < self._floor:
            raise InvalidArgument(
                "this chat template rewrites messages that lie before raw token ids in the log; "
                "use messages only, or token ids only, in one session"
            )
        chars, tokens = kept[-1] if kept else (0, 0)
        encoded = self.model.tokenizer.encode(text[chars:], at_start=tokens == 0)
        boundaries = kept + [(more + chars, ids + tokens) for more, ids in encoded.boundaries]
        spans = [Span(messages[-1].shown["role"], digest(messages[-1].shown), 0, len(encoded.ids))]
        return Plan(encoded.ids, tokens, spans, text, boundaries, messages)

    def _spans(self, messages: list[Turned], first: int, text: str, encoded: Encoded) -> list[Span]:
        """Where each new message begins: at its first special token. The line break behind an end token
        belongs to the message that it ends, whoever sends it."""
        spans: list[Span] = []
        begin = self._framing_before(text, encoded)
        for index in range(first, len(messages)):
            end = len(encoded.ids)
            if index + 1 < len(messages):
                upto = self._render(messages[: index + 1], False)
                reach = len(upto) - len(self.log_text) if text.startswith(upto) else 0
                end = max([begin, *(tokens for chars, tokens in encoded.boundaries if chars <= reach)])
                starts = (self._starts(encoded, at) for at in range(len(encoded.boundaries)))
                end = max([end, *(tokens for chars, tokens in starts if chars == reach)])
            spans.append(Span(messages[index].shown["role"], digest(messages[index].shown), begin, end))
            begin = end
        return spans

    def _framing_before(self, text: str, encoded: Encoded) -> int:
        """How many ids of an extension still end the message before it."""
        ended = self._boundaries[-1][0] if self._boundaries else 0
        # After a length stop the extension's first special token ends that message.
        at = 0 if not self.log_text[ended:].strip() else 1
        if self.log_tokens == 0 or len(encoded.boundaries) <= at:
            return 0
        begin = encoded.boundaries[at - 1][0] if at else 0
        chars, tokens = self._starts(encoded, at)
        return tokens if not text[len(self.log_text) :][begin:chars].strip() else 0

    def _starts(self, encoded: Encoded, at: int) -> tuple[int, int]:
        """Where a special token of an extension begins, as (marked characters, ids)."""
        chars, tokens = encoded.boundaries[at]
        return chars - len(self.model.tokenizer.control.get(encoded.ids[tokens - 1], "")), tokens - 1
