"""The generator's published vectors, and three million draws against their distributions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from poise._core import (
    LogitBias,
    ReadyRow,
    SamplingParams,
    ScanIsa,
    TokenCount,
    _philox4x32_10,
    _scan_exp,
    scan,
    scan_isa,
    scan_many,
    scan_uniform,
    set_scan_isa,
)
from tests.support import scan_reference as reference
from tests.support.scan_rows import ROWS, available, flat, normal, peaked, use, zipf

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Known answers of Random123 (kat_vectors: philox4x32, 10 rounds).
PHILOX_VECTORS = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), PHILOX_VECTORS)
def test_philox_known_answers(counter: list[int], key: list[int], expected: list[int]) -> None:
    assert list(_philox4x32_10(counter, key)) == expected


def test_uniform_is_philox_keyed_by_seed_and_counted_by_position_and_choice() -> None:
    seed, choice, position = 0x0123456789ABCDEF, 0x55667788, 0x11223344
    low, high, _, _ = _philox4x32_10([position, choice, 0, 0], [seed & 0xFFFFFFFF, seed >> 32])
    bits = high << 32 | low
    assert scan_uniform(seed, choice, position) == ((bits >> 12) + 0.5) * 2.0**-52


def test_uniform_is_uniform_and_open() -> None:
    numbers = np.array([scan_uniform(11, 3, position) for position in range(100_000)])
    assert 0.0 < numbers.min() < 1e-4
    assert 1.0 - 1e-4 < numbers.max() < 1.0
    counts = np.bincount((numbers * 256).astype(int), minlength=256)
    assert chi_square_z(counts, np.full(256, 1 / 256)) < 4.0


@pytest.mark.parametrize("isa", list(ScanIsa), ids=lambda isa: isa.name)
def test_exponential_is_as_exact_as_its_comment_says(isa: ScanIsa) -> None:
    for _ in use(isa):
        x = -np.linspace(0, 86, 300_001, dtype=np.float32)
        for inverse_temperature in (1.0, 0.3, 1.0 / 3.0):
            exact = np.exp(x.astype(np.float64) * np.float64(np.float32(inverse_temperature)))
            error = np.abs(_scan_exp(x, inverse_temperature) / exact - 1)
            assert (error < 2e-7 + 6e-8 * np.abs(x) * inverse_temperature).all()
        assert _scan_exp(np.array([0.0], np.float32))[0] == 1.0
        assert _scan_exp(np.array([-np.inf, -1e30], np.float32)).max() <= 2.0**-125


def chi_square_z(observed: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """The chi-square statistic as a standard normal (Wilson and Hilferty). Rare ids are counted as one."""
    expected = probabilities * observed.sum()
    rare = expected < 20
    if rare.any():
        observed = np.append(observed[~rare], observed[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
        if expected[-1] < 20:  # even together: a draw more or less there says nothing
            observed, expected = observed[:-1], expected[:-1]
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = max(len(expected) - 1, 1)
    variance = 2 / (9 * freedom)
    return float(((statistic / freedom) ** (1 / 3) - (1 - variance)) / np.sqrt(variance))


# name: (kind of row, vocabulary, options, share of ids allowed, draws)
DISTRIBUTIONS: dict[str, tuple[str, int, dict[str, object], float, int]] = {
    "neutral": ("normal", 111, {}, 1.0, 600_000),
    "cool_top_p": ("normal", 111, {"temperature": 0.7, "top_p": 0.9}, 1.0, 400_000),
    "masked": ("normal", 500, {}, 0.3, 400_000),
    "top_k_and_min_p": ("zipf", 3000, {"top_k": 50, "min_p": 0.02}, 0.9, 200_000),
    "ties": ("tied", 111, {"temperature": 1.3}, 1.0, 300_000),
    "flat": ("flat", 3000, {}, 1.0, 40_000),
    "hot_and_deep": ("normal", 5000, {"temperature": 3.0}, 0.9, 60_000),
    "forbidden_by_the_row": ("holey", 2000, {"temperature": 2.0, "top_p": 0.95}, 1.0, 200_000),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_full_scan_draws(name: str) -> None:
    kind, vocab_size, options, share, draws = DISTRIBUTIONS[name]
    rng = np.random.default_rng(len(name))
    row = ROWS[kind](rng, vocab_size)
    params = SamplingParams(seed=2026, **options)
    mask = rng.random(vocab_size) < share if share < 1.0 else None
    adjusted = reference.adjusted(row, params, mask, ())
    expected = reference.draw(adjusted, params).probabilities(vocab_size)
    tokens = scan_many(row, params, np.arange(draws, dtype=np.int32), mask=mask)
    observed = np.bincount(tokens, minlength=vocab_size)
    assert observed.sum() == draws
    assert observed[~np.isfinite(adjusted)].sum() == 0
    assert observed[expected == 0.0].sum() == 0
    assert abs(chi_square_z(observed, expected)) < 4.5


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (zipf, {"temperature": 0.8}),
        (zipf, {"top_k": 40, "temperature": 1.1}),
        (peaked, {}),
        (zipf, {"top_p": 0.7, "bias": [LogitBias(token=17, bias=9.0), LogitBias(token=400, bias=-np.inf)]}),
    ],
    ids=["cool", "top_k", "peaked", "biased"],
)
def test_kept_head_draws(make: object, options: dict[str, object]) -> None:
    rng = np.random.default_rng(5)
    row = make(rng, 32_000)  # type: ignore[operator]
    params = SamplingParams(seed=99, **options)
    draws = 200_000
    tokens, from_head = ReadyRow(row).scan_many(params, np.arange(draws, dtype=np.int32))
    expected = reference.draw(reference.adjusted(row, params, None, ()), params).probabilities(len(row))
    observed = np.bincount(tokens, minlength=len(row))
    assert from_head > 0.8 * draws
    assert observed[expected == 0.0].sum() == 0
    assert abs(chi_square_z(observed, expected)) < 4.5


DRAWN_ALIKE: list[dict[str, float]] = [
    {},
    {"temperature": 0.6, "top_p": 0.9},
    {"temperature": 2.5},
    {"top_k": 64, "min_p": 0.01},
]


@pytest.mark.parametrize("kind", ROWS)
def test_every_instruction_set_draws_the_same_tokens(kind: str) -> None:
    isas = available()
    if len(isas) == 1:
        pytest.skip("this CPU has the portable path only; AVX2 and AVX-512 are missing")
    rng = np.random.default_rng(4)
    before = scan_isa()
    for size in (111, 4001, 32_000):
        row = ROWS[kind](rng, size)
        mask = rng.random(size) < 0.7
        mask[np.flatnonzero(np.isfinite(row))[0]] = True
        counts = [TokenCount(token=int(i), generated=2) for i in rng.choice(size, 30, replace=False)]
        for options in DRAWN_ALIKE:
            params = SamplingParams(seed=1, presence_penalty=0.5, **options)
            results = []
            for isa in isas:
                set_scan_isa(isa)
                positions = np.arange(40, dtype=np.int32)
                tokens = scan_many(row, params, positions, mask=mask, counts=counts)
                stats = scan(row, params, mask=mask, counts=counts).stats
                results.append((tokens.tolist(), stats.top1, stats.top2, round(stats.log_sum_exp, 4)))
            set_scan_isa(before)
            assert all(result == results[0] for result in results), (size, options)


def test_threads_do_not_share_scratch() -> None:
    rng = np.random.default_rng(0)
    rows = [normal(rng, 20_000 + 100 * i) for i in range(6)] + [flat(rng, 7000)]
    positions = np.arange(60, dtype=np.int32)
    mask = [rng.random(len(row)) < 0.5 for row in rows]

    def draw(i: int) -> list[int]:
        return scan_many(rows[i], SamplingParams(temperature=1.4), positions, mask=mask[i]).tolist()

    alone = [draw(i) for i in range(len(rows))]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, [i % len(rows) for i in range(28)]))
    assert together == [alone[i % len(rows)] for i in range(28)]
