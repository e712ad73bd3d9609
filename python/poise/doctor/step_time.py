"""Measures what one step of a model takes on this machine."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

from poise import _core
from poise.engine import Engine
from poise.errors import ExecutorError

if TYPE_CHECKING:
    from pathlib import Path

_PREFILL_TOKENS = 64
_DECODE_TOKENS = 24


def measure(path: Path, overrides: dict[str, Any]) -> dict[str, Any]:
    """Loads the model, prefills and decodes a little. Raises what Engine.load raises."""
    begin = time.perf_counter()
    # two sequences, so that the executor measures what a copy between them costs
    with Engine.load(path, preposition=False, max_sequences=2, **overrides) as engine:
        load_ms = (time.perf_counter() - begin) * 1e3
        info, executor = engine.info, engine.executor
        assert isinstance(executor, _core.LlamaExecutor)
        ids = [(7 * index + 11) % info.vocab_size for index in range(_PREFILL_TOKENS)]
        prefills, decodes = [], []
        for trial in range(3):
            done = _run(executor, [(token + trial) % info.vocab_size for token in ids], _DECODE_TOKENS)
            prefills.append(done.prefill_ms / done.prefilled_tokens)
            decodes.append(done.decode_ms / max(1, done.generated_tokens - 1))
        return {
            "path": str(path),
            "name": info.model_name,
            "fingerprint": info.model_fingerprint,
            "load_ms": load_ms,
            "context_tokens": info.max_context_tokens,
            "can_roll_back": info.can_roll_back,
            "memory_plan": info.memory_plan,
            "prefill_ms_per_token": median(prefills),
            "step_ms": median(decodes),
            "copy_ms": executor.stats().copy_us / 1e3 if info.can_roll_back else None,
            "idle_quantum_tokens": info.idle_quantum_tokens,
            "threads": executor.options.threads,
            "layout": executor.options.layout.name,
            "max_idle_step_ms": engine.options.max_idle_step_ms,
        }


def _run(executor: _core.Executor, ids: list[int], decode_tokens: int) -> _core.Completion:
    sink = _core.CollectSink()
    executor.enqueue(
        _core.Request(context=ids, max_new_tokens=decode_tokens, sampling=_core.SamplingParams(temperature=0.0)),
        sink,
    )
    sink.wait(60.0)
    if sink.completion is None:
        raise ExecutorError("a step of the model takes longer than a minute on this machine")
    return sink.completion
