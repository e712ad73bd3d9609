"""The byte-level BPE tokenizer, trained on generated text of the training split.

The pre-tokenizer is Qwen2's (llama.cpp: ``tokenizer.ggml.pre = qwen2``): every digit is a token of
its own, so ids and amounts are copied digit by digit.

That pre-tokenizer glues a space or a mark to the letters behind it, and ordinary training would then
cut `` zushi`` and ``"zushi`` into different tokens, which a small model cannot copy. So the merges are
learned on letters alone, and only frequent words of the fixed wording get a token with their
prefix, by merges that rank last. A name is cut the same way wherever it stands.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .pools import VARYING
from .render import render
from .seeds import TOKENIZER_SEED
from .session import make_session
from .stream import make_stream, messages_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = Path(__file__).resolve().parent.parent / "tokenizer.json"
VOCABULARY = 2048
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")

# Source: the Qwen2 tokenizer; llama.cpp's LLAMA_VOCAB_PRE_TYPE_QWEN2 has the same expression.
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


# The same without the glue: used to learn the merges.
_LETTERS_ALONE = _PATTERN.replace(r"[^\r\n\p{L}\p{N}]?\p{L}+", r"\p{L}+")
_PREFIXED = re.compile(r"[^A-Za-z0-9][A-Za-z]{2,}")
PREFIXED_WORDS = 380  # each in at least one document of a hundred


def _corpus(seed: int, sessions: int) -> Iterator[str]:
    for index in range(sessions):
        session = make_session(seed, index, "train")
        yield render(session.messages, session.tools)
        if index % 8 == 0:
            yield render(messages_of(make_stream(seed, index, "train")))


def _splitter(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _prefixed(documents: list[str], known: set[str]) -> list[str]:
    """Frequent words with one byte in front, most frequent first; values that vary are left out."""
    splitter = _splitter(_PATTERN)
    seen: Counter[str] = Counter()
    for text in documents:
        seen.update({piece for piece, _ in splitter.pre_tokenize_str(text)})
    return [
        word
        for word, count in sorted(seen.items(), key=lambda item: (-item[1], item[0]))
        if count >= len(documents) / 100
        and word not in known
        and word[1:] in known
        and _PREFIXED.fullmatch(word)
        and word[1:].lower() not in VARYING
    ][:PREFIXED_WORDS]


def train(seed: int = TOKENIZER_SEED, sessions: int = 4000) -> Tokenizer:
    """Train from scratch; the same arguments give the same tokenizer."""
    documents = list(_corpus(seed, sessions))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _splitter(_LETTERS_ALONE)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - PREFIXED_WORDS,
        special_tokens=[
            *(AddedToken(t, special=True, normalized=False) for t in CONTROL),
            *(AddedToken(t, special=False, normalized=False) for t in TAGS),
        ],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.pre_tokenizer = _splitter(_PATTERN)
    data: dict[str, Any] = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = data["model"]["vocab"]
    for word in _prefixed(documents, set(vocabulary)):
        vocabulary[word] = len(vocabulary)
        data["model"]["merges"].append([word[0], word[1:]])
    if len(vocabulary) != VOCABULARY:
        raise ValueError(f"{len(vocabulary)} tokens instead of {VOCABULARY}: lower PREFIXED_WORDS")
    return Tokenizer.from_str(json.dumps(data))


@cache
def load(path: Path = PATH) -> Tokenizer:
    """The committed tokenizer."""
    return Tokenizer.from_file(str(path))
