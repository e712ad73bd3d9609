"""Conversations to token ids with a loss weight for every token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Loss weight by who wrote a token. Tool results count because Poise lets the model guess them;
# user text counts a little, and values of a stream teach the model what a trend is.
WEIGHTS = {"assistant": 1.0, "tool": 0.3, "user": 0.05, "system": 0.0}
# A stream has one answer token in a thousand: it would drown otherwise.
TREND_WEIGHT = 5.0
FRAMING_WEIGHT = 0.05
# The first tokens of an assistant message are where it decides.
DECISION_TOKENS = 10
DECISION_WEIGHT = 2.0


@dataclass(frozen=True)
class Document:
    """`ids` (n,) and `weights` (n,): what predicting that token counts in the loss."""

    ids: npt.NDArray[np.uint16]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Span:
    """Tokens [start, end) of one message's content, its ``<|im_end|>`` included."""

    role: str
    start: int
    end: int


def spans(ids: list[int], tokenizer: Tokenizer) -> list[Span]:
    """The messages of a rendered conversation."""
    im_start, im_end = tokenizer.token_to_id("<|im_start|>"), tokenizer.token_to_id("<|im_end|>")
    roles = {tokenizer.token_to_id(role): role for role in WEIGHTS}
    found = []
    for place, token in enumerate(ids):
        if token == im_start:
            role, start = roles[ids[place + 1]], place + 3  # the role is one token, then a newline
        elif token == im_end:
            found.append(Span(role, start, place + 1))
    return found


def encode(text: str, tokenizer: Tokenizer, answer_weight: float = 1.0) -> Document:
    """Tokenize a rendered conversation; `answer_weight` multiplies the assistant's weight."""
    ids = tokenizer.encode(text).ids
    weights = np.full(len(ids), FRAMING_WEIGHT, dtype=np.float32)
    for span in spans(ids, tokenizer):
        weight = WEIGHTS[span.role] * (answer_weight if span.role == "assistant" else 1.0)
        weights[span.start : span.end] = weight
        if span.role == "assistant":
            weights[span.start : min(span.start + DECISION_TOKENS, span.end)] *= DECISION_WEIGHT
    return Document(np.asarray(ids, dtype=np.uint16), weights)
