"""Many requests at once, and more owners than sequences, answer as each alone would."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from poise import _core
from tests.executors.driver import Recorder
from tests.executors.equality import ROWS, assert_same_answer

if TYPE_CHECKING:
    from tests.executors.conftest import MakeDriver


@pytest.mark.parametrize("seed", [1, 2])
def test_concurrent_requests_of_mixed_lengths_equal_their_solo_answers(
    make_driver: MakeDriver, noise: float, seed: int
) -> None:
    driver = make_driver(max_sequences=4)
    draw = random.Random(seed)
    requests = []
    for n in range(11):
        context = driver.prompt(draw.choice([1, 2, 30, 64, 65, 150]), seed=1000 * seed + n)
        options = {"owner": n + 1} if n % 3 else {}
        requests.append(driver.request(context, draw.randint(1, 20), logits=ROWS, **options))
    sinks: list[_core.CollectSink] = []
    driver.in_callback(lambda: sinks.extend(driver.start(request) for request in requests))
    answers = [driver.finish(sink) for sink in sinks]
    solo = make_driver(max_sequences=4)
    for n, (request, answer) in enumerate(zip(requests, answers, strict=True)):
        cold = solo.ask(request.context, request.max_new_tokens, key=_core.KvKey(tenant_salt=n), logits=ROWS)
        assert_same_answer(cold, answer, noise)


def test_running_requests_share_decode_steps(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=4)
    sinks: list[_core.CollectSink] = []
    before = driver.stats.steps
    driver.in_callback(
        lambda: sinks.extend(driver.start(driver.request(driver.prompt(16, seed=n), 20, owner=n + 1)) for n in range(4))
    )
    for sink in sinks:
        assert len(driver.finish(sink).tokens) == 20
    driver.drain()
    # One after the other: 4 prefills and 4 x 19 decodes.
    assert driver.stats.steps - before < 60


def test_a_running_decode_is_not_held_up_by_a_long_prefill(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=4, step_tokens=16)
    order: list[str] = []

    def note(event: tuple[object, ...]) -> None:
        order.append(f"{event[0]} {event[1]}")

    def enqueue() -> None:
        driver.executor.enqueue(driver.request(driver.prompt(4, seed=1), 10, owner=1), Recorder([], "short", note))
        driver.executor.enqueue(driver.request(driver.prompt(240, seed=2), 1, owner=2), Recorder([], "long", note))

    driver.in_callback(enqueue)
    driver.wait_for(lambda: order.count("short finish") + order.count("long finish") == 2)
    assert order.index("short finish") < order.index("long token")


def test_more_owners_than_sequences_keep_their_answers(make_driver: MakeDriver, noise: float) -> None:
    driver, solo = make_driver(max_sequences=2), make_driver(max_sequences=2)
    logs = {owner: driver.prompt(20 + owner, seed=owner) for owner in range(1, 6)}
    for turn in range(4):
        for owner, log in logs.items():
            log += driver.prompt(4, seed=100 * turn + owner)
            answer = driver.ask(log, 4, owner=owner, logits=ROWS)
            done = answer.completion
            assert done.reused_tokens + done.prefilled_tokens == len(log)
            cold = solo.ask(log, 4, key=_core.KvKey(tenant_salt=10 * turn + owner), logits=ROWS)
            assert_same_answer(cold, answer, noise)
            log += answer.tokens
    stats = driver.stats
    assert stats.parks + stats.evictions >= 15
    assert stats.sequences_used <= 2


def test_what_does_not_fit_the_parking_space_is_prefilled_again(make_driver: MakeDriver, noise: float) -> None:
    driver = make_driver(max_sequences=1, park_bytes=0)
    a, b = driver.prompt(50, seed=1), driver.prompt(50, seed=2)
    first = driver.ask(a, 5, owner=1, logits=ROWS)
    driver.ask(b, 5, owner=2)
    assert driver.stats.parked_bytes == 0
    again = driver.ask(a, 5, owner=1, logits=ROWS)
    assert (again.completion.reused_tokens, again.completion.prefilled_tokens) == (0, 50)
    assert_same_answer(first, again, noise)


def test_one_sequence_serves_everybody(make_driver: MakeDriver, noise: float) -> None:
    driver = make_driver(max_sequences=1)
    requests = [driver.request(driver.prompt(30, seed=n), 4, owner=n % 3, logits=ROWS) for n in range(7)]
    sinks: list[_core.CollectSink] = []
    driver.in_callback(lambda: sinks.extend(driver.start(request) for request in requests))
    answers = [driver.finish(sink) for sink in sinks]
    for n, (request, answer) in enumerate(zip(requests, answers, strict=True)):
        cold = driver.ask(request.context, 4, key=_core.KvKey(tenant_salt=100 + n), logits=ROWS)
        assert_same_answer(cold, answer, noise)


def test_requests_start_by_priority(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=1)
    order: list[str] = []

    def enqueue() -> None:
        for name, priority in (("low", 0.5), ("high", 0.9), ("middle", 0.7), ("middle too", 0.7)):
            sink = Recorder([], name, lambda event: order.append(event[0]) if event[1] == "start" else None)
            driver.executor.enqueue(driver.request(driver.prompt(10, seed=1), 1, priority=priority), sink)

    driver.in_callback(enqueue)
    driver.wait_for(lambda: len(order) == 4)
    assert order == ["high", "middle", "middle too", "low"]
    driver.drain()


def test_random_traffic_keeps_the_books(make_driver: MakeDriver, noise: float) -> None:
    """Forks, turns, releases and cancels at random; then every owner still answers as a cold run would."""
    driver = make_driver(max_sequences=3)
    draw = random.Random(20)
    logs: dict[int, list[int]] = {}
    for action in range(60):
        owner = draw.randint(1, 6)
        choice = draw.random()
        if choice < 0.15:
            driver.executor.release(owner, draw.choice([0, 0, 10]))
        elif choice < 0.3 and logs:
            logs[owner] = list(draw.choice(list(logs.values())))[: draw.randint(5, 60)]
        else:
            log = logs.setdefault(owner, [])
            if len(log) > 150:
                del log[20:]
            log += driver.prompt(draw.randint(1, 12), seed=action)
            sink = _core.CollectSink()
            priority = draw.choice([0.1, 0.5])
            request_id = driver.executor.enqueue(driver.request(log, 6, owner=owner, priority=priority), sink)
            if draw.random() < 0.2:
                driver.executor.cancel(request_id)
            log += driver.finish(sink).tokens
        if action % 10 == 0:
            driver.drain()
            driver.executor.check_integrity()
    for owner, log in logs.items():
        warm = driver.ask(log, 4, owner=owner, logits=ROWS)
        cold = driver.ask(log, 4, key=_core.KvKey(tenant_salt=1000 + owner), logits=ROWS)
        assert_same_answer(cold, warm, noise)
