"""Ids from text and text from ids, on the vocabulary of the model file."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from poise.text.boundaries import Boundaries, find_boundaries
from poise.text.segments import SpecialTokens

if TYPE_CHECKING:
    from collections.abc import Sequence


_SHORT = 32  # characters


class Vocab(Protocol):
    """What the text layer needs of a model file; `poise._core.LlamaVocab` is one. Thread-safe."""

    @property
    def bos(self) -> int:
        """The id that begins a text; negative if there is none."""
        ...

    @property
    def eos(self) -> int:
        """The id that ends a text; negative if there is none."""
        ...

    @property
    def adds_bos(self) -> bool:
        """Whether the model expects bos in front."""
        ...

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Ids of text; `parse_special`: control tokens spelled in it become their ids."""
        ...

    def detokenize(self, tokens: Sequence[int], *, render_special: bool) -> bytes:
        """UTF-8 of ids, which may end inside a character."""
        ...

    def chat_template(self) -> str:
        """Jinja2 source; empty if the file has none."""
        ...

    def metadata(self, key: str) -> str:
        """A string of the file's metadata; empty if it has none of that name."""
        ...

    def is_control(self, token: int) -> bool:
        """Whether a token stands for no text."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Encoded:
    """Ids of marked text. `boundaries` are the points behind special tokens, as (marked characters, ids)."""

    ids: list[int]
    boundaries: list[tuple[int, int]]


class Tokenizer:
    """Canonical ids: the whole text between two special tokens is tokenized at once, and only the template's
    special tokens become special ids."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab
        self.control = {
            token: vocab.detokenize([token], render_special=True).decode("utf-8", "replace")
            for token in range(len(vocab))
            if vocab.is_control(token)
        }
        self.special = SpecialTokens({text: token for token, text in self.control.items()})
        self._strips: dict[int, tuple[bool, bool]] = {}
        self._short: dict[str, tuple[int, ...]] = {}  # ids of short pieces: what templates write comes again and again

    def plain(self, text: str) -> list[int]:
        """Ids of user text: nothing in it is special."""
        if len(text) > _SHORT:
            return list(self.vocab.tokenize(text, add_special=False, parse_special=False))
        known = self._short.get(text)
        if known is None:
            if len(self._short) >= 4096:
                self._short.clear()
            known = self._short[text] = tuple(self.vocab.tokenize(text, add_special=False, parse_special=False))
        return list(known)

    def text(self, ids: list[int]) -> str:
        """The text of ids, special tokens left out."""
        return self.vocab.detokenize(ids, render_special=False).decode("utf-8", "replace")

    def special_text(self, token: int) -> str:
        """What a special token is spelled as in a template; empty for no token."""
        return self.control.get(token) or (
            self.vocab.detokenize([token], render_special=True).decode("utf-8", "replace") if token >= 0 else ""
        )

    def encode(self, marked: str, *, at_start: bool = False) -> Encoded:
        """Ids of marked text that begins at a log's start, or behind other text."""
        ids: list[int] = []
        boundaries: list[tuple[int, int]] = []
        pieces = list(self.special.split(marked))
        if at_start and self.vocab.adds_bos and not (pieces and pieces[0][1] == self.vocab.bos):
            ids.append(self.vocab.bos)
            boundaries.append((0, 1))
        for index, (text, token, end) in enumerate(pieces):
            if token is not None:
                ids.append(token)
                boundaries.append((end, len(ids)))
                continue
            before = pieces[index - 1][1] if index else None
            after = pieces[index + 1][1] if index + 1 < len(pieces) else None
            if before is not None and self._strip(before)[1]:
                text = text.lstrip()
            if after is not None and self._strip(after)[0]:
                text = text.rstrip()
            ids += self.plain(text)
        return Encoded(ids, boundaries)

    def stable(self, marked: str, *, at_start: bool = False) -> list[int]:
        """The ids of marked text that no continuation of it can change; see poise.text.boundaries."""
        pieces = list(self.special.split(marked))
        if not pieces or pieces[-1][1] is not None:
            return self.encode(marked, at_start=at_start).ids
        text, begin = pieces[-1][0], pieces[-2][2] if len(pieces) > 1 else 0
        before = pieces[-2][1] if len(pieces) > 1 else None
        if before is not None and self._strip(before)[1]:
            text = text.lstrip()
        ids = self.encode(marked[:begin], at_start=at_start).ids if begin or at_start else []
        cut = self._boundaries.last_cut(text)
        return ids + self.plain(text[:cut]) if cut else ids

    @cached_property
    def _boundaries(self) -> Boundaries:
        """Found on first use: it looks at every token."""
        pieces = [
            b"" if token in self.control else self.vocab.detokenize([token], render_special=False)
            for token in range(len(self.vocab))
        ]
        metadata = self.vocab.metadata
        return find_boundaries(metadata("tokenizer.ggml.model"), metadata("tokenizer.ggml.pre") or "default", pieces)

    def _strip(self, token: int) -> tuple[bool, bool]:
        """Whether the vocabulary swallows white space (left of, right of) a special token; found by
        trying."""
        if token not in self._strips:
            spelled = self.special_text(token)
            left, right = (
                self.vocab.tokenize(text, add_special=False, parse_special=True)
                for text in ("a " + spelled, spelled + "\na")
            )
            alone = self.plain("a")
            self._strips[token] = (left == [*alone, token], right == [token, *alone])
        return self._strips[token]

    def decoder(self, visible: frozenset[int] = frozenset()) -> Decoder:
        """For one answer; special tokens in `visible` print their text."""
        return Decoder(self, visible)


class Decoder:
    """Text of an answer as its ids arrive. A character cut between two ids comes out with the second one.

    Special tokens print nothing, except those in `visible`.
    """

    def __init__(self, tokenizer: Tokenizer, visible: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._visible = visible
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._last: list[int] = []  # one id of context: some vocabularies drop a space at a text's beginning

    def feed(self, token: int) -> str:
        """The text that one more id completes."""
        special = self._tokenizer.control.get(token)
        if special is not None:
            self._last = []
            return self._utf8.decode(b"", final=True) + (special if token in self._visible else "")
        detokenize = self._tokenizer.vocab.detokenize
        piece = detokenize([*self._last, token], render_special=False)
        if self._last:
            piece = piece[len(detokenize(self._last, render_special=False)) :]
        self._last = [token]
        return self._utf8.decode(piece)

    def close(self) -> str:
        """What is left of a character that never became whole, as U+FFFD."""
        return self._utf8.decode(b"", final=True)
