"""How much is left to prefill when Enter is pressed, with and without typing()?

Users of the shipped desk type messages that the model has never seen, in real time: key by key, with slips that
they take back, and pauses. Each message is sent twice behind the same log, in two tenants, which share nothing: once
the session hears of every change (`on`), once it hears of nothing before Enter (`off`). Both must answer the same ids.

Keys follow Dhakal et al., "Observations on Typing from 136 Million Keystrokes" (CHI 2018), whose typists of a free
text test needed 239 ms a key (standard deviation between typists 112 ms) and pressed backspace 6.3 times in 100
keys. Here a user's mean is log-normal with that mean and deviation; the intervals of one user are log-normal around
it (sigma 0.4), longer by half in front of a word; and at one word in seven the user stops to think (log-normal,
median 700 ms, sigma 0.5), and so it is before Enter, every second time. These pauses are an assumption: people who
make up what they write do stop, but the source is about copying. Slips are a neighbouring letter, noticed at once or
up to two keys later.

`computed / used` says what was wasted: idle tokens computed from the first key to Enter, over the prepaid tokens that
the turn used, the template's framing included, which was there before.

    python bench/type_ahead.py              a table
    python bench/type_ahead.py --json       one object
    python bench/type_ahead.py --quick      two messages without tools, five times as fast; stores nothing
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poise import GREEDY, Engine
from poise.demo.scripts import DeskScript, held_out
from support import report
from support.stats import summary

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_MS, KEY_DEVIATION_MS = 239.0, 112.0
BACKSPACE_SHARE = 0.063
KEY_SIGMA, WORD_FACTOR = 0.4, 1.5
PAUSE_SHARE, PAUSE_MS, PAUSE_SIGMA = 1 / 7, 700.0, 0.5
ENTER_PAUSE_SHARE = 1 / 2
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def log_normal(rng: random.Random, mean: float, sigma: float) -> float:
    """A draw of the log-normal distribution with this mean."""
    return rng.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)


def neighbour(rng: random.Random, letter: str) -> str:
    """What a finger hits that misses a letter."""
    for row in ROWS:
        at = row.find(letter.lower())
        if at >= 0:
            return rng.choice([row[i] for i in (at - 1, at + 1) if 0 <= i < len(row)])
    return letter


def pause(rng: random.Random) -> float:
    """How long somebody stops who thinks."""
    return rng.lognormvariate(math.log(PAUSE_MS), PAUSE_SIGMA)


def before_enter(rng: random.Random) -> float:
    """Milliseconds from the last letter to Enter."""
    return log_normal(rng, KEY_MS, KEY_SIGMA) + (pause(rng) if rng.random() < ENTER_PAUSE_SHARE else 0.0)


def changes(text: str, rng: random.Random) -> Iterator[tuple[float, str]]:
    """(milliseconds before the key, the text behind it) until the text stands there."""
    spread = math.sqrt(math.log(1 + (KEY_DEVIATION_MS / KEY_MS) ** 2))
    own_ms = log_normal(rng, KEY_MS, spread)
    letters = sum(letter.isalpha() for letter in text) / len(text)
    slip_share = BACKSPACE_SHARE / 2 / max(letters, 0.5)  # two backspaces a slip, and only letters slip
    typed, wrong, notice = "", 0, 0
    while typed != text:
        wait_ms = log_normal(rng, own_ms, KEY_SIGMA)
        if wrong and notice == 0:
            typed, wrong = typed[:-1], wrong - 1
            yield wait_ms, typed
            continue
        letter = text[len(typed)] if len(typed) < len(text) else ""
        if not wrong and typed.endswith(" "):
            wait_ms *= WORD_FACTOR
            if rng.random() < PAUSE_SHARE:
                wait_ms += pause(rng)
        if wrong:
            notice -= 1
            if not letter:  # at the end a slip is seen at once
                notice = 0
                continue
            typed, wrong = typed + letter, wrong + 1
        elif letter.isalpha() and rng.random() < slip_share:
            typed, wrong, notice = typed + neighbour(rng, letter), 1, rng.randrange(0, 3)
            if typed == text[: len(typed)]:
                wrong = 0
        else:
            typed += letter
        yield wait_ms, typed


@dataclass(frozen=True)
class Sent:
    """One message, sent."""

    keys: int
    backspaces: int
    typed_s: float
    result: Any
    idle_prefilled: int
    idle_decoded: int
    used_prefilled: int
    used_decoded: int


def send(
    engine: Engine, session: Any, keys: list[tuple[float, str]], enter_s: float, speed: float, *, on: bool
) -> Sent:
    """Types and sends a message; without typing() nobody needs to wait for the keys: nothing hears them."""
    text = keys[-1][1]
    if not engine.wait_prepositioned(300.0):
        raise SystemExit("the log was not prefilled within 300 s: this machine is too busy to measure typing on it")
    before = engine.counters
    begin = time.monotonic()
    due = begin
    for wait_ms, typed in keys if on else []:
        due += wait_ms / 1e3 / speed
        time.sleep(max(0.0, due - time.monotonic()))
        session.typing(typed)
    time.sleep(enter_s if on else 0.0)
    result = session.turn(text, max_new_tokens=48).result()
    after = engine.counters

    def spent(name: str) -> int:
        return int(getattr(after, name) - getattr(before, name))

    backspaces = sum(len(after) < len(before) for (_, before), (_, after) in itertools.pairwise(keys))
    return Sent(
        len(keys),
        backspaces,
        sum(wait_ms for wait_ms, _ in keys) / 1e3 / speed,
        result,
        spent("idle_prefilled_tokens"),
        spent("idle_decoded_tokens"),
        spent("used_prefilled_tokens"),
        spent("used_decoded_tokens"),
    )


def play(
    engine: Engine, script: DeskScript, rng: random.Random, speed: float, most: int, *, tools: bool
) -> list[dict[str, Any]]:
    """One user's messages, each sent to two sessions with the same log: one hears the typing."""
    rows = []
    desk: dict[str, Any] = {"tools": script.tools if tools else (), "sampling": GREEDY}
    sessions = {on: engine.open_session(script.system, tenant=f"typing {on}", **desk) for on in (True, False)}
    for text in script.says[:most]:
        keys = list(changes(text, rng))
        assert keys[-1][1] == text
        enter_s = before_enter(rng) / 1e3 / speed
        sent = {on: send(engine, sessions[on], keys, enter_s, speed, on=on) for on in (True, False)}
        assert sent[True].result.tokens == sent[False].result.tokens, "typing() must not change an answer"
        row: dict[str, Any] = {
            "characters": len(text),
            "keys": sent[True].keys,
            "backspaces": sent[True].backspaces,
            "typed_s": round(sent[True].typed_s, 2),
            "enter_s": round(enter_s, 2),
        }
        for on, name in ((True, "on"), (False, "off")):
            usage = sent[on].result.end.usage
            row[name] = {
                "path": sent[on].result.path,
                "left_tokens": usage.prefilled_tokens,
                "context_tokens": usage.context_tokens,
                "first_token_ms": sent[on].result.end.timings.first_token_ms,
                "idle_prefilled_tokens": sent[on].idle_prefilled,
                "idle_decoded_tokens": sent[on].idle_decoded,
                "used_prefilled_tokens": sent[on].used_prefilled,
                "used_decoded_tokens": sent[on].used_decoded,
            }
        rows.append(row)
        for on, session in sessions.items():
            calls = sent[on].result.tool_calls
            if calls:
                session.turn(results=[script.answer(call) for call in calls], max_new_tokens=48).result()
    for session in sessions.values():
        session.close()
    return rows


def mode_of(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """All messages of one mode together."""

    def total(what: str) -> int:
        return sum(row[name][what] for row in rows)

    computed = total("idle_prefilled_tokens") + total("idle_decoded_tokens")
    used = total("used_prefilled_tokens") + total("used_decoded_tokens")
    return {
        "paths": dict(Counter(row[name]["path"] for row in rows)),
        "left_tokens": summary([row[name]["left_tokens"] for row in rows]),
        "left_tokens_mean": total("left_tokens") / len(rows),
        "first_token_ms": summary([row[name]["first_token_ms"] for row in rows]),
        "idle_tokens_computed": computed,
        "idle_tokens_used": used,
        "idle_tokens_computed_over_used": computed / used if used else None,
    }


def main() -> int:
    options = report.parser(__doc__)
    options.add_argument("--messages", type=int, default=32, help="how many are typed (default 32)")
    options.add_argument("--speed", type=float, default=None, help="faster typists (default 1; with --quick 5)")
    options.add_argument("--seed", type=int, default=1)
    arguments = options.parse_args()
    model = report.check_model(arguments.model)
    wanted = 2 if arguments.quick else arguments.messages
    speed = arguments.speed or (5.0 if arguments.quick else 1.0)
    if wanted < 1 or speed <= 0:
        options.error("--messages needs at least 1, --speed more than 0")
    result = report.describe(model)
    rng = random.Random(arguments.seed)
    rows: list[dict[str, Any]] = []
    with Engine.load(model, threads=arguments.threads, seed=arguments.seed) as engine:
        for script in held_out(96):
            if len(rows) >= wanted:
                break
            if isinstance(script, DeskScript):
                most = min(4, wanted - len(rows))
                rows += play(engine, script, rng, speed, most, tools=not arguments.quick)
    keys = sum(row["keys"] for row in rows)
    on, off = mode_of(rows, "on"), mode_of(rows, "off")
    result |= {
        "question": "tokens left to prefill at Enter, with and without typing()",
        "seed": arguments.seed,
        "speed": speed,
        "typing": {
            "messages": len(rows),
            "keys": keys,
            "backspaces_per_100_keys": 100 * sum(row["backspaces"] for row in rows) / keys,
            "mean_ms_a_key": 1e3 * sum(row["typed_s"] for row in rows) / keys,
        },
        "on": on,
        "off": off,
        "rows": rows,
        "budgets": [],
    }
    columns = ["", "messages", "left mean", "left p50", "left p99", "computed / used", "paths"]
    lines = [
        [
            name,
            len(rows),
            mode["left_tokens_mean"],
            mode["left_tokens"]["p50"],
            mode["left_tokens"]["p99"],
            mode["idle_tokens_computed_over_used"],
            ", ".join(f"{path} {count}" for path, count in sorted(mode["paths"].items())),
        ]
        for name, mode in (("typing()", on), ("without", off))
    ]
    report.finish(arguments, "typing", result, [report.table("Tokens left to prefill at Enter", columns, lines)])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
