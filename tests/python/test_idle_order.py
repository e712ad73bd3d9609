"""What the idle scheduler holds a candidate to be worth, and in which order equals are served."""

from __future__ import annotations

import pytest

from poise._core import (
    AnticipationKind,
    EntryOutcome,
    FakeClock,
    IdleCandidate,
    IdleOptions,
    IdleScheduler,
    InvalidArgument,
)

PREFILL_US = 100.0  # the assumed costs, until some are measured
DECODE_US = 2000.0


@pytest.fixture
def scheduler() -> IdleScheduler:
    return IdleScheduler(IdleOptions(), FakeClock())


def candidate(session: int = 1, anticipation: int = 1, **fields: object) -> IdleCandidate:
    made = IdleCandidate(session=session, anticipation=anticipation)
    for name, value in {"prefill_tokens": 10, **fields}.items():
        setattr(made, name, value)
    return made


def order(scheduler: IdleScheduler, count: int) -> list[tuple[int, int]]:
    chosen = []
    for _ in range(count):
        best = scheduler.next()
        assert best is not None
        chosen.append((best.session, best.anticipation))
    return chosen


@pytest.mark.parametrize(
    ("fields", "saved_over_spent"),
    [
        # One pass of 100 tokens, and the request's own step is saved as well.
        ({"prefill_tokens": 100}, (100 * PREFILL_US + DECODE_US) / (100 * PREFILL_US)),
        # A pass of few tokens costs a decode step, for the scheduler as for the request.
        ({"prefill_tokens": 5}, 2.0),
        # Framing: the request still makes a pass of its own.
        ({"prefill_tokens": 100, "decides": False}, 1.0),
        ({"prefill_tokens": 5, "decides": False}, 5 * PREFILL_US / DECODE_US),
        # A continuation: its first step decides, the later ones are less likely to be used.
        ({"prefill_tokens": 0, "decode_tokens": 1}, 0.9),
        ({"prefill_tokens": 0, "decode_tokens": 16}, 0.9),
        ({"prefill_tokens": 0, "decode_tokens": 4, "decoded_tokens": 3}, 0.9**4),
        # The continuation does not make the way to the decision point look worse.
        ({"prefill_tokens": 5, "decode_tokens": 16}, 2.0),
        # The model writes 4 tokens of the guess; the request would have to prefill 14. The continuation is
        # better than that, so its steps up to the best stopping point count.
        (
            {"prefill_tokens": 10, "completion_tokens": 4},
            (DECODE_US + DECODE_US) / (DECODE_US + 4 * DECODE_US),
        ),
        (
            {"prefill_tokens": 10, "completion_tokens": 4, "decode_tokens": 2},
            (2 + 0.9 + 0.81) / (5 + 2),
        ),
    ],
)
def test_value_is_milliseconds_saved_over_spent(
    scheduler: IdleScheduler, fields: dict[str, object], saved_over_spent: float
) -> None:
    assert scheduler.value(candidate(**fields)) == pytest.approx(0.5 * saved_over_spent)
    assert scheduler.value(candidate(weight=0.25, **fields)) == pytest.approx(0.125 * saved_over_spent)


def test_the_log_is_wanted_by_every_request(scheduler: IdleScheduler) -> None:
    assert scheduler.value(candidate(anticipation=0, prefill_tokens=500, decides=False)) == pytest.approx(1.0)


def test_best_value_first(scheduler: IdleScheduler) -> None:
    scheduler.offer(candidate(1, 1, prefill_tokens=900))
    scheduler.offer(candidate(2, 0, prefill_tokens=700, decides=False))
    scheduler.offer(candidate(3, 1, prefill_tokens=12, weight=0.5))
    scheduler.offer(candidate(4, 1, prefill_tokens=25))
    chosen = []
    while (best := scheduler.next()) is not None:
        chosen.append(best.session)
        scheduler.withdraw(best.session, best.anticipation)
    # 1.0 for the log; 0.5 x 1.8; 0.5 x 1.02; 0.25 x 2
    assert chosen == [2, 4, 1, 3]


def test_a_candidate_stays_until_it_is_replaced_or_withdrawn(scheduler: IdleScheduler) -> None:
    scheduler.offer(candidate(1, 7))
    assert order(scheduler, 3) == [(1, 7)] * 3
    scheduler.offer(candidate(1, 7, prefill_tokens=3))
    best = scheduler.next()
    assert best is not None
    assert best.prefill_tokens == 3
    assert len(scheduler) == 1
    scheduler.offer(candidate(1, 7, prefill_tokens=0))  # no work left
    assert scheduler.next() is None
    assert len(scheduler) == 0


def test_what_was_begun_is_finished_first(scheduler: IdleScheduler) -> None:
    left = dict.fromkeys(range(4), 400)
    for session, tokens in left.items():
        scheduler.offer(candidate(session, prefill_tokens=tokens))
    finished = []
    steps = 0
    while (best := scheduler.next()) is not None:
        steps += 1
        left[best.session] -= 16
        scheduler.offer(candidate(best.session, prefill_tokens=left[best.session]))
        if left[best.session] == 0:
            finished.append((best.session, steps))
    assert finished == [(session, 25 * (session + 1)) for session in range(4)]


def test_equals_rotate_over_tenants_then_sessions_then_candidates(scheduler: IdleScheduler) -> None:
    for session in (1, 2):
        for anticipation in (1, 2):
            scheduler.offer(candidate(session, anticipation, tenant=1))
    scheduler.offer(candidate(3, 1, tenant=2))
    assert order(scheduler, 8) == [(1, 1), (3, 1), (2, 1), (3, 1), (1, 2), (3, 1), (2, 2), (3, 1)]


def test_outcomes_move_the_session_and_slowly_its_tenant(scheduler: IdleScheduler) -> None:
    kind = AnticipationKind.question
    for session in (1, 2):
        scheduler.offer(candidate(session, tenant=1, kind=kind))
    scheduler.offer(candidate(3, tenant=2, kind=kind))
    for _ in range(20):
        scheduler.on_outcome(1, 1, kind, EntryOutcome.used)
    assert scheduler.probability(1, kind) > 0.97
    # Session 2 has no outcomes of its own and expects what its tenant has seen; other tenants learn nothing.
    assert scheduler.probability(2, kind) == pytest.approx(21 / 22)
    assert scheduler.probability(3, kind) == 0.5
    assert scheduler.probability(1, AnticipationKind.hint) == 0.5
    for _ in range(4):
        scheduler.on_outcome(2, 1, kind, EntryOutcome.stale)
    assert scheduler.probability(2, kind) == pytest.approx(0.5 * 21 / 26)
    for outcome in (EntryOutcome.evicted, EntryOutcome.cancelled):
        before = scheduler.probability(2, kind)
        scheduler.on_outcome(2, 1, kind, outcome)
        assert scheduler.probability(2, kind) == before


def test_a_waiting_candidate_hears_of_its_tenants_success(scheduler: IdleScheduler) -> None:
    kind = AnticipationKind.question
    scheduler.offer(candidate(1, tenant=1, kind=kind, weight=0.1))
    scheduler.offer(candidate(2, tenant=1, kind=kind, prefill_tokens=50))
    scheduler.offer(candidate(3, tenant=2, kind=kind, prefill_tokens=40))
    assert order(scheduler, 1) == [(3, 1)]
    for _ in range(20):
        scheduler.on_outcome(1, 1, kind, EntryOutcome.used)
    assert order(scheduler, 1) == [(2, 1)]


def test_guesses_that_exclude_each_other_share_a_weight(scheduler: IdleScheduler) -> None:
    kind = AnticipationKind.question
    scheduler.offer(candidate(1, tenant=1, kind=kind, weight=0.05))
    for _ in range(60):  # twenty questions, one of which is asked each time
        scheduler.on_outcome(1, 1, kind, EntryOutcome.used, 0.05)
        for _ in range(19):
            scheduler.on_outcome(1, 1, kind, EntryOutcome.stale, 0.05)
    assert scheduler.probability(1, kind) == pytest.approx(1.0, abs=0.02)
    assert scheduler.value(candidate(1, tenant=1, kind=kind, weight=0.05)) == pytest.approx(0.1, abs=0.01)


def test_a_closed_session_is_forgotten_and_late_outcomes_do_not_bring_it_back() -> None:
    clock = FakeClock()
    scheduler = IdleScheduler(IdleOptions(), clock)
    kind = AnticipationKind.turn
    for session in range(1000):
        scheduler.offer(candidate(session, tenant=session % 10))
        scheduler.on_outcome(session, session % 10, kind, EntryOutcome.used)
    scheduler.withdraw_session(0, False)
    assert scheduler.sessions_known == 1000
    assert scheduler.probability(0, kind) > 0.5
    for session in range(1000):
        scheduler.withdraw_session(session, True)
        scheduler.on_outcome(session, session % 10, kind, EntryOutcome.stale)
    assert len(scheduler) == 0
    assert scheduler.sessions_known == 0
    assert scheduler.probability(1, kind) == 0.5
    clock.advance_ms(120_000)
    assert scheduler.next() is None
    assert scheduler.tenants_known == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("prefill_tokens", -1), ("decode_tokens", -2), ("weight", 1.5), ("weight", float("nan"))],
)
def test_a_bad_candidate_changes_nothing(scheduler: IdleScheduler, field: str, value: float) -> None:
    scheduler.offer(candidate(1, 1))
    with pytest.raises(InvalidArgument, match=field):
        scheduler.offer(candidate(1, 1, **{field: value}))
    with pytest.raises(InvalidArgument, match="belongs to 0"):
        scheduler.offer(candidate(1, 1, tenant=9))
    best = scheduler.next()
    assert best is not None
    assert best.prefill_tokens == 10
    assert len(scheduler) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_time_share", 0.0),
        ("max_tenant_time_share", 1.1),
        ("min_hit_rate", float("nan")),
        ("hit_rate_samples", 0),
        ("back_off_ms", 0.0),
        ("budget_window_ms", -1.0),
        ("continuation_agreement", 0.0),
    ],
)
def test_a_bad_option_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InvalidArgument, match=field.removesuffix("_ms")):
        IdleScheduler(IdleOptions(**{field: value}), FakeClock())
