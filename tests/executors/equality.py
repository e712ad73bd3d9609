"""When two answers count as the same: within the executor's own noise floor, and never further apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poise import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.executors.driver import Answer, Driver


def measure_noise(driver: Driver) -> float:
    """The largest logit difference of one context computed cold with different chunking."""
    context = driver.prompt(96, seed=4711)
    positions = list(range(len(context)))
    whole = driver.ask(
        context, key=_core.KvKey(tenant_salt=9001), logits=_core.LogitsWanted(context_positions=positions)
    )
    noise = 0.0
    for salt, chunk in ((9002, 7), (9003, 1), (9004, 31)):
        for end in range(chunk, len(context) + chunk, chunk):
            part = context[:end]
            wanted = _core.LogitsWanted(context_positions=positions[max(0, end - chunk) : len(part)])
            rows = driver.ask(part, owner=salt, key=_core.KvKey(tenant_salt=salt), logits=wanted).rows
            noise = max([noise, *(float(np.abs(row - whole.rows[at]).max()) for at, row in rows.items())])
        driver.executor.release(salt)
    return noise


def assert_same_rows(expected: Answer, actual: Answer, noise: float, positions: Sequence[int] | None = None) -> None:
    """Rows at the same position differ by no more than twice the noise (itself a sample's maximum)."""
    for at in expected.rows if positions is None else positions:
        difference = float(np.abs(expected.rows[at] - actual.rows[at]).max())
        assert difference <= 2 * noise + 1e-6, f"logits for position {at} differ by {difference}, noise is {noise}"


def assert_same_answer(expected: Answer, actual: Answer, noise: float) -> None:
    """The same greedy tokens. Where the best two ids are closer than the noise, answers may part.

    Both need the rows of their generated tokens.
    """
    for want, have in zip(expected.generated, actual.generated, strict=False):
        assert want.position == have.position
        assert_same_rows(expected, actual, noise, [want.position])
        if want.token != have.token:
            assert want.stats.gap <= 4 * noise, f"token {have.token} at {want.position} instead of {want.token}"
            return
        assert abs(want.logprob - have.logprob) <= 4 * noise + 1e-5
    assert len(actual.tokens) == len(expected.tokens)
    assert actual.completion.reason is expected.completion.reason


ROWS = _core.LogitsWanted(generated=True)
