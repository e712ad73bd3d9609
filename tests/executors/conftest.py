"""An executor for each case, checked and shut down after each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from poise import _core
from tests.executors.cases import CASES, Case, Size
from tests.executors.driver import Driver
from tests.executors.equality import measure_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeDriver = Callable[..., Driver]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    if chosen.missing:
        pytest.skip(f"{chosen.name}: {chosen.missing}")
    return chosen


@pytest.fixture
def make_driver(case: Case) -> Iterator[MakeDriver]:
    """Makes executors of a given size; what they leave behind is checked at the test's end."""
    drivers: list[Driver] = []

    def make(**size: int) -> Driver:
        clock = _core.FakeClock()
        drivers.append(Driver(case, case.make(Size(**size), clock), clock))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.drain()
        driver.executor.check_integrity()
        driver.executor.shutdown()


@pytest.fixture
def driver(make_driver: MakeDriver) -> Driver:
    return make_driver()


@pytest.fixture
def varied(driver: Driver) -> Driver:
    """Skips models whose answers do not depend on how tokens are chosen."""
    if driver.case.monotonous:
        pytest.skip("this model repeats one token")
    return driver


_noise: dict[str, float] = {}


@pytest.fixture
def noise(case: Case) -> float:
    """The executor's own noise floor, in logits; measured once a case."""
    if case.name not in _noise:
        clock = _core.FakeClock()
        measured = Driver(case, case.make(Size(), clock), clock)
        _noise[case.name] = measure_noise(measured)
        measured.executor.shutdown()
    return _noise[case.name]


@pytest.fixture
def rolls_back(driver: Driver) -> Driver:
    """Skips executors whose memory cannot roll back: what they reuse is less than exact."""
    if not driver.info.can_roll_back:
        pytest.skip("this memory cannot roll back")
    return driver
