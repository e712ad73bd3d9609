"""Medians, percentiles, and intervals of ratios; seeded, so that the same samples give the same report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Estimate(NamedTuple):
    """A number and the 95 % interval that resampling gives it."""

    value: float
    low: float
    high: float
    samples: int | None = None  # pairs behind it, where few of them make the interval mean little


def percentile(samples: Sequence[float], percent: float) -> float:
    return float(np.percentile(np.asarray(samples, dtype=float), percent))


def median(samples: Sequence[float]) -> float:
    return percentile(samples, 50.0)


def summary(samples: Sequence[float]) -> dict[str, float]:
    """Median, the quartiles as spread, and the tail."""
    return {
        "n": len(samples),
        "p25": percentile(samples, 25),
        "p50": percentile(samples, 50),
        "p75": percentile(samples, 75),
        "p99": percentile(samples, 99),
    }


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Median of the ratios of samples taken together, with its bootstrap interval."""
    ratios = np.asarray(numerators, dtype=float) / np.asarray(denominators, dtype=float)
    picks = np.random.default_rng(1).integers(0, len(ratios), size=(2000, len(ratios)))
    medians = np.median(ratios[picks], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Estimate(float(np.median(ratios)), float(low), float(high), len(ratios))


def ratio_of_percentiles(numerators: Sequence[float], denominators: Sequence[float], percent: float) -> Estimate:
    """Ratio of one percentile of two samples that are not paired."""
    return _compare(numerators, denominators, percent, lambda a, b: a / b)


def difference_of_percentiles(minuends: Sequence[float], subtrahends: Sequence[float], percent: float) -> Estimate:
    """Difference of one percentile of two samples that are not paired."""
    return _compare(minuends, subtrahends, percent, lambda a, b: a - b)


def _compare(left: Sequence[float], right: Sequence[float], percent: float, of: Callable[[Any, Any], Any]) -> Estimate:
    a, b = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    rng = np.random.default_rng(1)
    resampled = [np.percentile(x[rng.integers(0, len(x), size=(1000, len(x)))], percent, axis=1) for x in (a, b)]
    low, high = np.percentile(of(resampled[0], resampled[1]), [2.5, 97.5])
    return Estimate(float(of(np.percentile(a, percent), np.percentile(b, percent))), float(low), float(high))


def finite(samples: Sequence[float | None]) -> list[float]:
    """The samples that are numbers."""
    return [sample for sample in samples if sample is not None and math.isfinite(sample)]
