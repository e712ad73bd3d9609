"""Marked text: rendered template text in which user text can never form a special token.

Before rendering, every place where user text spells a special token (or could spell one together
with its neighbours) gets a break mark. The template renders the marked strings as it would the
plain ones; afterwards the special tokens still spelled in the text are the template's own, and
the marks are taken out again. Marks are made of Unicode noncharacters, which never stand for text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARK = "\ufdd0"
_OWN = _MARK + "\ufdd1"  # a _MARK that was in the user's own text
_BREAK = _MARK + "\ufdd2"
_MARKS = re.compile(f"{_MARK}([\ufdd1-\ufdd3])")
PLACE = _MARK + "\ufdd3"  # stands where something is looked for in a rendering; no text of its own


def unmark(text: str) -> str:
    """The plain text behind marked text."""
    if _MARK not in text:
        return text
    return _MARKS.sub(lambda match: _MARK if match[1] == "\ufdd1" else "", text)


class SpecialTokens:
    """The special tokens of one vocabulary, by their text; texts of one character are left out."""

    def __init__(self, ids: dict[str, int]) -> None:
        self.ids = {text: token for text, token in ids.items() if len(text) > 1}
        longest_first = sorted(self.ids, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._longest = max(map(len, self.ids), default=0)
        edges = {text[0] for text in self.ids} | {text[-1] for text in self.ids}
        # Text without any of these can be no part of a special token that ends or begins outside of it.
        self._edges = re.compile("|".join(map(re.escape, sorted(edges))) or r"(?!)")
        self._heads = {text[:n] for text in self.ids for n in range(1, len(text))}
        self._tails = {text[n:] for text in self.ids for n in range(1, len(text))}

    def protect(self, text: str) -> str:
        """Marks user text so that no special token can be read in it or across its ends."""
        if not text.isascii():  # half a surrogate pair is no text: it becomes "?"
            text = text.encode("utf-8", "replace").decode("utf-8").replace(_MARK, _OWN)
        if not self._edges.search(text):
            return text
        while self._pattern.search(text):
            text = self._pattern.sub(lambda match: match[0][0] + _BREAK + match[0][1:], text)
        reach = range(1, min(len(text), self._longest - 1) + 1)
        if any(text[-n:] in self._heads for n in reach):
            text += _BREAK
        if any(text[:n] in self._tails for n in reach):
            text = _BREAK + text
        return text

    def last_end(self, marked: str) -> int:
        """Where the last special token of marked text ends; 0 if it has none."""
        last = None
        for last in self._pattern.finditer(marked):  # noqa: B007 - only the last one counts
            pass
        return last.end() if last else 0

    def first(self, marked: str, begin: int = 0) -> tuple[int, int] | None:
        """Begin and end of the first special token from a point on."""
        found = self._pattern.search(marked, begin)
        return found.span() if found else None

    def protect_all(self, value: Any) -> Any:
        """`protect` on every string inside a JSON value."""
        if isinstance(value, str):
            return self.protect(value)
        if isinstance(value, dict):
            return {self.protect_all(key): self.protect_all(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.protect_all(item) for item in value]
        return value

    def split(self, marked: str) -> Iterable[tuple[str, int | None, int]]:
        """Cuts marked text into (plain text, None, end) and (special text, id, end); `end` counts marked
        characters."""
        begin = 0
        for match in self._pattern.finditer(marked):
            if match.start() > begin:
                yield unmark(marked[begin : match.start()]), None, match.start()
            yield match[0], self.ids[match[0]], match.end()
            begin = match.end()
        if begin < len(marked):
            yield unmark(marked[begin:]), None, len(marked)
