"""A model's vocabulary as llguidance takes it: the bytes of every id, and how text becomes ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    import llguidance

    from poise.text.tokenizer import Tokenizer

_CONTROL = b"\xff"  # in front of a control token's name: no text begins so


def lltokenizer(tokenizer: Tokenizer, vocab_size: int, end_tokens: Sequence[int]) -> llguidance.LLTokenizer:
    """Walks the whole vocabulary once. Raises InvalidArgument if llguidance is not installed."""
    try:
        import llguidance
    except ImportError as error:
        raise InvalidArgument("structured output needs llguidance: pip install 'poise-llm[structured]'") from error
    words = Words(tokenizer, vocab_size, end_tokens[0])
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(words), eos_token=list(end_tokens))


class Words:
    """What llguidance.TokenizerWrapper asks for."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, end_token: int) -> None:
        self._tokenizer = tokenizer
        self._lead = tokenizer.plain("a")
        self._lead_length = len(self._bytes(self._lead))
        self.tokens = [self._word(token) for token in range(min(vocab_size, len(tokenizer.vocab)))]
        self.tokens += [b""] * (vocab_size - len(self.tokens))
        self.eos_token_id = end_token
        self.bos_token_id: int | None = None
        self.special_token_ids = sorted(tokenizer.control)
        self._ids = {word: token for token, word in enumerate(self.tokens) if word and not word.startswith(_CONTROL)}
        self._longest = max(map(len, self._ids), default=1)

    def __call__(self, text: bytes | str) -> list[int]:
        """Ids whose bytes are exactly those of the text: the model's own tokenization where it has one."""
        data = text if isinstance(text, bytes) else text.encode()
        try:
            plain = data.decode()
        except UnicodeDecodeError:
            return self._greedy(data)
        # Some vocabularies put a space in front of a text: behind another text they do not.
        behind = self._tokenizer.plain("a" + plain)
        for ids in (self._tokenizer.plain(plain), behind[len(self._lead) :]):
            if b"".join(self.tokens[token] for token in ids) == data:
                return ids
        return self._greedy(data)

    def _greedy(self, data: bytes) -> list[int]:
        """Longest words first. Bytes that no word begins with are left out; llguidance notices."""
        ids, at = [], 0
        while at < len(data):
            ends = range(min(len(data), at + self._longest), at, -1)
            end = next((end for end in ends if data[at:end] in self._ids), None)
            if end is None:
                at += 1
                continue
            ids.append(self._ids[data[at:end]])
            at = end
        return ids

    def _word(self, token: int) -> bytes:
        name = self._tokenizer.control.get(token)
        if name is not None:
            return _CONTROL + name.encode()
        # Behind another id, because some vocabularies drop a space at a text's beginning.
        return self._bytes([*self._lead, token])[self._lead_length :]

    def _bytes(self, ids: list[int]) -> bytes:
        return self._tokenizer.vocab.detokenize(ids, render_special=False)
