"""What does structured output cost, and what do forced tokens save?

Masks are timed as the core asks for them, on the model's own vocabulary, along one walk through each grammar. Whole
turns are timed in pairs on the same session state, once constrained and once free with as many tokens, so that the
ratio compares equal lengths; forced tokens make it smaller, masks larger. Both run without pre-positioning. No
budget: nothing is promised about it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from poise import GREEDY, Engine, Sampling, choices, json_schema, regex
from support import report
from support.stats import paired_ratio, summary

if TYPE_CHECKING:
    from poise import Session
    from poise.constraint import Spec

TICKET = {
    "type": "object",
    "properties": {
        "customer_name": {"type": "string", "maxLength": 24},
        "category": {"enum": ["order", "refund", "delivery", "question"]},
        "priority": {"enum": ["low", "normal", "high"]},
        "order_number": {"type": "integer", "minimum": 1000, "maximum": 99999},
        "needs_a_person": {"type": "boolean"},
    },
    "required": ["customer_name", "category", "priority", "order_number", "needs_a_person"],
    "additionalProperties": False,
}
SPECS: dict[str, Spec] = {
    "schema": json_schema(TICKET),
    "schema, free whitespace": json_schema(TICKET, whitespace="free"),
    "regex": regex(r"[A-Z]{3}-[0-9]{4}( \(urgent\))?"),
    "choices": choices(["yes", "no", "I cannot tell from what you wrote"]),
}
SAID = "My lamp order 48213 has not arrived, and I need it tomorrow. My name is Ada."


def walk(engine: Engine, spec: Spec, tokens: tuple[int, ...]) -> dict[str, list[float]]:
    """Microseconds of each call that a core makes for one token, and which ids were forced."""
    compiled = engine.constraint(spec)
    assert compiled is not None
    spent: dict[str, list[float]] = {"clone": [], "forced": [], "mask": [], "accept": [], "is_forced": []}

    def timed(name: str, call: Any) -> Any:
        begin = time.perf_counter_ns()
        result = call()
        spent[name].append((time.perf_counter_ns() - begin) / 1e3)
        return result

    constraint = timed("clone", compiled.clone)
    mask = np.zeros((engine.info.vocab_size + 31) // 32, dtype=np.uint32)
    for token in tokens:
        run = timed("forced", constraint.forced)
        spent["is_forced"].append(float(bool(run)))
        if not run:
            timed("mask", lambda: constraint.fill_mask(mask))
        timed("accept", lambda token=token: constraint.accept(token))
    return spent


def turn(session: Session, **options: Any) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = session.turn(SAID, durable=False, **options).result()
    return (time.perf_counter() - begin) * 1e3, result


def measure(engine: Engine, name: str, repetitions: int, limit: int) -> dict[str, Any]:
    spec = SPECS[name]
    begin = time.perf_counter()
    engine.constraint(spec)
    compile_ms = (time.perf_counter() - begin) * 1e3
    constrained: list[float] = []
    free: list[float] = []
    spent: dict[str, list[float]] = {}
    with engine.open_session("You write tickets.", sampling=GREEDY, preposition=False) as session:
        _, result = turn(session, constraint=spec, max_new_tokens=limit)  # also warms everything up
        length = len(result.tokens)
        unstopped = {"max_new_tokens": length, "sampling": _endless(engine)}
        _, plain = turn(session, **unstopped)
        assert len(plain.tokens) == length, "the free answer must be as long"
        for _ in range(repetitions):
            ms, result = turn(session, constraint=spec, max_new_tokens=limit)
            constrained.append(ms)
            ms, _ = turn(session, **unstopped)
            free.append(ms)
            for key, values in walk(engine, spec, result.tokens).items():
                spent.setdefault(key, []).extend(values)
    forced = sum(spent.pop("is_forced")) / repetitions
    return {
        "spec": name,
        "compile_ms": compile_ms,
        "answer_tokens": length,
        "forced_tokens": forced,
        "forced_share": forced / length,
        "decoded_tokens": result.end.usage.decoded_tokens,
        "text": result.text,
        "us": {key: summary(values) for key, values in spent.items()},
        "turn_ms": summary(constrained),
        "free_turn_ms": summary(free),
        "over_free": paired_ratio(constrained, free)._asdict(),
    }


def _endless(engine: Engine) -> Sampling:
    """Greedy, but never an end token: so that a free answer is as long as it is asked to be."""
    return Sampling(temperature=0.0, bias=dict.fromkeys(engine.info.end_tokens, float("-inf")))


def tables(rows: list[dict[str, Any]]) -> list[str]:
    return [
        report.table(
            "One token, microseconds (median; a mask only where there is a choice)",
            ["spec", "compile ms", "clone", "forced", "mask", "mask p99", "accept"],
            [
                [
                    r["spec"],
                    r["compile_ms"],
                    r["us"]["clone"]["p50"],
                    r["us"]["forced"]["p50"],
                    r["us"]["mask"]["p50"],
                    r["us"]["mask"]["p99"],
                    r["us"]["accept"]["p50"],
                ]
                for r in rows
            ],
        ),
        report.table(
            "Whole turns, milliseconds",
            ["spec", "tokens", "forced", "decoded", "constrained", "free", "over free"],
            [
                [
                    r["spec"],
                    r["answer_tokens"],
                    r["forced_tokens"],
                    r["decoded_tokens"],
                    r["turn_ms"]["p50"],
                    r["free_turn_ms"]["p50"],
                    r["over_free"]["value"],
                ]
                for r in rows
            ],
        ),
    ]


def main() -> int:
    options = report.parser(__doc__).parse_args()
    model = report.check_model(options.model)
    head = report.describe(model)
    with Engine.load(model, max_sequences=2, threads=options.threads) as engine:
        begin = time.perf_counter()
        engine.constraint(regex("a"))
        vocabulary_ms = (time.perf_counter() - begin) * 1e3
        rows = [measure(engine, name, *((2, 48) if options.quick else (40, 160))) for name in SPECS]
        vocabulary = engine.info.vocab_size
    result = {**head, "vocabulary": vocabulary, "vocabulary_ms": vocabulary_ms, "specs": rows, "budgets": []}
    report.finish(options, "constraint", result, tables(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
