"""A session: its messages and token log stay alive between turns, and its next turn is prepared in idle
time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from poise import _core, anticipate
from poise.answer import AnswerReader
from poise.anticipate import Guess, ToolGuess
from poise.draft import Draft
from poise.errors import Conflict, ContextOverflow, InvalidArgument, NotFound, ResourceExhausted
from poise.events import Start, ToolCall
from poise.options import MAX_NEW_TOKENS, Gate, Question, Sampling, Window
from poise.text.messages import Message, is_ids, result_text, to_messages, tool_message
from poise.text.model import common
from poise.text.window import as_raw, drop_from, retold
from poise.turn import Turn

if TYPE_CHECKING:
    from types import TracebackType

    from poise.constraint.specs import Spec
    from poise.engine import Engine
    from poise.text.conversation import Conversation, Plan

Content: TypeAlias = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | Sequence[int]


@dataclass(frozen=True)
class Appended:
    """What became of an append. `queued`: a durable turn runs, it joins behind it. `held`: it joins with
    the next turn, because the template must rewrite what stands before it."""

    data_version: int
    queued: bool = False
    held: bool = False
    advanced_entries: int = 0


@dataclass
class _Request:
    """A turn that was sent: what must be committed when it ends."""

    ids: list[int]
    plan: Plan | None
    calls: tuple[ToolCall, ...]  # that waited for a result before it
    ended: Callable[[Message | None], None] | None


class Session:
    """Made by Engine.open_session. Thread-safe; one durable turn at a time."""

    def __init__(
        self,
        engine: Engine,
        session_id: str,
        tenant: str,
        conversation: Conversation | None,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        questions: Iterable[Question] = (),
        told: Sequence[Message] = (),
        sampling: Sampling,
        window: Window | None = None,
    ) -> None:
        """`told` are messages that the conversation already holds and that nothing was learned from yet."""
        self.id = session_id
        self.tenant = tenant
        self.sampling = sampling
        self._engine = engine
        self._manager = engine.manager
        self._conversation = conversation
        self._window = window
        self._tools = list(tools)
        self._questions = {question.label: question for question in questions}
        self._declared: dict[str, list[str]] = {}
        self._calls: tuple[ToolCall, ...] = ()  # of the newest answer, not answered yet
        self._minted = itertools.count()
        self._turn: Turn | None = None  # the durable one that has not ended
        self._queued: list[Message] = []
        self._standing: dict[int, Guess] = {}  # persistent anticipations, by id
        self._changes = 0  # counts what makes older guesses wrong
        self._asked: dict[Question, tuple[int, ...]] = {}  # registered questions as ids...
        self._asked_at = -1  # ...behind the log after this many changes
        self._closed = False
        self._draft = Draft(self)  # the next user message, half typed
        self._lock = threading.RLock()
        self.on_closed: Callable[[], None] | None = None
        for tool in tools:
            if "x-results" in tool:
                self.declare_results(tool["function"]["name"], tool["x-results"])
        self._learn(told)

    # --- asking and telling

    def turn(
        self,
        content: Content | None = None,
        *,
        results: Any = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        sampling: Sampling | None = None,
        stop: str | Sequence[str] = (),
        stop_tokens: Sequence[int] = (),
        durable: bool = True,
        gate: Gate | None = None,
        constraint: Spec | _core.Constraint | None = None,
        response_format: Mapping[str, Any] | None = None,
        keep_partial: bool = False,
        use_entries: bool = True,
        ended: Callable[[Message | None], None] | None = None,
    ) -> Turn:
        """Asks for an answer to text, messages or token ids; to `results` of the pending tool calls (one
        each, in order); or, with nothing given, to what was appended. `ended` hears of a durable turn's end: the
        answer as clients resend it, or nothing if nothing was committed.

        `constraint`: what the answer may be, see poise.constraint; `response_format` says the same as OpenAI's
        API does.

        Raises before anything is changed: Conflict while another durable turn runs, ContextOverflow,
        InvalidArgument, NotFound.
        """
        guide = self._engine.constraint(constraint, response_format)
        with self._lock:
            self._settle()
            self._slide()
            ids, messages = self._read(content, results)
            plan = None
            if ids is None:
                plan = self._plan(messages)
                ids = plan.ids
            slid = durable and self._slide(len(ids) + max_new_tokens, plan.rebase_to if plan else None)
            if slid and plan is not None:
                plan = self._plan(messages)
                ids = plan.ids
            request = _core.TurnRequest(
                tokens=ids,
                messages=_spans(plan),
                rebase_to=plan.rebase_to if plan else None,
                durable=durable,
                max_new_tokens=max_new_tokens,
                sampling=(sampling or self.sampling).core(),
                stop_tokens=list(stop_tokens),
                gate=None if gate is None else self._gate(gate, plan),
                keep_partial=keep_partial,
                use_entries=use_entries,
            )
            if guide is not None:
                request.constraint = guide
            stream = self._manager.turn(self.id, request)
            if durable:
                self._draft.forget()
            sent = _Request(ids, plan, self._calls, ended)
            reader = AnswerReader(
                self._engine.text,
                (stop,) if isinstance(stop, str) else stop,
                bool(self._tools),
                self._mint_call_id,
                header=plan.header if plan else "",
            )
            turn = Turn(stream, reader, lambda *ended: self._finish(sent, durable, *ended))
            if durable:
                self._turn = turn
                self._learn(messages)
            return turn

    def append(self, content: Content | None = None, *, results: Any = None) -> Appended:
        """Adds text, messages, tool results or token ids to the log without asking anything."""
        with self._lock:
            self._settle()
            ids, messages = self._read(content, results)
            if ids is not None:
                return self._append_ids(ids)
            if not messages or not any(message["content"] or message.get("tool_calls") for message in messages):
                raise InvalidArgument("an append needs content: text, messages, tool results or at least one token id")
            if self._turn is not None:
                self._queued += messages
                return Appended(self.data_version, queued=True)
            appended = self._append(messages)
            self._learn(messages)
            return appended

    def ask(self, question: str | Question | Sequence[int], **overrides: Any) -> Turn:
        """Asks over the log and commits nothing. A registered question may be named by its label."""
        if isinstance(question, str):
            question = self._questions.get(question, Question(content=question))
        elif not isinstance(question, Question):
            question = Question(content=tuple(question))
        content: Content = question.content
        defaults = {
            "max_new_tokens": question.max_new_tokens,
            "gate": question.gate,
            "constraint": None if overrides.get("response_format") else question.constraint,
        }
        with self._lock:
            self._settle()
            self._slide()
            if not overrides.get("gate", question.gate) and self._asked_at == self._changes:
                content = self._asked.get(question, content)  # already rendered for this log
        return self.turn(content, durable=False, **{**defaults, **overrides})

    # --- saying what may come

    def register_question(self, question: str | Question) -> str:
        """Has the answer prepared after every change of the log. Returns the label for ask()."""
        if isinstance(question, str):
            question = Question(content=question)
        self._engine.constraint(question.constraint)
        with self._lock:
            self._questions[question.label] = question
        self.prepare()
        return question.label

    def declare_results(self, tool: str, results: Iterable[Any]) -> None:
        """Tells what a tool may return: text, or JSON values. Likeliest first."""
        with self._lock:
            self._declared[tool] = [result_text(result) for result in results]
        if self._calls:
            self.prepare()

    def anticipate(
        self,
        content: Content,
        *,
        kind: str = "hint",
        weight: float = 1.0,
        decides: bool = True,
        label: str = "",
    ) -> int:
        """Declares a guess at the next request. `kind`: hint, or partial for text that is still being typed
        (only its beginning is prepared). Returns an id for retract()."""
        with self._lock:
            self._settle()
            ids, messages = self._read(content, None)
            if ids is None:
                plan = self._plan(messages)
                if plan.rebase_to is not None:
                    raise InvalidArgument("the chat template rewrites the log here, so the guess cannot follow it")
                ids = plan.ids
                if kind == "partial":
                    assert self._conversation is not None
                    ids, decides = list(anticipate.beginning(self._conversation, messages)), False
            guess = Guess(kind, "client", tuple(ids), label, decides=decides, weight=weight)
            return self._manager.anticipate(self.id, guess.core())

    def typing(self, text: str, *, rest_ms: float = 300.0) -> None:
        """The next user message as far as it is typed. Each call takes the place of the one before; empty text
        takes it back, and so does the next durable turn.

        What more typing cannot change is prefilled in place. When typing has rested for `rest_ms`, the answer
        to the text as it stands is prepared too. Returns at once.
        """
        if self._conversation is None:
            raise InvalidArgument("this engine has no tokenizer: text that is typed means nothing to it")
        with self._lock:
            if not self._closed:
                self._settle()
                if not text:
                    self._slide()
                self._draft.type(text, rest_ms)

    def retract(self, anticipation: int) -> None:
        """Takes a guess back; unknown ids are ignored."""
        self._manager.retract(self.id, anticipation)

    # --- the session itself

    @property
    def state(self) -> _core.SessionState:
        """Log, versions and entries, as the core has them."""
        return self._manager.state(self.id)

    @property
    def data_version(self) -> int:
        """Counts the commits to the log."""
        return self.state.data_version

    @property
    def messages(self) -> list[Message]:
        """The conversation so far; answers as they were generated."""
        with self._lock:
            return [] if self._conversation is None else [turned.message for turned in self._conversation.messages]

    @property
    def pending_calls(self) -> tuple[ToolCall, ...]:
        """Tool calls of the newest answer that have no result yet."""
        return self._calls

    @property
    def answering(self) -> bool:
        """A durable turn runs."""
        with self._lock:
            self._settle()
            return self._turn is not None

    def cut_point(self, messages: int) -> int:
        """How many of the first `messages` a fork can keep as they stand in the log; the rest it is told again."""
        with self._lock:
            return 0 if self._conversation is None else len(self._conversation.cut(messages).messages)

    def fork(self, *, messages: int | None = None) -> Session:
        """A session of the same tenant that goes on from here on its own; or, with `messages`, from behind the first
        so many messages, also while a turn runs."""
        with self._lock:
            self._settle()
            conversation, tokens, rest = self._conversation, None, []
            if messages is not None:
                if conversation is None or not 0 <= messages <= len(conversation.messages):
                    known = 0 if conversation is None else len(conversation.messages)
                    raise InvalidArgument(f"fork: the session has {known} messages, not {messages}")
                rest = [turned.message for turned in conversation.messages[:messages]]
                conversation = conversation.cut(messages)
                tokens, rest = conversation.log_tokens, rest[len(conversation.messages) :]
            elif self._turn is not None:
                raise Conflict(f"session {self.id} has a durable turn running; fork it when the turn has ended")
            forked = Session(
                self._engine,
                self._manager.fork(self.id, tokens),
                self.tenant,
                None if conversation is None else conversation.copy(),
                tools=self._tools,
                questions=self._questions.values(),
                sampling=self.sampling,
                window=self._window,
            )
            forked._declared = dict(self._declared)
            forked._minted = itertools.count(next(self._minted))  # ids of calls stay distinct within a conversation
            if messages is None:
                forked._calls = self._calls
            elif forked._conversation is not None:
                if rest:
                    forked._conversation.hold(rest)
                forked._calls = forked._open_calls()
        forked.prepare()
        return forked

    def close(self) -> None:
        """Frees everything that the session holds. Closing twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._manager.close(self.id)
        if self.on_closed is not None:
            self.on_closed()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._engine.closed:
            self.close()

    # --- inside

    def _read(self, content: Content | None, results: Any) -> tuple[list[int] | None, list[Message]]:
        """Either ids or messages."""
        if results is not None:
            extra = [] if content is None else to_messages(content)  # type: ignore[arg-type]
            return None, [*self._tool_messages(results), *extra]
        if content is None:
            return None, []
        if is_ids(content):
            return list(content), []  # type: ignore[arg-type]
        if not content:
            raise InvalidArgument("a request needs content: text, messages, tool results or at least one token id")
        return None, to_messages(content)  # type: ignore[arg-type]

    def _tool_messages(self, results: Any) -> list[Message]:
        if not self._calls:
            raise InvalidArgument("there is no tool call waiting for a result")
        several = isinstance(results, (list, tuple)) and (len(self._calls) > 1 or len(results) == 1)
        given = list(results) if several else [results]
        if len(given) != len(self._calls):
            raise InvalidArgument(f"{len(self._calls)} tool calls wait for results, {len(given)} were given")
        return [tool_message(call.name, result, call.id) for call, result in zip(self._calls, given, strict=True)]

    def _plan(self, messages: Sequence[Message]) -> Plan:
        if self._conversation is None:
            raise InvalidArgument("this engine has no tokenizer: pass token ids")
        plan = self._conversation.plan(messages, prompt=True)
        if not plan.ids:
            raise InvalidArgument("the request adds nothing to the session: pass text, messages or token ids")
        return plan

    def _slide(self, room: int = 0, rebase_to: int | None = None) -> bool:
        """Between requests: drops the window's oldest messages if that is prepared and voids no guess, or if
        `room` more tokens would not fit. Whether it did."""
        conversation = self._conversation
        if self._window is None or conversation is None or self._turn is not None:
            return False
        state = self._manager.state(self.id)
        length = len(state.log) if rebase_to is None else rebase_to
        if length + room <= self._window.max_tokens and (
            not state.window_prepared or any(entry.ready for entry in state.entries)
        ):
            return False
        drop = self._manager.slide(self.id, room)
        if drop is None:
            return False
        if not drop_from(conversation, drop, state.log, len(self.state.messages) - drop.first_message):
            self._retell(conversation)
        self._changed()
        return True

    def _retell(self, conversation: Conversation) -> None:
        """A slide has cut inside a message: has the messages that are left told afresh, if that fits."""
        assert self._window is not None
        log = self.state.log
        plan = retold(conversation)
        if plan is None or len(plan.ids) > self._window.max_tokens:
            as_raw(conversation, len(log))
            return
        base = common(log, plan.ids)
        if base < max(len(log), len(plan.ids)):
            spans = [span for span in _spans(plan) if span.end > base]
            for span in spans:
                span.begin, span.end = max(0, span.begin - base), span.end - base
            self._manager.rebase(self.id, base, plan.ids[base:], spans)
        conversation.begin_anew(plan)

    def _append_ids(self, ids: list[int]) -> Appended:
        self._slide(len(ids))
        appended = self._manager.append(self.id, ids)
        if self._conversation is not None:
            self._conversation.commit_ids(len(ids))
        self._changed()
        return Appended(appended.data_version, queued=appended.queued, advanced_entries=appended.advanced_entries)

    def _append(self, messages: list[Message]) -> Appended:
        if self._conversation is None:
            raise InvalidArgument("this engine has no tokenizer: pass token ids")
        plan = self._conversation.plan_append(messages)
        if plan is None:
            self._conversation.hold(messages)
            self._changed()
            return Appended(self.data_version, held=True)
        if self._slide(len(plan.ids) + 1):
            return self._append(messages)
        appended = self._manager.append(self.id, plan.ids, _spans(plan))
        self._conversation.commit(plan)
        self._changed()
        return Appended(appended.data_version, advanced_entries=appended.advanced_entries)

    def _gate(self, gate: Gate, plan: Plan | None) -> _core.GateOptions:
        answers: list[int] = []
        for answer in gate.answers:
            token = answer if isinstance(answer, int) else self._first_token(answer, plan)
            if token in answers:
                raise InvalidArgument(f"gate: the answers {list(gate.answers)} begin with the same token")
            answers.append(token)
        return _core.GateOptions(gap_threshold=gate.gap_threshold, answer_set=answers)

    def _first_token(self, answer: str, plan: Plan | None) -> int:
        """The token with which an answer begins behind the request."""
        if self._engine.text is None:
            raise InvalidArgument("this engine has no tokenizer: give the gate's answers as token ids")
        tokenizer = self._engine.text.tokenizer
        tail = plan.header if plan else ""
        header = tokenizer.encode(tail).ids
        whole = tokenizer.encode(tail + tokenizer.special.protect(answer)).ids
        shared = common(header, whole)
        if shared < len(header) or shared == len(whole):  # the answer would melt into the header
            whole, shared = tokenizer.plain(answer), 0
        if not whole:
            raise InvalidArgument("gate: an answer must not be empty")
        return whole[shared]

    def _settle(self) -> None:
        """Takes in what has arrived of a turn that nobody has read to its end."""
        if self._turn is not None:
            self._turn.pump()

    def _finish(
        self, sent: _Request, durable: bool, start: Start | None, end: _core.TurnEnd, answer: AnswerReader
    ) -> None:
        if not durable:
            return
        with self._lock:
            self._turn = None
            committed = start is not None and end.data_version > start.data_version
            if committed:
                self._commit(sent, end, answer)
            else:
                self._calls = sent.calls
            queued, self._queued = self._queued, []
            if queued and not self._closed:
                self._append(queued)
            self._changed()
        if sent.ended is not None:
            sent.ended(answer.told() if committed else None)

    def _commit(self, sent: _Request, end: _core.TurnEnd, answer: AnswerReader) -> None:
        self._calls = tuple(answer.calls)
        if self._conversation is None:
            return
        if sent.plan is None:
            self._conversation.commit_ids(len(sent.ids) + len(end.answer))
        else:
            self._conversation.commit(sent.plan)
            ids = answer.tokens if answer.stopped else end.answer
            excess = len(end.answer) - len(ids)  # the turn had ended before the stop string was seen
            self._conversation.commit_answer(ids, answer.message(), excess_tokens=excess)

    def _learn(self, messages: Sequence[Message]) -> None:
        """Remembers what tools returned, and which calls still wait for a result."""
        for message in messages:
            if message["role"] == "assistant":
                self._calls = tuple(self._told_call(call) for call in message.get("tool_calls", ()))
            elif message["role"] == "tool" and self._calls:
                asked = message.get("tool_call_id", "")
                call = next((call for call in self._calls if call.id == asked), self._calls[0])
                self._calls = tuple(other for other in self._calls if other is not call)
                self._engine.memory.record(self.tenant, call.name, call.arguments, message["content"])

    def _told_call(self, call: Mapping[str, Any]) -> ToolCall:
        """A call of an answer that the client tells, as in a history."""
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        known = arguments if isinstance(arguments, dict) else {}
        return ToolCall(name, known, "", call.get("id") or self._mint_call_id())

    def _open_calls(self) -> tuple[ToolCall, ...]:
        """Calls of the newest answer that no message behind it answers."""
        calls: tuple[ToolCall, ...] = ()
        for turned in [] if self._conversation is None else self._conversation.messages:
            message = turned.parsed or turned.message
            if message["role"] == "assistant":
                calls = tuple(self._told_call(call) for call in message.get("tool_calls", ()))
            elif message["role"] == "tool":
                calls = tuple(call for call in calls if call.id != message.get("tool_call_id"))
        return calls

    def _mint_call_id(self) -> str:
        return f"call{next(self._minted):05d}"

    # --- guesses

    def _changed(self) -> None:
        self._changes += 1
        self.prepare()
        self._draft.renew()

    def prepare(self) -> None:
        """Has the guesses made anew, in the background. Happens by itself after every change."""
        if self._engine.options.preposition and not self._closed:
            self._engine.background.submit(self.id, self._anticipate)

    def _anticipate(self) -> None:
        """Works out what may come next and declares it; on the engine's background thread."""
        with self._lock:
            if self._closed or self._turn is not None:
                return
            changes = self._changes
            conversation = None if self._conversation is None else self._conversation.copy()
            calls, questions = self._calls, list(self._questions.values())
        if conversation is not None:
            rewrite = conversation.plan_rewrite(anticipate.expected(calls))
            conversation = conversation if rewrite is None else self._rewrite(rewrite, changes)
            if conversation is None:
                return  # a newer job is on its way
        guesses = list(self._guesses(conversation, calls, questions))
        with self._lock:
            if self._outdated(changes):
                return  # a newer job is on its way
            if self._conversation is not None and conversation is not None:
                self._conversation.adopt(conversation)
            try:
                self._declare(guesses)
            except NotFound:
                return
            self._asked = {guess.asked: guess.tokens for guess in guesses if guess.asked is not None}
            self._asked_at = changes

    def _outdated(self, changes: int) -> bool:
        return self._closed or self._turn is not None or changes != self._changes

    def _rewrite(self, plan: Plan, changes: int) -> Conversation | None:
        """Commits ahead what the next request would rewrite of the log. A copy of the conversation then; nothing if it
        has changed meanwhile."""
        with self._lock:
            if self._outdated(changes) or self._conversation is None:
                return None
            if plan.ids:
                base = self._conversation.log_tokens if plan.rebase_to is None else plan.rebase_to
                try:
                    self._manager.rebase(self.id, base, plan.ids, _spans(plan))
                except (Conflict, ContextOverflow, NotFound):
                    return None  # a turn came first, and does it itself
            self._conversation.commit(plan)
            return self._conversation.copy()

    def _guesses(
        self, conversation: Conversation | None, calls: Sequence[ToolCall], questions: Sequence[Question]
    ) -> Iterable[Guess]:
        enabled = self._engine.options.anticipate
        if conversation is not None and conversation.model.template is not None:
            if "turn" in enabled:
                yield from anticipate.framing(conversation)
            if calls and any(name.startswith("tool_result") for name in enabled):
                tokens = self._engine.options.model_guess_tokens if "tool_result:model" in enabled else 0
                yield from anticipate.tool_results(conversation, calls, self._likely, model_tokens=tokens)
        if "question" in enabled:
            for question in questions:
                guide = self._engine.constraint(question.constraint)
                for guess in anticipate.question(conversation, question):
                    yield replace(guess, constraint=guide)

    def _declare(self, guesses: list[Guess]) -> None:
        for known, guess in list(self._standing.items()):
            if guess not in guesses:
                self._manager.retract(self.id, known)
                del self._standing[known]
        standing = set(self._standing.values())
        for guess in guesses:
            if guess in standing:
                continue
            try:
                made = self._manager.anticipate(self.id, guess.core())
            except (ContextOverflow, ResourceExhausted):
                continue  # it does not fit: the turn that it would prepare may still
            if guess.persistent:
                self._standing[made] = guess

    def _likely(self, call: ToolCall) -> list[ToolGuess]:
        """What a pending call may return: what was declared shares the belief that what was learned
        leaves."""
        enabled, limit = self._engine.options.anticipate, self._engine.options.max_tool_guesses
        beliefs: dict[str, float] = {}
        if "tool_result:learned" in enabled:
            beliefs.update(self._engine.memory.likely(self.tenant, call.name, call.arguments, limit))
        declared = self._declared.get(call.name, []) if "tool_result:declared" in enabled else []
        left = max(0.0, 1.0 - sum(beliefs.values()))
        for result in declared:
            beliefs[result] = beliefs.get(result, 0.0) + left / len(declared)
        best = sorted(beliefs, key=lambda result: -beliefs[result])[:limit]
        return [
            ToolGuess(result, "declared" if result in declared else "learned", min(1.0, beliefs[result]))
            for result in best
        ]


def _spans(plan: Plan | None) -> list[_core.MessageSpan]:
    if plan is None:
        return []
    return [
        _core.MessageSpan(role=span.role, digest=span.digest, begin=span.begin, end=span.end) for span in plan.spans
    ]
