"""Rows and requests without an answer, and what the errors say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from poise._core import (
    InvalidArgument,
    LogitBias,
    ReadyRow,
    SamplingParams,
    ScanError,
    ScanIsa,
    TokenCount,
    scan,
    scan_many,
    scan_statistics,
    top_logprobs,
)
from tests.support.scan_rows import normal, use

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=list(ScanIsa), ids=lambda isa: isa.name, autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[ScanIsa]:
    yield from use(request.param)


def broken(value: float, at: int, size: int = 3000) -> np.ndarray:
    row = normal(np.random.default_rng(0), size)
    row[at] = value
    return row


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("at", [0, 15, 16, 1023, 1024, 2999])
def test_bad_logits_are_found_anywhere(value: float, at: int) -> None:
    row = broken(value, at)
    for temperature in (0.0, 1.0):
        with pytest.raises(ScanError, match=f"logit of id {at} is"):
            scan(row, SamplingParams(temperature=temperature))
    with pytest.raises(ScanError):
        scan_statistics(row)
    with pytest.raises(ScanError):
        top_logprobs(row, 3)
    with pytest.raises(ScanError):
        ReadyRow(row)


@pytest.mark.parametrize("at", [0, 700, 2047])
def test_nan_among_forbidden_ids_is_found(at: int) -> None:
    row = np.full(2048, -np.inf, np.float32)
    row[100] = 1.0
    row[at] = np.nan
    with pytest.raises(ScanError):
        scan(row, SamplingParams(temperature=0.0))


def test_any_nan_payload_is_found() -> None:
    for bits in (0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF, 0x7FC0007F, 0x7FC001FF):
        row = broken(0.0, 5)
        row.view(np.uint32)[500] = bits
        with pytest.raises(ScanError):
            scan_statistics(row)


def test_a_masked_nan_does_not_matter() -> None:
    row = broken(np.nan, 700)
    mask = np.ones(3000, bool)
    mask[700] = False
    assert scan_statistics(row, mask=mask).top1 == int(np.nanargmax(row))


@pytest.mark.parametrize("size", [1, 111, 3000])
def test_rows_without_an_allowed_id(size: int) -> None:
    row = np.zeros(size, np.float32)
    with pytest.raises(ScanError, match="the mask allows none"):
        scan(row, SamplingParams(), mask=np.zeros(size, bool))
    with pytest.raises(ScanError, match="none of"):
        scan(np.full(size, -np.inf, np.float32), SamplingParams())
    forbidden = SamplingParams(bias=[LogitBias(token=i, bias=-np.inf) for i in range(size)])
    with pytest.raises(ScanError, match="none of"):
        scan(row, forbidden)
    with pytest.raises(ScanError, match="none of"):
        ReadyRow(row).scan(forbidden)
    with pytest.raises(ScanError, match="the mask allows none"):
        ReadyRow(row).scan(SamplingParams(), mask=np.zeros(size, bool))


def test_the_only_allowed_id_may_be_forbidden_by_the_row() -> None:
    row = np.zeros(3000, np.float32)
    row[8] = -np.inf
    mask = np.zeros(3000, bool)
    mask[8] = True
    for call in (scan, lambda r, p, mask: ReadyRow(r).scan(p, mask=mask)):
        with pytest.raises(ScanError):
            call(row, SamplingParams(), mask=mask)


def test_penalties_that_overflow_are_errors() -> None:
    row = np.array([3e38, 0], np.float32)
    params = SamplingParams(repetition_penalty=1e-3)
    for call in (
        lambda: scan(row, params, counts=[TokenCount(token=0)]),
        lambda: ReadyRow(row).scan(params, counts=[TokenCount(token=0)]),
    ):
        with pytest.raises(ScanError, match="logit of id 0 is inf"):
            call()


def test_messages_name_shapes_and_dtypes() -> None:
    with pytest.raises(InvalidArgument, match=r"shape \(2, 3\) and dtype float64; pass float32"):
        scan(np.zeros((2, 3)), SamplingParams())
    with pytest.raises(InvalidArgument, match=r"shape \(3,\) and dtype int64; pass float32"):
        ReadyRow(np.zeros(3, np.int64))
    row = np.zeros(100, np.float32)
    with pytest.raises(InvalidArgument, match=r"bool of shape \(100,\) or uint32 of shape \(4,\)"):
        scan(row, SamplingParams(), mask=np.zeros(5, np.uint32))
    with pytest.raises(InvalidArgument, match=r"mask has shape \(100,\) and dtype int64"):
        scan(row, SamplingParams(), mask=np.zeros(100, np.int64))
    with pytest.raises(InvalidArgument, match=r"positions has shape \(3,\) and dtype int64"):
        scan_many(row, SamplingParams(), np.arange(3, dtype=np.int64))


def test_ids_outside_the_row() -> None:
    row = np.zeros(100, np.float32)
    for token in (-1, 100):
        counts = [TokenCount(token=token, generated=1)]
        with pytest.raises(InvalidArgument, match=f"names id {token}, but the row has ids 0 to 99"):
            scan(row, SamplingParams(presence_penalty=1.0), counts=counts)
        with pytest.raises(InvalidArgument, match=f"names id {token}"):
            ReadyRow(row).scan(SamplingParams(presence_penalty=1.0), counts=counts)
        assert scan(row, SamplingParams(temperature=0.0), counts=counts).token == 0  # not used: no penalties
        with pytest.raises(InvalidArgument, match=f"names id {token}"):
            scan(row, SamplingParams(bias=[LogitBias(token=token, bias=1.0)]))


def test_empty_rows() -> None:
    with pytest.raises(ScanError, match="no logits"):
        scan(np.zeros(0, np.float32), SamplingParams())
    with pytest.raises(ScanError, match="no logits"):
        ReadyRow(np.zeros(0, np.float32))


@pytest.mark.parametrize(
    "options", [{"temperature": np.nan}, {"temperature": -1.0}, {"top_p": 0.0}, {"min_p": 1.5}, {"top_k": -1}]
)
def test_params_out_of_range(options: dict[str, float]) -> None:
    name = next(iter(options))
    with pytest.raises(InvalidArgument, match=f"sampling.{name}"):
        scan(np.zeros(10, np.float32), SamplingParams(**options))
