"""Model shapes and training runs. One entry a model; the recipe is the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A Llama-architecture decoder with tied embeddings."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    vocabulary: int = 2048
    head_dim: int = 64
    context: int = 8192
    rope_base: float = 100_000.0
    norm_eps: float = 1e-5


@dataclass(frozen=True)
class Run:
    """How long and how fast to train. A row is one packed sequence of `Shape.context` tokens."""

    steps: int
    rows_per_step: int = 4
    peak_rate: float = 2e-3
    warmup_steps: int = 150
    weight_decay: float = 0.05
    clip: float = 1.0
    seed: int = 1


SHAPES = {
    "desk": Shape(width=384, layers=8, heads=6, kv_heads=2, hidden=1024),
    "desk-small": Shape(width=128, layers=4, heads=2, kv_heads=1, hidden=384),
    "tiny": Shape(width=64, layers=2, heads=1, kv_heads=1, hidden=128),
}
RUNS = {
    "desk": Run(steps=15_000, peak_rate=1.5e-3, warmup_steps=300),
    "desk-small": Run(steps=2000, peak_rate=4e-3),
    "tiny": Run(steps=3, rows_per_step=1),
}
