"""Number streams: a level that drifts up or down under noise, and a question about the trend.

The true answer is the sign of the change of the noise-free level over the last `WINDOW` values, so
a noisy stream leaves real doubt even for the best possible reader.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from .pools import Pools, Split

Json = dict[str, Any]

WINDOW = 32
ANSWERS = ("up", "down")
# |drift| per value over the standard deviation of the noise. The standard error of a least-squares
# slope over 32 values is 0.019 noise deviations, so "flat" streams cannot be read reliably.
NOISE_LEVELS: dict[str, float] = {"clean": 0.5, "mild": 0.12, "noisy": 0.04, "flat": 0.015}
QUESTIONS = (
    f"Over the last {WINDOW} values, is the trend up or down? Answer with one word.",
    f"Trend of the last {WINDOW} values, up or down?",
    f"Did the last {WINDOW} values go up or down? One word.",
)


@dataclass(frozen=True)
class Question:
    """A question asked after `after` data messages, with the true answer and the least-squares one."""

    after: int
    answer: str
    fitted: str


@dataclass(frozen=True)
class Stream:
    """Data messages in order, the registered question, and where it is asked."""

    id: str
    system: str
    data: list[str]
    question: str
    asked: list[Question]
    level: str


def _slope(values: list[float]) -> float:
    """Least-squares slope times a positive constant."""
    middle = (len(values) - 1) / 2
    return sum((i - middle) * value for i, value in enumerate(values))


def make_stream(
    seed: int,
    index: int,
    split: Split,
    values: int | None = None,
    questions: int | None = None,
    level: str | None = None,
) -> Stream:
    """Stream number `index` of a seed. `values`: its length; None draws 40 to 800, mostly short."""
    rng = random.Random(f"stream:{seed}:{split}:{index}")
    pools = Pools(rng, split)
    metric, company = pools.metric(), pools.company()
    level = level or rng.choice(list(NOISE_LEVELS))
    per_message = rng.choice((1, 1, 2, 4, 8))
    if values is None:
        values = rng.randint(40, 120) if rng.random() < 0.75 else rng.randint(120, 760)
    values = max(values // per_message, 1) * per_message

    noise = rng.uniform(0.4, 5.0)
    true, seen = [rng.uniform(150, 600)], list[float]()
    drift = rng.choice((-1, 1)) * NOISE_LEVELS[level] * noise
    left = rng.randint(WINDOW, 4 * WINDOW)
    for _ in range(values):
        seen.append(round(true[-1] + rng.gauss(0, noise), 1))
        left -= 1
        if left <= 0:
            drift, left = -drift, rng.randint(WINDOW, 4 * WINDOW)
        if not 50 < true[-1] + 4 * drift < 900:
            drift, left = -drift, rng.randint(WINDOW, 4 * WINDOW)
        true.append(true[-1] + drift)

    data = [" ".join(f"{value:.1f}" for value in seen[i : i + per_message]) for i in range(0, values, per_message)]
    count = questions if questions is not None else (1 if rng.random() < 0.6 else 6)
    last = len(data)
    gap = max(WINDOW // per_message, 1)
    places = sorted({last - i * gap for i in range(count) if (last - i * gap) * per_message >= WINDOW})
    asked = []
    for after in places or [last]:
        end = after * per_message
        start = max(end - WINDOW, 0)
        change = true[end - 1] - true[start]
        answer = ANSWERS[0] if change > 0 else ANSWERS[1]
        fitted = ANSWERS[0] if _slope(seen[start:end]) > 0 else ANSWERS[1]
        asked.append(Question(after, answer, fitted))
    return Stream(
        id=f"stream-{split}-{seed}-{index}",
        system=(
            f"You watch the {metric} of {company}. Every message brings new values. "
            "Asked about the trend, answer with one word: up or down."
        ),
        data=data,
        question=rng.choice(QUESTIONS),
        asked=asked,
        level=level,
    )


def messages_of(stream: Stream) -> list[Json]:
    """The stream as a conversation in which every question and its true answer stay in the log."""
    messages: list[Json] = [{"role": "system", "content": stream.system}]
    answers = {question.after: question.answer for question in stream.asked}
    for number, content in enumerate(stream.data, start=1):
        messages.append({"role": "user", "content": content})
        if number in answers:
            messages.append({"role": "user", "content": stream.question})
            messages.append({"role": "assistant", "content": answers[number]})
    return messages
