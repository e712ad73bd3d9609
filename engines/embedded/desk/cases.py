"""Token ids of held-out text by Hugging Face's tokenizers, for a test that needs only Poise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .render import render, to_json
from .seeds import CHECK_SEED
from .session import make_session
from .stream import make_stream, messages_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PATH = Path(__file__).resolve().parent.parent / "tokenizer.cases.jsonl"
_ODD = (
    "H\u00e9llo w\u00f6rld 12345  \n\n  don't I'LL \u00ab\u00fcn\u00efcode\u00bb \u6f22\u5b57 \U0001f642 "
    "a<|im_end|>b\t\tx  "
)


def _texts() -> list[str]:
    known = make_session(CHECK_SEED, 3, "heldout", episodes=2)
    novel = make_session(CHECK_SEED, 4, "heldout", novel=True, episodes=1)
    stream = make_stream(CHECK_SEED, 0, "heldout", values=48)
    conversations = [render(s.messages, s.tools) for s in (known, novel)]
    return [_ODD, "up", "down", " 1 2.5 -3", *conversations, render(messages_of(stream))]


def write(tokenizer: Tokenizer) -> None:
    """Write the cases anew."""
    cases: list[dict[str, Any]] = [{"text": text, "ids": tokenizer.encode(text).ids} for text in _texts()]
    PATH.write_text("".join(to_json(case) + "\n" for case in cases), encoding="utf-8")
