"""The engine: one model on one executor, and the sessions that live on it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from poise import _core
from poise.background import Background
from poise.errors import InvalidArgument
from poise.options import EngineOptions, Question, Sampling, Window
from poise.session import Content, Session
from poise.text.conversation import Conversation
from poise.text.messages import Message, is_ids, to_messages
from poise.text.model import TextModel
from poise.text.window import head_of
from poise.tools.memory import ToolResultMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from poise.text.tokenizer import Vocab


THOUGHT_MARKS = ("<think>", "</think>")  # as Qwen 3, DeepSeek R1 and their like spell them


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
        self.text = TextModel(vocab, chat_template) if vocab is not None else None
        self.manager = _core.SessionManager(executor, self.options.manager())
        self.memory = ToolResultMemory()
        self.background = Background("poise-anticipate")
        self.closed = False
        self._executor = executor

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
    ) -> Session:
        """Opens a session. `tools` are OpenAI tool definitions; "x-results" beside "function" lists what a
        tool may
        return. `questions` are prepared after every change. `history` is earlier messages, or token ids.
        `window` keeps the log short by dropping the oldest messages.
        """
        sampling = sampling or Sampling()
        asked = [Question(content=item) if isinstance(item, str) else item for item in questions]
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
        session_id = self.manager.open(
            _core.OpenOptions(
                tenant=tenant,
                tokens=tokens,
                messages=spans,
                preposition=preposition,
                continuation_tokens=self.options.continuation_tokens,
                sampling=sampling.core(),
                thought=self._thought(),
                # Messages are dropped by the session, together with their tokens.
                window=None if window is None else window.core(head_of(spans), automatic=conversation is None),
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
        """How the model's template marks thoughts, if it does."""
        text = self.text
        if text is None or text.template is None or not all(mark in text.template.source for mark in THOUGHT_MARKS):
            return None
        begin, end = (text.tokenizer.encode(mark).ids for mark in THOUGHT_MARKS)
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
        if plan is None or not user.text.startswith(plan.text):
            conversation.hold(messages)
            return [], []
        conversation.commit(plan)
        spans = [_core.MessageSpan(role=s.role, digest=s.digest, begin=s.begin, end=s.end) for s in plan.spans]
        return plan.ids, spans
