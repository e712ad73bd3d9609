"""Batches for training: shards are made by worker processes, in order, while the device computes."""

from __future__ import annotations

import multiprocessing
from collections import deque
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import torch
from desk.corpus import Rows, shard
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

Batch = tuple[Tensor, Tensor, Tensor]


def _batches(shards: Iterator[Rows], rows: int) -> Iterator[Batch]:
    kept: list[Rows] = []
    held = 0
    for made in shards:
        kept.append(made)
        held += len(made.tokens)
        while held >= rows:
            tokens = np.concatenate([r.tokens for r in kept])
            weights = np.concatenate([r.weights for r in kept])
            documents = np.concatenate([r.documents for r in kept])
            yield (
                torch.from_numpy(tokens[:rows].astype(np.int64)),
                torch.from_numpy(weights[:rows]),
                torch.from_numpy(documents[:rows].astype(np.int32)),
            )
            kept = [Rows(tokens[rows:], weights[rows:], documents[rows:])]
            held -= rows


def batches(seed: int, rows: int, workers: int) -> Generator[Batch]:
    """Endless (tokens, weights, documents), each (rows, context). The same whatever `workers` is."""
    make = partial(shard, seed)
    if workers == 0:
        yield from _batches(map(make, count()), rows)
        return
    with multiprocessing.Pool(workers) as pool:
        numbers = count()
        pending = deque(pool.apply_async(make, (next(numbers),)) for _ in range(4 * workers))

        def shards() -> Iterator[Rows]:
            while True:
                pending.append(pool.apply_async(make, (next(numbers),)))
                yield pending.popleft().get()

        yield from _batches(shards(), rows)
