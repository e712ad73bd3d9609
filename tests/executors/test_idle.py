"""Requests always run before idle work; idle work pauses at a step boundary and goes on afterwards.

Time is counted in steps and calls, never in milliseconds.
"""

from __future__ import annotations

from typing import Any

import pytest

from poise import _core
from tests.executors.driver import Driver, Recorder
from tests.executors.equality import ROWS, assert_same_answer

IDLE = 0.1


def interrupt(
    driver: Driver, idle: _core.Request, request: _core.Request, at: str
) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    """Enqueues `request` inside the idle work's first call of `at`.

    Returns all calls, and the count of idle steps before and at the end of the request.
    """
    log: list[tuple[Any, ...]] = []
    steps: dict[str, int] = {}

    def on_request(event: tuple[Any, ...]) -> None:
        if event[1] == "finish":
            steps["at end"] = driver.stats.idle_steps

    def on_idle_work(event: tuple[Any, ...]) -> None:
        if event[1] == at and "before" not in steps:
            steps["before"] = driver.stats.idle_steps
            driver.executor.enqueue(request, Recorder(log, "request", on_request))

    driver.executor.enqueue(idle, Recorder(log, "idle", on_idle_work))
    driver.wait_for(lambda: sum(event[1] == "finish" for event in log) == 2 and "at end" in steps)
    return log, steps


@pytest.mark.parametrize("at", ["start", "token"])
def test_a_request_waits_for_at_most_one_idle_step(driver: Driver, noise: float, at: str) -> None:
    idle_context, context = driver.prompt(150, seed=1), driver.prompt(60, seed=2)
    log, steps = interrupt(
        driver,
        driver.request(idle_context, 40, owner=1, priority=IDLE),
        driver.request(context, 10, owner=2),
        at,
    )
    assert steps["at end"] - steps["before"] <= 1
    ends = [event[0] for event in log if event[1] == "finish"]
    assert ends == ["request", "idle"]
    idle_tokens = [event[3] for event in log if event[:2] == ("idle", "token")]
    request_tokens = [event[3] for event in log if event[:2] == ("request", "token")]
    assert len(idle_tokens) == 40
    assert idle_tokens == driver.ask(idle_context, 40, key=_core.KvKey(tenant_salt=5)).tokens or noise > 0
    assert request_tokens == driver.ask(context, 10, key=_core.KvKey(tenant_salt=5)).tokens or noise > 0


def test_interrupted_idle_work_answers_as_if_undisturbed(driver: Driver, noise: float) -> None:
    idle_context, context = driver.prompt(150, seed=1), driver.prompt(60, seed=2)
    idle_sink = _core.CollectSink()
    sinks: list[_core.CollectSink] = []

    def enqueue() -> None:
        request = driver.request(idle_context, 12, owner=1, priority=IDLE, logits=ROWS)
        driver.executor.enqueue(request, idle_sink)

        def again(event: tuple[Any, ...]) -> None:
            if event[1] == "finish" and len(sinks) < 5:
                sinks.append(driver.start(driver.request(context[: 10 * len(sinks) + 10], 2)))
                driver.executor.enqueue(driver.request([2], 1), Recorder(react=again))

        driver.executor.enqueue(driver.request([2], 1), Recorder(react=again))

    driver.in_callback(enqueue)
    answer = driver.finish(idle_sink)
    assert len(sinks) == 5
    cold = driver.ask(idle_context, 12, key=_core.KvKey(tenant_salt=6), logits=ROWS)
    assert_same_answer(cold, answer, noise)


def test_a_request_for_the_owner_that_idle_work_holds_does_not_wait_for_it(driver: Driver, noise: float) -> None:
    log = driver.prompt(60, seed=3)
    driver.ask(log, owner=1)
    entry, turn = log + driver.prompt(90, seed=4), log + driver.prompt(7, seed=5)
    calls, steps = interrupt(
        driver,
        driver.request(entry, 20, owner=1, priority=IDLE),
        driver.request(turn, 8, owner=1),
        "start",
    )
    assert steps["at end"] - steps["before"] <= 1
    done = next(event for event in calls if event[:2] == ("request", "finish"))[3]
    assert done.reason is _core.FinishReason.length
    # The idle work goes on afterwards, or was cancelled for the request; never the other way round.
    idle_end = next(event for event in calls if event[:2] == ("idle", "finish"))[2]
    assert idle_end in (_core.FinishReason.length, _core.FinishReason.cancelled)
    warm = driver.ask(turn, 8, owner=1, logits=ROWS)
    cold = driver.ask(turn, 8, key=_core.KvKey(tenant_salt=5), logits=ROWS)
    assert_same_answer(cold, warm, noise)


def test_idle_work_gives_up_its_sequences_to_requests(driver: Driver) -> None:
    """More requests than sequences that idle work leaves: none waits for idle work to end."""
    count = driver.info.max_sequences
    order: list[tuple[Any, ...]] = []

    def enqueue() -> None:
        for n in range(count):
            request = driver.request(driver.prompt(40, seed=n), 30, owner=10 + n, priority=IDLE)
            react = start_requests if n == 0 else None
            driver.executor.enqueue(request, Recorder(order, f"idle {n}", react))

    def start_requests(event: tuple[Any, ...]) -> None:
        if event[1] == "token" and not any(e[0].startswith("request") for e in order):
            for n in range(count):
                request = driver.request(driver.prompt(30, seed=50 + n), 5, owner=20 + n)
                driver.executor.enqueue(request, Recorder(order, f"request {n}"))

    driver.in_callback(enqueue)
    driver.wait_for(lambda: sum(event[1] == "finish" for event in order) == 2 * count)
    ends = [event[0].split()[0] for event in order if event[1] == "finish"]
    assert ends == ["request"] * count + ["idle"] * count
    assert all(event[2] is _core.FinishReason.length for event in order if event[1] == "finish")


def test_waiting_idle_work_does_not_start_before_a_waiting_request(driver: Driver) -> None:
    order: list[tuple[Any, ...]] = []

    def enqueue() -> None:
        for name, priority, seed in (("idle", 0.49, 1), ("request", 0.5, 2), ("later", 0.3, 3)):
            request = driver.request(driver.prompt(30, seed=seed), 3, priority=priority)
            driver.executor.enqueue(request, Recorder(order, name))

    driver.in_callback(enqueue)
    driver.wait_for(lambda: sum(event[1] == "finish" for event in order) == 3)
    assert [event[0] for event in order][:2] == ["request", "request"]
    first_idle = next(i for i, event in enumerate(order) if event[0] != "request")
    assert ("request", "finish") in [event[:2] for event in order[:first_idle]]


def test_idle_steps_prefill_at_most_the_quantum(driver: Driver) -> None:
    before = driver.stats
    driver.ask(driver.prompt(200, seed=6), owner=1, priority=IDLE)
    after = driver.stats
    assert after.idle_prefilled_tokens - before.idle_prefilled_tokens == 200
    assert (after.idle_steps - before.idle_steps) * driver.info.idle_quantum_tokens >= 200
    assert (after.steps, after.prefilled_tokens) == (before.steps, before.prefilled_tokens)


def test_the_listener_hears_of_idleness_and_of_idle_work_that_ends(driver: Driver) -> None:
    heard: list[tuple[int, int]] = []
    driver.executor.on_idle(lambda: heard.append((driver.stats.running_requests, driver.stats.waiting_requests)))
    driver.ask(driver.prompt(10, seed=7), 2)
    driver.wait_for(lambda: len(heard) == 1)
    driver.ask(driver.prompt(10, seed=8), 2, priority=IDLE)
    driver.wait_for(lambda: len(heard) == 2)
    driver.executor.on_idle(None)
    driver.ask(driver.prompt(10, seed=9), 2)
    driver.drain()
    assert heard == [(0, 0), (0, 0)]


def test_the_listener_may_enqueue_idle_work(driver: Driver) -> None:
    sinks: list[_core.CollectSink] = []

    def enqueue() -> None:
        if len(sinks) < 3:
            sinks.append(driver.start(driver.request(driver.prompt(20, seed=len(sinks)), 2, priority=IDLE)))

    driver.executor.on_idle(enqueue)
    driver.ask(driver.prompt(10, seed=7), 2)
    driver.wait_for(lambda: len(sinks) == 3)
    assert [len(driver.finish(sink).tokens) for sink in sinks] == [2, 2, 2]
    driver.executor.on_idle(None)
