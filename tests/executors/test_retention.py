"""Which KV goes first when sequences run out: priority, time to live, then last use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from poise import _core

if TYPE_CHECKING:
    from tests.executors.conftest import MakeDriver
    from tests.executors.driver import Driver

KEY = _core.KvKey()
HOUR_MS = 3_600_000.0


def fill(driver: Driver, priorities: dict[int, list[_core.Retention]]) -> dict[int, list[int]]:
    """One context an owner, in this order, each with its retention."""
    contexts = {}
    for owner, retention in priorities.items():
        contexts[owner] = driver.prompt(30, seed=owner)
        driver.ask(contexts[owner], owner=owner, retention=retention)
    return contexts


def gone_after_one_more(driver: Driver, contexts: dict[int, list[int]]) -> list[int]:
    """The owners that lose their sequence to a new one."""
    driver.ask(driver.prompt(30, seed=99), owner=99)
    resident = {owner: driver.executor.resident_prefix(c, KEY, owner) for owner, c in contexts.items()}
    assert set(resident.values()) <= {0, 30}
    return [owner for owner, tokens in resident.items() if tokens == 0]


def keep(priority: int, **options: object) -> list[_core.Retention]:
    return [_core.Retention(priority=priority, **options)]


@pytest.mark.parametrize("lowest", [1, 2, 3])
def test_the_lowest_priority_goes_first(make_driver: MakeDriver, lowest: int) -> None:
    driver = make_driver(max_sequences=3)
    contexts = fill(driver, {owner: keep(20 if owner == lowest else 60 + owner) for owner in (1, 2, 3)})
    assert gone_after_one_more(driver, contexts) == [lowest]


def test_no_retention_is_priority_35(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=3)
    assert gone_after_one_more(driver, fill(driver, {1: keep(36), 2: [], 3: keep(36)})) == [2]
    driver = make_driver(max_sequences=3)
    assert gone_after_one_more(driver, fill(driver, {1: [], 2: keep(34), 3: []})) == [2]


def test_of_equal_priority_the_longest_unused_goes_first(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=3)
    contexts = fill(driver, {1: keep(50), 2: keep(50), 3: keep(50)})
    driver.ask(contexts[1], owner=1, retention=keep(50))
    assert gone_after_one_more(driver, contexts) == [2]


def test_after_its_time_to_live_a_priority_is_35(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=2)
    contexts = fill(driver, {1: keep(90, time_to_live_ms=20.0), 2: keep(50)})
    driver.pass_time_ms(60)
    assert gone_after_one_more(driver, contexts) == [1]


def test_within_its_time_to_live_a_priority_holds(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=2)
    contexts = fill(driver, {1: keep(90, time_to_live_ms=HOUR_MS), 2: keep(50)})
    driver.pass_time_ms(60)
    assert gone_after_one_more(driver, contexts) == [2]


def test_a_low_priority_stays_low_when_its_time_is_over(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=2)
    contexts = fill(driver, {1: keep(10, time_to_live_ms=20.0), 2: keep(20)})
    driver.pass_time_ms(60)
    assert gone_after_one_more(driver, contexts) == [1]


def test_a_new_request_renews_the_retention(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=2)
    contexts = fill(driver, {1: keep(90), 2: keep(50)})
    driver.ask(contexts[1], owner=1, retention=keep(5))
    assert gone_after_one_more(driver, contexts) == [1]


def test_a_sequence_is_worth_its_best_range(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=2)
    log_and_entry = [_core.Retention(begin=0, end=20, priority=80), _core.Retention(begin=20, priority=5)]
    assert gone_after_one_more(driver, fill(driver, {1: log_and_entry, 2: keep(50)})) == [2]


def test_a_range_behind_the_end_is_worth_nothing(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=2)
    beyond = [_core.Retention(begin=0, end=30, priority=10), _core.Retention(begin=200, priority=100)]
    assert gone_after_one_more(driver, fill(driver, {1: beyond, 2: keep(50)})) == [1]


def test_idle_work_obeys_the_same_order(make_driver: MakeDriver) -> None:
    driver = make_driver(max_sequences=2)
    contexts = fill(driver, {1: keep(80), 2: keep(60)})
    driver.ask(driver.prompt(30, seed=3), owner=3, priority=0.1, retention=keep(40))
    assert driver.executor.resident_prefix(contexts[1], KEY, 1) == 30
    assert gone_after_one_more(driver, {1: contexts[1], 3: driver.prompt(30, seed=3)}) == [3]
