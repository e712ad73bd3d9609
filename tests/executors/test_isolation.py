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


@pytest.mark.parametrize(
    "key",
    [
        _core.KvKey(adapter_id=1, adapter_scale=1.0),
        _core.KvKey(adapter_id=1, adapter_scale=0.5),
        _core.KvKey(adapter_id=2, adapter_scale=1.0),
    ],
    ids=["adapter", "scale", "other-adapter"],
)
def test_another_adapter_prefills_from_scratch(make_driver: MakeDriver, noise: float, key: _core.KvKey) -> None:
    driver = make_driver()
    context = driver.prompt(50, seed=3)
    if not driver.case.adapters:
        before = driver.stats
        with pytest.raises(_core.InvalidArgument, match="adapter"):
            driver.executor.enqueue(driver.request(context, key=key), _core.CollectSink())
        assert driver.stats.waiting_requests == before.waiting_requests == 0
        return
    plain = driver.ask(context, 8, owner=1)
    other = driver.ask(context, 8, owner=3, key=_core.KvKey(adapter_id=1, adapter_scale=0.25))
    adapted = driver.ask(context, 8, owner=2, key=key, logits=ROWS)
    assert (adapted.completion.reused_tokens, adapted.completion.prefilled_tokens) == (0, 50)
    assert adapted.tokens != plain.tokens
    assert adapted.tokens != other.tokens
    bare = make_driver().ask(context, 8, key=key, logits=ROWS)
    assert_same_answer(bare, adapted, noise)
    # and each goes on in its own KV
    again = driver.ask(context, 8, owner=2, key=key, logits=ROWS)
    assert again.completion.reused_tokens > 0 or not driver.info.can_roll_back
    assert_same_answer(bare, again, noise)


def test_two_adapters_at_once_answer_as_each_alone(make_driver: MakeDriver, noise: float) -> None:
    driver = make_driver()
    if not driver.case.adapters:
        pytest.skip("this model has no adapters")
    keys = [_core.KvKey(), *(_core.KvKey(adapter_id=n, adapter_scale=1.0) for n in (1, 2))]
    contexts = [driver.prompt(40 + 9 * n, seed=60 + n) for n in range(6)]
    sinks: list[_core.CollectSink] = []
    driver.in_callback(
        lambda: sinks.extend(
            driver.start(driver.request(context, 12, owner=10 + n, key=keys[n % 3], logits=ROWS))
            for n, context in enumerate(contexts)
        )
    )
    for n, (context, sink) in enumerate(zip(contexts, sinks, strict=True)):
        alone = make_driver(max_sequences=1).ask(context, 12, key=keys[n % 3], logits=ROWS)
        assert_same_answer(alone, driver.finish(sink), noise)


def test_sessions_that_differ_in_their_text_salt_share_nothing(driver: Driver, noise: float) -> None:
    context = driver.prompt(50, seed=4)
    one = driver.ask(context, 5, owner=1, key=_core.KvKey(text_salt=1), logits=ROWS)
    for owner, key in ((2, _core.KvKey(text_salt=2)), (3, _core.KvKey())):
        other = driver.ask(context, 5, owner=owner, key=key, logits=ROWS)
        assert (other.completion.reused_tokens, other.completion.prefilled_tokens) == (0, 50)
        assert_same_answer(one, other, noise)


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
    # Owner 1 holds the same tokens, so nothing is lost with the branch; its priority is lower.
    assert driver.executor.resident_prefix(log, TENANT_A, 2) == 0
    cold = make_driver().ask(log + tail, 6, logits=ROWS)
    for owner in (2, 1):
        assert_same_answer(cold, driver.ask(log + tail, 6, owner=owner, key=TENANT_A, logits=ROWS), noise)
