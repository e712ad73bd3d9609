"""Budgets and back-off of the idle scheduler: never exceeded, never at another tenant's expense."""

from __future__ import annotations

import itertools
import random

import pytest

from poise._core import (
    AnticipationKind,
    EntryOutcome,
    FakeClock,
    IdleCandidate,
    IdleOptions,
    IdleScheduler,
)

KIND = AnticipationKind.question
Span = tuple[float, float]  # begin and end of a job, milliseconds


def guess(tenant: int, session: int | None = None, prefill_tokens: int = 100_000) -> IdleCandidate:
    return IdleCandidate(
        session=tenant if session is None else session,
        anticipation=1,
        tenant=tenant,
        kind=KIND,
        prefill_tokens=prefill_tokens,
    )


def run(scheduler: IdleScheduler, clock: FakeClock, until_ms: float, rng: random.Random) -> dict[int, list[Span]]:
    """Do whatever the scheduler allows, in jobs of 1 to 10 ms, one at a time; wait when it allows nothing."""
    spans: dict[int, list[Span]] = {}
    while clock.now_ms() < until_ms:
        chosen = scheduler.next()
        if chosen is None:
            retry_at_ms = scheduler.retry_at_ms()
            assert retry_at_ms is not None
            assert retry_at_ms > clock.now_ms(), "refused a candidate and named no later time"
            clock.advance_ms(min(retry_at_ms, until_ms) - clock.now_ms())
            continue
        begin_ms = clock.now_ms()
        clock.advance_ms(rng.uniform(1.0, 10.0))
        spans.setdefault(chosen.tenant, []).append((begin_ms, clock.now_ms()))
        scheduler.on_work(chosen.tenant, prefilled_tokens=16, prefill_ms=clock.now_ms() - begin_ms)
        if rng.random() < 0.1:  # requests run, and idle work waits
            clock.advance_ms(rng.uniform(0.0, 300.0))
    return spans


def check_every_window(spans: list[Span], share: float, window_ms: float) -> None:
    """Over every span of time from a job's begin to a job's end."""
    spent = [0.0, *itertools.accumulate(end - begin for begin, end in spans)]
    for i, (begin_ms, _) in enumerate(spans):
        for j in range(i, len(spans)):
            length_ms = spans[j][1] - begin_ms
            allowed_ms = share * (length_ms + window_ms) + 10.0
            assert spent[j + 1] - spent[i] <= allowed_ms + 1e-6, f"jobs {i} to {j}"


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("share", "window_ms"), [(0.05, 0.0), (0.2, 500.0), (0.5, 2000.0)])
def test_the_global_share_holds_over_every_window(seed: int, share: float, window_ms: float) -> None:
    clock = FakeClock()
    options = IdleOptions(max_time_share=share, budget_window_ms=window_ms)
    scheduler = IdleScheduler(options, clock)
    for tenant in range(4):
        scheduler.offer(guess(tenant))
    by_tenant = run(scheduler, clock, 10_000.0, random.Random(seed))
    spans = sorted(itertools.chain.from_iterable(by_tenant.values()))
    check_every_window(spans, share, window_ms)
    # The budget is used, not only kept: most of the share, or of the time that was idle.
    spent_ms = sum(end - begin for begin, end in spans)
    assert spent_ms > 0.75 * min(share * 10_000.0, 0.2 * 10_000.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_tenants_share_holds_and_blocks_nobody_else(seed: int) -> None:
    share, window_ms = 0.05, 400.0
    clock = FakeClock()
    options = IdleOptions(max_tenant_time_share=share, budget_window_ms=window_ms)
    scheduler = IdleScheduler(options, clock)
    for session in range(50):  # tenant 1 has far more to do than anybody
        scheduler.offer(guess(1, session=100 + session))
    for tenant in (2, 3):
        scheduler.offer(guess(tenant))
    spans = run(scheduler, clock, 10_000.0, random.Random(seed))
    for tenant in (1, 2, 3):
        check_every_window(spans[tenant], share, window_ms)
        assert sum(end - begin for begin, end in spans[tenant]) > 0.75 * share * 10_000.0


def test_a_tenant_without_budget_is_passed_over() -> None:
    clock = FakeClock()
    options = IdleOptions(max_tenant_time_share=0.1, budget_window_ms=100.0)
    scheduler = IdleScheduler(options, clock)
    for session in range(1000):
        scheduler.offer(guess(1, session=session, prefill_tokens=10))
    scheduler.offer(guess(2, session=5000))
    first = scheduler.next()
    assert first is not None
    assert first.tenant == 1  # the better value
    scheduler.on_work(1, prefilled_tokens=10, prefill_ms=60.0)  # 10 ms were saved up: 50 ms of debt
    second = scheduler.next()
    assert second is not None
    assert second.tenant == 2
    scheduler.withdraw(5000, 1)
    assert scheduler.next() is None
    assert scheduler.retry_at_ms() == pytest.approx(500.0)
    clock.advance_ms(499.0)
    assert scheduler.next() is None
    clock.advance_ms(1.0)
    third = scheduler.next()
    assert third is not None
    assert third.tenant == 1


def test_closing_every_session_does_not_renew_a_budget() -> None:
    clock = FakeClock()
    options = IdleOptions(max_tenant_time_share=0.01, budget_window_ms=100.0)
    scheduler = IdleScheduler(options, clock)
    scheduler.offer(guess(1))
    scheduler.on_work(1, prefilled_tokens=16, prefill_ms=2001.0)  # 1 ms was saved up: 200 s of debt
    scheduler.withdraw_session(1, True)
    clock.advance_ms(90_000.0)  # longer than a tenant without sessions is remembered for its rates
    scheduler.offer(guess(1, session=2))
    assert scheduler.next() is None
    assert scheduler.retry_at_ms() == pytest.approx(200_000.0)


def test_an_empty_queue_has_nothing_to_retry() -> None:
    scheduler = IdleScheduler(IdleOptions(max_time_share=0.1), FakeClock())
    assert scheduler.next() is None
    assert scheduler.retry_at_ms() is None
    scheduler.offer(guess(1))
    assert scheduler.retry_at_ms() == 0.0
    scheduler.withdraw(1, 1)
    assert scheduler.retry_at_ms() is None


def test_another_tenants_doings_change_no_choice() -> None:
    def choices(with_neighbour: bool) -> list[int]:
        clock = FakeClock()
        scheduler = IdleScheduler(IdleOptions(), clock)
        rng = random.Random(11)
        chosen = []
        for _ in range(300):
            session = rng.randrange(8)
            scheduler.offer(guess(1, session=session, prefill_tokens=rng.choice([20, 300])))
            outcome = rng.choice([EntryOutcome.used, EntryOutcome.stale, EntryOutcome.stale])
            scheduler.on_outcome(session, 1, KIND, outcome)
            if with_neighbour:
                scheduler.offer(guess(2, session=1000 + session))
                scheduler.on_outcome(1000 + session, 2, KIND, EntryOutcome.used)
                scheduler.on_outcome(1000 + session, 2, KIND, EntryOutcome.used)
            while (best := scheduler.next()) is not None:
                if best.tenant == 1:
                    chosen.append(best.session)
                    break
                scheduler.withdraw(best.session, best.anticipation)
        return chosen

    alone = choices(False)
    assert len(set(alone)) > 3
    assert choices(True) == alone


def test_back_off_doubles_while_nothing_is_used() -> None:
    clock = FakeClock()
    options = IdleOptions(min_hit_rate=0.1, hit_rate_samples=8, back_off_ms=1000.0)
    scheduler = IdleScheduler(options, clock)
    scheduler.offer(guess(1))
    scheduler.offer(guess(2))
    pauses_ms = []
    for _ in range(9):
        for _ in range(8):
            chosen = scheduler.next()
            assert chosen is not None
            scheduler.on_outcome(1, 1, KIND, EntryOutcome.stale)
        other = scheduler.next()  # nobody else pauses
        assert other is not None
        assert other.tenant == 2
        scheduler.withdraw(2, 1)
        assert scheduler.next() is None
        retry_at_ms = scheduler.retry_at_ms()
        assert retry_at_ms is not None
        pauses_ms.append(retry_at_ms - clock.now_ms())
        clock.advance_ms(pauses_ms[-1])
        scheduler.offer(guess(2))
    assert pauses_ms == pytest.approx([1000.0 * min(2**i, 64) for i in range(9)])


def test_back_off_spares_the_log() -> None:
    clock = FakeClock()
    scheduler = IdleScheduler(IdleOptions(hit_rate_samples=4), clock)
    scheduler.offer(guess(1))
    for _ in range(4):
        scheduler.on_outcome(1, 1, KIND, EntryOutcome.stale)
    assert scheduler.next() is None
    scheduler.offer(IdleCandidate(session=1, anticipation=0, tenant=1, prefill_tokens=9, decides=False))
    chosen = scheduler.next()
    assert chosen is not None
    assert chosen.anticipation == 0


def test_a_recovered_rate_ends_the_pause_and_resets_the_next() -> None:
    clock = FakeClock()
    options = IdleOptions(min_hit_rate=0.1, hit_rate_samples=10, back_off_ms=1000.0)
    scheduler = IdleScheduler(options, clock)
    scheduler.offer(guess(1))

    def fail() -> float:
        for _ in range(10):
            scheduler.on_outcome(1, 1, KIND, EntryOutcome.stale)
        assert scheduler.next() is None
        retry_at_ms = scheduler.retry_at_ms()
        assert retry_at_ms is not None
        return retry_at_ms - clock.now_ms()

    assert fail() == pytest.approx(1000.0)
    clock.advance_ms(1000.0)
    assert fail() == pytest.approx(2000.0)
    scheduler.on_outcome(1, 1, KIND, EntryOutcome.used)  # an entry made before the pause
    assert scheduler.next() is not None
    assert fail() == pytest.approx(1000.0)


def test_entries_that_are_never_used_cost_little_and_recovery_is_noticed() -> None:
    clock = FakeClock()
    options = IdleOptions(hit_rate_samples=16, back_off_ms=500.0)
    scheduler = IdleScheduler(options, clock)
    rng = random.Random(5)

    def served(until_ms: float, hit_rate: float) -> int:
        entries = 0
        while clock.now_ms() < until_ms:
            scheduler.offer(guess(1, prefill_tokens=16))
            if scheduler.next() is None:
                clock.advance_ms(10.0)
                continue
            clock.advance_ms(5.0)
            scheduler.on_work(1, prefilled_tokens=16, prefill_ms=5.0)
            entries += 1
            used = rng.random() < hit_rate
            scheduler.on_outcome(1, 1, KIND, EntryOutcome.used if used else EntryOutcome.stale)
        return entries

    assert served(60_000.0, hit_rate=0.5) == 12_000
    # 16 outcomes a verdict, pauses of 0.5, 1, 2, ... 32 s: a handful of verdicts in a minute.
    assert 16 <= served(120_000.0, hit_rate=0.0) <= 16 * 8
    pause_ends_ms = scheduler.retry_at_ms()
    assert pause_ends_ms is not None
    served(pause_ends_ms, hit_rate=0.0)
    assert served(clock.now_ms() + 60_000.0, hit_rate=0.5) == 12_000
