"""What a request returns: tokens, log-probabilities, finish reasons, and the order of the calls."""

from __future__ import annotations

import math

import numpy as np
import pytest

from poise import _core
from tests.executors.driver import GREEDY, Driver, Recorder
from tests.executors.equality import ROWS
from tests.executors.reference import scan_all

PARAMS = {
    "greedy": GREEDY,
    "seeded": _core.SamplingParams(temperature=1.1, seed=3),
    "truncated": _core.SamplingParams(temperature=0.8, seed=4, top_k=30, top_p=0.8, min_p=0.02),
    "penalties": _core.SamplingParams(
        temperature=0.9, seed=5, repetition_penalty=1.4, presence_penalty=1.0, frequency_penalty=0.7
    ),
    "bias": _core.SamplingParams(temperature=0.0, bias=[_core.LogitBias(token=8, bias=50.0)]),
}


@pytest.mark.parametrize("params", PARAMS.values(), ids=PARAMS.keys())
def test_tokens_are_what_the_scan_chooses_from_their_rows(driver: Driver, params: _core.SamplingParams) -> None:
    context = driver.prompt(30, seed=1)
    answer = driver.ask(context, 10, sampling=params, logits=ROWS, top_logprobs=4)
    assert len(answer.tokens) == 10
    for token, want in zip(answer.generated, scan_all(context, answer, sampling=params), strict=True):
        assert token.token == want.token
        assert token.logprob == pytest.approx(want.logprob, abs=1e-5)
        assert (token.stats.top1, token.stats.top2) == (want.stats.top1, want.stats.top2)
        assert [t.token for t in token.top_logprobs][:2] == [want.stats.top1, want.stats.top2]
        assert len(token.top_logprobs) == 4
    assert answer.completion.reason is _core.FinishReason.length


def test_the_neutral_logprob_is_the_models_own(driver: Driver) -> None:
    context = driver.prompt(30, seed=2)
    answer = driver.ask(context, 5, logits=ROWS)
    for token in answer.generated:
        row = answer.rows[token.position].astype(np.float64)
        log_sum_exp = row.max() + math.log(np.exp(row - row.max()).sum())
        assert token.token == int(row.argmax())
        assert token.logprob == pytest.approx(row[token.token] - log_sum_exp, abs=1e-4)


def test_the_same_seed_draws_the_same_and_another_seed_does_not(varied: Driver) -> None:
    driver = varied
    context = driver.prompt(30, seed=3)

    def draw(seed: int, choice: int = 0) -> list[int]:
        params = _core.SamplingParams(temperature=2.0, seed=seed, choice_index=choice)
        return driver.ask(context, 16, sampling=params).tokens

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert draw(1) != draw(1, choice=1)


def test_prefill_only_generates_nothing(driver: Driver) -> None:
    context = driver.prompt(30, seed=4)
    answer = driver.ask(context, 0, owner=1, logits=_core.LogitsWanted(context_positions=[29]))
    assert answer.tokens == []
    assert answer.completion.reason is _core.FinishReason.prefilled
    assert answer.completion.resident_tokens == 30
    assert list(answer.rows) == [30]


def test_generation_ends_with_and_includes_the_first_stop_token(driver: Driver) -> None:
    context = driver.prompt(30, seed=5)
    free = driver.ask(context, 12).tokens
    stops = [free[5], free[7]]
    end = min(free.index(s) for s in stops)
    answer = driver.ask(context, 12, stop_tokens=stops)
    assert answer.tokens == free[: end + 1]
    assert answer.completion.reason is _core.FinishReason.stop


def test_a_stop_token_in_the_context_does_not_stop(driver: Driver) -> None:
    context = driver.prompt(30, seed=5)
    answer = driver.ask(context, 3, stop_tokens=[context[-1]])
    assert len(answer.tokens) == 3 or answer.tokens[-1] == context[-1]
    assert answer.tokens


def test_the_model_end_token_stops_only_when_asked_to(driver: Driver) -> None:
    context, end = driver.prompt(30, seed=6), driver.info.end_tokens[0]
    forced = _core.SamplingParams(temperature=0.0, bias=[_core.LogitBias(token=end, bias=1000.0)])
    assert driver.ask(context, 4, sampling=forced).tokens == [end] * 4
    stopped = driver.ask(context, 4, sampling=forced, stop_tokens=driver.info.end_tokens)
    assert stopped.tokens == [end]
    assert stopped.completion.reason is _core.FinishReason.stop


def test_a_constraint_allows_its_ids_and_ends_the_request(driver: Driver) -> None:
    context, allowed = driver.prompt(30, seed=7), [4, 9, 17]
    answer = driver.ask(context, 9, constraint=_core.TokenSetConstraint(allowed, 5))
    assert len(answer.tokens) == 5
    assert set(answer.tokens) <= set(allowed)
    assert answer.completion.reason is _core.FinishReason.constraint


def test_a_constraint_object_serves_many_requests(driver: Driver) -> None:
    constraint = _core.TokenSetConstraint([4, 9, 17], 5)
    context = driver.prompt(30, seed=8)
    assert driver.ask(context, 9, constraint=constraint).tokens == driver.ask(context, 9, constraint=constraint).tokens
    assert not constraint.finished


def test_a_constraint_first_accepts_what_was_generated(driver: Driver) -> None:
    context, allowed = driver.prompt(30, seed=9), [4, 9, 17]
    rest = driver.ask([*context, 4, 9], 9, output_start=30, constraint=_core.TokenSetConstraint(allowed, 5))
    assert len(rest.tokens) == 3
    full = driver.ask([*context, 4, 9], 9, output_start=30, constraint=_core.TokenSetConstraint(allowed, 2))
    assert (full.tokens, full.completion.reason) == ([], _core.FinishReason.constraint)
    with pytest.raises(_core.InvalidArgument):
        driver.start(driver.request([*context, 5], 9, output_start=30, constraint=_core.TokenSetConstraint(allowed, 5)))


def test_a_row_without_an_allowed_id_is_an_error_and_not_a_token(driver: Driver) -> None:
    context = driver.prompt(10, seed=10)
    forbid = [_core.LogitBias(token=t, bias=float("-inf")) for t in (4, 9)]
    request = driver.request(
        context,
        3,
        sampling=_core.SamplingParams(temperature=0.0, bias=forbid),
        constraint=_core.TokenSetConstraint([4, 9], 5),
    )
    answer = driver.finish(driver.start(request))
    assert (answer.tokens, answer.completion.reason) == ([], _core.FinishReason.error)
    assert answer.completion.error
    assert len(driver.ask(context, 3).tokens) == 3  # and the executor lives on


def test_calls_come_in_order_and_the_end_once(driver: Driver) -> None:
    context = driver.prompt(10, seed=11)
    sink = Recorder()
    wanted = _core.LogitsWanted(context_positions=[3, 9], generated=True)
    driver.executor.enqueue(driver.request(context, 3, logits=wanted), sink)
    driver.drain()
    driver.wait_for(lambda: bool(sink.log) and sink.log[-1][1] == "finish")
    calls = [event[1:3] for event in sink.log]
    assert calls == [
        ("start", 0),
        ("logits", 4),
        ("logits", 10),
        ("token", 10),
        ("logits", 11),
        ("token", 11),
        ("logits", 12),
        ("token", 12),
        ("finish", _core.FinishReason.length),
    ]


def test_a_request_reports_what_it_cost(driver: Driver) -> None:
    done = driver.ask(driver.prompt(40, seed=12), 5).completion
    assert done.prefill_ms > 0
    assert done.decode_ms > 0
    assert done.queued_ms >= 0
