"""rebase(): a commit outside of a turn that replaces the log's tail. A test a rule."""

from __future__ import annotations

import pytest

from poise import _core
from tests.support.sim_world import FullJournal, SimWorld

LOG = list(range(10, 40))
KIND = _core.JournalRecord.Kind


@pytest.fixture
def world() -> SimWorld:
    return SimWorld(journal=_core.MemoryJournal(), idle_quantum_tokens=16, max_context_tokens=200)


def test_it_replaces_the_tail_and_is_journaled(world: SimWorld) -> None:
    session = world.open(LOG)
    result = world.manager.rebase(session, 20, [90, 91, 92])
    assert result.data_version == 2
    assert not result.queued
    assert world.log(session) == [*LOG[:20], 90, 91, 92]
    record = world.journal.records()[-1]
    assert (record.kind, record.base, list(record.tokens)) == (KIND.rebase, 20, [90, 91, 92])
    assert world.journal.replay(session) == world.log(session)
    assert world.manager.counters().rebases == 1


def test_only_what_is_new_is_prefilled_and_that_in_idle_time(world: SimWorld) -> None:
    session = world.open(LOG)
    world.idle()
    before = world.sim.stats()
    world.manager.rebase(session, 20, [90, 91, 92, 93])
    assert world.manager.state(session).resident_tokens == 20
    assert world.manager.state(session).resident_version == 0  # the old version is not in the log any more
    world.idle()
    after = world.sim.stats()
    assert after.idle_prefilled_tokens - before.idle_prefilled_tokens == 4
    assert after.rollbacks == before.rollbacks + 1  # in place
    assert after.sequences_used == 1
    assert world.manager.state(session).resident_version == 2
    answer = world.ask(session, [5])
    assert answer.end.prefilled_tokens == 1
    assert answer.ids == world.reference([*LOG[:20], 90, 91, 92, 93, 5])


def test_a_log_may_shrink_and_may_become_empty(world: SimWorld) -> None:
    session = world.open(LOG)
    world.idle()
    world.manager.rebase(session, 12, [])
    assert world.log(session) == LOG[:12]
    answer = world.ask(session, [5])
    assert answer.end.prefilled_tokens == 1
    assert answer.ids == world.reference([*LOG[:12], 5])
    world.manager.rebase(session, 0, [])
    assert world.log(session) == []
    assert world.manager.state(session).messages == []
    world.manager.append(session, [1, 2])
    assert world.ask(session, [5]).ids == world.reference([1, 2, 5])
    assert world.journal.replay(session) == world.log(session)


def test_messages_of_the_tail_are_replaced_too(world: SimWorld) -> None:
    span = _core.MessageSpan
    session = world.open(LOG, messages=[span(role="system", begin=0, end=10), span(role="user", begin=10, end=30)])
    world.manager.rebase(session, 10, [90, 91, 92], [span(role="user", digest="d", begin=0, end=3)])
    spans = [(m.role, m.digest, m.begin, m.end) for m in world.manager.state(session).messages]
    assert spans == [("system", "", 0, 10), ("user", "d", 10, 13)]
    assert [(m.begin, m.end) for m in world.journal.records()[-1].messages] == [(10, 13)]


def test_entries_are_dropped_and_persistent_ones_made_anew(world: SimWorld) -> None:
    session = world.open(LOG)
    dropped = world.anticipate(session, [90, 91, 5], kind=_core.AnticipationKind.tool_result)
    kept = world.anticipate(session, [7, 8], kind=_core.AnticipationKind.question, persistent=True)
    world.idle()
    # even the right guess is not advanced: it stood behind another log
    assert world.manager.rebase(session, 20, [90, 91]).advanced_entries == 0
    entries = {e.id: e for e in world.manager.state(session).entries}
    assert dropped not in entries
    assert not entries[kept].ready
    assert world.manager.counters().entry_outcomes["stale"]["tool_result"] == 1
    world.idle()
    answer = world.ask(session, [7, 8], durable=False)
    assert answer.start.path == _core.Path.ready
    assert answer.ids == world.reference([*LOG[:20], 90, 91, 7, 8])


def test_from_the_logs_end_it_is_an_append(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [90, 91, 5])
    world.idle()
    assert world.manager.rebase(session, len(LOG), [90, 91]).advanced_entries == 1
    assert world.manager.counters().rebases == 0
    assert world.journal.records()[-1].kind == KIND.append
    assert world.ask(session, [5]).start.path == _core.Path.ready


def test_beside_an_ephemeral_turn_which_answers_over_the_old_log(world: SimWorld) -> None:
    session = world.open(LOG)
    stream = world.begin(session, [5], durable=False)
    world.sim.step()
    world.manager.rebase(session, 20, [90])
    world.sim.run_until_idle()
    assert world.drain(stream).ids == world.reference([*LOG, 5])
    assert world.ask(session, [6]).ids == world.reference([*LOG[:20], 90, 6])


def test_it_conflicts_with_a_durable_turn(world: SimWorld) -> None:
    session = world.open(LOG)
    stream = world.begin(session, [5], max_new_tokens=4)
    with pytest.raises(_core.Conflict, match="rebase"):
        world.manager.rebase(session, 20, [90])
    world.sim.run_until_idle()
    answer = world.drain(stream)
    assert world.log(session) == [*LOG, 5, *answer.ids]
    assert world.manager.counters().conflicts == 1
    world.manager.rebase(session, 20, [90])
    assert world.log(session) == [*LOG[:20], 90]


@pytest.mark.parametrize(
    ("base", "tokens", "error", "words"),
    [
        (-1, [1], _core.InvalidArgument, r"base is -1, outside the log \[0, 30\]"),
        (31, [1], _core.InvalidArgument, r"base is 31, outside the log \[0, 30\]"),
        (30, [], _core.InvalidArgument, "no tokens"),
        (5, [9999], _core.InvalidArgument, "token id 9999"),
        (5, [1] * 195, _core.ContextOverflow, "200 tokens long"),
    ],
)
def test_bad_input_changes_nothing(
    world: SimWorld, base: int, tokens: list[int], error: type[Exception], words: str
) -> None:
    session = world.open(LOG)
    with pytest.raises(error, match=words):
        world.manager.rebase(session, base, tokens)
    assert world.log(session) == LOG
    assert world.manager.state(session).data_version == 1
    assert len(world.journal.records()) == 1
    with pytest.raises(_core.InvalidArgument, match="span"):
        world.manager.rebase(session, 5, [1], [_core.MessageSpan(role="user", begin=0, end=2)])


def test_a_failing_journal_rebases_nothing() -> None:
    journal = FullJournal()
    world = SimWorld(journal=journal)
    session = world.open(LOG)
    journal.refuses = True
    with pytest.raises(Exception, match="disk full"):
        world.manager.rebase(session, 20, [90])
    journal.refuses = False
    assert world.log(session) == LOG
    assert world.ask(session, [5]).ids == world.reference([*LOG, 5])
