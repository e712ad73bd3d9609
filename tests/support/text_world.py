"""An engine that speaks text on a simulated executor: real sessions, real threads, a toy model."""

from __future__ import annotations

from typing import Any

from poise import _core
from poise.engine import Engine
from poise.options import EngineOptions
from tests.support.byte_vocab import CHATML_TOOLS, ByteVocab


def sim_engine(template: str = CHATML_TOOLS, *, text: bool = True, **options: Any) -> Engine:
    """`sim` overrides fields of SimOptions, everything else fields of EngineOptions."""
    vocab = ByteVocab(template)
    sim = {"vocab_size": len(vocab), "threaded": True, **options.pop("sim", {})}
    executor = _core.SimExecutor(_core.SimOptions(**sim))
    return Engine(executor, EngineOptions(seed=1, **options), vocab=vocab if text else None)


def bare_answer(engine: Engine, context: list[int], max_new_tokens: int) -> list[int]:
    """What the executor says to a context when no session and no entry is involved. Greedy."""
    sink = _core.CollectSink()
    engine.executor.enqueue(
        _core.Request(
            context=context,
            max_new_tokens=max_new_tokens,
            sampling=_core.SamplingParams(temperature=0.0),
            stop_tokens=list(engine.info.end_tokens),
        ),
        sink,
    )
    assert sink.wait(30.0)
    return list(sink.tokens)
