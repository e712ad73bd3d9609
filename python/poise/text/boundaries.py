"""Where the ids of a text that will go on are already certain.

A cut is a point that no token of the finished text can span, whatever follows. It rests on how the
vocabulary's family splits text before it merges:

- BPE (Llama 3, Qwen, GPT-2, ...): a regular expression splits the text into words, and merges stay
  inside a word. In every family of _SPLIT_AT_SPACES a word ends where a space (U+0020) follows
  anything but white space: each alternative of each expression takes a space only at its beginning,
  or among white space; and nothing left of that point looks beyond it. In those of _SPLIT_AT_MARKS
  the same holds for a letter or digit followed by a line break or one of a few marks.
- SentencePiece and BPE without words (Gemma 4): symbols are merged as long as the merged text is a
  token. A merge across a point needs a token that holds the two characters around it, so a point
  whose two characters stand together in no token is a cut.
- Longest match: a token is certain once the text behind it rules out every longer one.

A family that is not known here has no cuts inside plain text: then only special tokens are certain.
A token that spans a cut of its family all the same (tokenizers may carry such "added" tokens) takes
that kind of cut away.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

# The names llama.cpp gives its word splitters (tokenizer.ggml.pre), whose expressions were read for the property
# above. Missing: superbpe and exaone-moe (words with spaces inside), kimi-k2 and tiny_aya (not looked into).
_SPLIT_AT_MARKS = frozenset(
    re.findall(
        r"\S+",
        """llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe
        chatglm-bpe glm4 gpt-2 phi-2 gigachat a.x-4.0 mellum modern-bert exaone4 mpt olmo jais trillion
        granite-docling starcoder refact command-r smollm codeshell exaone minerva-7b mellum2 stablelm2 qwen2
        deepseek-r1-qwen kormo megrez hunyuan solar-open qwen35 bailingmoe seed-coder grok-2 ufakzeka""",
    )
)
_SPLIT_AT_SPACES = _SPLIT_AT_MARKS | frozenset(
    re.findall(
        r"\S+",
        """default deepseek-llm deepseek-coder deepseek-v3 hunyuan-dense joyai-llm hy_v4 youtu falcon tekken gpt-4o
        llama4 kanana2 minimax-m2 bloom poro-chat gpt3-finnish viking laguna minicpm5 jais-2""",
    )
)
_MERGE_ANYWHERE = frozenset({"gemma4", "sarvam-moe"})

_AT_SPACE = r"(?<=\S)(?= )"
# Letters that every splitter counts as letters, digits, and what ends a word behind them.
_AT_MARK = (
    r"(?<=[0-9A-Za-z\u0410-\u044f\u3042-\u3093\u30a2-\u30f3\u4e00-\u9fa5\uac00-\ud7a3])(?=[\n,.:;!?\u3002\uff0c])"
)


class Boundaries(Protocol):
    """Cuts of one vocabulary. Immutable and thread-safe."""

    def last_cut(self, text: str) -> int:
        """Length of the longest prefix of plain text (since a special token) whose ids no continuation changes."""
        ...


class NoCuts:
    """Nothing is known about the vocabulary."""

    def last_cut(self, text: str) -> int:
        """Always 0."""
        return 0


class WordCuts:
    """For vocabularies that split text into words before they merge."""

    def __init__(self, pieces: Iterable[str], *, marks: bool) -> None:
        """`pieces` are the texts of all tokens: a kind of cut that lies inside one of them is not used."""
        kinds = [re.compile(_AT_SPACE), *([re.compile(_AT_MARK)] if marks else [])]
        for piece in pieces:
            if len(piece) > 1:
                kinds = [kind for kind in kinds if not kind.search(piece)]
        self._cut = re.compile("|".join(kind.pattern for kind in kinds) or r"(?!)")

    def last_cut(self, text: str) -> int:
        """See Boundaries."""
        window = 256
        while True:  # from the end: the text may be long
            begin = max(0, len(text) - window)
            found = 0
            for match in self._cut.finditer(text, begin):
                found = match.start()
            if found or begin == 0:
                return found
            window *= 8


class PairCuts:
    """For vocabularies that merge across the whole text: pairs of characters that no token holds."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pairs = {pair for piece in map(_spaced, pieces) for pair in pairwise(piece)}

    def last_cut(self, text: str) -> int:
        """See Boundaries."""
        spaced = _spaced(text)
        for at in range(len(spaced) - 1, 0, -1):
            if (spaced[at - 1], spaced[at]) not in self._pairs:
                return at
        return 0


class LongestMatchCuts:
    """For vocabularies that take the longest token at each point; on bytes."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = {piece for piece in pieces if piece}
        self._beginnings = {piece[:n] for piece in self._pieces for n in range(1, len(piece))}
        self._longest = max(map(len, self._pieces), default=1)

    def last_cut(self, text: str) -> int:
        """See Boundaries."""
        data = text.encode("utf-8", "replace")
        at = cut = 0
        while at < len(data) and data[at:] not in self._beginnings:
            window = data[at : at + self._longest]
            at += next((n for n in range(len(window), 0, -1) if window[:n] in self._pieces), 1)
            if at == len(data) or data[at] & 0xC0 != 0x80:  # not inside a character
                cut = at
        return len(data[:cut].decode("utf-8"))


def find_boundaries(model: str, splitter: str, pieces: list[bytes]) -> Boundaries:
    """Cuts for a vocabulary, from its metadata `tokenizer.ggml.model` and `tokenizer.ggml.pre` and the bytes of
    its tokens (special ones empty)."""
    texts = [piece.decode("utf-8", "replace") for piece in pieces]
    if model in ("llama", "gemma4") or (model == "gpt2" and splitter in _MERGE_ANYWHERE):
        return PairCuts(texts)
    if model == "gpt2" and splitter in _SPLIT_AT_SPACES:
        return WordCuts(texts, marks=splitter in _SPLIT_AT_MARKS)
    if model == "rwkv":
        return LongestMatchCuts(pieces)
    return NoCuts()


def _spaced(text: str) -> str:
    return text.replace("\u2581", " ")
