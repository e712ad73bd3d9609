"""The executors that the suite runs against. To add one: append a case to CASES."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poise import _core
from tests.support import tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Size:
    """How large an executor a test needs."""

    max_sequences: int = 4
    context_tokens: int = 256
    #: Prefill tokens of one step.
    step_tokens: int = 64
    park_bytes: int = 1 << 24


@dataclass(frozen=True)
class Case:
    """One way to build one executor."""

    name: str
    make: Callable[[Size, _core.FakeClock], _core.Executor]
    #: Time to live follows the FakeClock; otherwise the machine's clock.
    fake_clock: bool = False
    #: Accepts a KvKey with an adapter.
    adapters: bool = False
    #: The model's random weights repeat one token whatever is asked: tests that need varied answers skip it.
    monotonous: bool = False
    #: Why it cannot run here, if it cannot.
    missing: str | None = None


def _sim(size: Size, clock: _core.FakeClock, *, threaded: bool) -> _core.Executor:
    options = _core.SimOptions(
        vocab_size=300,
        max_sequences=size.max_sequences,
        max_context_tokens=size.context_tokens,
        step_tokens=size.step_tokens,
        park_bytes=size.park_bytes,
        threaded=threaded,
    )
    return _core.SimExecutor(options, clock)


@functools.cache
def _model(kind: str) -> str:
    path = Path(tempfile.mkdtemp(prefix="poise-tiny-")) / f"{kind}.gguf"
    {**tiny_gguf.ARCHITECTURES, **tiny_gguf.ADAPTERS}[kind]().write(path)
    return str(path)


def _llama(
    size: Size, _clock: _core.FakeClock, *, architecture: str, layout: str, classes: bool = False
) -> _core.Executor:
    """`classes`: sequences of half the length too, where most of the suite's contexts go."""
    adapters = [_core.AdapterFile(name=name, path=_model(name)) for name in tiny_gguf.ADAPTERS]
    lengths = (size.context_tokens // 2, size.context_tokens)
    sizes = [_core.SizeClass(context_tokens=tokens, sequences=size.max_sequences) for tokens in lengths]
    options = _core.LlamaOptions(
        model_path=_model(architecture),
        max_sequences=size.max_sequences,
        context_tokens=size.context_tokens,
        threads=1,
        batch_tokens=size.step_tokens,
        layout=_core.KvLayout[layout],
        gpu_layers=0,
        park_bytes=size.park_bytes,
        adapters=adapters if architecture == "llama" else [],
        size_classes=sizes if classes else [],
        debug_checks=True,
    )
    return _core.LlamaExecutor(options)


def _llama_case(name: str, architecture: str, layout: str, *, monotonous: bool = False, classes: bool = False) -> Case:
    missing = None if hasattr(_core, "LlamaExecutor") else "built without POISE_LLAMA"
    make = functools.partial(_llama, architecture=architecture, layout=layout, classes=classes)
    return Case(name, make, adapters=architecture == "llama", monotonous=monotonous, missing=missing)


CASES = [
    Case("sim", functools.partial(_sim, threaded=False), fake_clock=True, adapters=True),
    Case("sim-threaded", functools.partial(_sim, threaded=True), fake_clock=True, adapters=True),
    _llama_case("llama-streams", "llama", "streams"),
    _llama_case("llama-unified", "llama", "unified"),
    _llama_case("llama-sized", "llama", "streams", classes=True),
    _llama_case("llama-window", "gemma2", "unified", monotonous=True),
    _llama_case("llama-recurrent", "mamba", "unified"),
]
