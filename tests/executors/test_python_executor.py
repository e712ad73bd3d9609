"""An executor written in Python is an executor like any other, seen from C++ and from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from poise import _core
from tests.executors.driver import GREEDY

if TYPE_CHECKING:
    from collections.abc import Callable


class Echo(_core.Executor):
    """Answers with the context's last token, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.listener: Callable[[], None] | None = None

    def enqueue(self, request: _core.Request, sink: _core.Sink) -> int:
        if not request.context:
            raise _core.InvalidArgument("nothing to echo")
        sink.on_start(1, 0)
        position = len(request.context)
        for index in range(request.max_new_tokens):
            sink.on_token(1, _core.GeneratedToken(token=request.context[-1], position=position + index))
        reason = _core.FinishReason.length if request.max_new_tokens else _core.FinishReason.prefilled
        sink.on_finish(1, _core.Completion(reason=reason, prefilled_tokens=position))
        return 1

    def cancel(self, _id: int) -> None:
        pass

    def resident_prefix(self, _context: list[int], _key: _core.KvKey, _owner: int) -> int:
        return 0

    def release(self, owner: int, keep_tokens: int) -> None:
        pass

    def info(self) -> _core.ExecutorInfo:
        return _core.ExecutorInfo(name="echo", vocab_size=100, max_context_tokens=64, max_sequences=1)

    def stats(self) -> _core.ExecutorStats:
        return _core.ExecutorStats(steps=3)

    def on_idle(self, listener: Callable[[], None] | None) -> None:
        self.listener = listener

    def check_integrity(self) -> None:
        pass

    def shutdown(self) -> None:
        self.closed = True


def test_it_answers_a_collecting_sink() -> None:
    sink = _core.CollectSink()
    Echo().enqueue(_core.Request(context=[4, 5], max_new_tokens=3), sink)
    assert sink.tokens == [5, 5, 5]
    assert sink.completion is not None
    assert sink.completion.prefilled_tokens == 2


def test_cpp_runs_a_session_on_it() -> None:
    options = _core.ManagerOptions(idle_thread=False, preposition=False, seed=1)
    manager = _core.SessionManager(Echo(), options)  # keeps the Python object alive
    session = manager.open(_core.OpenOptions(tokens=[7, 8], sampling=GREEDY))
    stream = manager.turn(session, _core.TurnRequest(tokens=[9], sampling=GREEDY, max_new_tokens=2))
    events = []
    while (event := stream.try_next()) is not None:
        events.append(event)
    assert [event.token for event in events if isinstance(event, _core.TurnToken)] == [9, 9]
    assert manager.state(session).log == [7, 8, 9, 9, 9]


def test_missing_methods_are_named() -> None:
    class Half(_core.Executor):
        pass

    with pytest.raises(_core.ExecutorError, match="does not implement stats"):
        _core.Executor.stats(Half())
