"""Does idle work stand in the way of requests? First tokens under Poisson arrivals, and throughput.

Clients of several sessions ask at random times, at 0.2 and 0.5 of the rate that the executor serves one after
another; between two turns each declares so many guesses that preparing them takes longer than it thinks, so
idle work always runs when a request arrives. Blocks with Poise on and off alternate and have the same arrival
times. Once half of the requests hit a guess, and once none does: then idle work can only cost. At saturation
(a closed loop) no request hits a guess.

    python bench/interference.py            tables
    python bench/interference.py --json     one object
    python bench/interference.py --quick    seconds instead of minutes; stores nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support import report
from support.driver import find_driver, run
from support.stats import (
    Estimate,
    difference_of_percentiles,
    paired_ratio,
    percentile,
    ratio_of_percentiles,
    summary,
)

if TYPE_CHECKING:
    from pathlib import Path

Row = dict[str, Any]


def measure_arrivals(driver: Path, model: Path, threads: int, load: float, hits: float, size: Row) -> Row:
    """One load and one share of hits: pooled first tokens of all blocks, on and off."""
    lines = run(driver, "interference", model=model, threads=threads, load=load, hits=hits, layout="streams", **size)
    facts = next(lines)
    blocks = list(lines)
    pooled = {
        mode: [us for block in blocks if block["mode"] == mode for us in block["first_us"]] for mode in ("on", "off")
    }
    row: Row = {
        "load": load,
        "hits": hits,
        "executor": facts["executor"],
        "sessions": facts["sessions"],
        "guesses": facts["guesses"],
        "think_ms": facts["think_ms"],
        "preparation_ms": facts["preparation_of_all_guesses_ms"],
        "service_us": summary(facts["service_us"]),
        "idle_step_us": summary(facts["idle_step_us"]),
        "p50_ratio": ratio_of_percentiles(pooled["on"], pooled["off"], 50),
        "p99_excess_us": difference_of_percentiles(pooled["on"], pooled["off"], 99),
    }
    for mode, samples in pooled.items():
        chosen = [block for block in blocks if block["mode"] == mode]
        row[mode] = {
            "first_us": summary(samples),
            "first_us_p90": percentile(samples, 90),
            "paths": {path: sum(b["paths"][path] for b in chosen) for path in chosen[0]["paths"]},
            **{
                name: sum(b[name] for b in chosen)
                for name in ("steps", "idle_steps", "idle_tokens", "interrupted_steps", "queued")
            },
            "busy_share": sum(b["busy_us"] for b in chosen) / sum(b["span_s"] * 1e6 for b in chosen),
            "idle_busy_share": sum(b["idle_busy_us"] for b in chosen) / sum(b["span_s"] * 1e6 for b in chosen),
        }
    return row


def measure_saturation(driver: Path, model: Path, threads: int, size: Row) -> Row:
    lines = run(driver, "saturation", model=model, threads=threads, layout="streams", **size)
    facts = next(lines)
    blocks = list(lines)
    rates = {mode: [b["decoded_tokens"] / b["seconds"] for b in blocks if b["mode"] == mode] for mode in ("on", "off")}
    return {
        "sessions": facts["sessions"],
        "blocks": len(rates["on"]),
        "on_tokens_per_s": summary(rates["on"]),
        "off_tokens_per_s": summary(rates["off"]),
        "ratio": paired_ratio(rates["on"], rates["off"]),
        "idle_steps_on": sum(b["idle_steps"] for b in blocks if b["mode"] == "on"),
        "turns": sum(b["turns"] for b in blocks),
    }


def judge(arrivals: list[Row], saturation: Row) -> list[report.Budget]:
    budgets = []
    for row in arrivals:
        what = f"load {row['load']}, {row['hits']:.0%} hits"
        budgets.append(report.budget(f"first token p50 on over off, {what}", 1.0, row["p50_ratio"]))
        excess: Estimate = row["p99_excess_us"]
        step = row["idle_step_us"]["p50"]
        budgets.append(report.budget(f"first token p99 on - off, {what}; at most one idle step", step, excess, "us"))
    budgets.append(report.budget("tokens/s at saturation, on over off", 0.98, saturation["ratio"], at_least=True))
    return budgets


def tables(arrivals: list[Row], saturation: Row) -> list[str]:
    lines = []
    for row in arrivals:
        for mode in ("on", "off"):
            times = row[mode]["first_us"]
            paths = " ".join(f"{path}:{count}" for path, count in row[mode]["paths"].items() if count)
            lines.append([
                row["load"], row["hits"], mode, times["n"], times["p50"], row[mode]["first_us_p90"],
                times["p99"], row[mode]["idle_busy_share"], row["idle_step_us"]["p50"], paths,
            ])  # fmt: skip
    return [
        report.table(
            "First tokens under Poisson arrivals, microseconds from the arrival",
            ["load", "hits", "mode", "n", "p50", "p90", "p99", "idle share", "idle step", "paths"],
            lines,
        ),
        report.table(
            "Closed loop, tokens/s",
            ["mode", "p25", "p50", "p75"],
            [[mode, *(saturation[f"{mode}_tokens_per_s"][p] for p in ("p25", "p50", "p75"))] for mode in ("on", "off")],
        ),
    ]


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--requests", type=int, default=150, help="of a block, at each load")
    parser.add_argument("--blocks", type=int, default=3, help="pairs of them, on and off")
    options = parser.parse_args()
    driver = find_driver()
    model = report.check_model(options.model)
    head = report.describe(model)
    if options.quick:
        grid = [(0.5, 0.5)]
        size: Row = {"requests": 8, "blocks": 1, "log": 64, "answer": 8}
        loop: Row = {"seconds": 1.0, "blocks": 1, "log": 64, "sessions": 4}
    else:
        grid = [(0.2, 0.5), (0.5, 0.5), (0.2, 0.0), (0.5, 0.0)]
        size = {"requests": options.requests, "blocks": options.blocks}
        loop = {"seconds": 4, "blocks": 8}
    arrivals = [measure_arrivals(driver, model, options.threads, *cell, size) for cell in grid]
    saturation = measure_saturation(driver, model, options.threads, loop)
    result = {**head, "arrivals": arrivals, "saturation": saturation, "budgets": judge(arrivals, saturation)}
    report.finish(options, "interference", result, tables(arrivals, saturation))


if __name__ == "__main__":
    main()
