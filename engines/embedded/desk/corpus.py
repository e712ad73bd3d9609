"""Shards of packed training rows, made on the fly from (seed, shard number)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .encode import TREND_WEIGHT, Document, encode
from .render import render
from .session import make_session
from .stream import make_stream, messages_of
from .tokenizer import load

if TYPE_CHECKING:
    from .pools import Split

CONTEXT = 8192
DOCUMENTS_PER_SHARD = 256
STREAM_SHARE = 0.35


@dataclass(frozen=True)
class Rows:
    """Packed rows, each `CONTEXT` tokens long; documents never cross a row.

    `tokens` (r, c). `weights` (r, c): loss weight of predicting the *next* token, 0 at a document's
    end. `documents` (r, c): number of the document in its row, -1 on padding.
    """

    tokens: npt.NDArray[np.uint16]
    weights: npt.NDArray[np.float32]
    documents: npt.NDArray[np.int16]


def document(seed: int, index: int, split: Split) -> Document:
    """Document number `index`: a session or a stream."""
    rng = random.Random(f"kind:{seed}:{split}:{index}")
    tokenizer = load()
    if rng.random() < STREAM_SHARE:
        stream = make_stream(seed, index, split)
        return encode(render(messages_of(stream)), tokenizer, TREND_WEIGHT)
    session = make_session(seed, index, split)
    return encode(render(session.messages, session.tools), tokenizer)


def pack(documents: list[Document], context: int = CONTEXT) -> Rows:
    """Best-fit decreasing: every document whole where it fits the context, cut at its end otherwise."""
    rows: list[list[Document]] = []
    room: list[int] = []
    for doc in sorted(documents, key=lambda d: -len(d.ids)):
        size = min(len(doc.ids), context)
        fitting = [i for i, free in enumerate(room) if free >= size]
        if fitting:
            place = min(fitting, key=lambda i: room[i])
        else:
            place = len(rows)
            rows.append([])
            room.append(context)
        rows[place].append(Document(doc.ids[:size], doc.weights[:size]))
        room[place] -= size
    packed = Rows(
        np.zeros((len(rows), context), dtype=np.uint16),
        np.zeros((len(rows), context), dtype=np.float32),
        np.full((len(rows), context), -1, dtype=np.int16),
    )
    for row, docs in enumerate(rows):
        at = 0
        for number, doc in enumerate(docs):
            end = at + len(doc.ids)
            packed.tokens[row, at:end] = doc.ids
            packed.weights[row, at : end - 1] = doc.weights[1:]
            packed.documents[row, at:end] = number
            at = end
    return packed


def shard(seed: int, number: int, split: Split = "train") -> Rows:
    """Shard `number` of a seed: the same arguments give the same rows, in shuffled order."""
    first = number * DOCUMENTS_PER_SHARD
    rows = pack([document(seed, first + i, split) for i in range(DOCUMENTS_PER_SHARD)])
    order = np.random.default_rng((seed, number)).permutation(len(rows.tokens))
    return Rows(rows.tokens[order], rows.weights[order], rows.documents[order])
