"""Reuse never changes an answer, and prefills the rest only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from poise import _core
from tests.executors.equality import ROWS, assert_same_answer, assert_same_rows

if TYPE_CHECKING:
    from tests.executors.driver import Driver

COLD = _core.KvKey(tenant_salt=77)


def test_a_cold_context_is_prefilled_whole(driver: Driver) -> None:
    context = driver.prompt(50, seed=1)
    done = driver.ask(context, 4, owner=1).completion
    assert (done.reused_tokens, done.prefilled_tokens, done.generated_tokens) == (0, 50, 4)
    assert driver.stats.prefilled_tokens == 50


def test_the_last_generated_token_has_no_kv_yet(driver: Driver) -> None:
    context = driver.prompt(20, seed=1)
    answer = driver.ask(context, 4, owner=1)
    assert answer.completion.resident_tokens == 23
    assert driver.executor.resident_prefix(context + answer.tokens, _core.KvKey(), 1) == 23


def test_an_extension_prefills_the_new_tokens_only(driver: Driver, noise: float) -> None:
    log, more = driver.prompt(60, seed=2), driver.prompt(9, seed=3)
    first = driver.ask(log, 5, owner=1)
    context = log + first.tokens + more
    warm = driver.ask(context, 8, owner=1, logits=ROWS)
    cold = driver.ask(context, 8, owner=2, key=COLD, logits=ROWS)
    # All of the log and the answer but its last token, which has no KV.
    assert warm.completion.reused_tokens == driver.reusable(64, len(context))
    assert warm.completion.reused_tokens + warm.completion.prefilled_tokens == len(context)
    assert (warm.completion.copied_tokens, warm.completion.restored_tokens) == (0, 0)
    assert cold.completion.prefilled_tokens == len(context)
    assert_same_answer(cold, warm, noise)


def test_a_long_chain_of_turns_equals_one_cold_run(driver: Driver, noise: float) -> None:
    log: list[int] = []
    for turn in range(6):
        log += driver.prompt(11, seed=100 + turn)
        warm = driver.ask(log, 6, owner=1, logits=ROWS)
        cold = driver.ask(log, 6, key=_core.KvKey(tenant_salt=50 + turn), owner=2, logits=ROWS)
        assert_same_answer(cold, warm, noise)
        log += warm.tokens


def test_the_same_context_again_computes_one_token(rolls_back: Driver, noise: float) -> None:
    context = rolls_back.prompt(40, seed=4)
    first = rolls_back.ask(context, 6, owner=1, logits=ROWS)
    again = rolls_back.ask(context, 6, owner=1, logits=ROWS)
    assert again.completion.reused_tokens == rolls_back.reusable(40, 40)
    assert again.completion.prefilled_tokens == 40 - again.completion.reused_tokens
    assert_same_answer(first, again, noise)


def test_a_resident_prefix_costs_nothing_to_prefill(rolls_back: Driver) -> None:
    context = rolls_back.prompt(40, seed=4)
    rolls_back.ask(context, owner=1)
    again = rolls_back.ask(context, owner=1).completion
    expected = rolls_back.reusable(40, 40, needs_row=False)
    assert (again.reused_tokens, again.prefilled_tokens) == (expected, 40 - expected)
    assert again.reason is _core.FinishReason.prefilled
    shorter = rolls_back.ask(context[:25], owner=1).completion
    assert shorter.prefilled_tokens == 25 - rolls_back.reusable(25, 25, needs_row=False)
    assert shorter.resident_tokens == 25


@pytest.mark.parametrize("kept", [1, 17, 39])
def test_a_mismatch_rolls_back_to_it(rolls_back: Driver, noise: float, kept: int) -> None:
    context = rolls_back.prompt(40, seed=5)
    rolls_back.ask(context, 6, owner=1)
    other = context[:kept] + rolls_back.prompt(12, seed=6)
    assert other[kept] != context[kept]
    before = rolls_back.stats.rollbacks
    warm = rolls_back.ask(other, 8, owner=1, logits=ROWS)
    assert warm.completion.reused_tokens == rolls_back.reusable(kept, len(other))
    assert warm.completion.prefilled_tokens == len(other) - warm.completion.reused_tokens
    assert rolls_back.stats.rollbacks == before + 1
    assert_same_answer(rolls_back.ask(other, 8, key=COLD, logits=ROWS), warm, noise)


def test_rolling_back_and_forth_never_changes_an_answer(driver: Driver, noise: float) -> None:
    log = driver.prompt(30, seed=7)
    questions = [driver.prompt(n, seed=70 + n) for n in (1, 5, 13)]
    for turn in range(9):
        context = log + questions[turn % 3]
        warm = driver.ask(context, 5, owner=1, logits=ROWS)
        cold = driver.ask(context, 5, owner=2, key=_core.KvKey(tenant_salt=200 + turn), logits=ROWS)
        assert_same_answer(cold, warm, noise)


def test_logits_asked_for_inside_the_resident_part_are_computed_again(rolls_back: Driver, noise: float) -> None:
    context = rolls_back.prompt(40, seed=8)
    everything = _core.LogitsWanted(context_positions=list(range(40)))
    cold = rolls_back.ask(context, owner=1, logits=everything)
    assert sorted(cold.rows) == list(range(1, 41))
    some = _core.LogitsWanted(context_positions=[22, 23, 39])
    warm = rolls_back.ask(context, 3, owner=1, logits=some)
    assert warm.completion.reused_tokens == rolls_back.reusable(22, 40)
    assert warm.completion.prefilled_tokens == 40 - warm.completion.reused_tokens
    assert sorted(warm.rows) == [23, 24, 40]
    assert_same_rows(cold, warm, noise, [23, 24, 40])


def test_logits_of_context_and_answer_come_once_each(driver: Driver, noise: float) -> None:
    context = driver.prompt(20, seed=9)
    wanted = _core.LogitsWanted(context_positions=[4, 19], generated=True)
    sink = driver.start(driver.request(context, 3, logits=wanted))
    answer = driver.finish(sink)
    assert sink.logits_positions == [5, 20, 21, 22]
    forced = context + answer.tokens
    cold = driver.ask(forced, key=COLD, logits=_core.LogitsWanted(context_positions=[4, 19, 20, 21]))
    assert_same_rows(answer, cold, noise)


def test_resident_prefix_says_what_the_next_request_reuses(rolls_back: Driver) -> None:
    context = rolls_back.prompt(40, seed=10)
    rolls_back.ask(context, owner=1)
    assert rolls_back.executor.resident_prefix(context[:30], _core.KvKey(), 1) == 30
    assert rolls_back.executor.resident_prefix(context[:20] + context[:20], _core.KvKey(), 1) == 20
    assert rolls_back.executor.resident_prefix(context, _core.KvKey(tenant_salt=1), 1) == 0
    assert rolls_back.executor.resident_prefix(context, _core.KvKey(), 2) == 0
