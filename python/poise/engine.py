"""The engine: one model on one executor, and the sessions that live on it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from poise import _core
from poise.background import Background
from poise.chat import Chats
from poise.constraint.compiler import Compiler
from poise.constraint.specs import from_response_format
from poise.errors import InvalidArgument
from poise.options import EngineOptions, Question, Sampling, Window
from poise.prefix import RETENTION_PRIORITY, BasePrefix
from poise.session import Content, Session
from poise.text.beginning import beginning, text_salt
from poise.text.conversation import Conversation
from poise.text.messages import Message, is_ids, to_messages
from poise.text.model import TextModel
from poise.text.window import head_of
from poise.tools.memory import ToolResultMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from poise.constraint.specs import Spec
    from poise.text.tokenizer import Vocab
    from poise.turn import Turn


class Engine:
    """Text or token ids in, text or token ids out. Thread-safe; a context manager."""

    def __init__(
        self,
        executor: _core.Executor,
        options: EngineOptions | None = None,
        *,
        vocab: Vocab | None = None,
        chat_template: str | None = None,
    ) -> None:
        """On any executor. Without `vocab` sessions speak token ids only."""
        self.options = options or EngineOptions()
        self.text = None if vocab is None else TextModel(vocab, chat_template, thought_marks=self.options.thought_pair)
        self.manager = _core.SessionManager(executor, self.options.manager())
        self.memory = ToolResultMemory()
        self.chats = Chats(self, self.options.max_chats)
        self.background = Background("poise-anticipate")
        self.closed = False
        self._executor = executor
        self._compiler: Compiler | None = None
        self._making_compiler = threading.Lock()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        options: EngineOptions | None = None,
        *,
        chat_template: str | None = None,
        progress: Callable[[float], None] | None = None,
        **overrides: Any,
    ) -> Engine:
        """Loads a GGUF file. `overrides` are fields of EngineOptions; `progress` hears 0 to 1.

        Raises ModelError (missing, truncated, unsupported) or ResourceExhausted (does not fit).
        """
        unknown = set(overrides) - set(EngineOptions.__dataclass_fields__)
        if unknown:
            raise InvalidArgument(f"unknown options {sorted(unknown)}; see poise.EngineOptions")
        options = replace(options or EngineOptions(), **overrides)
        executor = _core.LlamaExecutor(options.llama(os.fspath(path), progress))
        return cls(executor, options, vocab=executor.vocab(), chat_template=chat_template)

    @property
    def executor(self) -> _core.Executor:
        """What the engine runs on."""
        return self._executor

    @property
    def info(self) -> _core.ExecutorInfo:
        """Facts about model and executor."""
        return self._executor.info()

    @property
    def counters(self) -> _core.Counters:
        """What the sessions have done since the engine was made."""
        return self.manager.counters()

    def open_session(
        self,
        system: str | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        questions: Iterable[str | Question] = (),
        tenant: str = "default",
        history: Content | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        sampling: Sampling | None = None,
        preposition: bool = True,
        window: Window | None = None,
        adapter: str | int | None = None,
        adapter_scale: float = 1.0,
    ) -> Session:
        """Opens a session. `tools` are OpenAI tool definitions; "x-results" beside "function" lists what a
        tool may
        return. `questions` are prepared after every change. `history` is earlier messages, or token ids.
        `window` keeps the log short by dropping the oldest messages.
        `adapter` is the name (or id) of a loaded LoRA adapter: all of the session is computed with it.
        """
        sampling = sampling or Sampling()
        asked = [Question(content=item) if isinstance(item, str) else item for item in questions]
        for question in asked:
            self.constraint(question.constraint)  # a bad one is refused before the session opens
        conversation = None
        if self.text is not None:
            context = self.text.context(tools, template_arguments)
            conversation = Conversation(self.text, context, self.options.history)
        messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        tokens: list[int] = []
        if history is not None and is_ids(history):
            if messages:
                raise InvalidArgument("a history of token ids already holds its system prompt: leave `system` out")
            tokens = list(history)  # type: ignore[arg-type]
            if conversation is not None:
                conversation.commit_ids(len(tokens))
        elif history is not None:
            messages += to_messages(history)  # type: ignore[arg-type]
        spans: list[_core.MessageSpan] = []
        if messages:
            tokens, spans = self._begin(conversation, messages)
        adapter_id = self.adapter_id(adapter)
        session_id = self.manager.open(
            _core.OpenOptions(
                tenant=tenant,
                adapter_id=adapter_id,
                adapter_scale=adapter_scale if adapter_id else 0.0,
                tokens=tokens,
                messages=spans,
                text_salt=text_salt(tools, template_arguments),
                preposition=preposition,
                continuation_tokens=self.options.continuation_tokens,
                sampling=sampling.core(),
                # Messages are dropped by the session, together with their tokens.
                window=None if window is None else window.core(head_of(spans), automatic=conversation is None),
                thought=self._thought(),
            )
        )
        session = Session(
            self,
            session_id,
            tenant,
            conversation,
            tools=tools,
            questions=asked,
            told=messages,
            sampling=sampling,
            window=window,
        )
        session.prepare()
        return session

    def chat(
        self,
        messages: Content,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tenant: str = "default",
        template_arguments: Mapping[str, Any] | None = None,
        sampling: Sampling | None = None,
        adapter: str | int | None = None,
        adapter_scale: float = 1.0,
        **turn: Any,
    ) -> Turn:
        """Answers the last message of a conversation that is sent whole every time.

        The session that holds most of it is continued, or forked where the two part (an edited message, an answer
        asked for again); what it holds is neither rendered nor tokenized again. `turn` takes Session.turn's options.
        """
        return self.chats.turn(
            messages,
            tools=tools,
            tenant=tenant,
            template_arguments=template_arguments,
            sampling=sampling,
            adapter=adapter,
            adapter_scale=adapter_scale,
            **turn,
        )

    def declare_prefix(
        self,
        system: str | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tenant: str = "default",
        template_arguments: Mapping[str, Any] | None = None,
    ) -> BasePrefix:
        """Has a beginning prefilled in idle time and kept: sessions that this tenant opens with the same system
        prompt, tools and template arguments start from it, by copy or by prefill, whichever is cheaper.

        Raises InvalidArgument (nothing to declare, no tokenizer) or ResourceExhausted (too many, see
        max_base_prefixes_per_tenant).
        """
        if self.text is None:
            raise InvalidArgument("this engine has no tokenizer, so a system prompt cannot be declared")
        if system is None and not tools:
            raise InvalidArgument("a prefix needs a system prompt or tools")
        tokens = beginning(self.text, system, tools, template_arguments)
        if not tokens:
            raise InvalidArgument("the chat template renders nothing that every session with this beginning shares")
        session_id = self.manager.open(
            _core.OpenOptions(
                tenant=tenant,
                tokens=tokens,
                text_salt=text_salt(tools, template_arguments),
                base_prefix=True,
                retention_priority=RETENTION_PRIORITY,
                continuation_tokens=0,
            )
        )
        return BasePrefix(self, session_id, tenant, tokens)

    def constraint(
        self,
        constraint: Spec | _core.Constraint | None,
        response_format: Mapping[str, Any] | None = None,
    ) -> _core.Constraint | None:
        """What a turn takes, in its initial state: compiled once and shared, so clone it before you change it.

        Raises InvalidArgument for a spec that does not compile or that no text satisfies.
        """
        if response_format is not None:
            if constraint is not None:
                raise InvalidArgument("give a constraint or a response_format, not both")
            constraint = from_response_format(response_format)
        if constraint is None or isinstance(constraint, _core.Constraint):
            return constraint
        return self._constraints().compile(constraint)

    def _constraints(self) -> Compiler:
        with self._making_compiler:
            if self._compiler is None:
                if self.text is None:
                    raise InvalidArgument("this engine has no tokenizer: pass a poise._core.Constraint over token ids")
                info = self.info
                turn = self.text.end_of_turn()
                ends = [token for token in (turn, *info.end_tokens) if token is not None and token in info.end_tokens]
                self._compiler = Compiler(self.text.tokenizer, info.vocab_size, ends, info.max_context_tokens)
            return self._compiler

    @property
    def adapters(self) -> list[_core.LoadedAdapter]:
        """The LoRA adapters that sessions may choose."""
        return self._executor.adapters if isinstance(self._executor, _core.LlamaExecutor) else []

    def adapter_id(self, adapter: str | int | None) -> int:
        """The id of a loaded adapter; 0 for None. Executors that load theirs elsewhere are given ids."""
        if adapter is None:
            return 0
        loaded = self.adapters
        for item in loaded:
            if adapter in (item.name, item.id):
                return item.id
        if isinstance(adapter, int) and not isinstance(self._executor, _core.LlamaExecutor):
            return adapter
        names = ", ".join(f"{item.name!r}" for item in loaded) or "none"
        raise InvalidArgument(f"adapter {adapter!r} is not loaded; loaded are: {names} (EngineOptions.adapters)")

    def wait_prepositioned(self, timeout_s: float = 10.0) -> bool:
        """Waits until everything that idle time may prepare is prepared. Returns whether it got there."""
        deadline = time.monotonic() + timeout_s
        if not self.background.join(timeout_s):
            return False
        return self.manager.wait_prepositioned(max(0.0, deadline - time.monotonic()) * 1e3)

    def close(self) -> None:
        """Ends all sessions and the executor. Closing twice is fine."""
        if not self.closed:
            self.closed = True
            self.background.close()
            self._executor.shutdown()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _thought(self) -> _core.ThoughtOptions | None:
        """How the core tells a thought that it decodes ahead."""
        if self.text is None or self.text.thought is None:
            return None
        begin, end = (self.text.tokenizer.encode(mark).ids for mark in (self.text.thought.begin, self.text.thought.end))
        return _core.ThoughtOptions(begin=begin, end=end, tokens=self.options.thought_tokens)

    @staticmethod
    def _begin(conversation: Conversation | None, messages: list[Message]) -> tuple[list[int], list[_core.MessageSpan]]:
        """The ids of a session's first messages; none if the template wants to see the first turn with
        them."""
        if conversation is None:
            raise InvalidArgument("this engine has no tokenizer: pass the history as token ids")
        try:
            plan = conversation.plan_append(messages)
            user = conversation.plan([*messages, {"role": "user", "content": "."}], prompt=True)
        except InvalidArgument:
            plan = None
        if plan is None or not user.text.startswith(plan.text) or plan.chars or user.chars:
            conversation.hold(messages)
            return [], []
        conversation.commit(plan)
        spans = [_core.MessageSpan(role=s.role, digest=s.digest, begin=s.begin, end=s.end) for s in plan.spans]
        return plan.ids, spans
