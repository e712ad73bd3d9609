"""What only the simulation promises: a reference for its toy model, and simulated time."""

from __future__ import annotations

import numpy as np
import pytest

from poise import _core
from tests.executors.driver import GREEDY


def ask(executor: _core.SimExecutor, context: list[int], new: int, **options: object) -> _core.CollectSink:
    options.setdefault("sampling", GREEDY)
    sink = _core.CollectSink()
    executor.enqueue(_core.Request(context=context, max_new_tokens=new, **options), sink)
    executor.run_until_idle()
    return sink


def test_rows_are_the_toy_models() -> None:
    sim = _core.SimExecutor(_core.SimOptions(vocab_size=500))
    context = [1, 2, 3, 4, 5]
    wanted = _core.LogitsWanted(context_positions=[0, 2], generated=True)
    sink = ask(sim, context, 4, logits=wanted)
    rows, full = sink.logits, context + sink.tokens
    assert sorted(rows) == [1, 3, 5, 6, 7, 8]
    for position, row in rows.items():
        np.testing.assert_array_equal(row, sim.reference_logits(full[:position]))


def test_the_rows_look_normal_with_the_given_sharpness() -> None:
    sim = _core.SimExecutor(_core.SimOptions(vocab_size=20_000, sharpness=3.0))
    row = sim.reference_logits([1, 2, 3])
    assert abs(row.mean()) < 0.1
    assert row.std() == pytest.approx(3.0, rel=0.03)
    assert row.max() > 8


def test_any_change_of_the_context_changes_the_row() -> None:
    sim = _core.SimExecutor()
    context = list(range(10, 60))
    row = sim.reference_logits(context)
    for at in range(50):
        changed = context.copy()
        changed[at] += 1
        assert abs(sim.reference_logits(changed) - row).max() > 1
    swapped = [context[1], context[0], *context[2:]]
    assert abs(sim.reference_logits(swapped) - row).max() > 1


def test_another_seed_is_another_model_and_the_end_bias_ends_earlier() -> None:
    a, b = (_core.SimExecutor(_core.SimOptions(model_seed=s)) for s in (1, 2))
    assert a.info().model_fingerprint != b.info().model_fingerprint
    assert ask(a, [1, 2, 3], 8).tokens != ask(b, [1, 2, 3], 8).tokens
    eager = _core.SimExecutor(_core.SimOptions(end_bias=1000.0))
    assert ask(eager, [1, 2, 3], 8, stop_tokens=eager.info().end_tokens).tokens == [0]


def test_the_clock_advances_by_the_simulated_cost() -> None:
    clock = _core.FakeClock()
    options = _core.SimOptions(prefill_per_token_ms=0.5, decode_step_ms=4.0)
    sim = _core.SimExecutor(options, clock)
    done = ask(sim, list(range(10, 30)), 5).completion
    assert done is not None
    assert clock.now_ms() == pytest.approx(20 * 0.5 + 4 * 4.0)
    assert (done.prefill_ms, done.decode_ms) == (pytest.approx(10.0), pytest.approx(16.0))
    stats = sim.stats()
    assert stats.busy_ms == pytest.approx(26.0)
    assert (stats.prefill_us_per_token, stats.decode_us_per_step) == (pytest.approx(500), pytest.approx(4000))
    ask(sim, list(range(40, 60)), 0, priority=0.1)
    assert sim.stats().idle_busy_ms == pytest.approx(10.0)
    assert clock.now_ms() == pytest.approx(36.0)


def test_steps_are_chunked_and_counted() -> None:
    sim = _core.SimExecutor(_core.SimOptions(step_tokens=64, idle_quantum_tokens=16))
    ask(sim, list(range(10, 210)), 0)
    assert sim.stats().steps == 4
    ask(sim, list(range(300, 500)), 0, priority=0.2)
    assert sim.stats().idle_steps == 13


def test_step_says_whether_there_was_work() -> None:
    sim = _core.SimExecutor()
    assert not sim.step()
    sim.enqueue(_core.Request(context=[1]), _core.CollectSink())
    assert sim.step()
    assert not sim.step()
    threaded = _core.SimExecutor(_core.SimOptions(threaded=True))
    with pytest.raises(_core.InvalidArgument, match="threaded"):
        threaded.step()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("vocab_size", 1),
        ("max_sequences", 0),
        ("max_context_tokens", 0),
        ("step_tokens", 0),
        ("idle_quantum_tokens", 0),
    ],
)
def test_bad_options_are_named(option: str, value: int) -> None:
    with pytest.raises(_core.InvalidArgument, match=f"{option} is {value}"):
        _core.SimExecutor(_core.SimOptions(**{option: value}))


def test_parking_is_bounded_and_the_least_valuable_copy_goes() -> None:
    options = _core.SimOptions(max_sequences=1, park_bytes=4 * 60)
    sim = _core.SimExecutor(options)
    contexts = {owner: [owner] * 30 for owner in (1, 2, 3, 4)}
    for owner, priority in ((1, 50), (2, 20), (3, 70), (4, 70)):
        ask(sim, contexts[owner], 0, owner=owner, retention=[_core.Retention(priority=priority)])
    stats = sim.stats()
    assert (stats.parked_tokens, stats.parks, stats.evictions) == (60, 3, 1)
    assert ask(sim, contexts[1], 0, owner=1).completion.restored_tokens == 30
    assert ask(sim, contexts[2], 0, owner=2).completion.restored_tokens == 0
