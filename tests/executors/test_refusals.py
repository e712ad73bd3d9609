"""What cannot be served is refused by enqueue, before KV, queue or counters are touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from poise import _core

if TYPE_CHECKING:
    from tests.executors.driver import Driver

NAN, INFINITY = float("nan"), float("inf")
SAMPLING = {
    "negative temperature": {"temperature": -0.1},
    "hot": {"temperature": 100.5},
    "temperature nan": {"temperature": NAN},
    "temperature infinite": {"temperature": INFINITY},
    "top_k": {"top_k": -1},
    "top_p zero": {"top_p": 0.0},
    "top_p above one": {"top_p": 1.5},
    "min_p": {"min_p": -0.1},
    "repetition zero": {"repetition_penalty": 0.0},
    "presence nan": {"presence_penalty": NAN},
    "frequency infinite": {"frequency_penalty": INFINITY},
    "bias nan": {"bias": [_core.LogitBias(token=1, bias=NAN)]},
    "bias twice": {"bias": [_core.LogitBias(token=1, bias=1.0), _core.LogitBias(token=1, bias=2.0)]},
    "bias unknown id": {"bias": [_core.LogitBias(token=100_000_000, bias=1.0)]},
}
REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "empty context": ({"context": []}, "empty"),
    "negative id": ({"context": [3, -1]}, "context.1. is id -1"),
    "id outside the vocabulary": ({"context": [3, 100_000_000]}, "100000000"),
    "negative length": ({"max_new_tokens": -1}, "max_new_tokens is -1"),
    "output_start behind the context": ({"output_start": 11}, "output_start is 11"),
    "output_start below": ({"output_start": -2}, "output_start is -2"),
    "stop id": ({"stop_tokens": [-5]}, "stop_tokens.0. is id -5"),
    "priority above": ({"priority": 1.5}, "priority is 1.5"),
    "priority nan": ({"priority": NAN}, "priority is"),
    "adapter scale": ({"key": _core.KvKey(adapter_scale=NAN)}, "adapter_scale"),
    "empty range": ({"retention": [_core.Retention(begin=5, end=5)]}, "range"),
    "retention priority": ({"retention": [_core.Retention(priority=101)]}, "101"),
    "descending positions": ({"logits": _core.LogitsWanted(context_positions=[5, 4])}, "behind 5"),
    "position behind the context": ({"logits": _core.LogitsWanted(context_positions=[10])}, "asks for 10"),
    "negative position": ({"logits": _core.LogitsWanted(context_positions=[-1])}, "-1"),
    "top_logprobs": ({"top_logprobs": 21}, "21"),
}


def assert_refused(driver: Driver, kind: type[_core.Error], match: str, **request: Any) -> None:
    log = driver.prompt(40, seed=1)
    driver.ask(log, owner=1)
    before = repr(driver.stats)
    options = {"context": driver.prompt(10, seed=2), "max_new_tokens": 2, "owner": 1, **request}
    sink = _core.CollectSink()
    with pytest.raises(kind, match=match):
        driver.executor.enqueue(_core.Request(**options), sink)
    assert repr(driver.stats) == before
    assert driver.executor.resident_prefix(log, _core.KvKey(), 1) == 40
    assert sink.finishes == 0
    assert len(driver.ask([*log, 5], 3, owner=1).tokens) == 3


@pytest.mark.parametrize("name", SAMPLING)
def test_bad_sampling(driver: Driver, name: str) -> None:
    field = next(iter(SAMPLING[name]))
    assert_refused(driver, _core.InvalidArgument, field, sampling=_core.SamplingParams(**SAMPLING[name]))


@pytest.mark.parametrize("name", REQUESTS)
def test_bad_requests(driver: Driver, name: str) -> None:
    options, match = REQUESTS[name]
    assert_refused(driver, _core.InvalidArgument, match, **options)


@pytest.mark.parametrize(("context", "new"), [(256, 1), (257, 0), (1, 256), (200, 2**31 - 1)])
def test_a_context_that_cannot_fit(driver: Driver, context: int, new: int) -> None:
    limit = driver.info.max_context_tokens
    assert limit == 256
    assert_refused(
        driver, _core.ContextOverflow, "holds 256", context=driver.prompt(context, seed=3), max_new_tokens=new
    )


def test_a_context_that_just_fits_is_served(driver: Driver) -> None:
    assert len(driver.ask(driver.prompt(250, seed=4), 6, owner=1).tokens) == 6
    assert driver.ask(driver.prompt(256, seed=4), 0, owner=1).completion.reason is _core.FinishReason.prefilled


def test_every_refusal_is_a_value_error(driver: Driver) -> None:
    with pytest.raises(ValueError, match="empty"):
        driver.executor.enqueue(_core.Request(), _core.CollectSink())


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
def test_ids_may_come_as_arrays(driver: Driver, dtype: type[np.generic]) -> None:
    context = driver.prompt(20, seed=5)
    request = _core.Request(context=np.array(context, dtype=dtype))
    assert request.context == context
    strided = np.array([x for t in context for x in (t, 0)], dtype=dtype)[::2]
    assert _core.Request(context=strided).context == context


@pytest.mark.parametrize("ids", ["abc", b"abc", 5, [1.0], [True], [None], np.zeros(3), np.zeros((2, 2), np.int32)])
def test_what_is_no_list_of_ids_is_a_type_error(ids: Any) -> None:
    with pytest.raises(TypeError):
        _core.Request(context=ids)


@pytest.mark.parametrize("ids", [[1, 2**31], [-(2**31) - 1], [10**30], np.array([2**40])])
def test_an_id_beyond_32_bits_is_named(ids: Any) -> None:
    with pytest.raises(_core.InvalidArgument, match=str(int(ids[-1]))):
        _core.Request(context=ids)
