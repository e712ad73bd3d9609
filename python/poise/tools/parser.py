"""Streaming parser of the Hermes and Qwen form: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`.

Never raises: what is not a call stays text, with a notice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

OPEN, CLOSE = "<tool_call>", "</tool_call>"


@dataclass(frozen=True)
class ParsedText:
    """Text that belongs to no call."""

    text: str


@dataclass(frozen=True)
class ParsedCall:
    """A well-formed call."""

    name: str
    arguments: dict[str, Any]
    raw: str


@dataclass(frozen=True)
class ParsedNotice:
    """Why something was not read as a call."""

    message: str


Parsed = ParsedText | ParsedCall | ParsedNotice


class ToolParser:
    """Feed text as it comes, then close. White space next to a call is layout and is dropped."""

    def __init__(self) -> None:
        self._pending = ""  # text that may still turn into a mark, or the inside of an open call
        self._inside = False
        self._space = ""  # white space that is text only if text follows
        self._after_call = False

    def feed(self, text: str) -> list[Parsed]:
        """What one more piece of text completes."""
        self._pending += text
        found: list[Parsed] = []
        while True:
            mark = CLOSE if self._inside else OPEN
            before, hit, after = self._pending.partition(mark)
            if hit:
                self._pending = after
                found += self._call(before, closed=True) if self._inside else self._text(before)
                self._inside = not self._inside
                self._space = ""
                continue
            if not self._inside:
                keep = _partial(self._pending, mark)
                found += self._text(self._pending[: len(self._pending) - keep])
                self._pending = self._pending[len(self._pending) - keep :]
            return found

    def close(self) -> list[Parsed]:
        """The answer is over. A call whose end mark is missing counts if its JSON is whole."""
        rest, self._pending = self._pending, ""
        if self._inside:
            self._inside = False
            return self._call(rest, closed=False)
        found, space = self._text(rest), self._space
        return [*found, ParsedText(space)] if space else found

    def _text(self, text: str) -> list[Parsed]:
        body = self._space + text
        if self._after_call:
            body = body.lstrip()
        stripped = body.rstrip()
        self._space = body[len(stripped) :]
        if not stripped:
            return []
        self._after_call = False
        return [ParsedText(stripped)]

    def _call(self, inside: str, *, closed: bool) -> list[Parsed]:
        raw = OPEN + inside + (CLOSE if closed else "")
        self._after_call = True
        try:
            call = json.loads(inside)
            name, arguments = call["name"], call.get("arguments", {})
            if isinstance(arguments, str):
                arguments = json.loads(arguments)
            if not isinstance(name, str) or not isinstance(arguments, dict):
                raise TypeError("needs a name and an object of arguments")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return [
                ParsedText(raw),
                ParsedNotice(f"a tool call is not well formed and is reported as text: {error!r}"),
            ]
        return [ParsedCall(name, arguments, raw)]


def _partial(text: str, mark: str) -> int:
    """Length of the longest end of `text` that begins `mark`."""
    return next((n for n in range(min(len(mark) - 1, len(text)), 0, -1) if text.endswith(mark[:n])), 0)
