"""What do thousands of open sessions cost on a few sequences, and how long do they take to come back?

Opens sessions that share a system prompt and have logs of a few hundred tokens, asks each one once, and lets idle
time prepare a guess in each. Eight of them have their KV in a sequence; of the others the executor keeps in host memory
what its cap allows and what comes back faster than it is computed, and of the rest token ids only. Then sessions
are touched at random: those asked lately, those that were parked, and any. A session is `resident` if its log was
in a sequence, `parked` if all of it was restored, `cold` otherwise. After every turn the caps are looked at.

    python bench/sessions.py                        tables
    python bench/sessions.py --count 10000 --json   one object
    python bench/sessions.py --quick                seconds instead of minutes; stores nothing
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poise import _core
from support import report
from support.stats import summary

if TYPE_CHECKING:
    import argparse

Row = dict[str, Any]
KINDS = ("resident", "parked", "cold")
PAGE = os.sysconf("SC_PAGE_SIZE")
GREEDY = _core.SamplingParams(temperature=0.0)


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


class World:
    """A session manager on the embedded executor, and the sessions that a client has opened."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.draw = random.Random(options.seed)
        self.executor = _core.LlamaExecutor(
            _core.LlamaOptions(
                model_path=str(options.model),
                max_sequences=options.sequences,
                context_tokens=1024,
                threads=options.threads,
                park_bytes=options.park_mib << 20,
            )
        )
        self.manager = _core.SessionManager(
            self.executor, _core.ManagerOptions(seed=options.seed, max_entry_bytes=options.entry_mib << 20)
        )
        self.vocab = self.executor.info().vocab_size
        self.system = self.ids(options.system_tokens)
        self.sessions: list[str] = []
        self.lately: list[int] = []  # indices, the last asked last
        self.tokens = 0  # in all logs
        self.largest_parked = self.largest_entries = 0

    def ids(self, count: int) -> list[int]:
        ends = set(self.executor.info().end_tokens)
        return [token for token in (self.draw.randrange(self.vocab) for _ in range(count * 2)) if token not in ends][
            :count
        ]

    def open(self) -> None:
        log = self.system + self.ids(self.draw.randint(self.options.shortest_log, self.options.longest_log))
        session = self.manager.open(_core.OpenOptions(tokens=log, continuation_tokens=4, sampling=GREEDY))
        self.sessions.append(session)
        self.ask(len(self.sessions) - 1)
        guess = _core.Anticipation(tokens=self.ids(8), persistent=True, label="what comes next")
        self.manager.anticipate(session, guess)

    def ask(self, index: int) -> Row:
        """One turn with eight new tokens and four of answer; which KV it found, and what it cost."""
        session = self.sessions[index]
        state = self.manager.state(session)
        stream = self.manager.turn(session, _core.TurnRequest(tokens=self.ids(8), max_new_tokens=4, sampling=GREEDY))
        *_, end = stream
        assert isinstance(end, _core.TurnEnd)
        if end.error:
            sys.exit(f"a turn failed: {end.error}")
        whole = len(state.log) - 1  # an answer's last token has no KV before the next step
        kind = "cold"  # what it shares with others, the system prompt, may still be reused
        if state.resident_tokens >= whole:
            kind = "resident"
        elif end.reused_tokens >= whole:
            kind = "parked"
        self.check(self.executor.stats())
        if index in self.lately[-64:]:
            self.lately.remove(index)
        self.lately.append(index)
        return {
            "kind": kind,
            "first_ms": end.first_token_ms,
            "reused": end.reused_tokens,
            "prefilled": end.prefilled_tokens,
        }

    def check(self, stats: _core.ExecutorStats) -> None:
        """The caps, at every turn."""
        entries = self.manager.counters().entry_bytes
        self.largest_parked = max(self.largest_parked, stats.parked_bytes)
        self.largest_entries = max(self.largest_entries, entries)
        if stats.parked_bytes > self.options.park_mib << 20:
            sys.exit(f"{stats.parked_bytes} bytes are parked, the cap is {self.options.park_mib} MiB")
        if entries > self.options.entry_mib << 20:
            sys.exit(f"entries hold {entries} bytes, the cap is {self.options.entry_mib} MiB")

    def snapshot(self, empty_bytes: int) -> Row:
        """Memory with the sessions that are open now. `empty_bytes`: before the first."""
        stats, counters = self.executor.stats(), self.manager.counters()
        open_now = len(self.sessions)
        resident = rss_bytes()
        bounded = stats.parked_bytes + counters.entry_bytes
        return {
            "sessions": open_now,
            "rss_bytes": resident,
            "parked_bytes": stats.parked_bytes,
            "entry_bytes": counters.entry_bytes,
            "parked_tokens": stats.parked_tokens,
            "bytes_a_session": (resident - empty_bytes) / open_now,
            "bytes_a_session_beside_caps": (resident - empty_bytes - bounded) / open_now,
        }

    def pick(self) -> int:
        """A session asked within the last few, one of those that are probably parked, or any."""
        sequences = self.options.sequences
        way = self.draw.randrange(3)
        if way == 0:
            return self.draw.choice(self.lately[-sequences // 2 :])
        if way == 1:
            return self.draw.choice(self.lately[-8 * sequences : -sequences] or self.lately)
        return self.draw.randrange(len(self.sessions))


def measure(options: argparse.Namespace) -> Row:
    world = World(options)
    plan = world.executor.info().memory_plan
    world.manager.close(world.manager.open(_core.OpenOptions(tokens=world.system, preposition=False)))
    empty = rss_bytes()
    marks = sorted({max(1, options.count // 10), options.count})
    snapshots = []
    begin = time.perf_counter()
    for count in range(1, options.count + 1):
        world.open()
        if count % 8 == 0:  # now and then nobody asks: time to prepare
            world.manager.wait_prepositioned(100.0)
        if count in marks:
            world.manager.wait_prepositioned(2000.0)
            snapshots.append(world.snapshot(empty))
    opened_s = time.perf_counter() - begin

    rows = []
    for _ in range(options.touches):
        rows.append(world.ask(world.pick()))
        if world.draw.random() < 0.5:
            world.manager.wait_prepositioned(20.0)
    stats, counters = world.executor.stats(), world.manager.counters()
    world.executor.shutdown()
    return {
        "plan": plan,
        "sequences": options.sequences,
        "system_tokens": options.system_tokens,
        "log_tokens": [options.shortest_log, options.longest_log],
        "park_bytes": options.park_mib << 20,
        "entry_bytes": options.entry_mib << 20,
        "opened_s": opened_s,
        "snapshots": snapshots,
        "touches": {kind: of_kind([row for row in rows if row["kind"] == kind]) for kind in KINDS},
        "largest_parked_bytes": world.largest_parked,
        "largest_entry_bytes": world.largest_entries,
        "executor": {
            name: getattr(stats, name)
            for name in ("parks", "restores", "copies", "evictions", "prefilled_tokens", "idle_prefilled_tokens")
        },
        "idle_jobs": {
            "run": counters.idle_jobs,
            "failed": counters.idle_jobs_failed,
            "cancelled": counters.idle_jobs_cancelled,
        },
    }


def of_kind(rows: list[Row]) -> Row:
    if not rows:
        return {"turns": 0}
    return {
        "turns": len(rows),
        "first_ms": summary([row["first_ms"] for row in rows]),
        "reused_tokens": sum(row["reused"] for row in rows),
        "prefilled_tokens": sum(row["prefilled"] for row in rows),
    }


def judge(result: Row) -> list[report.Budget]:
    """Caps are never exceeded; and what a session takes beside them does not grow with the number of sessions."""
    parked = result["largest_parked_bytes"] / result["park_bytes"]
    entries = result["largest_entry_bytes"] / result["entry_bytes"]
    budgets = [
        report.Budget("parked bytes over their cap, largest seen", 1.0, parked, parked, parked),
        report.Budget("entry bytes over their cap, largest seen", 1.0, entries, entries, entries),
    ]
    few, many = result["snapshots"][0], result["snapshots"][-1]
    if many["sessions"] >= 1000:
        growth = many["bytes_a_session_beside_caps"] / max(1.0, few["bytes_a_session_beside_caps"])
        name = f"bytes a session beside the caps, {many['sessions']} over {few['sessions']} sessions"
        budgets.append(report.Budget(name, 1.25, growth, growth, growth))
    return budgets


def tables(result: Row) -> list[str]:
    mib = 2**20
    return [
        report.table(
            f"Memory with open sessions, MiB ({result['sequences']} sequences)",
            ["sessions", "RSS", "parked", "entries", "KiB a session", "KiB beside the caps"],
            [
                [
                    row["sessions"],
                    row["rss_bytes"] / mib,
                    row["parked_bytes"] / mib,
                    row["entry_bytes"] / mib,
                    row["bytes_a_session"] / 1024,
                    row["bytes_a_session_beside_caps"] / 1024,
                ]
                for row in result["snapshots"]
            ],
        ),
        report.table(
            "A turn of 8 new tokens, by where the session's KV was; first token in ms",
            ["KV", "turns", "p25", "p50", "p75", "p99", "reused", "prefilled"],
            [
                [
                    kind,
                    row["turns"],
                    *(row["first_ms"][p] for p in ("p25", "p50", "p75", "p99")),
                    row["reused_tokens"],
                    row["prefilled_tokens"],
                ]
                for kind, row in result["touches"].items()
                if row["turns"]
            ],
        ),
    ]


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="sessions (default %(default)s)")
    parser.add_argument("--touches", type=int, default=1500, help="turns of sessions picked at random")
    parser.add_argument("--sequences", type=int, default=8, help="sessions whose KV is resident at once")
    parser.add_argument("--park-mib", type=int, default=256, help="cap of parked KV")
    parser.add_argument("--entry-mib", type=int, default=64, help="cap of distributions and continuations")
    parser.add_argument("--system-tokens", type=int, default=120, help="shared by all")
    parser.add_argument("--shortest-log", type=int, default=100, help="tokens behind the system prompt")
    parser.add_argument("--longest-log", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.count < 20:
        parser.error(f"--count is {options.count}; at least 20, more than there are sequences")
    if options.quick:
        options.count, options.touches, options.park_mib, options.entry_mib = 60, 60, 8, 2
        options.shortest_log, options.longest_log = 40, 120
    head = report.describe(report.check_model(options.model))
    result = {**head, **measure(options)}
    result["budgets"] = judge(result)
    report.finish(options, "sessions", result, tables(result))
    missed = [item.name for item in result["budgets"] if item.verdict != "met"]
    if missed:
        sys.exit(f"not met: {', '.join(missed)}")


if __name__ == "__main__":
    main()
