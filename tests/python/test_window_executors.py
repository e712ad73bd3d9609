"""Windows on every executor, memory that cannot roll back included: idle thread, real steps, tiny models."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from poise import _core
from tests.executors.cases import CASES, Case, Size
from tests.support.window_world import window, without

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = [20 + n % 200 for n in range(80)]
GREEDY = _core.SamplingParams(temperature=0.0)


class World:
    """A manager on one executor, which may need to be stepped by hand."""

    def __init__(self, case: Case) -> None:
        self.case, self.clock = case, _core.FakeClock()
        self.executor = case.make(Size(max_sequences=4, context_tokens=256), self.clock)
        options = _core.ManagerOptions(seed=1, idle_thread=False)
        self.manager = _core.SessionManager(self.executor, options, None, self.clock)

    def run(self, executor: _core.Executor | None = None) -> None:
        """Until nothing runs or waits."""
        executor = executor or self.executor
        if isinstance(executor, _core.SimExecutor) and self.case.name == "sim":
            executor.run_until_idle()
            return
        while True:
            stats = executor.stats()
            time.sleep(0.002)  # also for the callbacks of what has just ended
            if not (stats.running_requests + stats.waiting_requests + stats.running_idle + stats.waiting_idle):
                return

    def idle(self) -> None:
        for _ in range(1000):
            if not self.manager.run_idle():
                self.run()
                if not self.manager.run_idle():
                    return
            self.run()
        raise AssertionError("idle work does not settle")

    def ask(self, session: str, tokens: list[int], wanted: int = 6) -> tuple[list[int], _core.TurnEnd]:
        stream = self.manager.turn(
            session, _core.TurnRequest(tokens=tokens, sampling=GREEDY, max_new_tokens=wanted, stop_tokens=[299])
        )
        ids: list[int] = []
        while True:
            self.run()
            while (event := stream.try_next()) is not None:
                if isinstance(event, _core.TurnToken):
                    ids.append(event.token)
                elif isinstance(event, _core.TurnEnd):
                    return ids, event

    def reference(self, context: list[int], wanted: int = 6) -> list[int]:
        bare = self.case.make(Size(max_sequences=1, context_tokens=256), _core.FakeClock())
        sink = _core.CollectSink()
        bare.enqueue(_core.Request(context=context, sampling=GREEDY, max_new_tokens=wanted, stop_tokens=[299]), sink)
        if self.case.name == "sim":
            bare.run_until_idle()  # type: ignore[attr-defined]
        else:
            assert sink.wait(30.0)
        bare.shutdown()
        return list(sink.tokens)


@pytest.fixture(params=[case for case in CASES if case.name != "python"], ids=lambda case: case.name)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    case: Case = request.param
    if case.missing:
        pytest.skip(f"{case.name}: {case.missing}")
    world = World(case)
    yield world
    world.run()
    world.executor.check_integrity()
    del world.manager
    world.executor.shutdown()


def test_a_prepared_slide_answers_like_a_bare_executor(world: World) -> None:
    session = world.manager.open(_core.OpenOptions(tokens=LOG, window=window(automatic=False), sampling=GREEDY))
    world.idle()
    assert world.manager.state(session).window_prepared
    drop = world.manager.slide(session)
    assert drop is not None
    assert drop.prepared
    log = without(LOG, drop)
    assert list(world.manager.state(session).log) == log
    ids, end = world.ask(session, [5, 6])
    assert end.prefilled_tokens == 2
    assert ids == world.reference([*log, 5, 6])
    assert world.executor.stats().sequences_used == 1


def test_an_unprepared_slide_answers_like_a_bare_executor(world: World) -> None:
    session = world.manager.open(_core.OpenOptions(tokens=LOG, window=window(), sampling=GREEDY))
    ids, end = world.ask(session, [5] * 20)
    log = [*LOG[:10], *LOG[50:]]
    assert world.manager.counters().window_slides_unprepared == 1
    assert end.prefilled_tokens == len(log) + 20
    assert ids == world.reference([*log, *[5] * 20])


def test_many_turns_within_one_window(world: World) -> None:
    session = world.manager.open(_core.OpenOptions(tokens=LOG[:30], window=window(), sampling=GREEDY))
    for turn in range(12):
        world.idle()
        before = list(world.manager.state(session).log)
        ids, end = world.ask(session, [30 + turn] * 6)
        after = list(world.manager.state(session).log)
        dropped = len(before) + 6 + len(ids) - len(after)
        context = [*before[:10], *before[10 + dropped :], *[30 + turn] * 6]
        assert ids == world.reference(context)
        assert end.prefilled_tokens <= 7  # the request, and the last id of an answer
        assert len(after) <= 100
    assert world.manager.counters().window_slides >= 2
    assert world.manager.counters().window_slides_unprepared == 0


def test_a_closed_session_leaves_nothing(world: World) -> None:
    session = world.manager.open(_core.OpenOptions(tokens=LOG, window=window(), sampling=GREEDY))
    for _ in range(4):
        world.manager.run_idle()
        world.run()
    world.manager.run_idle()
    world.manager.close(session)
    world.run()
    assert world.executor.stats().sequences_used == 0
    assert world.executor.stats().resident_tokens == 0
