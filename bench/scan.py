"""What does one vocabulary scan cost?

Full scans are timed in turns with `numpy.max` of the same row, both with the row in cache, for each
vocabulary and each instruction set that the CPU has; budget: statistics without the draw <= 5 times
`numpy.max` at vocabulary 128,256 with AVX-512. Kept heads are timed in turns with the full scan of the same
requests; a share says how many of them the head answered. Every time includes the call from Python (about
1 us), except where many draws share one call.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from poise._core import (
    InvalidArgument,
    LogitBias,
    ReadyRow,
    SamplingParams,
    ScanIsa,
    scan_isa,
    scan_many,
    scan_statistics,
    set_scan_isa,
    top_logprobs,
)
from support import report
from support.stats import Estimate, paired_ratio, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

VOCABULARIES = (32_000, 128_256, 256_000)
BUDGET_VOCABULARY = 128_256
STATISTICS_BUDGET = 5.0
DRAWS = 8  # full scans a call
HEAD_DRAWS = 200

FULL_SCANS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "sampled": {"temperature": 1.0},
    "temperature 0.7": {"temperature": 0.7},
    "top-k 50": {"top_k": 50},
    "top-p 0.9": {"top_p": 0.9},
    "bias on 4 ids": {"temperature": 0.0, "bias": [LogitBias(token=i, bias=1.0) for i in (1, 9, 70, 5000)]},
}
HEAD_SCANS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "sampled": {"temperature": 1.0},
    "temperature 0.7, top-p 0.95": {"temperature": 0.7, "top_p": 0.95},
    "temperature 1.3": {"temperature": 1.3},
    "top-k 50": {"top_k": 50},
    "min-p 0.05": {"min_p": 0.05},
    "bias on 4 ids": {"bias": [LogitBias(token=i, bias=1.0) for i in (1, 9, 70, 5000)]},
}
# Exponents of the rows: 1.1 leaves much to chance, 2 is a position where the model knows what it wants.
EXPONENTS = (1.1, 2.0)


def zipf_row(vocab_size: int, exponent: float) -> NDArray[np.float32]:
    """Logits of probabilities about 1 / rank^exponent, ranks spread over the ids; seeded."""
    rng = np.random.default_rng(vocab_size)
    ranks = rng.permutation(vocab_size) + 1.0
    return (14.0 - exponent * np.log(ranks) + rng.normal(0.0, 0.3, vocab_size)).astype(np.float32)


def alternate(
    calls: dict[str, Callable[[], object]], repetitions: int, before: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Microseconds of each repetition; the calls take turns, so that a busy machine slows all of them.

    `before` runs, untimed, ahead of each round: it brings the row back into cache.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for repetition in range(repetitions + 3):
        before()
        for name, call in calls.items():
            start = time.perf_counter_ns()
            call()
            if repetition >= 3:  # the first ones warm caches up
                samples[name].append((time.perf_counter_ns() - start) / 1e3)
    return samples


def instruction_sets() -> list[ScanIsa]:
    before = scan_isa()
    found = []
    for isa in ScanIsa:
        try:
            set_scan_isa(isa)
        except InvalidArgument:
            continue
        found.append(isa)
    set_scan_isa(before)
    return found


def full_scans(vocab_size: int, repetitions: int) -> list[dict[str, Any]]:
    row = zipf_row(vocab_size, EXPONENTS[0])
    positions = np.arange(DRAWS, dtype=np.int32)
    calls: dict[str, tuple[Callable[[], object], int]] = {
        "statistics": (lambda: scan_statistics(row), 1),
        "top-20 logprobs": (lambda: top_logprobs(row, 20), 1),
    }
    for name, options in FULL_SCANS.items():
        params = SamplingParams(seed=1, **options)
        calls[name] = (lambda params=params: scan_many(row, params, positions), DRAWS)  # type: ignore[misc]
    rows = []
    for name, (call, draws) in calls.items():
        samples = alternate({"max": lambda: np.max(row), "scan": call}, repetitions, lambda: np.max(row))
        each = [us / draws for us in samples["scan"]]
        rows.append(
            {
                "vocabulary": vocab_size,
                "isa": scan_isa().name,
                "scan": name,
                "us": summary(each),
                "numpy_max_us": summary(samples["max"]),
                "over_numpy_max": paired_ratio(each, samples["max"])._asdict(),
            }
        )
    return rows


def in_turns(
    row: NDArray[np.float32],
    kept: ReadyRow,
    params: SamplingParams,
    positions: NDArray[np.int32],
    repetitions: int,
) -> dict[str, list[float]]:
    calls: dict[str, Callable[[], object]] = {
        "full": lambda: scan_many(row, params, positions[:DRAWS]),
        "head": lambda: kept.scan_many(params, positions),
    }
    return alternate(calls, repetitions)


def head_scans(vocab_size: int, exponent: float, repetitions: int) -> list[dict[str, Any]]:
    row = zipf_row(vocab_size, exponent)
    kept = ReadyRow(row)
    many = np.arange(HEAD_DRAWS, dtype=np.int32)
    rows = []
    for name, options in HEAD_SCANS.items():
        params = SamplingParams(seed=1, **options)
        # Only positions that the head answers: the others cost a full scan, which has its own row.
        answered = [i for i in many.tolist() if kept.scan(params, position=i).from_head]
        positions = np.array(answered, np.int32)
        if not answered:
            continue
        samples = in_turns(row, kept, params, positions, repetitions)
        head = [each / len(answered) for each in samples["head"]]
        full = [each / min(DRAWS, len(answered)) for each in samples["full"]]
        rows.append(
            {
                "vocabulary": vocab_size,
                "isa": scan_isa().name,
                "exponent": exponent,
                "scan": name,
                "share_answered": len(answered) / HEAD_DRAWS,
                "us": summary(head),
                "over_full": paired_ratio(head, full)._asdict(),
            }
        )
    keeping = alternate({"keep": lambda: ReadyRow(row)}, repetitions)["keep"]
    rows.append(
        {
            "vocabulary": vocab_size,
            "isa": scan_isa().name,
            "exponent": exponent,
            "scan": "keeping the row",
            "share_answered": None,
            "us": summary(keeping),
            "over_full": None,
        }
    )
    return rows


def tables(full: list[dict[str, Any]], head: list[dict[str, Any]]) -> list[str]:
    return [
        report.table(
            "Full scans",
            ["vocabulary", "isa", "scan", "p50 us", "numpy.max us", "over numpy.max"],
            [
                [
                    r["vocabulary"],
                    r["isa"],
                    r["scan"],
                    r["us"]["p50"],
                    r["numpy_max_us"]["p50"],
                    r["over_numpy_max"]["value"],
                ]
                for r in full
            ],
        ),
        report.table(
            "Kept heads of 256 ids (scans that the head answers)",
            ["vocabulary", "isa", "exponent", "scan", "answered", "p50 us", "over full"],
            [
                [
                    r["vocabulary"],
                    r["isa"],
                    r["exponent"],
                    r["scan"],
                    r["share_answered"],
                    r["us"]["p50"],
                    r["over_full"] and r["over_full"]["value"],
                ]
                for r in head
            ],
        ),
    ]


def main() -> int:
    options = report.parser(__doc__).parse_args()
    head_of_report = report.describe(None)
    repetitions = 15 if options.quick else 200
    full: list[dict[str, Any]] = []
    head: list[dict[str, Any]] = []
    before = scan_isa()
    for isa in instruction_sets():
        set_scan_isa(isa)
        for vocab_size in VOCABULARIES:
            full += full_scans(vocab_size, repetitions // 5 if isa == ScanIsa.portable else repetitions)
        for exponent in EXPONENTS:
            head += head_scans(BUDGET_VOCABULARY, exponent, max(repetitions // 5, 5))
    set_scan_isa(before)
    budgets = [
        report.budget(
            f"statistics over numpy.max, vocabulary {BUDGET_VOCABULARY:,}, {r['isa']}",
            STATISTICS_BUDGET,
            Estimate(**r["over_numpy_max"]),
        )
        for r in full
        if r["scan"] == "statistics" and r["vocabulary"] == BUDGET_VOCABULARY and r["isa"] != "portable"
    ]
    result = {**head_of_report, "numpy": np.__version__, "full": full, "head": head, "budgets": budgets}
    report.finish(options, "scan", result, tables(full, head))
    return 0


if __name__ == "__main__":
    sys.exit(main())
