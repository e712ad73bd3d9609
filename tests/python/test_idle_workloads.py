"""The idle scheduler's choices on seeded workloads: what they save, and that they repeat."""

from __future__ import annotations

import random

import pytest

from poise._core import FakeClock
from tests.support.idle_workload import KINDS, Listed, Scheduled, make_workload, simulate

SEEDS = [1, 2, 3]


@pytest.mark.parametrize("seed", SEEDS)
def test_saves_more_than_first_come_first_served_and_than_chance(seed: int) -> None:
    workload = make_workload(seed)
    clock = FakeClock()
    scheduled = simulate(workload, Scheduled(clock), clock)
    fifo = simulate(workload, Listed(), FakeClock())
    chance = simulate(workload, Listed(random.Random(seed)), FakeClock())
    print(
        f"seed {seed}: ms saved by schedule {scheduled.saved_ms:.0f}, "
        f"in turn {fifo.saved_ms:.0f}, by chance {chance.saved_ms:.0f}"
    )
    assert fifo.saved_ms > 0
    # There is too little idle time for everything, so that the order matters.
    assert scheduled.spent_ms <= workload.requests[-1].at_ms + 5.0
    assert scheduled.saved_ms > 1.2 * fifo.saved_ms
    assert scheduled.saved_ms > 1.2 * chance.saved_ms
    # Better guesses, not only more work.
    assert scheduled.used / (scheduled.used + scheduled.stale) > fifo.used / (fifo.used + fifo.stale)


@pytest.mark.parametrize("seed", SEEDS)
def test_probabilities_converge_to_the_workloads(seed: int) -> None:
    # Enough idle time for every guess, so that every outcome is seen.
    workload = make_workload(seed, sessions=12, requests=2000, gap_ms=2000.0)
    clock = FakeClock()
    policy = Scheduled(clock)
    simulate(workload, policy, clock)
    errors = [
        abs(policy.scheduler.probability(session, kind) - workload.rates[session][kind])
        for session in range(12)
        for kind in KINDS
    ]
    print(f"seed {seed}: mean error {sum(errors) / len(errors):.3f}, largest {max(errors):.3f}")
    # 64 to 128 outcomes are remembered at full weight, or as many as there were.
    assert sum(errors) / len(errors) < 0.06
    assert max(errors) < 0.2


def test_costs_converge_to_the_executors() -> None:
    workload = make_workload(7, sessions=8, requests=200, gap_ms=400.0)
    clock = FakeClock()
    policy = Scheduled(clock)
    simulate(workload, policy, clock)
    assert policy.scheduler.costs.decode_us_per_step == pytest.approx(4000.0)
    # Prefill comes in passes of 16 tokens that cost a decode step each, and of 8 that cost the same.
    assert 4000.0 / 16 <= policy.scheduler.costs.prefill_us_per_token <= 4000.0 / 8


@pytest.mark.parametrize("seed", SEEDS)
def test_same_seed_same_run(seed: int) -> None:
    runs = []
    for _ in range(2):
        clock = FakeClock()
        runs.append(simulate(make_workload(seed, requests=400), Scheduled(clock), clock))
    assert runs[0].trace
    assert runs[0] == runs[1], f"seed {seed}"
