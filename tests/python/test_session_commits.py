"""What is committed, and when: a test a row of the commit table."""

from __future__ import annotations

import pytest

from poise import _core
from tests.support.sim_world import FullJournal, SimWorld

LOG = list(range(10, 40))


@pytest.fixture
def world() -> SimWorld:
    return SimWorld(journal=_core.MemoryJournal())


def test_append_advances_the_guesses_that_it_confirms_and_drops_the_others(world: SimWorld) -> None:
    session = world.open(LOG)
    right = world.anticipate(session, [50, 51, 52, 60, 61], kind=_core.AnticipationKind.tool_result)
    wrong = world.anticipate(session, [50, 51, 99, 60, 61], kind=_core.AnticipationKind.tool_result)
    world.idle()
    result = world.manager.append(session, [50, 51, 52])
    assert result.advanced_entries == 1
    assert result.data_version == 2
    entries = {e.id: e for e in world.manager.state(session).entries}
    assert right in entries
    assert wrong not in entries
    assert entries[right].tokens == 2
    assert entries[right].data_version == 2
    # append(guess) followed by the turn is ready, with no token prefilled
    before = world.sim.stats()
    answer = world.drain(world.begin(session, [60, 61], max_new_tokens=4))
    assert answer.start.path == _core.Path.ready
    assert answer.end.prefilled_tokens == 0
    assert world.sim.stats().prefilled_tokens == before.prefilled_tokens
    assert answer.ids == world.reference([*LOG, 50, 51, 52, 60, 61], max_new_tokens=4)


def test_append_of_a_whole_guess_leaves_its_distribution(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [50, 51])
    world.idle()
    world.manager.append(session, [50, 51])
    answer = world.ask(session, [], max_new_tokens=4)
    assert answer.start.path == _core.Path.ready
    assert answer.ids == world.reference([*LOG, 50, 51], max_new_tokens=4)


def test_append_makes_a_registered_question_stale_and_it_is_prepared_anew(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [7, 8], kind=_core.AnticipationKind.question, persistent=True)
    world.idle()
    world.manager.append(session, [70, 71])
    (entry,) = world.manager.state(session).entries
    assert not entry.ready
    # nothing answers from the older version
    stale = world.ask(session, [7, 8], durable=False)
    assert stale.start.path == _core.Path.prefix
    assert stale.ids == world.reference([*LOG, 70, 71, 7, 8])
    world.idle()
    fresh = world.ask(session, [7, 8], durable=False)
    assert fresh.start.path == _core.Path.ready
    assert fresh.ids == stale.ids


@pytest.mark.parametrize("how", ["stop token", "length", "stop string"])
def test_durable_turn_commits_request_and_answer(world: SimWorld, how: str) -> None:
    session = world.open(LOG)
    full = world.reference([*LOG, 5], max_new_tokens=12)
    if how == "stop token":
        answer = world.ask(session, [5], max_new_tokens=12, stop_tokens=[full[3]])
        expected, reason = full[: full.index(full[3]) + 1], _core.FinishReason.stop
    elif how == "length":
        answer = world.ask(session, [5], max_new_tokens=4)
        expected, reason = full[:4], _core.FinishReason.length
    else:
        stream = world.begin(session, [5], max_new_tokens=12)
        for _ in range(6):
            world.sim.step()
        stream.stop_at(2)  # the text layer found its stop string in the second token
        world.sim.run_until_idle()
        answer = world.drain(stream)
        expected, reason = full[:2], _core.FinishReason.stop
    assert answer.end.reason == reason
    assert list(answer.end.answer) == expected
    assert world.log(session) == [*LOG, 5, *expected]
    assert answer.end.data_version == 2
    roles = [(m.role, m.begin, m.end) for m in world.manager.state(session).messages]
    assert roles == [("assistant", len(LOG) + 1, len(LOG) + 1 + len(expected))]
    assert world.journal.replay(session) == world.log(session)


@pytest.mark.parametrize("keep", [False, True])
def test_cancel_discards_the_turn_unless_asked_to_keep_it(world: SimWorld, keep: bool) -> None:
    session = world.open(LOG)
    stream = world.begin(session, [5], max_new_tokens=50, keep_partial=keep)
    for _ in range(5):
        world.sim.step()
    stream.cancel()
    world.sim.run_until_idle()
    answer = world.drain(stream)
    assert answer.end.reason == _core.FinishReason.cancelled
    assert 0 < len(answer.ids) < 50
    assert world.log(session) == ([*LOG, 5, *answer.ids] if keep else LOG)
    world.sim.check_integrity()
    follow = world.ask(session, [6])
    assert follow.ids == world.reference([*world.log(session)[: -1 - len(follow.ids)], 6])


def test_a_dropped_stream_cancels_its_turn(world: SimWorld) -> None:
    session = world.open(LOG)
    stream = world.begin(session, [5], max_new_tokens=50)
    world.sim.step()
    del stream
    world.sim.run_until_idle()
    assert world.log(session) == LOG
    assert not world.manager.state(session).busy
    assert world.manager.counters().turns_cancelled == 1


def test_ephemeral_turn_commits_nothing(world: SimWorld) -> None:
    session = world.open(LOG)
    answer = world.ask(session, [5], durable=False)
    assert answer.end.data_version == 1
    assert world.log(session) == LOG
    assert len(world.journal.records()) == 1


def test_rebase_replaces_the_tail(world: SimWorld) -> None:
    session = world.open(LOG)
    answer = world.ask(session, [90, 91], rebase_to=20, max_new_tokens=3)
    assert world.log(session) == [*LOG[:20], 90, 91, *answer.ids]
    assert answer.ids == world.reference([*LOG[:20], 90, 91], max_new_tokens=3)
    assert world.manager.counters().rebases == 1
    assert world.journal.replay(session) == world.log(session)


def test_appends_queue_behind_a_durable_turn(world: SimWorld) -> None:
    session = world.open(LOG)
    stream = world.begin(session, [5], max_new_tokens=4)
    queued = world.manager.append(session, [80, 81])
    assert queued.queued
    assert queued.data_version == 1
    world.sim.run_until_idle()
    answer = world.drain(stream)
    assert world.log(session) == [*LOG, 5, *answer.ids, 80, 81]
    assert world.manager.state(session).data_version == 3
    assert answer.ids == world.reference([*LOG, 5], max_new_tokens=4)


def test_a_second_durable_turn_conflicts_and_the_first_goes_on(world: SimWorld) -> None:
    session = world.open(LOG)
    stream = world.begin(session, [5], max_new_tokens=4)
    with pytest.raises(_core.Conflict, match="durable"):
        world.begin(session, [6])
    beside = world.begin(session, [6], durable=False, max_new_tokens=4)
    world.sim.run_until_idle()
    assert world.drain(stream).ids == world.reference([*LOG, 5], max_new_tokens=4)
    assert world.drain(beside).ids == world.reference([*LOG, 6], max_new_tokens=4)
    assert world.manager.counters().conflicts == 1


def test_speculative_tokens_never_reach_log_or_journal(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [200, 201, 202])
    world.idle()
    assert world.log(session) == LOG
    world.ask(session, [7], max_new_tokens=3)
    world.manager.append(session, [8, 9])
    world.idle()
    written = [t for record in world.journal.records() for t in record.tokens]
    assert not {200, 201, 202} & set(written)
    assert world.journal.replay(session) == world.log(session)


def test_a_failing_journal_commits_nothing() -> None:
    journal = FullJournal()
    world = SimWorld(journal=journal)
    session = world.open(LOG)
    journal.refuses = True
    with pytest.raises(Exception, match="disk full"):
        world.manager.append(session, [1])
    assert world.log(session) == LOG
    answer = world.ask(session, [5])
    assert answer.end.reason == _core.FinishReason.error
    assert "disk full" in answer.end.error
    assert world.log(session) == LOG
    journal.refuses = False
    assert world.ask(session, [5]).end.reason != _core.FinishReason.error


class TestFork:
    def test_a_fork_shares_the_prefix_and_diverges(self, world: SimWorld) -> None:
        session = world.open(LOG)
        world.ask(session, [5], max_new_tokens=3)
        child = world.manager.fork(session)
        cut = world.manager.fork(session, 12)
        log = world.log(session)
        assert world.log(child) == log
        assert world.log(cut) == LOG[:12]
        a, b = world.ask(session, [6]), world.ask(child, [7])
        assert a.ids == world.reference([*log, 6])
        assert b.ids == world.reference([*log, 7])
        assert b.end.reused_tokens > 0
        assert world.ask(session, [8]).end.prefilled_tokens == 2  # unharmed by its child

    def test_registered_questions_are_declared_again(self, world: SimWorld) -> None:
        session = world.open(LOG)
        world.anticipate(session, [7, 8], persistent=True)
        world.anticipate(session, [9, 9])
        child = world.manager.fork(session)
        assert [e.tokens for e in world.manager.state(child).entries] == [2]

    def test_outside_the_log(self, world: SimWorld) -> None:
        session = world.open(LOG)
        with pytest.raises(_core.InvalidArgument, match="1000"):
            world.manager.fork(session, 1000)


class TestClose:
    def test_frees_kv_and_ends_turns(self, world: SimWorld) -> None:
        session = world.open(LOG)
        world.anticipate(session, [5, 6])
        world.idle()
        stream = world.begin(session, [9], max_new_tokens=50)
        world.sim.step()
        world.manager.close(session)
        world.sim.run_until_idle()
        assert world.drain(stream).end.reason == _core.FinishReason.cancelled
        assert world.sim.stats().resident_tokens == 0
        assert world.manager.counters().entry_bytes == 0
        assert world.manager.counters().entries == 0
        world.sim.check_integrity()

    @pytest.mark.parametrize("call", ["append", "turn", "fork", "close", "state", "anticipate"])
    def test_a_closed_session_is_not_found(self, world: SimWorld, call: str) -> None:
        session = world.open(LOG)
        world.manager.close(session)
        arguments = {
            "append": ([1],),
            "turn": (_core.TurnRequest(tokens=[1]),),
            "anticipate": (_core.Anticipation(tokens=[1]),),
        }.get(call, ())
        with pytest.raises(_core.NotFound, match=session):
            getattr(world.manager, call)(session, *arguments)
