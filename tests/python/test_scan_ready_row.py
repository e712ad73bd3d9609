"""A kept head answers exactly what the full scan answers, and it does answer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from poise._core import (
    LogitBias,
    ReadyRow,
    SamplingParams,
    ScanError,
    TokenCount,
    count_tokens,
    scan,
    scan_uniform,
)
from tests.support.scan_rows import ROWS, normal, zipf

STATISTICS_TOLERANCE = 2e-5


def same(kept: ReadyRow, row: np.ndarray, params: SamplingParams, **request: object) -> bool:
    """Compares one request with the full scan; says whether the head answered."""
    full = scan(row, params, **request)
    got = kept.scan(params, **request)
    assert not full.from_head
    context = f"full {full}\nhead {got}\n{params} {request}"
    assert got.token == full.token, context
    assert got.logprob == pytest.approx(full.logprob, abs=STATISTICS_TOLERANCE), context
    assert (got.stats.top1, got.stats.top2) == (full.stats.top1, full.stats.top2), context
    assert got.stats.top1_logit == full.stats.top1_logit
    assert got.stats.gap == full.stats.gap
    assert got.stats.log_sum_exp == pytest.approx(full.stats.log_sum_exp, abs=STATISTICS_TOLERANCE), context
    assert got.stats.entropy == pytest.approx(full.stats.entropy, abs=5 * STATISTICS_TOLERANCE), context
    return got.from_head


def random_request(rng: np.random.Generator, kept: ReadyRow, size: int) -> tuple[SamplingParams, dict[str, object]]:
    """Any mix of options; ids are taken from head and tail alike."""

    def maybe(value: object, neutral: object, share: float = 0.35) -> object:
        return value if rng.random() < share else neutral

    head = [h.token for h in kept.head]

    def some_ids(most: int) -> list[int]:
        from_head = rng.choice(head, min(len(head), int(rng.integers(1, most))), replace=False)
        anywhere = rng.integers(0, size, int(rng.integers(1, most)))
        return sorted({int(i) for i in np.concatenate([from_head, anywhere])})

    params = SamplingParams(
        temperature=float(rng.choice([0.0, 0.2, 0.5, 0.7, 0.93, 1.0, 1.0, 1.25, 1.9, 30.0])),
        top_k=maybe(int(rng.choice([1, 5, 40, 256, 400, 5000])), 0),
        top_p=maybe(float(rng.choice([0.05, 0.5, 0.9, 0.99, 0.9999])), 1.0),
        min_p=maybe(float(rng.choice([1e-9, 0.001, 0.05, 0.9])), 0.0),
        seed=int(rng.integers(2**62)),
    )
    request: dict[str, object] = {"position": int(rng.integers(10_000))}
    if rng.random() < 0.3:
        biases = rng.choice([-np.inf, -20.0, -1.0, 0.3, 4.0, 20.0], 64)
        params.bias = [LogitBias(token=i, bias=float(b)) for i, b in zip(some_ids(12), biases, strict=False)]
    if rng.random() < 0.3:
        params.repetition_penalty = float(rng.choice([0.8, 1.0, 1.3]))
        params.presence_penalty = float(rng.choice([0.0, 0.6, -0.5]))
        params.frequency_penalty = float(rng.choice([0.0, 0.2, 1.5]))
        ids = some_ids(40)
        request["counts"] = count_tokens(rng.permutation(ids * 2).tolist(), len(ids))
    if rng.random() < 0.4:
        mask = rng.random(size) < rng.choice([0.002, 0.5, 0.99, 1.0])
        mask[rng.choice(head, min(len(head), 3), replace=False)] = True
        mask[some_ids(20)] = False
        if not (mask & np.isfinite(kept.logits)).any():
            mask[head[0]] = True
        request["mask"] = mask
    return params, request


@pytest.mark.parametrize("head_size", [1, 2, 7, 64, 256, 2000])
@pytest.mark.parametrize("kind", ROWS)
def test_head_equals_full_scan(kind: str, head_size: int) -> None:
    rng = np.random.default_rng(100 + head_size)
    answered: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for _ in range(12):
        size = int(rng.choice([1, 2, head_size, head_size + 1, 111, 1025, 9000]))
        row = ROWS[kind](rng, size)
        kept = ReadyRow(row, head_size)
        assert np.array_equal(kept.logits, row)
        for _ in range(30):
            params, request = random_request(rng, kept, size)
            try:
                scan(row, params, **request)
            except ScanError:  # the head must fail in the same way
                with pytest.raises(ScanError):
                    kept.scan(params, **request)
                continue
            label = "edited" if params.bias or "counts" in request or "mask" in request else "plain"
            label += "_greedy" if params.greedy or params.top_k == 1 else ""
            asked[label] += 1
            answered[label] += same(kept, row, params, **request)
    assert asked.total() > 250
    assert answered["plain_greedy"] == asked["plain_greedy"] >= 10
    assert answered["plain"] > (0.2 if head_size >= 64 else 0.02) * asked["plain"]
    assert answered["edited"] > (0.2 if head_size >= 64 else 0.02) * asked["edited"]
    assert answered["edited_greedy"] > (0.4 if head_size >= 64 else 0.02) * asked["edited_greedy"]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": 0.7},
        {"temperature": 0.6, "top_p": 0.95},
        {"temperature": 1.0},
        {"temperature": 1.0, "top_p": 0.6},
        {"temperature": 1.0, "min_p": 0.05},
        {"temperature": 1.2},
        {"temperature": 1.2, "top_k": 50},
        {"temperature": 1.5, "top_k": 256, "top_p": 0.9},
        {"temperature": 1.0, "repetition_penalty": 1.1},
        {"temperature": 0.7, "bias": [LogitBias(token=5, bias=2.0), LogitBias(token=90_000, bias=-np.inf)]},
    ],
)
def test_the_head_answers_wherever_the_draw_falls_into_it(options: dict[str, object]) -> None:
    rng = np.random.default_rng(0)
    row = zipf(rng, 128_256)
    kept = ReadyRow(row)
    params = SamplingParams(seed=3, **options)
    best = [h.token for h in kept.head]
    counts = count_tokens(rng.integers(0, 128_256, 500).tolist() + best[:20], 400)
    drawn_there = answered = 0
    for position in range(200):
        answered += same(kept, row, params, counts=counts, position=position)
        drawn_there += scan(row, params, counts=counts, position=position).token in best
    assert drawn_there > 80
    assert 0.9 * drawn_there <= answered <= drawn_there


@pytest.mark.parametrize("temperature", [0.4, 1.0, 1.25, 1.6])
def test_draws_beside_the_edge_of_the_head(temperature: float) -> None:
    """The head's mass ends just before or behind u: answered only at a safe distance, always right."""
    rng = np.random.default_rng(int(temperature * 100))
    outcomes: Counter[bool] = Counter()
    for trial in range(300):
        distance = rng.choice([-1, 1]) * 10.0 ** rng.uniform(-9, -0.5)
        u = scan_uniform(trial, 0, 0)
        share = u * (1 + distance)  # of the head
        if not 0.05 < share < 0.95:
            continue
        head = rng.normal(6.0, 0.3, 16)
        tail = rng.normal(-2.0, 0.25, 3000)
        mass = np.exp(head / temperature).sum()
        wanted = mass * (1 - share) / share
        tail += temperature * np.log(wanted / np.exp(tail / temperature).sum())
        if tail.max() > head.min():
            continue
        row = np.concatenate([head, tail]).astype(np.float32)
        rng.shuffle(row)
        params = SamplingParams(temperature=temperature, seed=trial)
        outcomes[same(ReadyRow(row, 16), row, params)] += 1
        # The same edge, met by top-p.
        same(ReadyRow(row, 16), row, SamplingParams(temperature=temperature, seed=trial, top_p=share))
    assert outcomes[True] > 20, outcomes
    assert outcomes[False] > 20


def test_ties_across_the_edge_of_the_head() -> None:
    row = np.zeros(1000, np.float32)
    row[500] = 3.0
    for head_size in (1, 2, 5, 64):
        kept = ReadyRow(row, head_size)
        assert [h.token for h in kept.head] == [500, *range(500)][:head_size]
        for position in range(30):
            same(kept, row, SamplingParams(top_k=head_size), position=position)
            same(kept, row, SamplingParams(top_k=head_size + 1), position=position)
            same(kept, row, SamplingParams(top_p=0.03), position=position)
        # Edits of ids that tie with the head's last one.
        for token in (0, head_size - 2, head_size - 1, head_size, 999):
            for bias in (-np.inf, 0.0, 1e-6, -1e-6, 5.0):
                params = SamplingParams(temperature=0.0, bias=[LogitBias(token=max(token, 0), bias=bias)])
                same(kept, row, params)


def test_the_whole_head_forbidden() -> None:
    row = normal(np.random.default_rng(1), 3000)
    kept = ReadyRow(row, 8)
    mask = np.ones(3000, bool)
    mask[[h.token for h in kept.head]] = False
    assert not same(kept, row, SamplingParams(temperature=0.0), mask=mask)
    mask[kept.head[3].token] = True
    assert not same(kept, row, SamplingParams(temperature=0.0), mask=mask)  # top-2 lies in the tail
    mask[kept.head[5].token] = True
    assert same(kept, row, SamplingParams(temperature=0.0), mask=mask)


def test_most_of_the_mass_edited_away() -> None:
    """What is left of the tail's sum after taking its best ids away must not be rounding noise."""
    rng = np.random.default_rng(9)
    row = np.concatenate([np.full(4, 20.0), np.full(6, 19.0), rng.normal(0, 0.1, 4000)]).astype(np.float32)
    kept = ReadyRow(row, 4)
    gone = [LogitBias(token=i, bias=-np.inf) for i in range(2, 10)]
    assert same(kept, row, SamplingParams(bias=gone))
    pushed = [LogitBias(token=i, bias=-19.9) for i in range(2)]
    params = SamplingParams(bias=[*gone, *pushed], temperature=0.0)
    same(kept, row, params)


def test_few_allowed_ids_are_gathered() -> None:
    row = normal(np.random.default_rng(2), 128_256)
    kept = ReadyRow(row)
    mask = np.zeros(len(row), bool)
    mask[[5, 77_000, 128_255]] = True
    counts = [TokenCount(token=77_000, generated=1)]
    for temperature in (0.0, 1.0, 1.7):
        params = SamplingParams(temperature=temperature, frequency_penalty=0.5)
        assert same(kept, row, params, mask=mask, counts=counts)


def test_unordered_counts_and_biases() -> None:
    row = zipf(np.random.default_rng(6), 5000)
    kept = ReadyRow(row)
    ids = [*[h.token for h in kept.head[:10]][::-1], 4000, 3]
    counts = [TokenCount(token=i, generated=1) for i in ids]
    params = SamplingParams(presence_penalty=1.0, bias=[LogitBias(token=i, bias=0.5) for i in ids[::-2]])
    assert sum(same(kept, row, params, counts=counts, position=i) for i in range(50)) > 25


def test_statistics_and_size() -> None:
    row = normal(np.random.default_rng(7), 32_000)
    kept = ReadyRow(row, 100)
    assert kept.statistics.top1 == kept.head[0].token == int(np.argmax(row))
    assert len(kept.head) == 100
    assert kept.size_bytes > row.nbytes
    with pytest.raises(ValueError, match="read-only"):
        kept.logits[0] = 1.0
    row[0] = 1e6  # a copy was kept
    assert kept.logits[0] != row[0]
