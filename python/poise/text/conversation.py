"""A session's messages beside its token log: what the next request adds, as ids.

`history="generated"`: the log is what was generated. What a request adds is what the rendering has
grown by; where the template tells the past differently now (thinking removed, tool calls written
anew), it is what the rendering has behind the newest answer. Only if that cannot be told does the
request replace the log's tail: a rebase.

`history="rendered"`: the log's ids are those of rendering the whole conversation afresh. Answers are
told to the template taken apart (thought, text, tool calls), and a request or idle time rebases.

What a request of a known shape adds can be prepared: see Envelope. Then nothing is rendered when it comes.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from poise.errors import InvalidArgument
from poise.text import spans as locate
from poise.text.identity import digest
from poise.text.model import RenderContext, TextModel, common
from poise.text.pattern import Pattern, Trace
from poise.text.segments import PLACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from poise.text.messages import Message
    from poise.text.spans import Span
    from poise.text.tokenizer import Encoded

History = Literal["generated", "rendered"]
# Stands in a slot while a template is traced: text without outer white space that means nothing to any template.
_PROBE = "Qx 7"
# Forks further back than this render once.
_PREPARED_POINTS = 32


@dataclass(frozen=True)
class Plan:
    """What a request adds to the log, and what the conversation is afterwards. Changes nothing by itself."""

    ids: list[int]
    rebase_to: int | None  # position in the log from which `ids` replace it
    spans: list[Span]
    chars: int  # of the log's marked text that stay...
    text: str  # ...and the marked text that follows them
    boundaries: list[tuple[int, int]]  # points behind special tokens of `text`: (characters, ids) of the whole log
    kept: int  # boundaries of the log that stay
    view: list[Turned] | None  # how the messages so far are told from now on; none: as before
    added: list[Turned]
    prompt: bool
    ends: list[int]  # ids behind which each of `added` but the last ends with a special token

    @property
    def header(self) -> str:
        """The marked text behind the last special token: what an answer follows directly."""
        return self.text[self.boundaries[-1][0] - self.chars :] if self.boundaries else self.text

    @property
    def changes_log(self) -> bool:
        """Whether there is anything to commit in the core."""
        return bool(self.ids)


@dataclass(frozen=True)
class Turned:
    """A message, and for an answer also the form with its thought and tool calls taken apart; both also marked."""

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


@dataclass(frozen=True)
class Envelope:
    """What messages of one shape add, whatever their contents: worked out once, in idle time."""

    pattern: Pattern  # of the text behind the log
    trace: Trace  # knows for which contents the pattern holds
    view: list[Turned] | None


@dataclass(frozen=True)
class Point:
    """A place where the log can be cut: the first messages, and nothing of the next one."""

    messages: int = 0
    tokens: int = 0
    chars: int = 0
    boundaries: int = 0
    # What was prepared for this point, so that a cut need not render again.
    envelopes: dict[Shape, Envelope] = field(default_factory=dict, compare=False)


Shape = tuple[bool, tuple[tuple[tuple[str, str], ...], ...]]
_Grown = tuple[Pattern, "list[Turned] | None"]
_Told = tuple[Pattern, "list[Turned]"]


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
    points: list[Point] = field(default_factory=lambda: [Point()])
    _ids: array[int] = field(default_factory=lambda: array("i"))  # kept for history="rendered" only
    _canonical: int = 0  # characters of the log whose ids are those of a fresh tokenization
    _boundaries: list[tuple[int, int]] = field(default_factory=list)
    _floor: int = 0  # marked characters behind which a rebase may not reach: raw ids lie there
    _answer: tuple[int, int] | None = None  # the newest answer: index among the messages, where its content ends
    _held: int = 0  # messages at the end that are not in the log
    _envelopes: dict[Shape, Envelope] = field(default_factory=dict)

    def copy(self) -> Conversation:
        """An independent conversation in the same state."""
        return replace(
            self,
            messages=list(self.messages),
            points=list(self.points),
            _ids=self._ids[:],
            _boundaries=list(self._boundaries),
            _envelopes=dict(self._envelopes),
        )

    def cut(self, messages: int) -> Conversation:
        """The conversation as it stood after at most its first `messages`: at the last point where the log can be
        cut. Its `log_tokens` say where that is; its messages, how many are still to be told again."""
        point = max((point for point in self.points if point.messages <= messages), key=lambda point: point.messages)
        return replace(
            self,
            messages=self.messages[: point.messages],
            log_tokens=point.tokens,
            excess_tokens=0,
            log_text=self.log_text[: point.chars],
            points=[other for other in self.points if other.messages <= point.messages],
            _ids=self._ids[: point.tokens],
            _canonical=min(self._canonical, point.chars),
            _boundaries=self._boundaries[: point.boundaries],
            _floor=min(self._floor, point.chars),
            _answer=self._answer if self._answer and self._answer[0] < point.messages else None,
            _held=0,
            _envelopes=dict(point.envelopes),
        )

    # --- what a request adds

    def plan(self, new: Sequence[Message], *, prompt: bool) -> Plan:
        """What `new` messages add, with the assistant's header behind them if `prompt`."""
        added = [Turned(message, self.model.mark(message)) for message in new]
        prepared = self._prepared(added, prompt)
        if prepared is not None:
            return prepared
        grown, told = self._grow(added, prompt, self._render_pattern)
        if grown is not None:
            pattern, view = grown
            return self._extension(pattern.head, view, added, prompt)
        pattern, view = told
        return self._rebase(pattern.head, view, added, prompt)

    def plan_append(self, new: Sequence[Message]) -> Plan | None:
        """The same for data that asks nothing; nothing if the log would have to be rewritten, which only a
        turn can."""
        plan = self.plan(new, prompt=False)
        return None if plan.rebase_to is not None or not plan.ids else plan

    def plan_rewrite(self, expected: Sequence[Message]) -> Plan | None:
        """What a request with `expected` messages would rewrite of the log, without that request: a rebase that can
        be made before it comes. A plan without ids: the log is right as it is. Nothing: that cannot be told."""
        if self._floor or self._held or not self.messages:
            return None
        added = [Turned(message, self.model.mark(message)) for message in expected]
        try:
            grown, (told, view) = self._grow(added, True, self._render_pattern)
        except InvalidArgument:
            return None
        if grown is not None:
            return None
        end = locate.history_end(self.model, self.context, view, added, told.head)
        if not end:
            return None
        if told.head.startswith(self.log_text):
            end = max(end, len(self.log_text))
        return self._rebase(told.head[:end], view, [], False)

    def prepare(self, shape: Sequence[Message], *, prompt: bool = True) -> Envelope | None:
        """Works out what messages like these will add, whatever their contents, and keeps it until the log changes.
        Nothing where only the rendering itself can tell."""
        key = _shape(shape, prompt)
        if key is None:
            return None
        if key not in self._envelopes:
            trace = Trace([_PROBE] * len(shape))
            added = [
                Turned(message, {**self.model.mark(message), "content": trace.slot(index)})
                for index, message in enumerate(shape)
            ]
            try:
                grown, _ = self._grow(added, prompt, lambda told, ask: self._trace_pattern(told, ask, trace))
            except (_Opaque, InvalidArgument):
                return None
            if grown is None or grown[0].slots != len(shape):
                return None
            self._envelopes[key] = Envelope(grown[0], trace, grown[1])
        return self._envelopes[key]

    def adopt(self, prepared: Conversation) -> None:
        """Takes over what a copy in the same state has prepared; a cut at this point finds it too."""
        self._envelopes.update(prepared._envelopes)
        if self.points[-1].tokens == self.log_tokens and self.points[-1].messages == len(self.messages):
            self.points[-1].envelopes.update(prepared._envelopes)
            for point in self.points[-_PREPARED_POINTS - 1 : -_PREPARED_POINTS]:
                point.envelopes.clear()

    # --- what has happened

    def hold(self, new: Sequence[Message]) -> None:
        """Messages that join the log with the next turn."""
        self.messages += [Turned(message, self.model.mark(message)) for message in new]
        self._held += len(new)
        self._envelopes.clear()

    def commit(self, plan: Plan) -> None:
        """The plan's ids are in the log now."""
        rewritten = plan.chars < len(self.log_text)
        base = self.log_tokens if plan.rebase_to is None else plan.rebase_to
        before = len(self.messages)
        if plan.view is not None:
            self.messages = list(plan.view)
        self.messages += plan.added
        self.excess_tokens = self._held = 0
        self.log_text = self.log_text[: plan.chars] + plan.text
        self._canonical = len(self.log_text)
        del self._boundaries[plan.kept :]
        if rewritten:
            self.points = [point for point in self.points if point.tokens <= base and point.chars <= plan.chars]
        for index, end in enumerate(plan.ends):
            if end > (plan.ends[index - 1] if index else 0):
                self._mark_point(before + index + 1, base + end, plan)
        self._boundaries += plan.boundaries
        self.log_tokens = base + len(plan.ids)
        if self.history == "rendered":
            del self._ids[base:]
            self._ids.extend(plan.ids)
        if rewritten:
            self._answer = None
        self._envelopes.clear()
        if not plan.prompt:
            self._point()

    def commit_answer(self, ids: Sequence[int], parsed: Message | None, *, excess_tokens: int = 0) -> None:
        """An answer is in the log behind a committed plan, then `excess_tokens` ids that do not count.

        `parsed` is it as a message with its thought and tool calls apart.
        """
        self.excess_tokens = excess_tokens
        control = self.model.tokenizer.control
        length = len(ids)
        while length and ids[length - 1] in control:
            length -= 1
        content = self._log(ids[:length])
        self._answer = (len(self.messages), len(self.log_text))
        self._log(ids[length:])
        if self.history == "rendered":
            self._ids.extend(ids)
        said: Message = {"role": "assistant", "content": content}
        marked_parsed = None if parsed is None else self.model.mark(parsed)
        apart = self.history == "rendered"
        self.messages.append(Turned(said, self.model.mark(said), parsed, marked_parsed, apart))
        self._envelopes.clear()
        self._point()

    def commit_ids(self, count: int) -> None:
        """Raw ids joined the log, `count` of them: nothing before them can be rendered differently any
        more."""
        self.log_tokens += count + self.excess_tokens
        self.excess_tokens = 0
        self.log_text = self._render(self.messages, False) if self.messages else ""
        self._floor = len(self.log_text)
        self._boundaries = [(self._floor, self.log_tokens)]
        self._answer = None
        self._held = 0
        self._envelopes.clear()
        self.points = [Point()]

    def shorten(self, messages: slice, chars: tuple[int, int], tokens: tuple[int, int]) -> None:
        """The log has lost whole messages: the given ones, with their marked characters and their ids."""
        lost, gone, dropped = len(self.messages[messages]), chars[1] - chars[0], tokens[1] - tokens[0]
        del self.messages[messages]
        self.log_text = self.log_text[: chars[0]] + self.log_text[chars[1] :]
        self.log_tokens -= dropped
        del self._ids[tokens[0] : tokens[1]]
        self._boundaries = [
            *((at, ids) for at, ids in self._boundaries if ids <= tokens[0]),
            *((at - gone, ids - dropped) for at, ids in self._boundaries if ids > tokens[1]),
        ]
        if self._floor > chars[0]:  # raw ids that were dropped bind nobody any more
            self._floor = max(chars[0], self._floor - gone)
        self._canonical = max(chars[0], self._canonical - gone) if self._canonical > chars[0] else self._canonical
        if self._answer is not None:
            index, end = self._answer
            self._answer = (index - lost, end - gone) if end >= chars[1] else None
        self._envelopes.clear()
        self.points = [Point()]
        if not self._held:
            self._point()

    def retell(self) -> Plan:
        """All messages as the first ones of a new log."""
        fresh = Conversation(self.model, self.context, self.history)
        return fresh._extension(self._render(self.messages, False), None, list(self.messages), False)

    def begin_anew(self, plan: Plan) -> None:
        """The log is what retell() has planned, and nothing else."""
        fresh = Conversation(self.model, self.context, self.history)
        fresh.commit(plan)
        vars(self).update(vars(fresh))

    # --- inside: what the rendering has grown by

    def _grow(
        self, added: list[Turned], prompt: bool, render: Callable[[Sequence[Turned], bool], Pattern]
    ) -> tuple[_Grown | None, _Told]:
        """What is new behind the log, or else the whole rendering that the log must be made equal to.

        `render` gives patterns: of plain text, or of text with slots, which are always new.
        """
        told: _Told | None = None
        refused: InvalidArgument | None = None
        for view in self._views():
            try:
                pattern = render([*view, *added], prompt)
            except InvalidArgument as error:  # perhaps not in another form
                refused = error
                continue
            told = pattern, view
            if pattern.head.startswith(self.log_text):
                more = pattern.without(len(self.log_text))
                if self._may_extend(more.head):
                    return (more, None if view is self.messages else view), told
        if self.history == "generated":
            for behind in (self._behind_content, self._behind_history):
                try:
                    grown = behind(added, prompt, render)
                except InvalidArgument as error:
                    refused = refused or error
                    continue
                if grown is not None:
                    return grown, told or (grown[0], self.messages)
        if told is None:
            assert refused is not None
            raise refused
        return None, told

    def _may_extend(self, more: str) -> bool:
        """A log of canonical ids goes on canonically only behind a special token, or with one."""
        if self.history == "generated" or not self.log_text:
            return True
        ends = bool(self._boundaries) and self._boundaries[-1][0] == len(self.log_text)
        first = None if ends else self.model.tokenizer.special.first(more)
        begins = first is not None and first[0] == 0
        return (ends or begins) and self._canonical == len(self.log_text) and not self.excess_tokens

    def _views(self) -> Iterator[list[Turned]]:
        """Ways to tell the conversation, the one that has worked so far first."""
        yield self.messages
        if self.history == "rendered":
            return
        whole = [index for index, turned in enumerate(self.messages) if turned.parsed is not None and not turned.apart]
        for taken in (whole[-1:], whole if len(whole) > 1 else []):  # the newest answer, then all of them
            if taken:
                yield [
                    replace(turned, apart=turned.apart or index in taken) for index, turned in enumerate(self.messages)
                ]

    def _behind_content(
        self, added: list[Turned], prompt: bool, render: Callable[[Sequence[Turned], bool], Pattern]
    ) -> _Grown | None:
        """What the rendering has behind the newest answer's content, less what the log has there already."""
        if self._answer is None or self._floor:
            return None
        index, end = self._answer
        place: Message = {"role": "assistant", "content": PLACE}
        for view in self._views():  # how the past is told matters only to a template that insists on tool calls
            try:
                pattern = render([*view[:index], Turned(place, place), *view[index + 1 :], *added], prompt)
                break
            except InvalidArgument:
                continue
        else:
            return None
        taken = None if view is self.messages else view
        before, found, after = pattern.head.partition(PLACE)
        if not found or PLACE in after:
            return None
        logged = self.log_text[end:]
        skip = len(before) + len(found)
        if after.startswith(logged):
            return pattern.without(skip + len(logged)), taken
        # The model may have ended its turn with another end token than the template writes.
        special = self.model.tokenizer.special
        own, template = special.first(logged), special.first(after)
        if own and template and own[0] == 0 and not after[: template[0]].strip():
            rest = logged[own[1] :]
            if after.startswith(rest, template[1]):
                return pattern.without(skip + template[1] + len(rest)), taken
        if own == (0, len(logged)):  # ...or with one where the template writes none
            return pattern.without(skip), taken
        return None

    def _behind_history(
        self, added: list[Turned], prompt: bool, render: Callable[[Sequence[Turned], bool], Pattern]
    ) -> _Grown | None:
        """What the rendering has behind the answers taken apart, where a template insists on tool calls."""
        special = self.model.tokenizer.special
        if self._answer is None or self._floor or self._answer[0] != len(self.messages) - 1:
            return None
        if special.last_end(self.log_text) != len(self.log_text):
            return None  # the answer has no end yet
        view = [replace(turned, apart=turned.parsed is not None) for turned in self.messages]
        whole = render(view, False).head
        end = special.last_end(whole)
        pattern = render([*view, *added], prompt)
        return (pattern.without(end), view) if end and pattern.head.startswith(whole[:end]) else None

    def _prepared(self, added: list[Turned], prompt: bool) -> Plan | None:
        """The plan by an envelope, if there is one for such messages and it holds for their contents."""
        if not self._envelopes or (key := _shape([turned.message for turned in added], prompt)) is None:
            return None
        envelope = self._envelopes.get(key)
        if envelope is None:
            return None
        contents = [turned.marked["content"] for turned in added]
        if not envelope.trace.allows(contents):
            return None
        return self._extension(envelope.pattern.fill(contents), envelope.view, added, prompt)

    # --- inside: from text to ids

    def _extension(self, text: str, view: list[Turned] | None, added: list[Turned], prompt: bool) -> Plan:
        chars = len(self.log_text)
        encoded = self.model.tokenizer.encode(text, at_start=self.log_tokens == 0)
        boundaries = [(more + chars, ids + self.log_tokens) for more, ids in encoded.boundaries]
        ends = self._ends(view, added, text, encoded.boundaries, prompt)
        spans = self._spans(added, text, encoded, ends)
        rebase_to = self.log_tokens if self.excess_tokens else None
        return Plan(
            encoded.ids, rebase_to, spans, chars, text, boundaries, len(self._boundaries), view, added, prompt, ends
        )

    def _rebase(self, text: str, view: list[Turned], added: list[Turned], prompt: bool) -> Plan:
        """The log made equal to a rendering, from the first difference on."""
        same = common(self.log_text, text)
        rendered = self.history == "rendered" and self._floor == 0
        if not rendered and same < self._floor:
            raise InvalidArgument(
                "this chat template rewrites messages that lie before raw token ids in the log; "
                "use messages only, or token ids only, in one session"
            )
        reach = min(same, self._canonical) if rendered else same
        limit = len(text) if rendered else len(text) - 1
        kept = sum(boundary[0] <= min(reach, limit) for boundary in self._boundaries)
        chars, tokens = self._boundaries[kept - 1] if kept else (0, 0)
        encoded = self.model.tokenizer.encode(text[chars:], at_start=tokens == 0)
        boundaries = [(more + chars, ids + tokens) for more, ids in encoded.boundaries]
        ids, base = encoded.ids, tokens
        rebase_to: int | None = tokens
        if rendered:
            keep = common(self._ids[tokens:].tolist(), ids)
            ids, base = ids[keep:], tokens + keep
            rebase_to = base if base < self.log_tokens + self.excess_tokens else None
            if not ids and rebase_to is not None and base:  # the rendering has shrunk: a commit still needs one id
                ids, base = encoded.ids[keep - 1 :] if keep else [self._ids[base - 1]], base - 1
                rebase_to = base
        elif tokens == self.log_tokens + self.excess_tokens:
            rebase_to = None
        shown = [*view, *added]
        span = [locate.Span(shown[-1].shown["role"], digest(shown[-1].shown), 0, len(ids))] if shown and ids else []
        return Plan(ids, rebase_to, span, chars, text[chars:], boundaries, kept, view, added, prompt, [])

    def _ends(
        self, view: list[Turned] | None, added: list[Turned], text: str, boundaries: list[tuple[int, int]], prompt: bool
    ) -> list[int]:
        """Behind how many ids of an extension the last special token of each new message stands, but for the last."""
        if len(added) <= 1:
            return []
        messages = [*(view or self.messages), *added]
        ends: list[int] = []
        for reach in locate.message_ends(self.model, self.context, messages, len(added), text, prompt):
            ends.append(max([*ends[-1:], *(ids for chars, ids in boundaries if chars <= reach)], default=0))
        return ends

    def _spans(self, added: list[Turned], text: str, encoded: Encoded, ends: list[int]) -> list[Span]:
        """Where each new message lies. It begins at its first special token: the line break behind an end token
        belongs to the message that it ends, whoever sends it."""
        if not added:
            return []
        spans: list[Span] = []
        begin = self._framing_before(text, encoded)
        for turned, behind in zip(added, [*ends, len(encoded.ids)], strict=True):
            end = behind
            if len(spans) + 1 < len(added):
                following = next((at for at, (_, ids) in enumerate(encoded.boundaries) if ids > behind), None)
                if following is not None:
                    chars, ids = self._starts(encoded, following)
                    ended = encoded.boundaries[following - 1][0] if following else 0
                    end = ids if not text[ended:chars].strip() else behind
            end = max(begin, end)
            spans.append(locate.Span(turned.shown["role"], digest(turned.shown), begin, end))
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
        return tokens if not text[begin:chars].strip() else 0

    def _starts(self, encoded: Encoded, at: int) -> tuple[int, int]:
        """Where a special token of an extension begins, as (marked characters, ids)."""
        chars, tokens = encoded.boundaries[at]
        return chars - len(self.model.tokenizer.control.get(encoded.ids[tokens - 1], "")), tokens - 1

    def _log(self, ids: Sequence[int]) -> str:
        """Ids of an answer join the log's text. Returns what they say, special tokens as their text."""
        tokenizer = self.model.tokenizer
        decoder = tokenizer.decoder()
        plain = marked = ""
        for index, token in enumerate(ids):
            plain += decoder.feed(token)
            if token in tokenizer.control:
                marked += tokenizer.special.protect(plain) + tokenizer.control[token]
                plain = ""
                self._boundaries.append((len(self.log_text) + len(marked), self.log_tokens + index + 1))
        plain += decoder.close()
        self.log_text += marked + tokenizer.special.protect(plain)
        self.log_tokens += len(ids)
        visible = tokenizer.decoder(frozenset(ids) & tokenizer.control.keys()) if marked else None
        return "".join(map(visible.feed, ids)) + visible.close() if visible else plain

    def _mark_point(self, messages: int, tokens: int, plan: Plan) -> None:
        index = next((i for i, boundary in enumerate(plan.boundaries) if boundary[1] == tokens), None)
        if index is not None:
            self.points.append(Point(messages, tokens, plan.boundaries[index][0], plan.kept + index + 1))

    def _point(self) -> None:
        self.points.append(
            Point(len(self.messages) - self._held, self.log_tokens, len(self.log_text), len(self._boundaries))
        )

    def _render(self, messages: Sequence[Turned], prompt: bool) -> str:
        return self.model.render([turned.shown_marked for turned in messages], self.context, prompt=prompt)

    def _render_pattern(self, messages: Sequence[Turned], prompt: bool) -> Pattern:
        return Pattern((self._render(messages, prompt),))

    def _trace_pattern(self, messages: Sequence[Turned], prompt: bool, trace: Trace) -> Pattern:
        marked = [turned.shown_marked for turned in messages]
        pattern = self.model.trace(marked, self.context, trace, prompt=prompt)
        if pattern is None:
            raise _Opaque
        return pattern


class _Opaque(Exception):  # noqa: N818 - not an error: the template cannot be followed
    pass


def _shape(messages: Sequence[Message], prompt: bool) -> Shape | None:
    """Everything of messages but their contents; nothing if there is more to them than text."""
    shape = []
    for message in messages:
        fields = tuple((key, value) for key, value in message.items() if key != "content")
        if not all(isinstance(value, str) for _, value in fields):
            return None
        shape.append(tuple(sorted(fields)))
    return prompt, tuple(shape)
