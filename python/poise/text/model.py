"""The text side of one model file: tokenizer, chat template, and how the two meet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from poise.errors import InvalidArgument
from poise.text.pattern import Pattern, parts_of
from poise.text.template import CHATML, ChatTemplate
from poise.text.thought import find_marks
from poise.text.tokenizer import Tokenizer, Vocab
from poise.tools.parser import CLOSE, OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poise.text.messages import Message
    from poise.text.pattern import Trace


@dataclass(frozen=True)
class RenderContext:
    """What a template sees besides the messages; the same for a session's whole life. Made by TextModel."""

    tools: Sequence[Mapping[str, Any]]  # marked
    arguments: Mapping[str, Any]
    now: datetime


class TextModel:
    """Shared by all sessions of an engine. Thread-safe."""

    def __init__(
        self, vocab: Vocab, template: str | None = None, *, thought_marks: tuple[str, ...] | None = None
    ) -> None:
        """`template` replaces the model file's own. A file without one gets ChatML if it has ChatML's
        tokens, or none. `thought_marks` replace those that the template uses; empty: none."""
        self.tokenizer = Tokenizer(vocab)
        source = template or vocab.chat_template()
        if not source and "<|im_start|>" in self.tokenizer.special.ids:
            source = CHATML
        special = self.tokenizer.special_text
        self.template = (
            ChatTemplate(source, bos_token=special(vocab.bos), eos_token=special(vocab.eos)) if source else None
        )
        self.thought = find_marks(source, thought_marks)
        control = self.tokenizer.control.items()
        pair = (self.thought.begin, self.thought.end) if self.thought else ()
        # Special tokens whose text an answer must show, so that its parts can be told.
        self.tool_mark_ids = frozenset(token for token, text in control if text in (OPEN, CLOSE))
        self.thought_mark_ids = frozenset(token for token, text in control if any(text in mark for mark in pair))

    def mark(self, message: Message) -> Message:
        """The message as it goes into the template: nothing in it can become a special token."""
        marked: Message = self.tokenizer.special.protect_all(message)
        return marked

    def context(
        self, tools: Sequence[Mapping[str, Any]] = (), arguments: Mapping[str, Any] | None = None
    ) -> RenderContext:
        """Keys of tools that begin with "x-" are for the engine: the template does not see them."""
        shown = [{key: tool[key] for key in tool if not key.startswith("x-")} for tool in tools]
        return RenderContext(self.tokenizer.special.protect_all(shown), dict(arguments or {}), datetime.now())

    def render(self, marked: Sequence[Message], context: RenderContext, *, prompt: bool) -> str:
        """Marked text of marked messages, `prompt` with the assistant's header. Without a template: contents."""
        if self.template is None:
            return "".join(message["content"] for message in marked)
        return self.template.render(
            marked,
            tools=context.tools,
            add_generation_prompt=prompt,
            now=context.now,
            arguments=context.arguments,
        )

    def end_of_turn(self) -> int | None:
        """The special token that the template puts behind an answer; nothing if there is none."""
        if self.template is None:
            return None
        said = ({"role": "user", "content": "question"}, {"role": "assistant", "content": "answer"})
        try:
            text = self.render([self.mark(message) for message in said], self.context(), prompt=False)
        except InvalidArgument:
            return None
        tail = text[text.rfind("answer") + len("answer") :]
        return next((token for _, token, _ in self.tokenizer.special.split(tail) if token is not None), None)

    def trace(self, marked: Sequence[Message], context: RenderContext, trace: Trace, *, prompt: bool) -> Pattern | None:
        """`render` with slots in place of contents; nothing if the template cannot be followed."""
        if self.template is None:
            return Pattern(tuple(part for message in marked for part in parts_of(message["content"])))
        return self.template.trace(
            marked,
            trace,
            tools=context.tools,
            add_generation_prompt=prompt,
            now=context.now,
            arguments=context.arguments,
        )


def common(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Length of the longest common prefix, found by halving: comparing slices is faster than items."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
