"""Thoughts: how models mark them, and telling them from an answer's text as it streams."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What templates and models write around a thought.
_KNOWN = (
    ("<think>", "</think>"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought", "<channel|>"),
    ("<thinking>", "</thinking>"),
)
_FIELDS = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True)
class ThoughtMarks:
    """What opens and closes a thought, and the field of a message under which the template looks for it."""

    begin: str
    end: str
    field: str = _FIELDS[0]


def find_marks(template: str, chosen: tuple[str, ...] | None = None) -> ThoughtMarks | None:
    """The marks of a chat template, or those that were chosen (an empty tuple: none)."""
    pair = next(((begin, end) for begin, end in _KNOWN if end in template), None)
    if chosen is not None:
        pair = (chosen[0], chosen[1]) if chosen else None
    if pair is None:
        return None
    named = (name for name in _FIELDS if re.search(rf"\.{name}\b|\[?['\"]{name}['\"]", template))
    return ThoughtMarks(*pair, next(named, _FIELDS[0]))


@dataclass(frozen=True)
class Piece:
    """A piece of an answer, of its thought or of its text."""

    text: str
    thought: bool


class ThoughtSplitter:
    """An answer is a thought, if it opens with one, and then text. White space next to a mark is layout and dropped.

    `inside`: the generation prompt has opened the thought already.
    """

    def __init__(self, marks: ThoughtMarks, *, inside: bool) -> None:
        self._marks = marks
        self._state = "thought" if inside else "begin"  # then "thought", then "text"
        self._pending = ""

    @property
    def inside(self) -> bool:
        """A thought is open."""
        return self._state == "thought"

    def feed(self, text: str) -> list[Piece]:
        """What one more piece of text completes."""
        self._pending += text
        found: list[Piece] = []
        if self._state == "begin":
            begun = self._pending.lstrip()
            if begun.startswith(self._marks.begin):
                self._state, self._pending = "thought", begun[len(self._marks.begin) :]
            elif self._marks.begin.startswith(begun):
                return found
            else:
                self._state = "text"
        if self._state == "thought":
            thought, closed, rest = self._pending.partition(self._marks.end)
            if closed:
                self._state, self._pending = "after", rest
                found += _pieces(thought.strip() if self._first else thought.rstrip())
            else:
                thought = thought.lstrip() if self._first else thought
                keep = len(thought) - len(thought.rstrip())
                keep = max(keep, _overlap(thought, self._marks.end))
                body = thought[: len(thought) - keep].rstrip()
                found += _pieces(body)
                self._pending = thought[len(body) :]
                self._first = self._first and not body
        if self._state == "after":
            self._pending = self._pending.lstrip()
            if self._pending:
                self._state = "text"
        if self._state == "text" and self._pending:
            found.append(Piece(self._pending, thought=False))
            self._pending = ""
        return found

    def close(self) -> list[Piece]:
        """The answer is over."""
        rest, self._pending = self._pending, ""
        if self._state == "thought":
            return _pieces(rest.rstrip())
        return [Piece(rest, thought=False)] if rest and self._state != "after" else []

    _first = True  # nothing of the thought has come out yet


def _pieces(thought: str) -> list[Piece]:
    return [Piece(thought, thought=True)] if thought else []


def _overlap(text: str, mark: str) -> int:
    """Length of the longest end of `text` that begins `mark`."""
    return next((n for n in range(min(len(mark) - 1, len(text)), 0, -1) if text.endswith(mark[:n])), 0)
