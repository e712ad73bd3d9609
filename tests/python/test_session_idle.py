"""What idle time is spent on, in which slices, and what stops it."""

from __future__ import annotations

import pytest

from poise import _core
from tests.support.sim_world import SimWorld

LOG = list(range(10, 90))


@pytest.fixture
def world() -> SimWorld:
    return SimWorld(idle_quantum_tokens=16)


def test_the_log_becomes_resident_in_slices(world: SimWorld) -> None:
    session = world.open(LOG)
    assert world.manager.state(session).resident_version == 0
    assert world.manager.run_idle()
    world.sim.run_until_idle()
    assert world.manager.state(session).resident_tokens == 16
    world.idle()
    state = world.manager.state(session)
    assert state.resident_tokens == len(LOG)
    assert state.resident_version == state.data_version == 1
    assert world.ask(session, [5]).end.prefilled_tokens == 1


def test_a_request_finds_what_a_slice_has_prefilled(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [5, 6, 7])
    for _ in range(2):
        world.manager.run_idle()
        world.sim.run_until_idle()
    answer = world.ask(session, [5, 6, 7])
    assert answer.start.path == _core.Path.prefix
    assert answer.end.reused_tokens == 32
    assert answer.ids == world.reference([*LOG, 5, 6, 7])


def test_a_request_cancels_the_idle_work_of_its_session_and_uses_what_is_there(world: SimWorld) -> None:
    session = world.open(LOG, continuation_tokens=32)
    world.anticipate(session, [5, 6, 7])
    while not world.manager.state(session).entries[0].continuation_tokens:
        if not world.manager.run_idle():
            world.sim.step()
    partly = world.manager.state(session).entries[0].continuation_tokens
    assert 0 < partly < 32
    answer = world.ask(session, [5, 6, 7], max_new_tokens=40)
    assert answer.start.path == _core.Path.ready
    assert sum(t.prepositioned for t in answer.tokens) == partly
    assert answer.end.reprefilled_tokens == 0
    assert answer.ids == world.reference([*LOG, 5, 6, 7], max_new_tokens=40)


def test_a_request_of_another_session_runs_before_idle_work(world: SimWorld) -> None:
    waiting = world.open(LOG)
    other = world.open()
    world.manager.run_idle()
    idle_before = world.sim.stats().idle_steps
    answer = world.ask(other, [1, 2, 3], max_new_tokens=3)
    assert len(answer.ids) == 3
    stats = world.sim.stats()
    assert stats.idle_steps - idle_before <= 1 or world.manager.state(waiting).resident_tokens > 0
    assert answer.ids == world.reference([1, 2, 3], max_new_tokens=3)


def test_no_idle_work_while_a_turn_runs(world: SimWorld) -> None:
    world.open(LOG)
    busy = world.open()
    stream = world.begin(busy, [1], max_new_tokens=10)
    world.sim.step()
    assert not world.manager.run_idle()
    world.sim.run_until_idle()
    world.drain(stream)
    assert world.manager.run_idle()


def test_the_model_writes_a_tool_result_itself(world: SimWorld) -> None:
    """completion: envelope, then what the model continues with, then the suffix."""
    session = world.open(LOG)
    guessed = world.reference([*LOG, 5, 6], max_new_tokens=40)
    stop = guessed[4]
    content = guessed[: guessed.index(stop) + 1]
    world.anticipate(
        session,
        [5, 6],
        kind=_core.AnticipationKind.tool_result,
        source=_core.AnticipationSource.model,
        completion_tokens=20,
        completion_stops=[stop],
        suffix=[77, 78],
    )
    world.idle()
    (entry,) = world.manager.state(session).entries
    assert entry.ready
    assert entry.tokens == 2 + len(content) + 2
    answer = world.ask(session, [5, 6, *content, 77, 78])
    assert answer.start.path == _core.Path.ready
    assert answer.start.source == _core.AnticipationSource.model
    assert answer.ids == world.reference([*LOG, 5, 6, *content, 77, 78])


def test_a_completion_without_its_stop_is_framing_only(world: SimWorld) -> None:
    session = world.open(LOG)
    guessed = world.reference([*LOG, 5, 6], max_new_tokens=6)
    stop = next(i for i in range(900) if i not in guessed)
    world.anticipate(session, [5, 6], completion_tokens=6, completion_stops=[stop], suffix=[77])
    world.idle()
    (entry,) = world.manager.state(session).entries
    assert not entry.ready
    answer = world.ask(session, [5, 6, *guessed[:3], 9])
    assert answer.start.path == _core.Path.entry
    assert answer.start.prepositioned_tokens == 5
    assert answer.end.prefilled_tokens == 1


def test_the_most_valuable_guess_ends_up_behind_the_log(world: SimWorld) -> None:
    session = world.open(LOG)
    heavy = world.anticipate(session, [5, 6, 7, 8], weight=0.9)
    for token in range(200, 205):
        world.anticipate(session, [token, 1], weight=0.1)
    world.idle()
    placements = {e.id: e.placement for e in world.manager.state(session).entries}
    assert placements.pop(heavy) == _core.EntryPlacement.resident
    assert set(placements.values()) == {_core.EntryPlacement.detached}


def test_sessions_can_opt_out(world: SimWorld) -> None:
    session = world.open(LOG, preposition=False)
    world.anticipate(session, [1, 2])
    assert world.idle() == 0
    assert world.ask(session, [1, 2]).start.path == _core.Path.cold


def test_a_manager_without_prepositioning_is_plain_prefix_caching() -> None:
    world = SimWorld(preposition=False)
    session = world.open(LOG)
    world.anticipate(session, [1, 2])
    assert world.idle() == 0
    assert world.ask(session, [1, 2]).start.path == _core.Path.cold
    assert world.ask(session, [3]).start.path == _core.Path.prefix
    assert world.sim.stats().idle_steps == 0


def test_entry_memory_is_capped_before_it_is_taken() -> None:
    cap = 60_000
    world = SimWorld(max_entry_bytes=cap, vocab_size=997)
    session = world.open(LOG, continuation_tokens=8)
    for token in range(200, 240):
        world.anticipate(session, [token, 1])
    most = 0
    while world.manager.run_idle():
        while world.sim.step():
            most = max(most, world.manager.counters().entry_bytes)
    assert 0 < most <= cap
    counters = world.manager.counters()
    evicted = counters.as_dict()["entry_outcomes"]["evicted"]["hint"]
    assert evicted > 0
    # whatever is left is still right
    for entry in world.manager.state(session).entries:
        if entry.ready:
            break
    else:
        raise AssertionError("the cap holds several rows, yet no entry is ready")
    answer = world.ask(session, [239, 1], durable=False)
    assert answer.ids == world.reference([*LOG, 239, 1])


def test_counters_balance(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [1, 2, 3])
    world.anticipate(session, [4, 5, 6])
    world.idle()
    world.ask(session, [1, 2, 3], max_new_tokens=20)
    counters = world.manager.counters().as_dict()
    stats = world.sim.stats()
    assert counters["entry_outcomes"]["used"]["hint"] == 1
    assert counters["entry_outcomes"]["stale"]["hint"] == 1
    assert counters["turns_by_path"]["ready"] == 1
    assert counters["used_prefilled_tokens"] == 3
    assert counters["used_decoded_tokens"] == 16
    assert counters["idle_prefilled_tokens"] == stats.idle_prefilled_tokens
    # the first token of each of the two continuations came from a prefill pass
    assert counters["idle_decoded_tokens"] == stats.idle_decoded_tokens + 2
    assert counters["request_decoded_tokens"] == stats.decoded_tokens + 1


def test_the_scheduler_learns_which_guess_comes_true(world: SimWorld) -> None:
    """After many turns in which only `question` came true, it is prepared first."""
    session = world.open(LOG[:8])
    for turn in range(12):
        world.anticipate(session, [5, 6, turn], kind=_core.AnticipationKind.question)
        world.anticipate(session, [300, 301, turn], kind=_core.AnticipationKind.hint)
        world.idle()
        world.ask(session, [5, 6, turn], max_new_tokens=1)
    question = world.anticipate(session, [5, 6, 99], kind=_core.AnticipationKind.question)
    world.anticipate(session, [300, 301, 99], kind=_core.AnticipationKind.hint)
    while True:
        entries = {e.id: e.ready for e in world.manager.state(session).entries}
        if any(entries.values()):
            break
        assert world.manager.run_idle()
        world.sim.run_until_idle()
    assert entries[question]
    assert sum(entries.values()) == 1


def test_equal_guesses_that_need_many_slices_are_finished_one_after_another(world: SimWorld) -> None:
    """Taking turns, each would push the slices of the others out of the place behind the log."""
    session = world.open(LOG, continuation_tokens=4)
    guesses = [[200 + guess] * 70 for guess in range(4)]
    for guess in guesses:
        world.anticipate(session, guess, weight=0.25)
    world.idle(limit=100)
    assert all(entry.ready for entry in world.manager.state(session).entries)
    prefilled = world.manager.counters().idle_prefilled_tokens
    # what was moved away is not computed again until it is placed behind the log
    assert prefilled <= len(LOG) + sum(map(len, guesses)) + 70 + 4
