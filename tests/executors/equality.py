"""When two answers count as the same: within the executor's own noise floor, and never further apart.

The floor is the maximum over a sample, and its distribution has a long tail: SLACK covers that. One wrong token in
the context of the tiny models moves the row by 35 to 300 times as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poise import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.executors.driver import Answer, Driver


ROWS = _core.LogitsWanted(generated=True)
SLACK = 8


def measure_noise(driver: Driver) -> float:
    """The largest logit difference of a context computed cold in one piece, token by token, and in chunks of 31."""
    noise = 0.0
    for seed in range(8):
        context = driver.prompt(200, seed=4711 + seed)
        positions = list(range(len(context)))
        everything = _core.LogitsWanted(context_positions=positions)
        whole = driver.ask(context, key=_core.KvKey(tenant_salt=9000 + seed), logits=everything)
        for chunk in (1, 31):
            for end in range(chunk, len(context) + chunk, chunk):
                part = context[:end]
                rows = driver.ask(
                    part,
                    owner=9000,
                    key=_core.KvKey(tenant_salt=100 * seed + chunk),
                    logits=_core.LogitsWanted(context_positions=positions[max(0, end - chunk) : len(part)]),
                ).rows
                noise = max([noise, *(float(np.abs(row - whole.rows[at]).max()) for at, row in rows.items())])
            driver.executor.release(9000)
    return noise


def assert_same_rows(expected: Answer, actual: Answer, noise: float, positions: Sequence[int] | None = None) -> None:
    """Rows at the same position differ by no more than the noise allows."""
    for at in expected.rows if positions is None else positions:
        difference = float(np.abs(expected.rows[at] - actual.rows[at]).max())
        assert difference <= SLACK * noise + 1e-6, f"logits for position {at} differ by {difference}, noise is {noise}"


def assert_same_answer(expected: Answer, actual: Answer, noise: float) -> None:
    """The same greedy tokens. Where the best two ids are closer than the noise, answers may part.

    Both need the rows of their generated tokens.
    """
    for want, have in zip(expected.generated, actual.generated, strict=False):
        assert want.position == have.position
        assert_same_rows(expected, actual, noise, [want.position])
        if want.token != have.token:
            assert want.stats.gap <= 2 * SLACK * noise, f"token {have.token} at {want.position} instead of {want.token}"
            return
        assert abs(want.logprob - have.logprob) <= 2 * SLACK * noise + 1e-5
    assert len(actual.tokens) == len(expected.tokens)
    assert actual.completion.reason is expected.completion.reason
