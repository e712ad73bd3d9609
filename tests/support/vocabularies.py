"""Tokenizers on the test vocabularies of the pinned source."""

from __future__ import annotations

from functools import cache

import pytest

from poise import _core
from poise.text.tokenizer import Tokenizer
from tests.support import pinned

FAMILIES = ("llama-bpe", "qwen2", "gpt-2", "llama-spm")
# More families of the table in poise.text.boundaries that the source has a vocabulary of.
MORE = (
    "deepseek-llm",
    "deepseek-coder",
    "falcon",
    "command-r",
    "mpt",
    "starcoder",
    "refact",
    "qwen35",
    "phi-3",
    "gemma-4",
)


@cache
def tokenizer(name: str) -> Tokenizer:
    """Skips the test if the vocabulary is not there."""
    path = pinned.vocabulary(name)
    if path is None or not hasattr(_core, "load_vocab"):
        pytest.skip(pinned.MISSING)
    return Tokenizer(_core.load_vocab(str(path)))
