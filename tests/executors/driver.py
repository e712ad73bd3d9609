"""Drives any executor, with or without a thread, from a test's single thread."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from poise import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tests.executors.cases import Case

GREEDY = _core.SamplingParams(temperature=0.0)
WAIT_S = 60.0


@dataclass(frozen=True)
class Answer:
    """Everything that one request returned."""

    tokens: list[int]
    generated: list[_core.GeneratedToken]
    #: By the position whose distribution the row is.
    rows: dict[int, NDArray[np.float32]]
    completion: _core.Completion


@dataclass
class Recorder(_core.Sink):
    """A Python sink that writes down its calls, and may act on them."""

    log: list[tuple[Any, ...]] = field(default_factory=list)
    name: str = ""
    react: Callable[[tuple[Any, ...]], None] | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def _note(self, *event: Any) -> None:
        self.log.append((self.name, *event))
        if self.react is not None:
            self.react((self.name, *event))

    def on_start(self, _id: int, reused_tokens: int) -> None:
        self._note("start", reused_tokens)

    def on_logits(self, _id: int, logits: _core.LogitsView) -> None:
        self._note("logits", logits.position)

    def on_token(self, _id: int, token: _core.GeneratedToken) -> None:
        self._note("token", token.position, token.token)

    def on_finish(self, _id: int, completion: _core.Completion) -> None:
        self._note("finish", completion.reason, completion)


class Driver:
    """An executor under test."""

    def __init__(self, case: Case, executor: _core.Executor, clock: _core.FakeClock) -> None:
        self.case = case
        self.executor = executor
        self.clock = clock
        self.info = executor.info()
        self._stepped = isinstance(executor, _core.SimExecutor) and case.name == "sim"

    @property
    def stats(self) -> _core.ExecutorStats:
        return self.executor.stats()

    def request(self, context: Sequence[int], max_new_tokens: int = 0, **options: Any) -> _core.Request:
        """A greedy request, unless `sampling` says otherwise."""
        options.setdefault("sampling", GREEDY)
        return _core.Request(context=list(context), max_new_tokens=max_new_tokens, **options)

    def start(self, request: _core.Request) -> _core.CollectSink:
        sink = _core.CollectSink()
        self.executor.enqueue(request, sink)
        return sink

    def finish(self, sink: _core.CollectSink) -> Answer:
        while self._stepped and sink.completion is None:
            assert self.executor.step(), "the executor has nothing to do, but the request has not ended"
        assert sink.wait(WAIT_S), "the request has not ended"
        completion = sink.completion
        assert completion is not None
        return Answer(sink.tokens, sink.generated, sink.logits, completion)

    def run(self, request: _core.Request) -> Answer:
        answer = self.finish(self.start(request))
        assert answer.completion.reason is not _core.FinishReason.error, answer.completion.error
        return answer

    def ask(self, context: Sequence[int], max_new_tokens: int = 0, **options: Any) -> Answer:
        return self.run(self.request(context, max_new_tokens, **options))

    def drain(self) -> None:
        """Returns when no request runs or waits and every sink has been told."""
        if self._stepped:
            self.executor.run_until_idle()
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            s = self.stats
            if s.running_requests + s.waiting_requests + s.running_idle + s.waiting_idle == 0:
                return
            time.sleep(0.001)
        raise AssertionError("the executor does not become idle")

    def in_callback(self, act: Callable[[], None]) -> None:
        """Calls `act` where no step can run meanwhile: on the executor's thread, inside a sink."""
        done: list[BaseException | None] = []

        def react(event: tuple[Any, ...]) -> None:
            if event[1] == "finish":
                try:
                    act()
                    done.append(None)
                except BaseException as error:  # noqa: BLE001 - handed to the test below
                    done.append(error)

        self.executor.enqueue(self.request([1]), Recorder(react=react))
        self.wait_for(lambda: bool(done))
        if done[0] is not None:
            raise done[0]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, "it does not happen"
            if self._stepped:
                assert self.executor.step() or condition(), "the executor has nothing to do"
            else:
                time.sleep(0.0005)

    def pass_time_ms(self, ms: float) -> None:
        if self.case.fake_clock:
            self.clock.advance_ms(ms)
        else:
            time.sleep(ms / 1000)

    def prompt(self, length: int, seed: int) -> list[int]:
        """Random ids that do not end an answer."""
        draw = random.Random(seed)
        usable = [i for i in range(3, self.info.vocab_size) if i not in self.info.end_tokens]
        return [draw.choice(usable) for _ in range(length)]

    def reusable(self, resident: int, context: int, *, needs_row: bool = True) -> int:
        """What the contract says is reused of a context with so many of its tokens resident."""
        limit = context - 1 if needs_row or self.info.reuse is _core.Reuse.one_token_short else context
        reused = min(resident, limit)
        return reused - reused % self.info.block_tokens
