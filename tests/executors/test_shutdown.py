"""shutdown() ends every request exactly once, and the executor for good."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

import pytest

from poise import _core
from tests.executors.cases import Case, Size
from tests.executors.driver import Driver, Recorder

if TYPE_CHECKING:
    from tests.executors.conftest import MakeDriver

CANCELLED = _core.FinishReason.cancelled


def test_every_sink_hears_of_the_end_once(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=2)
    sinks = []
    recorder = Recorder()

    def enqueue() -> None:
        for n in range(6):
            request = driver.request(driver.prompt(100, seed=n), 150, owner=n, priority=0.1 if n % 2 else 0.5)
            sinks.append(driver.start(request))
        driver.executor.enqueue(driver.request(driver.prompt(100, seed=9), 150), recorder)

    driver.in_callback(enqueue)
    driver.executor.shutdown()
    driver.executor.shutdown()
    assert [sink.finishes for sink in sinks] == [1] * 6
    reasons = [sink.completion.reason for sink in sinks]
    assert set(reasons) <= {CANCELLED, _core.FinishReason.length}
    assert CANCELLED in reasons
    assert [event[1] for event in recorder.log].count("finish") == 1
    stats = driver.stats
    assert (stats.running_requests, stats.waiting_requests, stats.running_idle, stats.waiting_idle) == (
        0,
        0,
        0,
        0,
    )


def test_after_shutdown_requests_are_refused(make_driver: MakeDriver) -> None:
    driver = make_driver()
    request = driver.request(driver.prompt(10, seed=1), 2)
    driver.run(request)
    driver.executor.shutdown()
    with pytest.raises(_core.ExecutorError, match="shut down"):
        driver.executor.enqueue(request, _core.CollectSink())
    driver.executor.cancel(1)
    driver.executor.release(1)
    assert driver.info.name == driver.executor.info().name


def test_shutdown_from_two_threads(make_driver: MakeDriver) -> None:
    driver = make_driver()
    sink = driver.start(driver.request(driver.prompt(100, seed=1), 150))
    threads = [threading.Thread(target=driver.executor.shutdown) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sink.finishes == 1


def test_dropping_an_executor_ends_its_requests(case: Case) -> None:
    clock = _core.FakeClock()
    driver = Driver(case, case.make(Size(), clock), clock)
    sink, recorder = _core.CollectSink(), Recorder()
    driver.executor.enqueue(driver.request(driver.prompt(200, seed=1), 50), sink)
    driver.executor.enqueue(driver.request(driver.prompt(200, seed=2), 50), recorder)
    del driver
    gc.collect()
    assert sink.wait(60)
    assert sink.finishes == 1
    assert [event[1] for event in recorder.log].count("finish") == 1
