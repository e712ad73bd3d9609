"""Windows on the simulated executor: when a slide happens, what it drops, and what it costs a request."""

from __future__ import annotations

import pytest

from poise import _core
from tests.support.sim_world import SimWorld
from tests.support.window_world import TRIGGER, spans, told, window, without

LOG = list(range(10, 90))  # past the trigger
KIND = _core.JournalRecord.Kind


@pytest.fixture
def world() -> SimWorld:
    return SimWorld(journal=_core.MemoryJournal(), idle_quantum_tokens=16)


def test_nothing_is_prepared_before_half_way(world: SimWorld) -> None:
    session = world.open(LOG[:TRIGGER], window=window(automatic=False))
    world.idle()
    assert not world.manager.state(session).window_prepared
    assert world.sim.stats().sequences_used == 1
    assert world.manager.slide(session) is None
    assert world.log(session) == LOG[:TRIGGER]
    assert len(world.journal.records()) == 1


def test_a_prepared_slide_leaves_nothing_of_the_log_to_prefill(world: SimWorld) -> None:
    session = world.open(LOG, window=window(automatic=False))
    world.idle()
    assert world.manager.state(session).window_prepared
    assert world.sim.stats().sequences_used == 2
    drop = world.manager.slide(session)
    assert drop is not None
    assert (drop.begin, drop.end, drop.prepared) == (10, 50, True)
    log = [*LOG[:10], *LOG[50:]]
    assert world.log(session) == log
    state = world.manager.state(session)
    assert state.resident_tokens == len(log) == 40
    assert state.window_dropped_tokens == 40
    assert not state.window_prepared
    answer = world.ask(session, [5])
    assert answer.end.prefilled_tokens == 1  # the request's own
    assert answer.start.path == _core.Path.prefix
    assert answer.ids == world.reference([*log, 5])
    assert world.sim.stats().sequences_used == 1  # the long sequence went
    counters = world.manager.counters()
    assert (counters.window_slides, counters.window_slides_unprepared, counters.window_dropped_tokens) == (1, 0, 40)
    assert counters.rebases == 0
    world.sim.check_integrity()


def test_a_slide_is_a_commit_in_the_journal(world: SimWorld) -> None:
    session = world.open(LOG, window=window(automatic=False))
    world.idle()
    world.manager.slide(session)
    record = world.journal.records()[-1]
    assert (record.kind, record.base, list(record.tokens)) == (KIND.rebase, 10, LOG[50:])
    assert record.data_version == 2 == world.manager.state(session).data_version
    assert world.journal.replay(session) == world.log(session)


def test_a_preparation_follows_the_log(world: SimWorld) -> None:
    session = world.open(LOG, window=window(automatic=False))
    world.idle()
    answer = world.ask(session, [5, 6], max_new_tokens=4)
    assert not world.manager.state(session).window_prepared  # the new tokens are missing
    before = world.sim.stats().idle_prefilled_tokens
    world.idle()
    assert world.manager.state(session).window_prepared
    new = 2 + len(answer.ids)
    assert world.sim.stats().idle_prefilled_tokens - before == new  # in the second sequence only
    drop = world.manager.slide(session)
    assert drop.prepared
    log = [*LOG[:10], *LOG[50:], 5, 6, *answer.ids]
    assert world.log(session) == log
    follow = world.ask(session, [7])
    assert follow.end.prefilled_tokens == 1
    assert follow.ids == world.reference([*log, 7])


def test_without_idle_time_a_slide_drops_at_once_and_is_counted(world: SimWorld) -> None:
    session = world.open(LOG, window=window(automatic=False))
    assert world.manager.slide(session) is None  # not prepared, and there is room
    assert world.manager.slide(session, room=20) is None
    drop = world.manager.slide(session, room=21)
    assert (drop.begin, drop.end, drop.prepared) == (10, 50, False)
    assert world.manager.counters().window_slides_unprepared == 1
    answer = world.ask(session, [5])
    assert answer.end.prefilled_tokens == 41
    assert answer.ids == world.reference([*LOG[:10], *LOG[50:], 5])


def test_half_a_preparation_is_used(world: SimWorld) -> None:
    session = world.open(LOG, window=window(automatic=False))
    while world.manager.state(session).resident_tokens < len(LOG):
        world.manager.run_idle()
        world.sim.run_until_idle()
    world.manager.run_idle()  # one slice of the second sequence
    world.sim.run_until_idle()
    drop = world.manager.slide(session, room=50)
    assert not drop.prepared
    assert world.manager.state(session).resident_tokens > 10  # more than the head, which both have
    answer = world.ask(session, [5])
    assert answer.end.prefilled_tokens < 31
    assert answer.ids == world.reference([*LOG[:10], *LOG[50:], 5])
    assert world.sim.stats().sequences_used == 1
    world.sim.check_integrity()


def test_large_room_drops_more_than_planned(world: SimWorld) -> None:
    session = world.open(LOG, window=window(automatic=False))
    world.idle()
    drop = world.manager.slide(session, room=75)
    assert (drop.begin, drop.end, drop.prepared) == (10, 65, False)
    assert len(world.log(session)) == 25
    assert world.ask(session, [5]).ids == world.reference([*LOG[:10], *LOG[65:], 5])
    # not even the head would fit: nothing is lost, the request is refused
    assert world.manager.slide(session, room=91) is None


class TestAutomatic:
    def test_append_slides_when_it_must(self, world: SimWorld) -> None:
        session = world.open(LOG, window=window())
        world.manager.append(session, LOG[:20])
        assert world.log(session) == [*LOG[:10], *LOG[50:], *LOG[:20]]
        assert world.manager.counters().window_slides_unprepared == 1
        assert world.journal.replay(session) == world.log(session)

    def test_append_and_turn_take_a_prepared_slide(self, world: SimWorld) -> None:
        for act in ("append", "turn"):
            session = world.open(LOG, window=window())
            world.idle()
            if act == "append":
                world.manager.append(session, [5])
            else:
                answer = world.ask(session, [5], max_new_tokens=4)
                assert answer.end.prefilled_tokens == 1
                assert answer.ids == world.reference([*LOG[:10], *LOG[50:], 5], max_new_tokens=4)
            assert world.log(session)[:41] == [*LOG[:10], *LOG[50:], 5]
        assert world.manager.counters().window_slides == 2
        assert world.manager.counters().window_slides_unprepared == 0

    def test_a_prepared_slide_waits_for_a_request_that_an_entry_answers(self, world: SimWorld) -> None:
        session = world.open(LOG, window=window())
        world.anticipate(session, [5, 6])
        world.idle()
        assert world.manager.state(session).window_prepared
        ready = world.ask(session, [5, 6], max_new_tokens=4)
        assert ready.start.path == _core.Path.ready
        assert world.manager.counters().window_slides == 0
        # but not if there is no room for it
        world.idle()
        world.anticipate(session, [5, 6])
        world.idle()
        forced = world.ask(session, [5, 6], max_new_tokens=40)
        assert forced.start.path == _core.Path.prefix
        assert forced.end.prefilled_tokens == 2
        assert world.manager.counters().window_slides == 1

    def test_the_log_never_exceeds_max_tokens(self, world: SimWorld) -> None:
        session = world.open(LOG[:30], window=window(), messages=spans(("system", 10), ("user", 20)))
        seen = []
        for turn in range(30):
            before = world.log(session)
            answer = world.ask(session, [200 + turn] * 5, max_new_tokens=7)
            after = world.log(session)
            dropped = len(before) + 5 + len(answer.ids) - len(after)
            context = [*before[:10], *before[10 + dropped :], *[200 + turn] * 5]
            assert after == [*context, *answer.ids]
            assert answer.ids == world.reference(context, max_new_tokens=7)
            assert len(after) <= 100
            if dropped:
                assert answer.end.prefilled_tokens == 5
            seen.append(dropped)
            world.idle()
        counters = world.manager.counters()
        assert counters.window_slides == sum(map(bool, seen)) >= 5
        assert counters.window_slides_unprepared == 0
        assert counters.window_dropped_tokens == sum(seen)
        assert world.journal.replay(session) == world.log(session)
        world.sim.check_integrity()

    def test_queued_appends_slide_when_they_join(self, world: SimWorld) -> None:
        session = world.open(LOG, window=window())
        stream = world.begin(session, [5], max_new_tokens=4)
        assert world.manager.append(session, [300] * 30).queued
        assert world.manager.append(session, [301] * 40).queued
        world.sim.run_until_idle()
        world.drain(stream)
        log = world.log(session)
        assert log[-40:] == [301] * 40
        assert log[:10] == LOG[:10]
        assert len(log) <= 100
        assert world.ask(session, [5]).ids == world.reference([*log, 5])

    def test_an_ephemeral_turn_needs_room_in_the_context_only(self) -> None:
        world = SimWorld(max_context_tokens=150)
        session = world.open(LOG, window=window())
        answer = world.ask(session, [5], durable=False, max_new_tokens=60)
        assert world.log(session) == LOG
        assert answer.ids == world.reference([*LOG, 5], max_new_tokens=60)
        answer = world.ask(session, [5], durable=False, max_new_tokens=70)
        assert world.log(session) == [*LOG[:10], *LOG[50:]]
        assert answer.ids == world.reference([*LOG[:10], *LOG[50:], 5], max_new_tokens=70)

    def test_what_cannot_fit_is_refused_and_the_session_lives_on(self, world: SimWorld) -> None:
        session = world.open(LOG, window=window())
        with pytest.raises(_core.ContextOverflow, match="max_tokens of 100"):
            world.begin(session, [5], max_new_tokens=95)
        with pytest.raises(_core.ContextOverflow, match="max_tokens is 100"):
            world.manager.append(session, [5] * 95)
        assert world.log(session) == LOG
        assert len(world.ask(session, [5], max_new_tokens=4).ids) == 4


def test_without_automatic_the_caller_is_told_to_slide(world: SimWorld) -> None:
    session = world.open(LOG, window=window(automatic=False))
    world.idle()
    with pytest.raises(_core.ContextOverflow, match=r"call slide\(session, room\) first"):
        world.begin(session, [5], max_new_tokens=20)
    with pytest.raises(_core.ContextOverflow, match=r"call slide\(session, room\) first"):
        world.manager.append(session, [5] * 21)
    with pytest.raises(_core.ContextOverflow, match=r"call slide\(session, room\) first"):
        world.manager.rebase(session, 79, [5] * 22)
    world.manager.slide(session, room=21)
    assert len(world.ask(session, [5], max_new_tokens=20).ids) == 20


def test_a_rebase_behind_the_cut_keeps_the_preparation_and_one_before_it_drops_it(world: SimWorld) -> None:
    session = world.open(LOG, window=window(automatic=False))
    world.idle()
    before = world.sim.stats().idle_prefilled_tokens
    world.manager.rebase(session, 75, [400, 401])
    world.idle()
    assert world.sim.stats().idle_prefilled_tokens - before == 4  # two in each sequence
    assert world.manager.state(session).window_prepared
    world.manager.rebase(session, 20, LOG[30:])
    assert not world.manager.state(session).window_prepared
    assert world.manager.slide(session) is None
    world.idle()
    assert world.manager.slide(session) is None  # now it is short
    assert world.sim.stats().sequences_used == 1
    world.sim.check_integrity()


class TestMessages:
    """Positions of the log: head, then whole messages where their spans are known."""

    def slid(self, world: SimWorld, *lengths: tuple[str, int], **changes: int) -> tuple[str, _core.WindowDrop]:
        log = LOG[: sum(length for _, length in lengths)]
        session = world.open(log, messages=spans(*lengths), window=window(automatic=False, **changes))
        drop = world.manager.slide(session, room=100 - 40)
        assert drop is not None
        assert world.log(session) == without(log, drop)
        assert [m.role for m in world.manager.state(session).messages] == [
            role
            for index, (role, _) in enumerate(lengths)
            if not drop.first_message <= index < drop.first_message + drop.message_count
        ]
        return session, drop

    def test_whole_messages_go_and_the_tail_begins_with_a_user(self, world: SimWorld) -> None:
        session, drop = self.slid(
            world, ("system", 10), ("user", 15), ("assistant", 15), ("assistant", 12), ("user", 8), ("assistant", 10)
        )
        # 30 tokens may stay behind the head: the second answer would fit, but templates begin with a user
        assert (drop.begin, drop.end, drop.first_message, drop.message_count) == (10, 52, 1, 3)
        assert told(world, session) == [("system", 0, 10), ("user", 10, 18), ("assistant", 18, 28)]

    def test_without_a_user_any_message_will_do(self, world: SimWorld) -> None:
        session, drop = self.slid(world, ("system", 10), ("tool", 35), ("tool", 15), ("tool", 10))
        assert (drop.begin, drop.end, drop.message_count) == (10, 45, 1)
        assert told(world, session) == [("system", 0, 10), ("tool", 10, 25), ("tool", 25, 35)]

    def test_the_head_is_widened_to_the_end_of_its_message(self, world: SimWorld) -> None:
        session, drop = self.slid(world, ("system", 16), ("user", 40), ("user", 20))
        assert (drop.begin, drop.end) == (16, 56)
        assert told(world, session)[0] == ("system", 0, 16)

    def test_a_message_that_is_too_large_is_cut_inside(self, world: SimWorld) -> None:
        session, drop = self.slid(world, ("system", 10), ("user", 10), ("user", 60))
        assert (drop.begin, drop.end, drop.message_count) == (10, 50, 1)
        assert told(world, session) == [("system", 0, 10), ("user", 10, 40)]

    def test_a_head_message_that_is_too_large_is_cut_inside(self, world: SimWorld) -> None:
        session, drop = self.slid(world, ("system", 80))
        assert (drop.begin, drop.end, drop.message_count) == (10, 50, 0)
        assert told(world, session) == [("system", 0, 40)]

    def test_without_a_head(self, world: SimWorld) -> None:
        session, drop = self.slid(world, ("user", 40), ("assistant", 10), ("user", 25), head_tokens=0)
        assert (drop.begin, drop.end, drop.first_message, drop.message_count) == (0, 50, 0, 2)
        assert told(world, session) == [("user", 0, 25)]


class TestTurnsAndWindows:
    def test_never_in_the_middle_of_a_durable_turn(self, world: SimWorld) -> None:
        session = world.open(LOG, window=window(automatic=False))
        world.idle()
        stream = world.begin(session, [5], max_new_tokens=4)
        world.sim.step()
        with pytest.raises(_core.Conflict, match="slide"):
            world.manager.slide(session, room=90)
        world.sim.run_until_idle()
        assert world.drain(stream).ids == world.reference([*LOG, 5], max_new_tokens=4)
        assert world.manager.counters().conflicts == 1
        assert world.manager.counters().window_slides == 0

    def test_an_ephemeral_turn_ends_over_the_log_that_it_began_with(self, world: SimWorld) -> None:
        session = world.open(LOG, window=window(automatic=False))
        world.idle()
        stream = world.begin(session, [5], durable=False, max_new_tokens=20)
        world.sim.step()
        assert world.manager.slide(session) is None  # it can wait
        drop = world.manager.slide(session, room=40)  # it cannot
        assert drop.prepared
        world.sim.run_until_idle()
        assert world.drain(stream).ids == world.reference([*LOG, 5], max_new_tokens=20)
        world.idle()
        assert world.sim.stats().sequences_used == 1
        assert world.ask(session, [6]).ids == world.reference([*LOG[:10], *LOG[50:], 6])
        world.sim.check_integrity()

    def test_entries_are_reset_and_nobody_learns_from_it(self, world: SimWorld) -> None:
        session = world.open(LOG, window=window(automatic=False))
        dropped = world.anticipate(session, [5, 6])
        kept = world.anticipate(session, [7, 8], kind=_core.AnticipationKind.question, persistent=True)
        world.idle()
        world.manager.slide(session)
        entries = {e.id: e for e in world.manager.state(session).entries}
        assert dropped not in entries
        assert not entries[kept].ready
        outcomes = world.manager.counters().entry_outcomes
        assert outcomes["cancelled"]["hint"] == outcomes["cancelled"]["question"] == 1
        assert sum(outcomes["stale"].values()) == 0
        world.idle()
        answer = world.ask(session, [7, 8], durable=False)
        assert answer.start.path == _core.Path.ready
        assert answer.ids == world.reference([*LOG[:10], *LOG[50:], 7, 8])


class TestNothingIsLeftBehind:
    @pytest.mark.parametrize("jobs", [0, 6, 7, 100])
    def test_close(self, world: SimWorld, jobs: int) -> None:
        session = world.open(LOG, window=window())
        for _ in range(jobs):
            if world.manager.run_idle():
                world.sim.run_until_idle()
        world.manager.run_idle()
        world.manager.close(session)
        world.sim.run_until_idle()
        assert world.sim.stats().sequences_used == 0
        assert world.sim.stats().resident_tokens == 0
        world.sim.check_integrity()

    def test_fork(self, world: SimWorld) -> None:
        session = world.open(LOG, window=window(automatic=False))
        world.idle()
        child = world.manager.fork(session)
        assert not world.manager.state(child).window_prepared
        world.idle()
        for one in (session, child):
            assert world.manager.slide(one).prepared
            assert world.ask(one, [5], durable=False).ids == world.reference([*LOG[:10], *LOG[50:], 5])
        world.sim.check_integrity()
        for one in (session, child):
            world.manager.close(one)
        world.sim.run_until_idle()
        assert world.sim.stats().sequences_used == 0
        world.sim.check_integrity()

    def test_a_manager_that_goes(self, world: SimWorld) -> None:
        world.open(LOG, window=window())
        world.idle()
        assert world.sim.stats().sequences_used == 2
        del world.manager
        assert world.sim.stats().sequences_used == 0
        world.sim.check_integrity()


def test_a_full_executor_prepares_nothing() -> None:
    world = SimWorld(max_sequences=1)
    session = world.open(LOG, window=window(automatic=False))
    jobs = world.idle(limit=50)
    assert 0 < jobs < 50
    assert world.sim.stats().evictions == 0
    assert not world.manager.state(session).window_prepared
    assert world.ask(session, [5], max_new_tokens=2).end.prefilled_tokens == 1
    drop = world.manager.slide(session, room=20)
    assert not drop.prepared
    assert world.ask(session, [6], max_new_tokens=2).ids == world.reference(
        [*world.log(session)[:-3], 6], max_new_tokens=2
    )


def test_a_failing_journal_slides_nothing() -> None:
    class Full(_core.Journal):
        def __init__(self) -> None:
            super().__init__()
            self.refuses = False

        def write(self, record: _core.JournalRecord) -> None:
            if self.refuses:
                raise OSError("disk full")

    journal = Full()
    world = SimWorld(journal=journal)
    session = world.open(LOG, window=window(automatic=False))
    world.idle()
    journal.refuses = True
    with pytest.raises(Exception, match="disk full"):
        world.manager.slide(session)
    journal.refuses = False
    assert world.log(session) == LOG
    assert world.manager.counters().window_slides == 0
    assert world.manager.slide(session).prepared


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head_tokens": -1}, "head_tokens is -1"),
        ({"keep_tokens": 10}, "keep_tokens is 10, head_tokens 10"),
        ({"max_tokens": 40}, "max_tokens is 40, keep_tokens 40"),
        ({"max_tokens": 5000}, "the context holds 4096"),
    ],
)
def test_impossible_windows_are_refused(world: SimWorld, changes: dict[str, int], words: str) -> None:
    with pytest.raises(_core.InvalidArgument, match=words):
        world.open(LOG, window=window(**changes))
    assert world.manager.counters().sessions_open == 0


def test_misuse_is_refused(world: SimWorld) -> None:
    with pytest.raises(_core.ContextOverflow, match="window's max_tokens of 100"):
        world.open(list(range(101)), window=window())
    plain = world.open(LOG)
    with pytest.raises(_core.InvalidArgument, match="has no window"):
        world.manager.slide(plain)
    session = world.open(LOG, window=window())
    with pytest.raises(_core.InvalidArgument, match="room is -1"):
        world.manager.slide(session, room=-1)
    world.manager.close(session)
    with pytest.raises(_core.NotFound):
        world.manager.slide(session)
