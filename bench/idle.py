"""How long does one decision of the idle scheduler take, and does it depend on the number of sessions?

One decision is next() and the new offer of the candidate that it returned, as after one idle step. Rates
and costs change before every decision, so that candidates are always waiting to be valued again. The time
includes the Python binding; the garbage collector is off.

    python bench/idle.py            a table
    python bench/idle.py --json     one object
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import time

from poise._core import (
    AnticipationKind,
    EntryOutcome,
    IdleCandidate,
    IdleOptions,
    IdleScheduler,
    SteadyClock,
)

BUDGET_US = 20.0
KINDS = list(AnticipationKind)


def candidate(session: int, anticipation: int, tenants: int, rng: random.Random) -> IdleCandidate:
    return IdleCandidate(
        session=session,
        anticipation=anticipation,
        tenant=session % tenants,
        kind=rng.choice(KINDS),
        prefill_tokens=rng.randint(1, 2000),
        decode_tokens=16,
        weight=rng.uniform(0.1, 1.0),
    )


def decisions(sessions: int, guesses: int, tenants: int, count: int, seed: int) -> dict[str, object]:
    """Time `count` decisions with every session and guess in the queue."""
    rng = random.Random(seed)
    options = IdleOptions(max_time_share=0.9999, max_tenant_time_share=0.9999, budget_window_ms=1e9, min_hit_rate=0.0)
    scheduler = IdleScheduler(options, SteadyClock())
    for session in range(sessions):
        for anticipation in range(guesses):
            scheduler.offer(candidate(session, anticipation, tenants, rng))
    times_us = []
    gc.collect()
    gc.disable()
    for _ in range(count):
        session = rng.randrange(sessions)
        outcome = rng.choice([EntryOutcome.used, EntryOutcome.stale])
        scheduler.on_outcome(session, session % tenants, rng.choice(KINDS), outcome)
        scheduler.on_work(
            session % tenants,
            prefilled_tokens=16,
            prefill_ms=rng.uniform(2, 3),
            decoded_tokens=1,
            decode_ms=2.0,
        )
        begin_ns = time.perf_counter_ns()
        chosen = scheduler.next()
        assert chosen is not None
        chosen.prefill_tokens = max(1, chosen.prefill_tokens - 16)
        scheduler.offer(chosen)
        times_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
        if chosen.prefill_tokens == 1:  # a new version of the log
            scheduler.offer(candidate(chosen.session, chosen.anticipation, tenants, rng))
    gc.enable()
    times_us.sort()
    return {
        "sessions": sessions,
        "guesses_a_session": guesses,
        "tenants": tenants,
        "decisions": count,
        "p50_us": round(times_us[count // 2], 2),
        "p99_us": round(times_us[count * 99 // 100], 2),
        "mean_us": round(statistics.fmean(times_us), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--decisions", type=int, default=20_000, help="how many to time a row (default 20000)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.decisions < 100:
        parser.error(f"--decisions is {arguments.decisions}; a 99th percentile needs at least 100")

    shapes = [(1_000, 1, 1), (100_000, 1, 1), (100_000, 1, 1_000), (100_000, 1, 100_000), (20_000, 20, 100)]
    rows = [decisions(*shape, arguments.decisions, arguments.seed) for shape in shapes]
    worst_us = max(float(str(row["p50_us"])) for row in rows)
    growth = float(str(rows[1]["p50_us"])) / float(str(rows[0]["p50_us"]))
    report = {
        "question": "one decision of the idle scheduler: next() and one new offer",
        "budget_us": BUDGET_US,
        "worst_p50_us": worst_us,
        "within_budget": worst_us <= BUDGET_US,
        "p50_at_100000_over_1000": round(growth, 2),
        "seed": arguments.seed,
        "rows": rows,
    }
    if arguments.json:
        json.dump(report, sys.stdout, indent=2)
        print()
    else:
        print(f"{'sessions':>9} {'guesses':>8} {'tenants':>8} {'p50 us':>8} {'p99 us':>8} {'mean us':>8}")
        for row in rows:
            print(
                f"{row['sessions']:>9} {row['guesses_a_session']:>8} {row['tenants']:>8} "
                f"{row['p50_us']:>8} {row['p99_us']:>8} {row['mean_us']:>8}"
            )
        print(f"budget {BUDGET_US} us at 100,000 sessions; 100,000 over 1,000 sessions: {growth:.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
