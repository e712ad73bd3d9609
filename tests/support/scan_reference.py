"""The vocabulary scan in NumPy, by the text of scan.h: logits in float32, masses in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from poise._core import SamplingParams, TokenCount

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

# Two correct sums of one row may differ by this much of the row's mass.
TOLERANCE = 3e-6


def adjusted(logits: Floats, params: SamplingParams, mask: Mask | None, counts: Sequence[TokenCount]) -> Floats:
    """Steps 1 to 3."""
    row = logits.astype(np.float32).copy()
    if params.has_penalties:
        for count in counts:
            logit = row[count.token]
            if count.in_context:
                penalty = np.float32(params.repetition_penalty)
                logit = logit / penalty if logit > 0 else logit * penalty
            if count.generated > 0:
                frequency = np.float32(params.frequency_penalty) * np.float32(count.generated)
                logit = logit - (np.float32(params.presence_penalty) + frequency)
            row[count.token] = logit
    for term in params.bias:
        row[term.token] += np.float32(term.bias)
    if mask is not None:
        row[~mask] = -np.inf
    return row


@dataclass
class Statistics:
    """At temperature 1."""

    top1: int
    top2: int
    gap: float
    log_sum_exp: float
    entropy: float


def best_first(row: Floats) -> NDArray[np.int64]:
    """Allowed ids: larger logit, then smaller id."""
    order = np.lexsort((np.arange(len(row)), -row.astype(np.float64)))
    return order[np.isfinite(row[order])]


def statistics(row: Floats) -> Statistics:
    order = best_first(row)
    x = row[order].astype(np.float64)
    mass = np.exp(x - x[0])
    total = mass.sum()
    return Statistics(
        top1=int(order[0]),
        top2=int(order[1]) if len(order) > 1 else -1,
        gap=float(x[0] - x[1]) if len(order) > 1 else np.inf,
        log_sum_exp=float(x[0] + np.log(total)),
        entropy=float(np.log(total) - ((x - x[0]) * mass).sum() / total),
    )


@dataclass
class Draw:
    """The candidates left after steps 5 to 8, best first, with their cumulated shares of the mass."""

    tokens: NDArray[np.int64]
    cumulated: NDArray[np.float64]
    slack: float  # how far a rounded sum may move a share

    def probabilities(self, vocab_size: int) -> NDArray[np.float64]:
        out = np.zeros(vocab_size)
        out[self.tokens] = np.diff(self.cumulated, prepend=0.0)
        return out

    def accepts(self, token: int, u: float) -> bool:
        """Is `token` what u draws, give or take the rounding of sums?"""
        at = np.flatnonzero(self.tokens == token)
        if len(at) == 0:
            return False
        before = self.cumulated[at[0] - 1] if at[0] > 0 else 0.0
        return bool(before - self.slack <= u <= self.cumulated[at[0]] + self.slack)

    def token(self, u: float) -> int:
        return int(self.tokens[min(np.searchsorted(self.cumulated, u, side="right"), len(self.tokens) - 1)])


def draw(row: Floats, params: SamplingParams) -> Draw:
    """Steps 4 to 8."""
    order = best_first(row)
    if params.greedy:
        return Draw(order[:1], np.ones(1), 0.0)
    x = row[order].astype(np.float64)
    mass = np.exp((x - x[0]) / np.float64(np.float32(params.temperature)))
    keep = len(mass) if params.top_k == 0 else min(params.top_k, len(mass))
    slack = TOLERANCE
    cumulated = np.cumsum(mass[:keep])
    if params.top_p < 1:
        target = np.float64(np.float32(params.top_p)) * cumulated[-1]
        keep = int(np.searchsorted(cumulated, target, side="left")) + 1
        edges = cumulated[max(keep - 2, 0) : keep]
        if np.min(np.abs(edges - target)) < TOLERANCE * cumulated[-1]:  # an id earlier or later
            slack += 2 * mass[keep - 1] / cumulated[keep - 1]
    at_least = int((mass >= np.float64(np.float32(params.min_p))).sum())
    keep = min(keep, max(at_least, 1))
    cumulated = cumulated[:keep]
    return Draw(order[:keep], cumulated / cumulated[-1], slack)
