"""Bad input: a clear error, and a session that lives on unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from poise import _core
from tests.support.sim_world import SimWorld

LOG = [1, 2, 3]


@pytest.fixture
def world() -> SimWorld:
    return SimWorld(max_context_tokens=64, vocab_size=100)


@pytest.mark.parametrize(
    ("request_fields", "error", "message"),
    [
        ({"tokens": [100]}, _core.InvalidArgument, r"token id 100 at index 0 .*\[0, 100\)"),
        ({"tokens": [-1]}, _core.InvalidArgument, "token id -1"),
        ({"tokens": [1] * 62}, _core.ContextOverflow, "exceed the context of 64"),
        ({"tokens": [1], "max_new_tokens": 61}, _core.ContextOverflow, "lower max_new_tokens"),
        ({"tokens": [1], "max_new_tokens": 0}, _core.InvalidArgument, "max_new_tokens is 0"),
        ({"tokens": [1], "rebase_to": 4}, _core.InvalidArgument, "rebase_to is 4"),
        ({"tokens": [1], "top_logprobs": 21}, _core.InvalidArgument, "top_logprobs is 21"),
        ({"tokens": [1], "stop_tokens": [500]}, _core.InvalidArgument, "500"),
        (
            {"tokens": [1], "messages": [_core.MessageSpan(role="user", begin=0, end=2)]},
            _core.InvalidArgument,
            r"span \[0, 2\)",
        ),
    ],
)
def test_bad_turns(world: SimWorld, request_fields: dict[str, Any], error: type[Exception], message: str) -> None:
    session = world.open(LOG)
    with pytest.raises(error, match=message):
        world.begin(session, **request_fields)
    state = world.manager.state(session)
    assert (list(state.log), state.data_version, state.busy) == (LOG, 1, False)
    assert world.ask(session, [4]).end.reason != _core.FinishReason.error


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), -0.5])
def test_bad_temperature(world: SimWorld, temperature: float) -> None:
    session = world.open(LOG)
    with pytest.raises(_core.InvalidArgument, match="temperature"):
        world.begin(session, [1], sampling=_core.SamplingParams(temperature=temperature))


def test_empty_and_oversized_appends(world: SimWorld) -> None:
    session = world.open(LOG)
    with pytest.raises(_core.InvalidArgument, match="no tokens"):
        world.manager.append(session, [])
    with pytest.raises(_core.ContextOverflow, match="64"):
        world.manager.append(session, [1] * 70)
    assert world.log(session) == LOG


def test_a_turn_on_an_empty_session_needs_tokens(world: SimWorld) -> None:
    session = world.open()
    with pytest.raises(_core.InvalidArgument, match="append something"):
        world.begin(session, [])


def test_limits_on_sessions_and_anticipations() -> None:
    world = SimWorld(max_sessions=3, max_sessions_per_tenant=2, max_entries_per_session=2)
    first = world.open(LOG)
    world.open(LOG)
    with pytest.raises(_core.ResourceExhausted, match="max_sessions_per_tenant"):
        world.open(LOG)
    world.open(LOG, tenant="other")
    with pytest.raises(_core.ResourceExhausted, match="max_sessions"):
        world.open(LOG, tenant="third")
    assert world.manager.counters().sessions_open == 3
    world.anticipate(first, [1])
    world.anticipate(first, [2])
    with pytest.raises(_core.ResourceExhausted, match="max_entries_per_session"):
        world.anticipate(first, [3])
    assert world.anticipate(first, [2]) == world.anticipate(first, [2])  # equal guesses share an id


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokens": []}, "no tokens"),
        ({"tokens": [1], "weight": 1.5}, "weight"),
        ({"tokens": [1], "weight": float("nan")}, "weight"),
        ({"tokens": [1], "completion_tokens": 4}, "completion_stops"),
        ({"tokens": [1], "suffix": [200]}, "200"),
    ],
)
def test_bad_anticipations(world: SimWorld, fields: dict[str, Any], message: str) -> None:
    session = world.open(LOG)
    with pytest.raises(_core.InvalidArgument, match=message):
        world.anticipate(session, **fields)


def test_an_executor_failure_ends_the_turn_and_keeps_the_log(world: SimWorld) -> None:
    session = world.open(LOG)
    world.sim.fail_next_step()
    answer = world.ask(session, [4])
    assert answer.end.reason == _core.FinishReason.error
    assert answer.end.error
    assert world.log(session) == LOG
    assert world.ask(session, [4]).ids == world.reference([*LOG, 4])


def test_failing_idle_work_stops_until_the_session_changes(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [7, 8])
    world.sim.fail_next_step()
    world.idle()
    assert world.manager.counters().idle_jobs_failed == 1
    assert not world.manager.state(session).entries[0].ready
    world.manager.append(session, [9])
    world.anticipate(session, [7, 8])
    world.idle()
    assert world.manager.state(session).entries[0].ready
