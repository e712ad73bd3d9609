"""The full scan against a float64 reference: every option alone and combined, every size and alignment."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from poise._core import (
    LogitBias,
    SamplingParams,
    ScanIsa,
    TokenCount,
    count_tokens,
    scan,
    scan_many,
    scan_statistics,
    scan_uniform,
    top_logprobs,
)
from tests.support import scan_reference as reference
from tests.support.scan_rows import ROWS, VOCABULARIES, normal, tied, use, zipf

if TYPE_CHECKING:
    from collections.abc import Iterator

# A row has about 17 digits between its largest and smallest mass, its statistics are floats.
STATISTICS_TOLERANCE = 2e-5

OPTIONS: dict[str, dict[str, object]] = {
    "neutral": {},
    "greedy": {"temperature": 0.0},
    "cool": {"temperature": 0.6},
    "hot": {"temperature": 1.7},
    "boiling": {"temperature": 100.0},
    "freezing": {"temperature": 1e-6},
    "top_k_1": {"top_k": 1},
    "top_k_40": {"top_k": 40},
    "top_k_most": {"top_k": 20_000},
    "top_p": {"top_p": 0.9},
    "top_p_small": {"top_p": 0.05},
    "min_p": {"min_p": 0.05},
    "min_p_tiny": {"min_p": 1e-6},
    "min_p_one": {"min_p": 1.0},
    "repetition": {"repetition_penalty": 1.3},
    "presence": {"presence_penalty": 0.7},
    "frequency": {"frequency_penalty": -0.4},
    "k_and_p": {"top_k": 100, "top_p": 0.8},
    "k_most_and_p": {"top_k": 10_000, "top_p": 0.95},
    "p_and_min": {"top_p": 0.95, "min_p": 0.02, "temperature": 0.8},
    "everything": {
        "temperature": 1.2,
        "top_k": 60,
        "top_p": 0.9,
        "min_p": 0.01,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.3,
        "frequency_penalty": 0.2,
    },
}


@pytest.fixture(params=list(ScanIsa), ids=lambda isa: isa.name, autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[ScanIsa]:
    yield from use(request.param)


def some_counts(rng: np.random.Generator, vocab_size: int) -> list[TokenCount]:
    return count_tokens(rng.integers(0, vocab_size, 60).tolist(), 30)


def check(
    row: np.ndarray,
    params: SamplingParams,
    mask: np.ndarray | None = None,
    counts: list[TokenCount] | tuple[()] = (),
    draws: int = 4,
) -> None:
    """Compares `draws` scans with the reference, and their statistics."""
    adjusted = reference.adjusted(row, params, mask, counts)
    expected = reference.statistics(adjusted)
    candidates = reference.draw(adjusted, params)
    for position in range(draws):
        got = scan(row, params, mask=mask, counts=counts, position=position)
        u = scan_uniform(params.seed or 0, params.choice_index, position)
        assert candidates.accepts(got.token, u), (got, candidates.token(u), u, params)
        assert got.logprob == pytest.approx(adjusted[got.token] - expected.log_sum_exp, abs=STATISTICS_TOLERANCE)
    stats = scan_statistics(row, params, mask=mask, counts=counts)
    assert (stats.top1, stats.top2) == (expected.top1, expected.top2)
    assert stats.top1_logit == adjusted[expected.top1]
    assert stats.gap == pytest.approx(expected.gap, abs=1e-6)
    assert stats.log_sum_exp == pytest.approx(expected.log_sum_exp, abs=STATISTICS_TOLERANCE)
    assert stats.entropy == pytest.approx(expected.entropy, abs=STATISTICS_TOLERANCE)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("kind", ROWS)
def test_options(kind: str, options: dict[str, object]) -> None:
    rng = np.random.default_rng(1)
    for size in (1, 2, 111, 5000):
        row = ROWS[kind](rng, size)
        params = SamplingParams(seed=int(rng.integers(2**63)), **options)
        params.bias = [LogitBias(token=int(i), bias=float(rng.normal(0, 2))) for i in {0, size // 2, size - 1}]
        counts = some_counts(rng, size)
        mask = rng.random(size) < 0.6
        mask[np.flatnonzero(np.isfinite(row))[0]] = True
        check(row, params)
        check(row, params, mask=mask, counts=counts)


@pytest.mark.parametrize("vocab_size", VOCABULARIES)
@pytest.mark.parametrize("options", ["neutral", "greedy", "hot", "top_k_40", "top_k_most", "p_and_min", "everything"])
def test_vocabularies(vocab_size: int, options: str) -> None:
    rng = np.random.default_rng(vocab_size)
    params = SamplingParams(seed=5, **OPTIONS[options])
    params.bias = [LogitBias(token=vocab_size - 1, bias=30.0), LogitBias(token=0, bias=-np.inf)]
    mask = rng.random(vocab_size) < 0.5
    check(zipf(rng, vocab_size), params, mask=mask, counts=some_counts(rng, vocab_size), draws=2)


@pytest.mark.parametrize("offset", range(16))
def test_sizes_and_alignments(offset: int) -> None:
    rng = np.random.default_rng(offset)
    memory = normal(rng, 5000)
    for size in (1, 3, 15, 16, 17, 31, 33, 1023, 1024, 1025, 1040, 2047, 4099):
        row = memory[offset : offset + size]
        check(row, SamplingParams(seed=offset, temperature=0.9, top_p=0.97), draws=2)
        mask = rng.random(size) < 0.7
        mask[size - 1] = True
        check(row, SamplingParams(seed=offset), mask=mask, draws=2)


def test_strided_rows_are_copied() -> None:
    row = normal(np.random.default_rng(0), 2000)
    assert scan_statistics(row[::2]).top1 == int(np.argmax(row[::2]))


class TestOrderOfOperations:
    """Each case has another answer if two neighbouring steps are swapped."""

    def test_penalties_come_before_bias(self) -> None:
        params = SamplingParams(repetition_penalty=2.0, bias=[LogitBias(token=1, bias=1.0)])
        stats = scan_statistics(np.array([-9, 2, 0], np.float32), params, counts=[TokenCount(token=1)])
        assert stats.top1_logit == 2.0 / 2.0 + 1.0

    def test_repetition_comes_before_presence_and_frequency(self) -> None:
        params = SamplingParams(repetition_penalty=2.0, presence_penalty=1.0, frequency_penalty=0.5)
        counts = [TokenCount(token=0, generated=3)]
        stats = scan_statistics(np.array([8, -90], np.float32), params, counts=counts)
        assert stats.top1_logit == 8.0 / 2.0 - (1.0 + 3 * 0.5)

    def test_repetition_penalty_pushes_negative_logits_down(self) -> None:
        params = SamplingParams(repetition_penalty=2.0)
        stats = scan_statistics(np.array([-1, -90], np.float32), params, counts=[TokenCount(token=0)])
        assert stats.top1_logit == -2.0

    def test_repetition_covers_the_context_and_presence_only_generated_ids(self) -> None:
        params = SamplingParams(repetition_penalty=2.0, presence_penalty=1.0, frequency_penalty=1.0)
        logits = np.array([4, 4, 4, -90], np.float32)
        counts = count_tokens([0, 0, 1], 2)
        assert [(c.token, c.generated) for c in counts] == [(0, 0), (1, 1)]
        best = top_logprobs(logits, 3, params, counts=counts)
        assert [b.token for b in best] == [2, 0, 1]
        assert best[0].logprob - best[1].logprob == pytest.approx(2.0)
        assert best[1].logprob - best[2].logprob == pytest.approx(2.0)

    def test_bias_comes_before_the_mask(self) -> None:
        params = SamplingParams(temperature=0.0, bias=[LogitBias(token=2, bias=100.0)])
        got = scan(np.array([1, 0, 0], np.float32), params, mask=np.array([True, True, False]))
        assert (got.token, got.stats.top2) == (0, 1)

    def test_statistics_come_before_temperature(self) -> None:
        row = np.array([1, 0, -1], np.float32)
        cold = scan(row, SamplingParams(temperature=0.1)).stats
        assert cold.entropy == scan_statistics(row).entropy
        assert cold.gap == 1.0

    @staticmethod
    def support(params: SamplingParams) -> set[int]:
        row = np.log(np.array([0.5, 0.3, 0.2], np.float32))
        return set(scan_many(row, params, np.arange(500, dtype=np.int32)).tolist())

    def test_temperature_comes_before_top_p(self) -> None:
        assert self.support(SamplingParams(top_p=0.6)) == {0, 1}
        assert self.support(SamplingParams(top_p=0.6, temperature=0.5)) == {0}  # 0.25 / 0.38 reaches 0.6

    def test_top_p_sees_what_top_k_left(self) -> None:
        assert self.support(SamplingParams(top_p=0.6, top_k=2)) == {0}  # 0.5 / 0.8 reaches 0.6

    def test_the_id_that_crosses_p_stays(self) -> None:
        assert self.support(SamplingParams(top_p=0.75)) == {0, 1}
        assert self.support(SamplingParams(top_p=0.85)) == {0, 1, 2}

    def test_min_p_is_relative_to_the_largest(self) -> None:
        assert self.support(SamplingParams(min_p=0.5)) == {0, 1}
        assert self.support(SamplingParams(min_p=0.5, temperature=0.5)) == {0}  # 0.09 / 0.25


class TestTies:
    def test_greedy_takes_the_smaller_id(self) -> None:
        row = np.zeros(5000, np.float32)
        row[[1500, 4000, 4999]] = 3.0
        got = scan(row, SamplingParams(temperature=0.0))
        assert (got.token, got.stats.top1, got.stats.top2, got.stats.gap) == (1500, 1500, 4000, 0.0)

    def test_top_k_keeps_the_smaller_ids(self) -> None:
        row = np.zeros(3000, np.float32)
        draws = scan_many(row, SamplingParams(top_k=7), np.arange(500, dtype=np.int32))
        assert set(draws.tolist()) == set(range(7))

    def test_large_top_k_keeps_the_smaller_ids(self) -> None:
        row = np.zeros(9000, np.float32)
        draws = scan_many(row, SamplingParams(top_k=5000), np.arange(1500, dtype=np.int32))
        assert draws.max() < 5000
        assert len(np.unique(draws)) > 1200

    def test_zeros_of_both_signs_are_equal(self) -> None:
        row = np.array([-1, 0.0, -0.0], np.float32)
        row2 = np.array([-1, -0.0, 0.0], np.float32)
        assert scan_statistics(row).top1 == scan_statistics(row2).top1 == 1


def test_one_allowed_id() -> None:
    mask = np.zeros(4000, bool)
    mask[3777] = True
    for temperature in (0.0, 1.0, 3.0):
        got = scan(normal(np.random.default_rng(3), 4000), SamplingParams(temperature=temperature), mask=mask)
        assert (got.token, got.stats.top1, got.stats.top2) == (3777, 3777, -1)
        assert got.stats.gap == np.inf
        assert got.stats.top2_logit == -np.inf
        assert got.stats.entropy == got.logprob == 0.0


def test_mask_words_and_bools_agree() -> None:
    rng = np.random.default_rng(8)
    for size in (31, 32, 33, 5000):
        row = normal(rng, size)
        mask = rng.random(size) < 0.5
        mask[0] = True
        bits = np.packbits(np.pad(mask, (0, -size % 32)), bitorder="little").view(np.uint32)
        dirty = bits.copy()
        if size % 32:
            dirty[-1] |= np.uint32(0xFFFFFFFF << (size % 32) & 0xFFFFFFFF)  # bits behind the vocabulary do not count
        for words, position in itertools.product((bits, dirty), range(5)):
            got = scan(row, SamplingParams(), mask=words, position=position)
            assert got.token == scan(row, SamplingParams(), mask=mask, position=position).token


@pytest.mark.parametrize("size", [111, 5000, 128_256])
def test_top_logprobs(size: int) -> None:
    rng = np.random.default_rng(size)
    for row in (normal(rng, size), tied(rng, size)):
        mask = rng.random(size) < 0.7
        order = reference.best_first(reference.adjusted(row, SamplingParams(), mask, ()))
        normaliser = reference.statistics(reference.adjusted(row, SamplingParams(), mask, ())).log_sum_exp
        for n in (1, 20, 100):
            got = top_logprobs(row, n, mask=mask)
            assert [g.token for g in got] == order[:n].tolist()
            wanted = row[order[:n]].astype(np.float64) - normaliser
            np.testing.assert_allclose([g.logprob for g in got], wanted, atol=STATISTICS_TOLERANCE)


def test_top_logprobs_of_few_allowed_ids() -> None:
    mask = np.zeros(500, bool)
    mask[[3, 400]] = True
    assert len(top_logprobs(np.zeros(500, np.float32), 20, mask=mask)) == 2
    assert top_logprobs(np.zeros(500, np.float32), 0) == []


def test_the_seed_choice_and_position_key_the_draw() -> None:
    row = np.zeros(1000, np.float32)
    positions = np.arange(200, dtype=np.int32)
    base = scan_many(row, SamplingParams(seed=7), positions)
    assert np.array_equal(base, scan_many(row, SamplingParams(seed=7), positions))
    unseeded = scan_many(row, SamplingParams(), positions)
    assert np.array_equal(unseeded, scan_many(row, SamplingParams(seed=0), positions))
    for fields in ({"seed": 8}, {"seed": 7 + 2**32}, {"seed": 7, "choice_index": 1}):
        other = SamplingParams(**fields)
        assert (base != scan_many(row, other, positions)).mean() > 0.9


def test_extreme_logits() -> None:
    huge = np.float32(3e38)
    assert scan_statistics(np.array([-huge, huge, 0], np.float32)).top1 == 1
    assert scan(np.array([-huge, -huge], np.float32), SamplingParams(temperature=100.0)).token in (0, 1)
    assert scan_statistics(np.full(2000, -huge, np.float32)).entropy == pytest.approx(np.log(2000), abs=1e-5)
