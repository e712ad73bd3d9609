"""An owner's own sequence is extended and rolled back in place; another owner's is only copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise import _core
from tests.executors.equality import ROWS, assert_same_answer

if TYPE_CHECKING:
    from tests.executors.conftest import MakeDriver
    from tests.executors.driver import Driver

KEY = _core.KvKey()


def test_another_owners_prefix_is_copied_and_stays_unharmed(rolls_back: Driver, noise: float) -> None:
    driver = rolls_back
    log, tail = driver.prompt(60, seed=1), driver.prompt(4, seed=2)
    driver.ask(log, owner=1)
    branch = driver.ask(log + tail, 6, owner=2, logits=ROWS)
    assert branch.completion.reused_tokens == driver.reusable(60, 64)
    assert branch.completion.copied_tokens > 0
    assert driver.stats.copies == 1
    assert driver.executor.resident_prefix(log + tail, KEY, 1) == 60
    assert driver.executor.resident_prefix(log + tail, KEY, 2) == 64
    on = driver.ask(log + tail[:1], 6, owner=1, logits=ROWS)
    assert on.completion.reused_tokens == driver.reusable(60, 61)
    cold = _core.KvKey(tenant_salt=5)
    assert_same_answer(driver.ask(log + tail, 6, key=cold, logits=ROWS), branch, noise)
    assert_same_answer(driver.ask(log + tail[:1], 6, key=cold, logits=ROWS), on, noise)


def test_a_branch_may_start_in_the_middle_of_another_owners_log(rolls_back: Driver, noise: float) -> None:
    driver = rolls_back
    log = driver.prompt(60, seed=3)
    driver.ask(log, owner=1)
    context = log[:33] + driver.prompt(7, seed=4)
    branch = driver.ask(context, 6, owner=2, logits=ROWS)
    assert branch.completion.reused_tokens == driver.reusable(33, 40)
    assert driver.executor.resident_prefix(log, KEY, 1) == 60
    assert_same_answer(driver.ask(context, 6, key=_core.KvKey(tenant_salt=5), logits=ROWS), branch, noise)


def test_copies_diverge_without_touching_each_other(driver: Driver, noise: float) -> None:
    log = driver.prompt(40, seed=5)
    driver.ask(log, owner=1)
    for turn in range(3):
        for owner in (1, 2, 3):
            context = log + driver.prompt(5 + turn, seed=owner)
            answer = driver.ask(context, 4, owner=owner, logits=ROWS)
            cold = driver.ask(context, 4, owner=9, key=_core.KvKey(tenant_salt=owner * 10 + turn), logits=ROWS)
            assert_same_answer(cold, answer, noise)


def test_unowned_kv_is_taken_over_in_place(rolls_back: Driver) -> None:
    driver = rolls_back
    system = driver.prompt(50, seed=6)
    driver.ask(system)
    used = driver.stats.sequences_used
    assert driver.executor.resident_prefix(system, KEY, 1) == 50
    taken = driver.ask([*system, 5], 2, owner=1).completion
    assert taken.reused_tokens == driver.reusable(50, 51)
    assert (taken.copied_tokens, taken.restored_tokens) == (0, 0)
    assert driver.stats.sequences_used == used


def test_a_conversation_without_an_owner_is_found_again(driver: Driver, noise: float) -> None:
    context = driver.prompt(40, seed=7)
    first = driver.ask(context, 4)
    longer = context + first.tokens + driver.prompt(5, seed=8)
    second = driver.ask(longer, 4, logits=ROWS)
    assert second.completion.reused_tokens == driver.reusable(43, len(longer))
    cold = driver.ask(longer, 4, key=_core.KvKey(tenant_salt=5), logits=ROWS)
    assert_same_answer(cold, second, noise)


def test_release_frees_the_sequence(driver: Driver) -> None:
    context = driver.prompt(40, seed=9)
    driver.ask(context, owner=1)
    assert driver.stats.sequences_used == 1
    driver.executor.release(1)
    assert driver.executor.resident_prefix(context, KEY, 1) == 0
    driver.wait_for(lambda: (driver.stats.sequences_used, driver.stats.resident_tokens) == (0, 0))
    assert driver.ask(context, 1, owner=1).completion.prefilled_tokens == 40


def test_release_keeps_what_it_is_told_to(rolls_back: Driver, noise: float) -> None:
    driver = rolls_back
    context = driver.prompt(40, seed=10)
    driver.ask(context, owner=1)
    driver.executor.release(1, 25)
    assert driver.executor.resident_prefix(context, KEY, 1) == 25
    driver.wait_for(lambda: driver.stats.resident_tokens == 25)
    answer = driver.ask(context, 5, owner=1, logits=ROWS)
    assert answer.completion.prefilled_tokens == 40 - driver.reusable(25, 40)
    assert_same_answer(driver.ask(context, 5, key=_core.KvKey(tenant_salt=5), logits=ROWS), answer, noise)


def test_releasing_what_is_not_there_does_nothing(driver: Driver) -> None:
    context = driver.prompt(40, seed=11)
    driver.ask(context, owner=1)
    driver.executor.release(12345)
    driver.executor.release(1, 4000)
    assert driver.executor.resident_prefix(context, KEY, 1) == 40


def test_release_forgets_the_parked_copy(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=1)
    context = driver.prompt(40, seed=12)
    driver.ask(context, owner=1)
    driver.ask(driver.prompt(40, seed=13), owner=2)
    driver.executor.release(1)
    assert driver.ask(context, owner=1).completion.prefilled_tokens == 40
    for owner in (1, 2):
        driver.executor.release(owner)
    driver.wait_for(lambda: (driver.stats.parked_tokens, driver.stats.parked_bytes) == (0, 0))


def test_release_cancels_the_owners_requests_and_no_others(driver: Driver) -> None:
    sinks = {}

    def enqueue() -> None:
        for owner in (1, 1, 2):
            sinks.setdefault(owner, []).append(
                driver.start(driver.request(driver.prompt(40, seed=owner), 5, owner=owner))
            )

    driver.in_callback(enqueue)
    driver.executor.release(1)
    reasons = {owner: [driver.finish(s).completion.reason for s in sinks[owner]] for owner in sinks}
    assert reasons[2] == [_core.FinishReason.length]
    # They may have ended before release() came; if not, they were cancelled. Their KV is gone either way.
    assert set(reasons[1]) <= {_core.FinishReason.cancelled, _core.FinishReason.length}
    if isinstance(driver.executor, _core.SimExecutor) and driver.case.name == "sim":
        assert reasons[1] == [_core.FinishReason.cancelled] * 2
    driver.drain()
    assert driver.executor.resident_prefix(driver.prompt(40, seed=1), KEY, 1) == 0


def test_requests_of_one_owner_at_once_answer_as_one_after_the_other(driver: Driver, noise: float) -> None:
    log = driver.prompt(30, seed=14)
    contexts = [log + driver.prompt(n, seed=n) for n in (3, 9, 6)]
    sinks: list[_core.CollectSink] = []
    driver.in_callback(lambda: sinks.extend(driver.start(driver.request(c, 6, owner=1, logits=ROWS)) for c in contexts))
    for index, (context, sink) in enumerate(zip(contexts, sinks, strict=True)):
        answer = driver.finish(sink)
        cold = driver.ask(context, 6, key=_core.KvKey(tenant_salt=30 + index), logits=ROWS)
        assert_same_answer(cold, answer, noise)
