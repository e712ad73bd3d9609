"""A conversation with thoughts and a tool call, played against one chat template and compared with fresh
renderings after every step."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from poise.errors import InvalidArgument
from poise.text.conversation import Conversation, Plan
from poise.text.model import TextModel
from tests.support.byte_vocab import ByteVocab

if TYPE_CHECKING:
    from pathlib import Path

    from poise.text.messages import Message

# What looks like a special token in a template's source.
_SPECIAL = re.compile(
    r"<\|[^|<>{}\s'\"]{1,40}\|>|<\uff5c[^\uff5c<>{}'\"]{1,40}\uff5c>|\[/?(?:INST|THINK|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|ARGS"
    r"|TOOL_CONTENT|SYSTEM_PROMPT|CALL_ID)\]|</?s>|<(?:start|end)_of_turn>|<\|?turn\|?>|<\|?/?channel\|?>|<sep>"
    r"|<\[[^\]<>]{1,40}\]>|\[e~\[|\]~[a-z!]*\[?\]|<SPECIAL_\d+>|<(?:begin|end)_of_[a-z]+>"
    r"|<seed:[be]os>|</?(?:assistant|user)>"
)
# In templates these are built of pieces, or stand in no template at all.
_COMMON = ("<s>", "</s>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<eos>", "<bos>", "<turn|>", "<|turn>")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_order",
            "description": "Finds an order.",
            "parameters": {
                "type": "object",
                "properties": {"id": {"type": "string", "description": "its number"}},
                "required": ["id"],
            },
        },
    }
]
CALL: Message = {"type": "function", "id": "call00001", "function": {"name": "find_order", "arguments": {"id": "7"}}}
CALL_TEXT = '<tool_call>\n{"name": "find_order", "arguments": {"id": "7"}}\n</tool_call>'
THOUGHT = "They want to know about an order."


def text_model(path: Path) -> TextModel:
    """The template on a small vocabulary that has the special tokens the template spells."""
    source = path.read_text(encoding="utf-8")
    control = dict.fromkeys([*_COMMON, *_SPECIAL.findall(source)])
    said = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Hi"},
    ]
    plain = TextModel(ByteVocab(source, control=list(control), end="</s>"))
    with contextlib.suppress(InvalidArgument):  # some are put together while the template runs
        control.update(dict.fromkeys(_SPECIAL.findall(plain.render(said, plain.context(), prompt=True))))
    end = _end_of_turn(source, list(control))
    return TextModel(ByteVocab(source, control=list(control), end=end))


def _end_of_turn(source: str, control: list[str]) -> str:
    """The special token that the template writes behind an answer."""
    model = TextModel(ByteVocab(source, control=control, end="</s>"))
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Qx 7"}]
    for more in ([], [{"role": "user", "content": "so"}]):
        try:
            text = model.render([*said, *more], model.context(), prompt=False)
        except InvalidArgument:
            continue
        _, found, after = text.partition("Qx 7")
        first = model.tokenizer.special.first(after) if found else None
        if first:
            return after[first[0] : first[1]]
    return "</s>"


@dataclass
class Step:
    """One request of a play."""

    said: str  # user or tool
    plan: Plan
    kept: bool  # every id that was in the log is still there
    log: list[int]
    fresh: list[int]  # the ids of rendering the conversation afresh
    enveloped: bool  # known ahead, whatever the content
    extends: bool  # a fresh rendering begins with what the log was


@dataclass
class Play:
    """Plays one conversation; the log grows as a session's would."""

    model: TextModel
    history: Literal["generated", "rendered"]
    arguments: dict[str, Any] = field(default_factory=dict)
    tools: bool = True
    thoughts: bool = True
    idle: bool = False
    ids: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = self.model.context(TOOLS if self.tools else (), self.arguments)
        self.conversation = Conversation(self.model, context, self.history)

    def run(self) -> Play:
        """A question, a call, its result, an answer, a question, an answer, a question."""
        self.ask({"role": "user", "content": "Where is order 7?"})
        if self.tools:
            self.answer("", [CALL])
            self.ask({"role": "tool", "name": "find_order", "tool_call_id": "call00001", "content": '{"late": true}'})
        self.answer("It is late.")
        self.ask({"role": "user", "content": "Why?"})
        self.answer("Snow.")
        self.ask({"role": "user", "content": "Thanks"})
        return self

    def ask(self, message: Message) -> None:
        """One request, by a full rendering. Before it, idle time does what it can."""
        if self.idle:
            self.rewrite(message)
        enveloped = self.conversation.copy().prepare([message]) is not None
        plan = self.conversation.plan([message], prompt=True)
        before, logged = list(self.ids), self.conversation.log_text
        self.ids[len(before) if plan.rebase_to is None else plan.rebase_to :] = plan.ids
        self.conversation.commit(plan)
        kept = self.ids[: len(before)] == before
        extends = kept and self.told().startswith(logged)
        self.steps.append(Step(message["role"], plan, kept, list(self.ids), self.fresh(), enveloped, extends))

    def rewrite(self, expected: Message) -> None:
        """What idle time commits ahead of a request."""
        plan = self.conversation.plan_rewrite([{**expected, "content": "Qx 7"}])
        if plan is not None:
            self.ids[len(self.ids) if plan.rebase_to is None else plan.rebase_to :] = plan.ids
            self.conversation.commit(plan)

    def answer(self, text: str, calls: list[Message] | None = None) -> None:
        """What a model would write: its thought between the template's marks, then text or calls."""
        marks = self.model.thought if self.thoughts else None
        said = "\n".join([text] * bool(text) + [CALL_TEXT] * bool(calls))
        parsed: Message = {"role": "assistant", "content": text}
        if calls:
            parsed["tool_calls"] = calls
        if marks is not None:
            opened = self.header.rstrip().endswith(marks.begin)
            said = ("" if opened else marks.begin + "\n") + f"{THOUGHT}\n{marks.end}\n\n{said}"
            parsed[marks.field] = THOUGHT
        ids = [*self.model.tokenizer.encode(said).ids, 0]
        self.ids += ids
        self.conversation.commit_answer(ids, parsed if marks is not None or calls else None)

    @property
    def header(self) -> str:
        """What the newest request ends with."""
        return self.steps[-1].plan.header

    def fresh(self) -> list[int]:
        """The whole conversation as it is told now, rendered and tokenized at once."""
        return self.model.tokenizer.encode(self.told(), at_start=True).ids

    def told(self) -> str:
        """The whole conversation, rendered afresh."""
        marked = [turned.shown_marked for turned in self.conversation.messages]
        return self.model.render(marked, self.conversation.context, prompt=True)
