"""Does the embedded executor lose speed against llama.cpp's own benchmarks?

One sequence against llama-bench (prefill of 512 tokens, decode of 128), and 1, 4 and 16 running of 32
resident sessions at random ids against llama-batched-bench, which has no resident sessions and consecutive
ids; with KV streams and unified. Same model, threads and batch; executor and peer take turns, and a ratio is
the median over pairs.

    python bench/batching.py            tables
    python bench/batching.py --json     one object
    python bench/batching.py --quick    seconds instead of minutes; stores nothing
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from support import peers, report
from support.driver import Conversation, find_driver
from support.stats import paired_ratio, summary

if TYPE_CHECKING:
    from pathlib import Path

Row = dict[str, Any]
LAYOUTS = ("streams", "unified")


def measure_single(core: Conversation, program: Path, model: Path, threads: int, quick: bool) -> list[Row]:
    prompt, generate, pairs = (64, 8, 2) if quick else (512, 128, 9)
    ours: dict[str, list[float]] = {"pp": [], "tg": []}
    theirs: dict[str, list[float]] = {"pp": [], "tg": []}
    for _ in range(pairs):
        for test, tokens in (("pp", prompt), ("tg", generate)):
            row = core.ask(test, tokens)
            assert row["tokens"] == tokens, row
            ours[test].append(row["tokens"] / row["seconds"])
        for test, rate in peers.llama_bench(program, model, threads, prompt, generate).items():
            theirs[test].append(rate)
    return [
        {
            "test": f"{test}{tokens}",
            "executor_tokens_per_s": summary(ours[test]),
            "peer_tokens_per_s": summary(theirs[test]),
            "ratio": paired_ratio(ours[test], theirs[test]),
        }
        for test, tokens in (("pp", prompt), ("tg", generate))
    ]


def measure_group(
    core: Conversation, program: Path, model: Path, threads: int, running: int, quick: bool, prompt: int
) -> Row:
    generate, pairs = (8, 1) if quick else (64, 7)
    unified = core.facts["layout"] == "unified"
    ours: list[float] = []
    theirs: list[float] = []
    steps = holes = tokens = 0
    for _ in range(pairs):
        row = core.ask("group", running, generate)
        assert row["tokens"] == running * (generate - 1), row
        assert row["reused_tokens"] >= running * prompt, row
        ours.append(row["tokens"] / row["seconds"])
        theirs.append(peers.batched_bench(program, model, threads, prompt, generate, running, unified))
        steps += row["steps"]
        holes += row["hole_tokens"]
        tokens += row["tokens"]
    return {
        "layout": core.facts["layout"],
        "running": running,
        "residents": 32,
        "tokens": tokens,
        "steps": steps,
        "hole_tokens": holes,
        "executor_tokens_per_s": summary(ours),
        "peer_tokens_per_s": summary(theirs),
        "ratio": paired_ratio(ours, theirs),
    }


def judge(single: list[Row], groups: list[Row]) -> list[report.Budget]:
    budgets = [
        report.budget(f"{r['test']} over llama-bench, one sequence", 0.97, r["ratio"], at_least=True) for r in single
    ]
    for row in groups:
        name = f"{row['running']} running of {row['residents']}, {row['layout']}, over llama-batched-bench"
        budgets.append(report.budget(name, 0.85, row["ratio"], at_least=True))
    return budgets


def tables(single: list[Row], groups: list[Row]) -> list[str]:
    def rates(row: Row) -> list[Any]:
        ours, theirs = row["executor_tokens_per_s"], row["peer_tokens_per_s"]
        return [ours["p50"], theirs["p50"], row["ratio"].value, row["ratio"].low, row["ratio"].high]

    columns = ["executor", "peer", "ratio", "low", "high"]
    return [
        report.table(
            "One sequence, tokens/s (peer: llama-bench)",
            ["test", *columns],
            [[r["test"], *rates(r)] for r in single],
        ),
        report.table(
            "Sessions at random ids among 32 resident ones, aggregate tokens/s (peer: llama-batched-bench)",
            ["layout", "running", *columns, "steps", "holes"],
            [[r["layout"], r["running"], *rates(r), r["steps"], r["hole_tokens"]] for r in groups],
        ),
    ]


def main() -> None:
    options = report.parser(__doc__).parse_args()
    bench, batched = peers.find_peer("llama-bench"), peers.find_peer("llama-batched-bench")
    if bench is None or batched is None:
        sys.exit("llama-bench and llama-batched-bench are needed as peers: run make peers first")
    driver = find_driver()
    model = report.check_model(options.model)
    head = report.describe(model)
    prompt = 32 if options.quick else 512
    single: list[Row] = []
    groups: list[Row] = []
    facts: Row = {}
    for layout in LAYOUTS:
        with Conversation(
            driver, "batching", model=model, threads=options.threads, layout=layout, prompt=prompt
        ) as core:
            facts[layout] = core.facts
            if layout == "streams":
                single = measure_single(core, bench, model, options.threads, options.quick)
            groups += [
                measure_group(core, batched, model, options.threads, running, options.quick, prompt)
                for running in ((4,) if options.quick else (1, 4, 16))
            ]
    result = {**head, "executor": facts, "single": single, "groups": groups, "budgets": judge(single, groups)}
    report.finish(options, "batching", result, tables(single, groups))


if __name__ == "__main__":
    main()
