"""Expands user phrases: ``[a|b|c]`` chooses, ``{slot}`` fills, then small human noise.

The last phrase of every list is kept out of training: it appears only in sessions made with
``novel=True``, which measure wording that the model has never seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"(\{\w+\})")


def _typo(text: str, rng: random.Random) -> str:
    places = [i for i in range(1, len(text) - 2) if text[i : i + 2].isalpha()]
    if not places:
        return text
    i = rng.choice(places)
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


def expand(phrases: list[str], rng: random.Random, novel: bool = False, **slots: str) -> str:
    """One phrase of the list, expanded. Noise never touches what fills a slot."""
    phrase = phrases[-1] if novel and len(phrases) > 1 else rng.choice(phrases[:-1] or phrases)
    while True:
        chosen = _CHOICE.sub(lambda m: rng.choice(m[1].split("|")), phrase)
        if chosen == phrase:
            break
        phrase = chosen
    style = rng.random()
    parts = _SLOT.split(phrase)
    plain = [i for i, part in enumerate(parts) if part and not _SLOT.fullmatch(part)]
    for i in plain:
        if style < 0.2:
            parts[i] = parts[i].lower()
    if plain and 0.15 < style < 0.25:
        i = rng.choice(plain)
        parts[i] = _typo(parts[i], rng)
    text = "".join(parts)
    if 0.1 < style < 0.3:
        text = text.rstrip(".!?")
    return text.strip().format(**slots)
