"""What a request must choose, given the rows that it returned: the vocabulary scan, applied from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from poise import _core
from tests.executors.driver import GREEDY

if TYPE_CHECKING:
    from tests.executors.driver import Answer


def scan_all(
    context: list[int],
    answer: Answer,
    *,
    sampling: _core.SamplingParams = GREEDY,
    constraint: _core.Constraint | None = None,
    **_ignored: Any,
) -> list[_core.ScanResult]:
    """The scan's result for each generated token's row, with the tokens before it as generated."""
    state = constraint.clone() if constraint is not None else None
    results = []
    for index, token in enumerate(answer.tokens):
        position = len(context) + index
        row = answer.rows[position]
        mask = None
        if state is not None:
            mask = np.zeros(row.size, dtype=bool)
            mask[state.allowed(row.size)] = True
            state.accept(token)
        counts = _core.count_tokens(context + answer.tokens[:index], len(context))
        results.append(_core.scan(row, sampling, mask=mask, counts=counts, position=position))
    return results


def choose_all(context: list[int], answer: Answer, **options: Any) -> list[int]:
    return [result.token for result in scan_all(context, answer, **options)]
