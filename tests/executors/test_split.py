"""n tokens, then a second request for m, equal one request for n + m, for every option of SplitEquality."""

from __future__ import annotations

from typing import Any

import pytest

from poise import _core
from tests.executors.driver import GREEDY, Answer, Driver
from tests.executors.equality import ROWS, SLACK, assert_same_answer, assert_same_rows
from tests.executors.reference import choose_all

TOTAL = 12
SAMPLED = {"temperature": 1.3, "seed": 5}


def few_ids(driver: Driver) -> _core.Constraint:
    """Some ids of the context and some others: repetition penalties move the answer to those."""
    return _core.TokenSetConstraint(driver.prompt(30, seed=1)[:5] + driver.prompt(5, seed=3), TOTAL)


def _bias(driver: Driver) -> list[_core.LogitBias]:
    greedy = driver.ask(driver.prompt(30, seed=1), TOTAL, key=_core.KvKey(tenant_salt=99)).tokens
    return [_core.LogitBias(token=greedy[3], bias=float("-inf")), _core.LogitBias(token=7, bias=2.5)]


#: name -> (flag of SplitEquality, options of the request)
OPTIONS: dict[str, tuple[str, Any]] = {
    "greedy": ("greedy", lambda _: {}),
    "seeded": ("seeded_sampling", lambda _: {"sampling": _core.SamplingParams(**SAMPLED)}),
    "truncated": (
        "seeded_sampling",
        lambda _: {"sampling": _core.SamplingParams(**SAMPLED, top_k=40, top_p=0.9, min_p=0.01)},
    ),
    "second-choice": (
        "seeded_sampling",
        lambda _: {"sampling": _core.SamplingParams(**SAMPLED, choice_index=1)},
    ),
    # Few ids, so that they repeat and the penalties bite.
    "repetition": (
        "penalties",
        lambda d: {
            "sampling": _core.SamplingParams(temperature=0.0, repetition_penalty=6.0),
            "constraint": few_ids(d),
        },
    ),
    "frequency": (
        "penalties",
        lambda d: {
            "sampling": _core.SamplingParams(temperature=0.0, presence_penalty=3.0, frequency_penalty=2.0),
            "constraint": few_ids(d),
        },
    ),
    "bias": ("bias", lambda d: {"sampling": _core.SamplingParams(temperature=0.0, bias=_bias(d))}),
    "constraint": (
        "constraint",
        lambda d: {"constraint": _core.TokenSetConstraint(d.prompt(40, seed=3), TOTAL)},
    ),
    "constraint-ends": (
        "constraint",
        lambda d: {"constraint": _core.TokenSetConstraint(d.prompt(40, seed=3), TOTAL - 2)},
    ),
    "logprobs": ("logprobs", lambda _: {"top_logprobs": 5}),
    "everything": (
        "constraint",
        lambda d: {
            "sampling": _core.SamplingParams(
                **SAMPLED,
                repetition_penalty=1.2,
                presence_penalty=0.5,
                bias=[_core.LogitBias(token=9, bias=1.0)],
            ),
            "constraint": _core.TokenSetConstraint(d.prompt(60, seed=4), TOTAL),
            "top_logprobs": 3,
        },
    ),
}


def ask_split(driver: Driver, context: list[int], first: int, *, cold: bool, **options: Any) -> Answer:
    """`first` tokens, then the others; both parts as one answer."""
    one = driver.ask(context, first, owner=1, logits=ROWS, **options)
    if one.completion.reason is not _core.FinishReason.length:
        return one
    if cold:
        driver.executor.release(1)
    two = driver.ask(context + one.tokens, TOTAL - first, owner=1, output_start=len(context), logits=ROWS, **options)
    expected = 0 if cold else driver.reusable(len(context) + first - 1, len(context) + first)
    assert two.completion.reused_tokens == expected
    return Answer(one.tokens + two.tokens, one.generated + two.generated, one.rows | two.rows, two.completion)


def check_sampled(context: list[int], unsplit: Answer, split: Answer, noise: float, options: dict[str, Any]) -> None:
    """Both parts chose what the scan chooses from their rows, and the rows agree: so the draws do."""
    for answer in (unsplit, split):
        assert answer.tokens == choose_all(context, answer, **options)
    for want, have in zip(unsplit.generated, split.generated, strict=False):
        assert_same_rows(unsplit, split, noise, [want.position])
        if want.token != have.token:
            assert noise > 0, f"{unsplit.tokens} and {split.tokens} part although no row differs"
            return
    assert split.tokens == unsplit.tokens
    assert split.completion.reason is unsplit.completion.reason


@pytest.mark.parametrize("cold", [False, True], ids=["resumed", "rebuilt"])
@pytest.mark.parametrize("first", [1, 5, TOTAL - 1])
@pytest.mark.parametrize("option", OPTIONS)
def test_split_equals_unsplit(driver: Driver, noise: float, option: str, first: int, *, cold: bool) -> None:
    flag, make = OPTIONS[option]
    if not getattr(driver.info.split, flag):
        pytest.skip(f"info() says that {flag} does not survive a split")
    options = make(driver)
    context = driver.prompt(30, seed=1)
    unsplit = driver.ask(context, TOTAL, key=_core.KvKey(), owner=2, logits=ROWS, **options)
    driver.executor.release(2)
    split = ask_split(driver, context, first, cold=cold, **options)
    if options.get("sampling", GREEDY).greedy:
        assert_same_answer(unsplit, split, noise)
    else:
        check_sampled(context, unsplit, split, noise, options)
    for want, have in zip(unsplit.generated, split.generated, strict=False):
        if want.token != have.token:
            break
        assert len(have.top_logprobs) == options.get("top_logprobs", 0)
        for a, b in zip(want.top_logprobs, have.top_logprobs, strict=True):
            assert abs(a.logprob - b.logprob) <= 2 * SLACK * noise + 1e-5


@pytest.mark.parametrize("first", [3, 7])
def test_a_stop_token_ends_both(varied: Driver, noise: float, first: int) -> None:
    driver = varied
    if not driver.info.split.stop_tokens:
        pytest.skip("info() says that stop tokens do not survive a split")
    context = driver.prompt(30, seed=1)
    tokens = driver.ask(context, TOTAL, owner=2).tokens
    stop = next(t for i, t in enumerate(tokens) if i >= 8 and t not in tokens[:i])
    driver.executor.release(2)
    unsplit = driver.ask(context, TOTAL, owner=2, stop_tokens=[stop], logits=ROWS)
    driver.executor.release(2)
    split = ask_split(driver, context, first, cold=False, stop_tokens=[stop])
    assert unsplit.completion.reason is _core.FinishReason.stop
    assert unsplit.tokens[-1] == stop
    assert_same_answer(unsplit, split, noise)


def test_the_options_do_something(varied: Driver) -> None:
    """Otherwise the tests above would compare greedy answers only."""
    driver = varied
    context = driver.prompt(30, seed=1)
    greedy = driver.ask(context, TOTAL).tokens
    greedy_of_few = driver.ask(context, TOTAL, constraint=few_ids(driver)).tokens
    for name in ("seeded", "truncated", "second-choice", "bias", "constraint", "everything"):
        assert driver.ask(context, TOTAL, **OPTIONS[name][1](driver)).tokens != greedy, name
    for name in ("repetition", "frequency"):
        assert driver.ask(context, TOTAL, **OPTIONS[name][1](driver)).tokens != greedy_of_few, name
