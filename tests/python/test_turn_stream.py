"""One turn's events in Python: waiting with and without a thread, dropping, cancelling, stopping."""

from __future__ import annotations

import asyncio
import gc
import select
import threading
import time

import pytest

from poise import _core
from tests.support.sim_world import SimWorld

LOG = list(range(10, 60))
GREEDY = _core.SamplingParams(temperature=0.0)


@pytest.fixture
def world() -> SimWorld:
    return SimWorld()


@pytest.fixture
def threaded() -> _core.SessionManager:
    """A manager whose executor works on a thread of its own."""
    sim = _core.SimExecutor(_core.SimOptions(threaded=True), _core.SteadyClock())
    return _core.SessionManager(sim, _core.ManagerOptions(seed=1))


def request(tokens: list[int], **fields: object) -> _core.TurnRequest:
    made = _core.TurnRequest(tokens=tokens, max_new_tokens=6, sampling=GREEDY)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def readable(stream: _core.TurnStream) -> bool:
    return bool(select.select([stream], [], [], 0)[0])


def test_events_come_in_order_and_none_follows_the_end(world: SimWorld) -> None:
    stream = world.begin(world.open(LOG), [7, 8], max_new_tokens=4)
    assert stream.try_next() is None
    assert not stream.ended
    world.sim.run_until_idle()
    assert stream.ended
    events = stream.drain()
    assert [type(event) for event in events] == [_core.TurnStart, *[_core.TurnToken] * 4, _core.TurnEnd]
    assert events[0].turn == stream.turn_id
    assert [event.index for event in events[1:-1]] == [0, 1, 2, 3]
    assert events[-1].answer == [event.token for event in events[1:-1]]
    assert stream.try_next() is None
    assert stream.next_event() is None
    assert stream.next_event(timeout_s=0.0) is None
    assert list(stream) == []
    assert stream.drain() == []


def test_waiting_lets_the_executors_thread_run(threaded: _core.SessionManager) -> None:
    session = threaded.open(_core.OpenOptions(tokens=LOG))
    for _ in range(20):
        events = list(threaded.turn(session, request([5])))
        assert isinstance(events[0], _core.TurnStart)
        assert isinstance(events[-1], _core.TurnEnd)
        assert len(events) == len(events[-1].answer) + 2


def test_a_timeout_leaves_the_turn_alone(world: SimWorld) -> None:
    stream = world.begin(world.open(LOG), [7])
    with pytest.raises(TimeoutError, match="the turn goes on"):
        stream.next_event(timeout_s=0.01)
    with pytest.raises(_core.InvalidArgument, match="timeout_s"):
        stream.next_event(timeout_s=float("nan"))
    world.sim.run_until_idle()
    assert world.drain(stream).end.reason == _core.FinishReason.length


def test_a_waiting_thread_is_woken(world: SimWorld) -> None:
    stream = world.begin(world.open(LOG), [7])
    got: list[object] = []
    waiter = threading.Thread(target=lambda: got.extend(stream))
    waiter.start()
    time.sleep(0.02)  # most likely it waits by now; it must not matter
    world.sim.run_until_idle()
    waiter.join(timeout=30)
    assert not waiter.is_alive()
    assert isinstance(got[-1], _core.TurnEnd)


def test_the_descriptor_is_readable_while_there_is_something_to_take(world: SimWorld) -> None:
    stream = world.begin(world.open(LOG), [7], max_new_tokens=2)
    assert stream.fileno() == stream.fileno()
    assert not readable(stream)
    world.sim.run_until_idle()
    assert readable(stream)
    while not isinstance(stream.try_next(), _core.TurnEnd):
        assert readable(stream)
    assert readable(stream)  # the end: next_event() returns None at once
    late = world.begin(world.open(LOG), [7], max_new_tokens=2)
    world.sim.run_until_idle()
    assert readable(late)  # made after the events


def test_asyncio_waits_for_many_turns_without_a_thread(threaded: _core.SessionManager) -> None:
    async def play(session: str) -> list[int]:
        stream = threaded.turn(session, request([9], durable=False))
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        loop.add_reader(stream.fileno(), wake.set)
        answer: list[int] = []
        try:
            while True:
                await wake.wait()
                wake.clear()
                for event in stream.drain():
                    if isinstance(event, _core.TurnToken):
                        answer.append(event.token)
                    elif isinstance(event, _core.TurnEnd):
                        assert event.answer == answer
                        return answer
        finally:
            loop.remove_reader(stream.fileno())

    async def play_all() -> list[list[int]]:
        sessions = [threaded.open(_core.OpenOptions(tokens=LOG)) for _ in range(16)]
        return await asyncio.wait_for(asyncio.gather(*map(play, sessions)), timeout=60)

    answers = asyncio.run(play_all())
    assert len(answers) == 16
    assert len({tuple(answer) for answer in answers}) == 1  # the same ids, greedy
    assert len(answers[0]) > 0


def test_a_dropped_stream_cancels_its_turn(world: SimWorld) -> None:
    session = world.open(LOG)
    stream = world.begin(session, [7, 8], max_new_tokens=50)
    for _ in range(4):
        world.sim.step()
    assert world.manager.state(session).busy
    del stream
    gc.collect()
    world.sim.run_until_idle()
    state = world.manager.state(session)
    assert not state.busy
    assert state.log == LOG  # discarded
    assert world.manager.counters().turns_cancelled == 1
    # An ended turn is not cancelled by dropping its stream.
    world.ask(session, [7])
    gc.collect()
    assert world.manager.counters().turns_cancelled == 1


def test_a_stream_keeps_its_manager(world: SimWorld) -> None:
    stream = world.begin(world.open(LOG), [7], max_new_tokens=3)
    del world.manager
    gc.collect()
    world.sim.run_until_idle()
    assert len(world.drain(stream).ids) == 3


def test_cancel_and_stop_at(world: SimWorld) -> None:
    session = world.open(LOG)
    cancelled = world.begin(session, [7], max_new_tokens=50)
    world.sim.step()
    cancelled.cancel()
    world.sim.run_until_idle()
    assert world.drain(cancelled).end.reason == _core.FinishReason.cancelled
    assert world.log(session) == LOG

    stopped = world.begin(session, [7], max_new_tokens=50)
    for _ in range(6):
        world.sim.step()
    with pytest.raises(_core.InvalidArgument):
        stopped.stop_at(49)
    stopped.stop_at(2)
    world.sim.run_until_idle()
    answer = world.drain(stopped)
    assert answer.end.reason == _core.FinishReason.stop
    assert len(answer.end.answer) == 2
    assert world.log(session) == [*LOG, 7, *answer.end.answer]
    stopped.cancel()  # ended: ignored
    stopped.stop_at(1)


def test_a_refused_turn_makes_no_stream(world: SimWorld) -> None:
    session = world.open(LOG)
    first = world.begin(session, [7])
    with pytest.raises(_core.Conflict):
        world.begin(session, [8])
    with pytest.raises(_core.NotFound):
        world.begin("0" * 32, [8])
    world.sim.run_until_idle()
    assert world.drain(first).end is not None
