"""A cancelled request ends at the next step boundary and leaves a prefix, nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from poise import _core
from tests.executors.driver import Driver, Recorder
from tests.executors.equality import ROWS, assert_same_answer

CANCELLED = _core.FinishReason.cancelled
KEY = _core.KvKey()


def run_and_cancel(driver: Driver, request: _core.Request, at: str, after: int = 1) -> list[tuple[Any, ...]]:
    """Cancels from inside the `after`-th call of `at`; returns the calls without the sink's name."""
    ids: list[int] = []
    seen = 0

    def react(event: tuple[Any, ...]) -> None:
        nonlocal seen
        seen += event[1] == at
        if event[1] == at and seen == after:
            driver.executor.cancel(ids[0])

    sink = Recorder(react=react)
    driver.in_callback(lambda: ids.append(driver.executor.enqueue(request, sink)))
    driver.wait_for(lambda: bool(sink.log) and sink.log[-1][1] == "finish")
    return [event[1:] for event in sink.log]


def test_cancel_while_decoding(driver: Driver, noise: float) -> None:
    context = driver.prompt(40, seed=1)
    calls = run_and_cancel(driver, driver.request(context, 100, owner=1), "token", after=4)
    tokens = [call[2] for call in calls if call[0] == "token"]
    # The pass in flight may deliver one more.
    assert 4 <= len(tokens) <= 5
    assert calls[-1][:2] == ("finish", CANCELLED)
    assert [call[0] for call in calls].count("finish") == 1
    resident = driver.executor.resident_prefix(context + tokens, KEY, 1)
    assert driver.stats.resident_tokens >= resident
    assert resident == calls[-1][2].resident_tokens
    assert 40 <= resident <= 40 + len(tokens)
    warm = driver.ask(context + tokens[:2] + [5], 5, owner=1, logits=ROWS)
    cold = driver.ask(context + tokens[:2] + [5], 5, key=_core.KvKey(tenant_salt=5), logits=ROWS)
    assert_same_answer(cold, warm, noise)


def test_cancel_before_the_prefill_is_done(driver: Driver, noise: float) -> None:
    context = driver.prompt(200, seed=2)
    driver.ask(context[:30], owner=1)
    calls = run_and_cancel(driver, driver.request(context, 20, owner=1), "start")
    assert calls[-1][:2] == ("finish", CANCELLED)
    done = calls[-1][2]
    assert done.resident_tokens <= 200
    assert driver.executor.resident_prefix(context, KEY, 1) == done.resident_tokens
    assert done.reused_tokens + done.prefilled_tokens == done.resident_tokens
    answer = driver.ask(context, 5, owner=1, logits=ROWS)
    assert answer.completion.prefilled_tokens == 200 - driver.reusable(done.resident_tokens, 200)
    assert_same_answer(driver.ask(context, 5, key=_core.KvKey(tenant_salt=5), logits=ROWS), answer, noise)


def test_cancel_while_waiting_touches_nothing(driver: Driver) -> None:
    context = driver.prompt(40, seed=3)
    driver.ask(context, owner=1)
    before = driver.stats.prefilled_tokens
    sinks: list[_core.CollectSink] = []

    def enqueue_and_cancel() -> None:
        sinks.append(_core.CollectSink())
        driver.executor.cancel(driver.executor.enqueue(driver.request([*context[:5], 3], 5, owner=1), sinks[0]))

    driver.in_callback(enqueue_and_cancel)
    answer = driver.finish(sinks[0])
    assert (answer.completion.reason, answer.tokens) == (CANCELLED, [])
    assert answer.completion.prefilled_tokens == 0
    assert driver.stats.prefilled_tokens <= before + 1  # the blocker's one token
    assert driver.executor.resident_prefix(context, KEY, 1) == 40
    assert sinks[0].finishes == 1


def test_cancelling_what_has_ended_or_never_was_is_ignored(driver: Driver) -> None:
    sink = _core.CollectSink()
    request_id = driver.executor.enqueue(driver.request(driver.prompt(10, seed=4), 2), sink)
    driver.finish(sink)
    driver.executor.cancel(request_id)
    driver.executor.cancel(123456)
    driver.drain()
    assert sink.finishes == 1
    assert len(driver.ask(driver.prompt(10, seed=4), 2).tokens) == 2


@pytest.mark.parametrize("priority", [0.2, 0.5])
def test_cancelling_one_of_many_leaves_the_others(driver: Driver, noise: float, priority: float) -> None:
    contexts = [driver.prompt(20 + n, seed=40 + n) for n in range(4)]
    sinks: list[_core.CollectSink] = []
    victim = Recorder()

    def enqueue() -> None:
        ids = [driver.executor.enqueue(driver.request(contexts[0], 60, owner=50, priority=priority), victim)]
        victim.react = lambda event: driver.executor.cancel(ids[0]) if event[1] == "token" else None
        for n, context in enumerate(contexts[1:]):
            sinks.append(driver.start(driver.request(context, 12, owner=60 + n, priority=priority, logits=ROWS)))

    driver.in_callback(enqueue)
    driver.wait_for(lambda: bool(victim.log) and victim.log[-1][1] == "finish")
    assert victim.log[-1][2] is CANCELLED
    for n, context in enumerate(contexts[1:]):
        cold = driver.ask(context, 12, key=_core.KvKey(tenant_salt=60 + n), logits=ROWS)
        assert_same_answer(cold, driver.finish(sinks[n]), noise)
