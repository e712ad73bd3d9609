"""How long do turns take by path, with Poise on and off, and what does llama-server need for the same turn?

Rows of the budget table: first token of `ready` and `gate` inside the core; rolling back and resuming the KV
of a session; first, second and sixteenth token and the whole turn by path, for contexts 256 to 8,192 and
entries of 1 to 256 tokens. Times are taken in C++ on the thread that brings the token (bench/latency/). On,
off and the server take turns, one repetition each; ratios are medians of on/off of the same repetition.

    python bench/paths.py            tables
    python bench/paths.py --json     one object
    python bench/paths.py --quick    seconds instead of minutes; stores nothing
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from support import peers, report
from support.driver import ROOT, Conversation, find_driver, run
from support.stats import Estimate, finite, median, paired_ratio, summary

Row = dict[str, Any]
MODES = ("on", "off", "server")
PATHS = ("ready", "gate", "entry", "prefix", "cold")
TIMES = ("first_us", "second_us", "sixteenth_us", "turn_us")


class Plan(NamedTuple):
    """How much is measured."""

    ready_contexts: list[int]
    ready_turns: int
    capacities: list[int]
    rollbacks: int
    contexts: list[int]
    entries: list[int]
    repetitions: int
    cold_repetitions: int
    answer_tokens: int


FULL = Plan(
    ready_contexts=[256, 2048, 8192, 32768],
    ready_turns=1000,
    capacities=[8192, 32768],
    rollbacks=20,
    contexts=[256, 1024, 4096, 8192],
    entries=[1, 8, 64, 256],
    repetitions=9,
    cold_repetitions=3,
    answer_tokens=32,
)
QUICK = Plan([256], 50, [512], 10, [256], [1, 8], 2, 1, 18)
DELTA_TOKENS = 8  # what a request adds beyond its entry, on `entry`, `gate` and `prefix`
MIDDLE_ENTRY = 8  # the entry length of the paths for which it does not vary


def measure_ready(driver: Path, plan: Plan) -> list[Row]:
    rows = []
    for context in plan.ready_contexts:
        for flush in (0, 1):
            turns = plan.ready_turns // 5 if flush else plan.ready_turns
            for row in run(driver, "ready", context=context, turns=turns, flush=flush):
                row["first_us"] = summary(row["first_us"])
                row["reported_us"] = summary(row["reported_us"])
                rows.append(row)
    return rows


def measure_rollback(driver: Path, plan: Plan, threads: int) -> list[Row]:
    """On a model of random weights: the books do not know how large a model is, and a full sequence is quick."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "tiny.gguf"
        maker = ROOT / "tests" / "support" / "tiny_gguf.py"
        subprocess.run([sys.executable, str(maker), "llama", str(model)], check=True)
        for capacity in plan.capacities:
            shape = {"context": capacity, "threads": threads, "turns": plan.rollbacks}
            for row in run(driver, "rollback", model=model, **shape):
                for name in ("acquire_us", "acquire_and_end_us", "remove_us"):
                    row[name] = summary(row[name])
                rows.append(row)
    return rows


def cases(plan: Plan) -> list[tuple[str, int, int]]:
    """(path, entry tokens, delta tokens) of one repetition at one context."""
    listed = [("prefix", MIDDLE_ENTRY, DELTA_TOKENS), ("gate", MIDDLE_ENTRY, DELTA_TOKENS)]
    for entry in plan.entries:
        listed += [("ready", entry, 0), ("entry", entry, DELTA_TOKENS)]
    return listed


def measure_turns(driver: Path, plan: Plan, model: Path, threads: int, server: peers.Server | None) -> Row:
    """All repetitions of all cases: {"facts", "samples"}; a sample has on, off and server."""
    samples: list[Row] = []
    room = max(plan.contexts) + max(plan.entries) + DELTA_TOKENS + plan.answer_tokens
    layout = "streams"  # what `automatic` chooses for one session; measuring it anew takes seconds
    with Conversation(driver, "paths", model=model, threads=threads, context=room, layout=layout) as core:

        def one(path: str, entry: int, delta: int, repetition: int, log: list[int]) -> None:
            answer = 1 if path == "gate" else plan.answer_tokens
            row = core.ask("case", path, entry, delta, answer, repetition)
            request = row.pop("request")
            cold = path == "cold"
            if server and path != "gate":
                prompt = request if cold else log + request
                row["server"] = server.complete(prompt, answer, cache=not cold)
            samples.append(row)

        for context in plan.contexts:
            log = core.ask("log", context)["log"]
            if server:
                server.complete(log, 1)
            for repetition in range(plan.repetitions):
                for path, entry, delta in cases(plan):
                    one(path, entry, delta, repetition, log)
            for repetition in range(plan.cold_repetitions):
                one("cold", MIDDLE_ENTRY, 0, repetition, log)
        return {"facts": core.facts, "samples": samples}


def condense(samples: list[Row]) -> list[Row]:
    """One row a cell (path, context, entry length): medians, and ratios of paired samples."""
    cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for sample in samples:
        cells[sample["path"], sample["context_tokens"], sample["entry_tokens"]].append(sample)
    rows = []
    for (path, context, entry), group in cells.items():
        row: Row = {
            "path": path,
            "context_tokens": context,
            "entry_tokens": entry,
            "delta_tokens": group[0]["delta_tokens"],
            "repetitions": len(group),
            "paths_taken": sorted({sample["on"]["path"] for sample in group}),
            "off_paths_taken": sorted({sample["off"]["path"] for sample in group}),
            "equal_answers": sum(sample["on"]["answer"] == sample["off"]["answer"] for sample in group),
        }
        for mode in MODES:
            if mode not in group[0]:
                continue
            row[mode] = {name: _median(finite([s[mode][name] for s in group])) for name in TIMES}
            row[mode]["prefilled_tokens"] = median([s[mode]["prefilled_tokens"] for s in group])
            for name in ("reprefilled_tokens", "decoded_tokens"):
                if name in group[0][mode]:
                    row[mode][name] = median([s[mode][name] for s in group])
            if mode == "server":
                row[mode]["prompt_us"] = median([s[mode]["prompt_us"] for s in group])
        for name in TIMES:
            pairs = [(s["on"][name], s["off"][name]) for s in group if None not in (s["on"][name], s["off"][name])]
            if pairs:
                on, off = zip(*pairs, strict=True)
                row[f"{name.removesuffix('_us')}_ratio"] = paired_ratio(on, off)
        rows.append(row)
    return rows


def _median(samples: list[float]) -> float | None:
    return median(samples) if samples else None


def pooled(samples: list[Row], path: str, name: str) -> Estimate:
    """Median of on/off over all cells of a path."""
    group = [s for s in samples if s["path"] == path and s["on"][name] is not None and s["off"][name] is not None]
    return paired_ratio([s["on"][name] for s in group], [s["off"][name] for s in group])


def judge(ready: list[Row], rollback: list[Row], cells: list[Row], samples: list[Row]) -> list[report.Budget]:
    budgets = []
    for row in ready:
        what = f"{row['case']}, context {row['context_tokens']}" + (", cold caches" if row["flushed_caches"] else "")
        for percent, limit in (("p50", 25.0), ("p99", 100.0)):
            value = row["first_us"][percent]
            budgets.append(report.Budget(f"first token {percent} of {what}", limit, value, value, value, "us"))
    for row in rollback:
        limit = 50.0 if row["capacity_tokens"] <= 8192 else 200.0
        times = row["acquire_and_end_us"]
        name = f"rollback and resume at capacity {row['capacity_tokens']} ({row['layout']})"
        budgets.append(report.Budget(name, limit, times["p50"], times["p25"], times["p75"], "us"))
    budgets += [
        report.budget(f"first token of entry over prefix, {cell(row)}", 1.0, row["first_ratio"])
        for row in cells
        if row["path"] == "entry"
    ]
    budgets += [
        report.budget(f"whole turn on over off, {path}", 1.0, pooled(samples, path, "turn_us")) for path in PATHS
    ]
    budgets += [
        report.budget(f"whole turn on over off, {row['path']}, {cell(row)}", 1.0, row["turn_ratio"]) for row in cells
    ]
    return budgets


def cell(row: Row) -> str:
    return f"context {row['context_tokens']}, entry {row['entry_tokens']}"


def tables(ready: list[Row], rollback: list[Row], cells: list[Row]) -> list[str]:
    turn_rows = []
    for row in cells:
        for mode in MODES:
            if mode not in row:
                continue
            first = mode == "on"
            turn_rows.append([
                row["path"] if first else "", row["context_tokens"] if first else "",
                row["entry_tokens"] if first else "", mode, *(row[mode][name] for name in TIMES),
                row[mode]["prefilled_tokens"],
                row["first_ratio"].value if first else None, row["turn_ratio"].value if first else None,
            ])  # fmt: skip
    return [
        report.table(
            "First token inside the core, microseconds (vocabulary 128,256; in-memory executor)",
            ["case", "context", "caches", "p50", "p99", "full scans"],
            [
                [r["case"], r["context_tokens"], "cold" if r["flushed_caches"] else "warm",
                 r["first_us"]["p50"], r["first_us"]["p99"], r["full_scans"]]
                for r in ready
            ],
        ),
        report.table(
            "Rolling back a tail and resuming the sequence, microseconds (no pass, no copy)",
            ["capacity", "tail", "acquire p50", "with end p50", "p99"],
            [
                [r["capacity_tokens"], r["tail_tokens"], r["acquire_us"]["p50"],
                 r["acquire_and_end_us"]["p50"], r["acquire_and_end_us"]["p99"]]
                for r in rollback
            ],
        ),
        report.table(
            "Turns by path, medians in microseconds (entry: tokens of the guess; ratio: on over off)",
            ["path", "context", "entry", "mode", "first", "second", "sixteenth", "turn", "prefilled",
             "first on/off", "turn on/off"],
            turn_rows,
        ),
    ]  # fmt: skip


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--repetitions", type=int, help=f"of each case (default: {FULL.repetitions})")
    parser.add_argument("--contexts", type=int, nargs="+", help="of the turns, in tokens")
    parser.add_argument("--capacities", type=int, nargs="*", help="of the sequence that is rolled back, in tokens")
    options = parser.parse_args()
    chosen = {name: value for name in ("repetitions", "contexts", "capacities") if (value := getattr(options, name))}
    plan = (QUICK if options.quick else FULL)._replace(**chosen)
    driver = find_driver()
    model = report.check_model(options.model)
    head = report.describe(model)
    program = peers.find_peer("llama-server")
    ready = measure_ready(driver, plan)
    rollback = measure_rollback(driver, plan, options.threads)
    room = max(plan.contexts) + max(plan.entries) + 512
    if program:
        with peers.Server(program, model, room, options.threads) as server:
            turns = measure_turns(driver, plan, model, options.threads, server)
    else:
        print("llama-server was not built: no peer in this run (make peers)", file=sys.stderr)
        turns = measure_turns(driver, plan, model, options.threads, None)
    cells = condense(turns["samples"])
    result = {
        **head,
        "peer": "llama-server" if program else None,
        "plan": plan._asdict(),
        "executor": turns["facts"],
        "ready": ready,
        "rollback": rollback,
        "turns": cells,
        "budgets": judge(ready, rollback, cells, turns["samples"]),
    }
    report.finish(options, "paths", result, tables(ready, rollback, cells))


if __name__ == "__main__":
    main()
