"""Text that is still being typed: a partial guess replaces the one before it, and its KV stays where both agree."""

from __future__ import annotations

import pytest

from poise import _core
from tests.support.sim_world import SimWorld

LOG = list(range(10, 40))
PARTIAL = _core.AnticipationKind.partial
TYPED = [100, 101, 102, 103, 104, 105, 106, 107]


@pytest.fixture
def world() -> SimWorld:
    return SimWorld(idle_quantum_tokens=16)


def typed(world: SimWorld, session: str, tokens: list[int], replaces: int, *, decides: bool = False) -> int:
    guess = world.anticipate(session, tokens, kind=PARTIAL, decides=decides, replaces=replaces)
    (entry,) = world.manager.state(session).entries
    assert entry.id == guess
    assert entry.tokens == len(tokens)
    return guess


def test_only_new_tokens_are_prefilled(world: SimWorld) -> None:
    session = world.open(LOG)
    guess = 0
    for length in range(1, len(TYPED) + 1):
        before = world.sim.stats().idle_prefilled_tokens
        guess = typed(world, session, TYPED[:length], guess)
        world.idle()
        done = world.sim.stats().idle_prefilled_tokens - before
        assert done == (len(LOG) + 1 if length == 1 else 1)
    answer = world.ask(session, [*TYPED, 5, 6])
    assert answer.start.path == _core.Path.entry
    assert answer.start.kind == PARTIAL
    assert answer.start.prepositioned_tokens == len(TYPED)
    assert answer.end.prefilled_tokens == 2
    assert answer.ids == world.reference([*LOG, *TYPED, 5, 6])
    outcomes = world.manager.counters().entry_outcomes
    assert outcomes["used"]["partial"] == 1
    assert outcomes["cancelled"]["partial"] == len(TYPED) - 1
    assert outcomes["stale"]["partial"] == 0
    assert world.manager.counters().entries == 0


def test_backspace_computes_nothing_and_forgets_nothing(world: SimWorld) -> None:
    session = world.open(LOG)
    guess = typed(world, session, TYPED, 0)
    world.idle()
    before = world.sim.stats().idle_prefilled_tokens
    guess = typed(world, session, TYPED[:3], guess)
    world.idle()
    assert world.manager.state(session).entries[0].placement == _core.EntryPlacement.resident
    guess = typed(world, session, TYPED[:6], guess)  # typed again as it was
    world.idle()
    assert world.sim.stats().idle_prefilled_tokens == before
    guess = typed(world, session, [*TYPED[:4], 200, 201], guess)  # a correction
    world.idle()
    assert world.sim.stats().idle_prefilled_tokens == before + 2
    answer = world.ask(session, [*TYPED[:4], 200, 201, 5])
    assert answer.end.prefilled_tokens == 1
    assert answer.ids == world.reference([*LOG, *TYPED[:4], 200, 201, 5])


def test_a_deciding_guess_when_typing_rests_and_typing_on(world: SimWorld) -> None:
    session = world.open(LOG)
    guess = typed(world, session, TYPED, 0)
    world.idle()
    before = world.sim.stats().idle_prefilled_tokens
    guess = typed(world, session, [*TYPED, 5, 6], guess, decides=True)
    world.idle()
    assert world.sim.stats().idle_prefilled_tokens == before + 2
    assert world.manager.state(session).entries[0].ready
    guess = typed(world, session, [*TYPED, 108], guess)
    world.idle()
    assert world.sim.stats().idle_prefilled_tokens == before + 3
    typed(world, session, [*TYPED, 108, 5, 6], guess, decides=True)
    world.idle()
    assert world.sim.stats().idle_prefilled_tokens == before + 5
    answer = world.ask(session, [*TYPED, 108, 5, 6])
    assert answer.start.path == _core.Path.ready
    assert answer.end.prefilled_tokens == answer.end.reprefilled_tokens == 0
    assert answer.ids == world.reference([*LOG, *TYPED, 108, 5, 6])


def test_typing_faster_than_the_executor(world: SimWorld) -> None:
    """Each change ends the slice before it; what was prefilled until then is used."""
    session = world.open(LOG)
    guess = 0
    for length in range(1, len(TYPED) + 1):
        guess = typed(world, session, TYPED[:length], guess)
        world.manager.run_idle()
        world.sim.step()
    world.idle()
    stats = world.sim.stats()
    assert stats.idle_prefilled_tokens == len(LOG) + len(TYPED)
    assert world.ask(session, [*TYPED, 5]).end.prefilled_tokens == 1
    world.sim.check_integrity()


def test_what_was_prefilled_so_far_counts_as_prepositioned(world: SimWorld) -> None:
    session = world.open(LOG)
    world.idle()
    long = [100 + n for n in range(40)]
    typed(world, session, long, 0)
    assert world.manager.run_idle()  # one slice of three
    world.sim.run_until_idle()
    answer = world.ask(session, [*long, 5])
    assert answer.start.path == _core.Path.entry
    assert answer.start.prepositioned_tokens == 16
    assert answer.end.prefilled_tokens == 25


def test_what_is_gone_replaces_nothing(world: SimWorld) -> None:
    session = world.open(LOG)
    old = typed(world, session, TYPED[:2], 0)
    world.idle()
    world.ask(session, [7], max_new_tokens=2)  # took it back
    assert world.manager.state(session).entries == []
    new = typed(world, session, TYPED[:3], old)
    assert new != old
    other = world.open(LOG)
    typed(world, other, TYPED[:3], new)  # another session's id
    assert [e.id for e in world.manager.state(session).entries] == [new]


def test_the_same_text_keeps_its_entry_and_another_equal_one_takes_over(world: SimWorld) -> None:
    session = world.open(LOG)
    guess = typed(world, session, TYPED, 0)
    world.idle()
    assert typed(world, session, TYPED, guess) == guess
    assert world.manager.counters().entry_outcomes["cancelled"]["partial"] == 0
    equal = world.anticipate(session, TYPED[:2], kind=PARTIAL, decides=False)
    assert typed(world, session, TYPED[:2], guess) == equal
    assert world.manager.counters().entry_outcomes["cancelled"]["partial"] == 1


def test_replacing_is_no_further_entry() -> None:
    world = SimWorld(max_entries_per_session=1)
    session = world.open(LOG)
    guess = typed(world, session, TYPED[:1], 0)
    with pytest.raises(_core.ResourceExhausted):
        world.anticipate(session, [7])
    for length in range(2, 6):
        guess = typed(world, session, TYPED[:length], guess)
    world.manager.retract(session, guess)
    assert world.manager.counters().entries == 0


def test_a_branch_is_handed_on(world: SimWorld) -> None:
    session = world.open(LOG)
    first = world.anticipate(session, [1, 2, 3], weight=1.0)
    world.idle()
    long = [100 + n for n in range(40)]
    branch = world.anticipate(session, long, kind=PARTIAL, may_branch=True, weight=0.2)
    world.idle()
    entries = {e.id: e for e in world.manager.state(session).entries}
    assert entries[branch].placement == _core.EntryPlacement.branch
    before = world.sim.stats()
    longer = world.anticipate(session, [*long, 200], kind=PARTIAL, may_branch=True, weight=0.2, replaces=branch)
    world.idle()
    entries = {e.id: e for e in world.manager.state(session).entries}
    assert set(entries) == {first, longer}
    assert entries[longer].placement == _core.EntryPlacement.branch
    assert world.sim.stats().sequences_used == before.sequences_used
    assert world.sim.stats().idle_prefilled_tokens == before.idle_prefilled_tokens + 1
    world.manager.retract(session, longer)
    assert world.sim.stats().sequences_used == 1
    world.sim.check_integrity()
