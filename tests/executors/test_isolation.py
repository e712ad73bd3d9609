"""Two KvKeys never share a token of KV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from poise import _core
from tests.executors.equality import ROWS, assert_same_answer

if TYPE_CHECKING:
    from tests.executors.conftest import MakeDriver
    from tests.executors.driver import Driver

TENANT_A, TENANT_B = _core.KvKey(tenant_salt=11), _core.KvKey(tenant_salt=22)


def test_another_tenant_with_the_same_tokens_prefills_from_scratch(driver: Driver, noise: float) -> None:
    context = driver.prompt(50, seed=1)
    mine = driver.ask(context, 5, owner=1, key=TENANT_A, logits=ROWS)
    theirs = driver.ask(context, 5, owner=2, key=TENANT_B, logits=ROWS)
    assert (theirs.completion.reused_tokens, theirs.completion.prefilled_tokens) == (0, 50)
    assert_same_answer(mine, theirs, noise)


def test_stateless_traffic_of_two_tenants_shares_nothing(driver: Driver) -> None:
    context = driver.prompt(50, seed=1)
    for key in (TENANT_A, TENANT_B):
        assert driver.ask(context, 2, key=key).completion.prefilled_tokens == 50


def test_an_owner_that_changes_its_key_prefills_from_scratch(driver: Driver, noise: float) -> None:
    context = driver.prompt(50, seed=2)
    first = driver.ask(context, 5, owner=1, key=TENANT_A, logits=ROWS)
    again = driver.ask(context, 5, owner=1, key=TENANT_B, logits=ROWS)
    assert again.completion.reused_tokens == 0
    assert driver.executor.resident_prefix(context, TENANT_A, 1) == 0
    assert_same_answer(first, again, noise)


@pytest.mark.parametrize("key", [_core.KvKey(adapter_id=1), _core.KvKey(adapter_id=1, adapter_scale=0.5)])
def test_another_adapter_prefills_from_scratch(driver: Driver, key: _core.KvKey) -> None:
    context = driver.prompt(50, seed=3)
    if not driver.case.adapters:
        before = driver.stats
        with pytest.raises(_core.InvalidArgument, match="adapter"):
            driver.executor.enqueue(driver.request(context, key=key), _core.CollectSink())
        assert driver.stats.waiting_requests == before.waiting_requests == 0
        return
    plain = driver.ask(context, 8, owner=1)
    adapted = driver.ask(context, 8, owner=2, key=key)
    assert adapted.completion.reused_tokens == 0
    assert plain.tokens != adapted.tokens


@pytest.mark.parametrize("flush", [False, True], ids=["copy-pending", "copy-done"])
def test_restoring_a_tenant_over_the_source_of_a_branch_leaks_nothing(
    make_driver: MakeDriver, noise: float, *, flush: bool
) -> None:
    """Branch A, give A's sequence to a parked tenant B, decode on the branch: each answer is its own."""
    driver = make_driver(max_sequences=2)
    log_a, log_b = driver.prompt(64, seed=4), driver.prompt(64, seed=5)
    filler = driver.prompt(8, seed=6)
    tail_a, tail_b = driver.prompt(3, seed=7), driver.prompt(3, seed=8)

    driver.ask(log_b, owner=3, key=TENANT_B)
    driver.ask(log_a, owner=1, key=TENANT_A)
    driver.ask(filler, owner=4, key=TENANT_A, retention=[_core.Retention(priority=1)])  # parks or evicts B
    assert driver.executor.resident_prefix(log_b, TENANT_B, 3) == 0
    driver.executor.release(4)
    branch = driver.ask(log_a, owner=2, key=TENANT_A).completion  # no decode: a copy may still be pending
    assert branch.reused_tokens in (0, driver.reusable(64, 64, needs_row=False))
    if flush:
        driver.ask([*log_a, 5], 1, owner=2, key=TENANT_A)
    driver.executor.release(1)
    driver.ask(log_b, owner=3, key=TENANT_B)  # restored into the sequence that the branch was copied from
    answer_a = driver.ask(log_a + tail_a, 6, owner=2, key=TENANT_A, logits=ROWS)
    answer_b = driver.ask(log_b + tail_b, 6, owner=3, key=TENANT_B, logits=ROWS)

    fresh = make_driver()
    assert_same_answer(fresh.ask(log_a + tail_a, 6, logits=ROWS), answer_a, noise)
    assert_same_answer(fresh.ask(log_b + tail_b, 6, logits=ROWS), answer_b, noise)


def test_parking_a_fresh_branch_keeps_the_branch(make_driver: MakeDriver, noise: float) -> None:
    """A branch that is parked before any pass has run on it comes back as what was copied."""
    driver = make_driver(max_sequences=2)
    log, tail = driver.prompt(64, seed=9), driver.prompt(3, seed=10)
    driver.ask(driver.prompt(64, seed=11), owner=5, key=TENANT_B)  # the sequence's previous occupant
    # a few tokens of its own: otherwise evicting the first owner would lose as little as evicting the branch
    driver.ask(log + driver.prompt(4, seed=13), owner=1, key=TENANT_A)
    driver.executor.release(5)
    driver.ask(log, owner=2, key=TENANT_A, retention=[_core.Retention(priority=1)])
    driver.ask(driver.prompt(20, seed=12), owner=6, key=TENANT_B, retention=[_core.Retention(priority=0)])
    # Owner 1 and 2 hold the same tokens, so either may go: nothing is lost.
    assert 0 in [driver.executor.resident_prefix(log, TENANT_A, owner) for owner in (1, 2)]
    cold = make_driver().ask(log + tail, 6, logits=ROWS)
    for owner in (2, 1):
        assert_same_answer(cold, driver.ask(log + tail, 6, owner=owner, key=TENANT_A, logits=ROWS), noise)
