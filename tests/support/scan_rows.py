"""Rows of logits and instruction sets that the scan's tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from poise._core import InvalidArgument, ScanIsa, scan_isa, set_scan_isa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

VOCABULARIES = (111, 32_000, 128_256, 256_000)


def normal(rng: np.random.Generator, size: int) -> Floats:
    return rng.normal(0.0, 2.5, size).astype(np.float32)


def zipf(rng: np.random.Generator, size: int) -> Floats:
    """As a language model's row: probability about 1 / rank^1.2, ranks spread over the ids, some noise."""
    ranks = rng.permutation(size) + 1.0
    return (12.0 - 1.2 * np.log(ranks) + rng.normal(0.0, 0.3, size)).astype(np.float32)


def peaked(rng: np.random.Generator, size: int) -> Floats:
    row = normal(rng, size)
    row[rng.integers(size)] = 25.0
    return row


def tied(rng: np.random.Generator, size: int) -> Floats:
    """Few different logits, so that ids decide."""
    return (np.round(rng.normal(0.0, 2.0, size) * 2) / 2).astype(np.float32)


def flat(rng: np.random.Generator, size: int) -> Floats:
    return np.full(size, rng.normal(), np.float32)


def holey(rng: np.random.Generator, size: int) -> Floats:
    """Most ids forbidden by the row itself."""
    row = normal(rng, size)
    row[rng.random(size) < 0.9] = -np.inf
    row[rng.integers(size)] = 1.0
    return row


ROWS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": normal,
    "zipf": zipf,
    "peaked": peaked,
    "tied": tied,
    "flat": flat,
    "holey": holey,
}


def use(isa: ScanIsa) -> Iterator[ScanIsa]:
    """Sets an instruction set for one test; skips where the CPU lacks it."""
    before = scan_isa()
    try:
        set_scan_isa(isa)
    except InvalidArgument as missing:
        pytest.skip(f"{isa.name}: {missing}")
    yield isa
    set_scan_isa(before)


def available() -> list[ScanIsa]:
    before = scan_isa()
    found = []
    for isa in ScanIsa:
        try:
            set_scan_isa(isa)
        except InvalidArgument:
            continue
        found.append(isa)
    set_scan_isa(before)
    return found
