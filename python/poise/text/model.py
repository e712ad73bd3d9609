"""The text side of one model file: tokenizer, chat template, and how the two meet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from poise.errors import InvalidArgument
from poise.text.template import CHATML, ChatTemplate
from poise.text.tokenizer import Tokenizer, Vocab

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poise.text.messages import Message


@dataclass(frozen=True)
class RenderContext:
    """What a template sees besides the messages; the same for a session's whole life. Made by TextModel."""

    tools: Sequence[Mapping[str, Any]]  # marked
    arguments: Mapping[str, Any]
    now: datetime


class TextModel:
    """Shared by all sessions of an engine. Thread-safe."""

    def __init__(self, vocab: Vocab, template: str | None = None) -> None:
        """`template` replaces the model file's own. A file without one gets ChatML if it has ChatML's
        tokens, or none."""
        self.tokenizer = Tokenizer(vocab)
        source = template or vocab.chat_template()
        if not source and "<|im_start|>" in self.tokenizer.special.ids:
            source = CHATML
        special = self.tokenizer.special_text
        self.template = (
            ChatTemplate(source, bos_token=special(vocab.bos), eos_token=special(vocab.eos)) if source else None
        )

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

    def stable_ids(self, marked: str, *, at_start: bool = False) -> list[int]:
        """The ids of marked text that no continuation of it can change, tried on continuations of each
        kind."""
        stable: list[int] | None = None
        for continuation in ("a", " a", "\n\na", "0", ".", '{"', "\u00e9", "\u4e2d"):
            ids = self.tokenizer.encode(marked + continuation, at_start=at_start).ids
            stable = ids if stable is None else ids[: common(stable, ids)]
        return stable or []


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
