"""A turn in flight: iterate it, or ask for its result."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING

from poise import _core
from poise.errors import ExecutorError, InvalidArgument
from poise.events import End, Event, Notice, Start, Timings, ToolCall, TurnResult, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

    from poise.answer import AnswerReader


class Turn:
    """Typed events, sync or async. Leaving its context before the end cancels it.

    One consumer at a time. The commit to the session's conversation happens when the end is read.
    """

    def __init__(
        self,
        stream: _core.TurnStream,
        reader: AnswerReader,
        finish: Callable[[Start | None, _core.TurnEnd, AnswerReader], None],
    ) -> None:
        self._stream = stream
        self._reader = reader
        self._finish = finish
        self._reading = threading.Lock()  # held while an event is taken from the stream
        self._ready: deque[Event] = deque()
        self._start: Start | None = None
        self._end: End | None = None
        self._notices: list[Notice] = []

    @property
    def ended(self) -> bool:
        """The end has been read from the core; events may still wait to be iterated."""
        return self._end is not None

    @property
    def start(self) -> Start | None:
        """How the first token was produced, once that is known."""
        return self._start

    @property
    def text(self) -> str:
        """The whole answer's text; waits for it."""
        return self.result().text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that the whole answer makes; waits for it."""
        return self.result().tool_calls

    def result(self) -> TurnResult:
        """Waits for the end. Raises ExecutorError if the turn failed."""
        while self._end is None:
            self._wait()
        return self._result()

    async def aresult(self) -> TurnResult:
        """`result` without blocking the event loop."""
        while self._end is None:
            await self._await()
        return self._result()

    def cancel(self) -> None:
        """Discards the turn (unless it keeps partial answers). A turn that has ended stays as it is."""
        self._stream.cancel()

    def pump(self) -> None:
        """Takes in whatever has arrived, without waiting; nothing if somebody else is just reading."""
        if self._reading.acquire(blocking=False):
            try:
                while self._end is None and (event := self._stream.try_next()) is not None:
                    self._take(event)
            finally:
                self._reading.release()

    def __iter__(self) -> Iterator[Event]:
        while True:
            while self._ready:
                yield self._ready.popleft()
            if self._end is not None:
                return
            self._wait()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._ready:
                yield self._ready.popleft()
            if self._end is not None:
                return
            await self._await()

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end is None:
            self.cancel()
            while self._end is None:
                self._wait()

    async def __aenter__(self) -> Turn:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end is None:
            self.cancel()
            while self._end is None:
                await self._await()

    def _result(self) -> TurnResult:
        assert self._end is not None
        if self._end.finish_reason == "error":
            raise ExecutorError(self._end.error)
        return TurnResult(self._start, self._end, tuple(self._notices))

    def _wait(self) -> None:
        with self._reading:
            if self._end is None and (event := self._stream.next_event()) is not None:
                self._take(event)

    async def _await(self) -> None:
        before = len(self._ready)
        self.pump()
        if len(self._ready) > before or self._end is not None:
            return
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        descriptor = self._stream.fileno()
        loop.add_reader(descriptor, arrived.set)  # readable at once if something has come since
        try:
            await arrived.wait()
        finally:
            loop.remove_reader(descriptor)

    def _take(self, event: _core.TurnStart | _core.TurnToken | _core.TurnEnd) -> None:
        if isinstance(event, _core.TurnToken):
            self._queue(self._reader.feed(event.token))
            if self._reader.stopped:
                self._stop_here()
        elif isinstance(event, _core.TurnStart):
            self._start = _start(event)
            self._ready.append(self._start)
        else:
            self._queue(self._reader.close())
            try:
                self._finish(self._start, event, self._reader)
            finally:  # whatever the conversation makes of it, the turn is over
                self._end = _end(event, self._reader)
                self._ready.append(self._end)

    def _queue(self, events: list[Event]) -> None:
        self._ready.extend(events)
        self._notices += [event for event in events if isinstance(event, Notice)]

    def _stop_here(self) -> None:
        with contextlib.suppress(InvalidArgument):  # the turn has ended by itself in the meantime
            self._stream.stop_at(len(self._reader.tokens))


def _start(core: _core.TurnStart) -> Start:
    return Start(
        path=core.path.name,
        source=core.source.name,
        kind=core.kind.name if core.kind is not None else None,
        label=core.label,
        placement=core.placement.name,
        prepositioned_tokens=core.prepositioned_tokens,
        continuation_tokens=core.continuation_tokens,
        delta_tokens=core.delta_tokens,
        gap=core.gap,
        gap_threshold=core.gap_threshold,
        data_version=core.data_version,
        entry_age_ms=core.entry_age_ms,
        thought_tokens=core.thought_tokens,
    )


def _end(core: _core.TurnEnd, reader: AnswerReader) -> End:
    reason = core.reason.name
    tokens = core.answer
    if reader.stopped:  # also if the turn had ended by itself before the stop string was seen
        reason, tokens = "stop" if reason == "length" else reason, reader.tokens
    return End(
        finish_reason="tool_calls" if reason == "stop" and reader.calls else reason,
        text=reader.text,
        tool_calls=tuple(reader.calls),
        tokens=tuple(tokens),
        data_version=core.data_version,
        usage=Usage(
            context_tokens=core.context_tokens,
            answer_tokens=len(tokens),
            reused_tokens=core.reused_tokens,
            prefilled_tokens=core.prefilled_tokens,
            reprefilled_tokens=core.reprefilled_tokens,
            decoded_tokens=core.decoded_tokens,
            thought_tokens=reader.thought_tokens,
        ),
        timings=Timings(first_token_ms=core.first_token_ms, total_ms=core.total_ms),
        error=core.error,
        thought=reader.thought,
    )
