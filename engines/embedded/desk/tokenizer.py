"""The byte-level BPE tokenizer, trained on generated text of the training split.

The pre-tokenizer is Qwen2's (llama.cpp: ``tokenizer.ggml.pre = qwen2``): every digit is a token of
its own, so ids and amounts are copied digit by digit.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .render import render
from .seeds import TOKENIZER_SEED
from .session import make_session
from .stream import make_stream, messages_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = Path(__file__).resolve().parent.parent / "tokenizer.json"
VOCABULARY = 4096
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")

# Source: the Qwen2 tokenizer; llama.cpp's LLAMA_VOCAB_PRE_TYPE_QWEN2 has the same expression.
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _corpus(seed: int, sessions: int) -> Iterator[str]:
    for index in range(sessions):
        session = make_session(seed, index, "train")
        yield render(session.messages, session.tools)
        if index % 8 == 0:
            yield render(messages_of(make_stream(seed, index, "train")))


def train(seed: int = TOKENIZER_SEED, sessions: int = 4000) -> Tokenizer:
    """Train from scratch; the seed must not be a seed of the training run for the counts to be fresh."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[
            *(AddedToken(t, special=True, normalized=False) for t in CONTROL),
            *(AddedToken(t, special=False, normalized=False) for t in TAGS),
        ],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(seed, sessions), trainer)
    return tokenizer


@cache
def load(path: Path = PATH) -> Tokenizer:
    """The committed tokenizer."""
    return Tokenizer.from_file(str(path))
