"""A failure ends the request that it belongs to, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from poise import _core
from tests.executors.driver import Driver, Recorder
from tests.executors.equality import ROWS, assert_same_answer

ERROR = _core.FinishReason.error


@pytest.fixture
def failing(driver: Driver) -> Driver:
    if not isinstance(driver.executor, _core.SimExecutor):
        pytest.skip("only the simulation fails on demand")
    return driver


def test_a_failed_step_ends_its_requests_and_the_executor_lives_on(failing: Driver, noise: float) -> None:
    driver = failing
    log = driver.prompt(40, seed=1)
    driver.ask(log, owner=1)
    sinks: list[_core.CollectSink] = []

    def enqueue() -> None:
        sinks.extend(driver.start(driver.request([*log, 5], 4, owner=owner)) for owner in (1, 2))
        sinks.append(driver.start(driver.request(log, 4, owner=3, priority=0.1, logits=ROWS)))
        driver.executor.fail_next_step()  # type: ignore[attr-defined]

    driver.in_callback(enqueue)
    first, second, idle = [driver.finish(sink) for sink in sinks]
    for failed in (first, second):
        assert failed.completion.reason is ERROR
        assert "fail_next_step" in failed.completion.error
        assert failed.tokens == []
    assert idle.completion.reason is _core.FinishReason.length
    assert [sink.finishes for sink in sinks] == [1, 1, 1]
    # The failed pass left nothing: what was resident before still is, and answers are right.
    assert driver.executor.resident_prefix([*log, 5], _core.KvKey(), 1) == 40
    warm = driver.ask([*log, 5], 4, owner=1, logits=ROWS)
    cold = driver.ask([*log, 5], 4, key=_core.KvKey(tenant_salt=5), logits=ROWS)
    assert_same_answer(cold, warm, noise)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("at", ["start", "logits", "token"])
def test_an_exception_in_a_python_sink_ends_that_request_only(driver: Driver, at: str) -> None:
    def fail(event: tuple[Any, ...]) -> None:
        if event[1] == at:
            raise ValueError(f"no {at}, please")

    sink = Recorder(react=fail)
    bystander: list[_core.CollectSink] = []

    def enqueue() -> None:
        driver.executor.enqueue(driver.request(driver.prompt(20, seed=2), 30, logits=ROWS), sink)
        bystander.append(driver.start(driver.request(driver.prompt(20, seed=3), 5)))

    driver.in_callback(enqueue)
    driver.wait_for(lambda: bool(sink.log) and sink.log[-1][1] == "finish")
    calls = [event[1] for event in sink.log]
    assert calls.count(at) == 1  # nothing is told to a sink that has failed, but the end
    completion = sink.log[-1][3]
    assert completion.reason is ERROR
    assert f"ValueError: no {at}, please" in completion.error
    assert len(driver.finish(bystander[0]).tokens) == 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_at_the_end_or_in_the_listener_goes_nowhere(driver: Driver) -> None:
    def fail(*_event: Any) -> None:
        raise ValueError("too late")

    calls: list[int] = []

    def listen() -> None:
        calls.append(1)
        raise ValueError("not listening")

    driver.executor.on_idle(listen)
    sink = Recorder(react=lambda event: fail() if event[1] == "finish" else None)
    driver.executor.enqueue(driver.request(driver.prompt(20, seed=2), 2), sink)
    driver.wait_for(lambda: bool(calls))
    assert len(driver.ask(driver.prompt(20, seed=2), 2).tokens) == 2
    driver.executor.on_idle(None)
