"""Where messages end in a rendering that is rendered as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poise.errors import InvalidArgument
from poise.text.segments import PLACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poise.text.conversation import Turned
    from poise.text.model import RenderContext, TextModel

# Messages whose end only a rendering of its own shows; more of them in one request share a span with their successor.
_MAX_RENDERINGS = 8


@dataclass(frozen=True)
class Span:
    """One message of a plan; `begin` and `end` count ids of the plan."""

    role: str
    digest: str
    begin: int
    end: int


def message_ends(
    model: TextModel, context: RenderContext, messages: Sequence[Turned], new: int, text: str, prompt: bool
) -> list[int]:
    """For all but the last of the `new` messages: up to which character of `text`, which ends the rendering, the
    special tokens are still their own.

    Contents are told apart by a mark behind each; a template that notices the mark is asked message by message.
    """
    first = len(messages) - new
    shown: list[dict[str, Any]] = [turned.shown_marked for turned in messages]
    marked = [index for index in range(first, len(messages) - 1) if _takes_mark(shown[index])]
    places: dict[int, int] = {}
    full = ""
    try:
        with_marks = [_with_mark(told) if index in marked else told for index, told in enumerate(shown)]
        pieces = model.render(with_marks, context, prompt=prompt).split(PLACE)
    except InvalidArgument:
        pieces = []
    if len(pieces) == len(marked) + 1 and "".join(pieces).endswith(text):
        full = "".join(pieces)
        at = len(text) - len(full)
        for index, piece in zip(marked, pieces, strict=False):
            at += len(piece)
            places[index] = at
    ends: list[int] = []
    renderings = 0
    for index in range(first, len(messages) - 1):
        end = ends[-1] if ends else 0
        if index in places:
            found = model.tokenizer.special.first(text, max(0, places[index]))
            end = found[1] if found else end
        elif renderings < _MAX_RENDERINGS:
            renderings += 1
            end = max(end, _end_alone(model, context, shown, index, text, prompt))
        ends.append(end)
    return ends


def history_end(
    model: TextModel, context: RenderContext, view: Sequence[Turned], added: Sequence[Turned], text: str
) -> int:
    """Where the messages of `view` end in `text`, the rendering of them and `added`: behind their last special
    token. 0 if that cannot be told."""
    shown = [turned.shown_marked for turned in view]
    try:
        alone = model.render(shown, context, prompt=False)
        end = model.tokenizer.special.last_end(alone)
        if end and text.startswith(alone[:end]):
            return end
    except InvalidArgument:
        pass
    if not _takes_mark(shown[-1]):
        return 0
    told = [*shown[:-1], _with_mark(shown[-1]), *(turned.shown_marked for turned in added)]
    try:
        before, mark, after = model.render(told, context, prompt=True).partition(PLACE)
    except InvalidArgument:
        return 0
    if not mark or before + after != text:
        return 0
    found = model.tokenizer.special.first(text, len(before))
    return found[1] if found else 0


def _takes_mark(message: dict[str, Any]) -> bool:
    return bool(message["content"].strip()) and not message.get("tool_calls")


def _with_mark(message: dict[str, Any]) -> dict[str, Any]:
    content: str = message["content"]
    body = content.rstrip()  # the mark must not keep a template from trimming
    return {**message, "content": body + PLACE + content[len(body) :]}


def _end_alone(
    model: TextModel, context: RenderContext, shown: list[dict[str, Any]], index: int, text: str, prompt: bool
) -> int:
    try:
        upto = model.render(shown[: index + 1], context, prompt=False)
        full = model.render(shown, context, prompt=prompt)
    except InvalidArgument:
        return 0
    return len(upto) - (len(full) - len(text)) if full.startswith(upto) and full.endswith(text) else 0
