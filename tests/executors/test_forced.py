"""Forced ids: no row, no draw, no pass of their own; and what a constraint that fails does to its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from poise import _core
from tests.executors.driver import GREEDY, Answer, Driver, Recorder
from tests.executors.equality import ROWS, SLACK, assert_same_rows
from tests.support.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.scripted import Step

CHOICE = tuple(range(20, 60))
#: Runs at the beginning, in the middle and at the end; single forced ids; free ids next to each other.
SCRIPT: list[Step] = [5, 6, CHOICE, 7, 8, 9, CHOICE, CHOICE, 10, 11, CHOICE, 12]
TOTAL = len(SCRIPT)
FREE = [index for index, step in enumerate(SCRIPT) if not isinstance(step, int)]
SEEDED = _core.SamplingParams(temperature=1.2, seed=9)


def ask(driver: Driver, context: list[int], max_new_tokens: int = TOTAL, **options: Any) -> Answer:
    options.setdefault("constraint", Scripted(SCRIPT))
    return driver.ask(context, max_new_tokens, logits=ROWS, **options)


def assert_same(expected: Answer, actual: Answer, noise: float, *, greedy: bool) -> None:
    for want, have in zip(expected.generated, actual.generated, strict=False):
        assert (want.position, want.forced) == (have.position, have.forced)
        if want.forced:
            assert have.token == want.token
            continue
        assert_same_rows(expected, actual, noise, [want.position])
        if want.token != have.token:  # only where the noise decides
            assert noise > 0
            assert not greedy or want.stats.gap <= 2 * SLACK * noise
            return
    assert actual.tokens == expected.tokens
    assert actual.completion.reason is expected.completion.reason


def test_they_cost_no_pass_of_their_own(driver: Driver) -> None:
    context = driver.prompt(30, seed=1)
    before = driver.stats
    answer = ask(driver, context)
    after = driver.stats
    assert answer.completion.reason is _core.FinishReason.constraint
    assert [token.forced for token in answer.generated] == [isinstance(step, int) for step in SCRIPT]
    assert [token.token for token in answer.generated if token.forced] == [5, 6, 7, 8, 9, 10, 11, 12]
    assert all(token.logprob == 0.0 for token in answer.generated if token.forced)
    assert sorted(answer.rows) == [len(context) + index for index in FREE]
    # one pass for each free token, the first one together with the context
    assert after.steps - before.steps == len(FREE) < TOTAL
    assert answer.completion.prefilled_tokens == after.prefilled_tokens - before.prefilled_tokens == len(context)
    assert answer.completion.generated_tokens == TOTAL
    # behind the last free token nothing is computed any more
    assert after.decoded_tokens - before.decoded_tokens == FREE[-1]


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
def test_they_change_nothing_for_the_others(driver: Driver, noise: float, sampling: _core.SamplingParams) -> None:
    """The same ids, one by one through masks that allow nothing else."""
    context = driver.prompt(30, seed=1)
    masked = [(step,) if isinstance(step, int) else step for step in SCRIPT]
    slow = ask(driver, context, constraint=Scripted(masked), sampling=sampling)
    fast = ask(driver, context, sampling=sampling, key=_core.KvKey(tenant_salt=5))
    assert slow.tokens[:2] == [5, 6]
    for want, have in zip(slow.generated, fast.generated, strict=True):
        if not have.forced:
            assert_same_rows(slow, fast, noise, [want.position])
        if want.token != have.token:
            assert noise > 0
            break


@pytest.mark.parametrize("piece", [1, 2, 1000])
@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
@pytest.mark.parametrize("cold", [False, True], ids=["resumed", "rebuilt"])
def test_a_split_anywhere_equals_no_split(
    driver: Driver, noise: float, sampling: _core.SamplingParams, piece: int, *, cold: bool
) -> None:
    context = driver.prompt(30, seed=1)
    options = {"constraint": Scripted(SCRIPT, piece=piece), "sampling": sampling}
    whole = ask(driver, context, owner=2, **options)
    driver.executor.release(2)
    for first in range(1, TOTAL):
        one = ask(driver, context, first, owner=1, **options)
        assert one.completion.reason is _core.FinishReason.length
        assert len(one.tokens) == first
        if cold:
            driver.executor.release(1)
        two = ask(driver, context + one.tokens, TOTAL - first, owner=1, output_start=len(context), **options)
        split = Answer(one.tokens + two.tokens, one.generated + two.generated, one.rows | two.rows, two.completion)
        assert_same(whole, split, noise, greedy=sampling.greedy)
        driver.executor.release(1)


@pytest.mark.parametrize("limit", range(1, TOTAL))
def test_the_length_ends_inside_a_run(driver: Driver, limit: int) -> None:
    context = driver.prompt(30, seed=1)
    answer = ask(driver, context, limit)
    assert answer.completion.reason is _core.FinishReason.length
    assert len(answer.tokens) == answer.completion.generated_tokens == limit


def test_a_stop_token_ends_inside_a_run(driver: Driver) -> None:
    answer = ask(driver, driver.prompt(30, seed=1), stop_tokens=[8])
    assert answer.completion.reason is _core.FinishReason.stop
    assert answer.tokens[3:] == [7, 8]


def test_an_answer_without_a_choice_needs_no_pass(driver: Driver) -> None:
    context = driver.prompt(30, seed=1)
    before = driver.stats.steps
    whole = ask(driver, context, constraint=Scripted([5, 6, 7]))
    assert (whole.tokens, whole.completion.reason) == ([5, 6, 7], _core.FinishReason.constraint)
    short = ask(driver, context, 2, constraint=Scripted([5, 6, 7]))
    assert (short.tokens, short.completion.reason) == ([5, 6], _core.FinishReason.length)
    assert whole.completion.prefilled_tokens == short.completion.prefilled_tokens == 0
    assert driver.stats.steps == before
    # and what was never computed is not taken for resident
    free = driver.ask(context + whole.tokens, 2, logits=ROWS, owner=3)
    assert free.completion.prefilled_tokens == len(context) + 3


def test_rows_of_the_context_come_before_forced_tokens(driver: Driver) -> None:
    context = driver.prompt(30, seed=1)
    sink = Recorder()
    last = len(context) - 1
    request = driver.request(
        context,
        4,
        constraint=Scripted(SCRIPT),
        logits=_core.LogitsWanted(context_positions=[3, last], generated=True),
    )
    driver.executor.enqueue(request, sink)
    driver.wait_for(lambda: sink.log[-1:] != [] and sink.log[-1][1] == "finish")
    told = [event[1:3] for event in sink.log[:-1]]
    free = len(context) + 2
    assert told == [
        ("start", 0),
        ("logits", 4),
        ("logits", len(context)),
        ("token", len(context)),
        ("token", len(context) + 1),
        ("logits", free),
        ("token", free),
        ("token", free + 1),
    ]


def test_penalties_count_them(driver: Driver) -> None:
    """Forced ids among the choices: chosen again only if the penalty lets them."""
    context = driver.prompt(30, seed=1)
    script: list[Step] = [21, 21, 22, CHOICE, 23, 24, CHOICE, CHOICE]
    sampling = _core.SamplingParams(temperature=0.0, frequency_penalty=2.0, presence_penalty=1.0)
    answer = driver.ask(context, len(script), constraint=Scripted(script), sampling=sampling, logits=ROWS)
    mask = np.zeros(driver.info.vocab_size, dtype=bool)
    mask[list(CHOICE)] = True
    for index in (3, 6, 7):
        position = len(context) + index
        counts = _core.count_tokens(context + answer.tokens[:index], len(context))
        chosen = _core.scan(answer.rows[position], sampling, mask=mask, counts=counts, position=position)
        assert chosen.token == answer.tokens[index]


def test_many_at_once_equal_one_by_one(driver: Driver, noise: float) -> None:
    contexts = [driver.prompt(10 + 7 * index, seed=index) for index in range(3)]
    scripts = [SCRIPT, SCRIPT[2:], [*SCRIPT[3:], CHOICE]]
    alone = [
        ask(driver, context, 20, constraint=Scripted(script), key=_core.KvKey(tenant_salt=9))
        for context, script in zip(contexts, scripts, strict=True)
    ]
    sinks = [
        driver.start(driver.request(context, 20, constraint=Scripted(script), logits=ROWS))
        for context, script in zip(contexts, scripts, strict=True)
    ]
    for expected, sink in zip(alone, sinks, strict=True):
        assert_same(expected, driver.finish(sink), noise, greedy=True)


class Failing(Scripted):
    """Raises in one method, once `after` ids were accepted."""

    def __init__(self, method: str, after: int, **kept: Any) -> None:
        super().__init__([CHOICE] * 4, **kept)
        self.method, self.after = method, after

    def _fail(self, method: str) -> None:
        if method == self.method and len(self.accepted) >= self.after:
            raise RuntimeError(f"{method} is broken")

    def fill_mask(self, mask: Any) -> None:
        self._fail("fill_mask")
        super().fill_mask(mask)

    def forced(self) -> list[int]:
        self._fail("forced")
        return super().forced()

    def accept(self, token: int) -> None:
        self._fail("accept")
        super().accept(token)

    @property
    def finished(self) -> bool:
        self._fail("finished")
        return super().finished

    def clone(self) -> Failing:
        self._fail("clone")
        return Failing(self.method, self.after, history=self.accepted)


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("method", ["fill_mask", "forced", "accept", "finished"])
def test_one_that_raises_ends_its_request_alone(driver: Driver, method: str, after: int) -> None:
    context = driver.prompt(30, seed=1)
    beside = driver.start(driver.request(driver.prompt(12, seed=2), 6))
    failed = driver.finish(driver.start(driver.request(context, 4, owner=1, constraint=Failing(method, after))))
    assert failed.completion.reason is _core.FinishReason.error
    assert f"{method} is broken" in failed.completion.error
    # whether the answer is finished is asked before its newest token is told
    assert len(failed.tokens) == max(0, after - (method == "finished"))
    assert len(driver.finish(beside).tokens) == 6
    again = driver.ask(context, 4, owner=1, constraint=Scripted([CHOICE] * 4))
    assert len(again.tokens) == 4


def test_one_that_cannot_be_cloned_is_refused(driver: Driver) -> None:
    with pytest.raises(_core.ExecutorError, match="clone is broken"):
        driver.start(driver.request([5], 4, constraint=Failing("clone", 0)))


@pytest.mark.parametrize("make", [lambda size: size, lambda _: -1], ids=["above", "below"])
def test_a_forced_id_outside_the_vocabulary_is_an_error(driver: Driver, make: Callable[[int], int]) -> None:
    token = make(driver.info.vocab_size)
    failed = driver.finish(driver.start(driver.request([5, 6], 4, constraint=Scripted([CHOICE, token]))))
    assert failed.completion.reason is _core.FinishReason.error
    assert f"forces id {token}" in failed.completion.error
