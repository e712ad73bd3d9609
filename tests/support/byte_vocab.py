"""A small vocabulary in Python: bytes, some longer pieces, and control tokens. Longest match first, so that
the ids of a text depend on what follows it, as they do in real vocabularies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTROL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
PIECES = (
    "user\n",
    "assistant\n",
    "system\n",
    "tool",
    "\n\n",
    "\nH",
    " the",
    "Hel",
    "llo",
    '{"',
    '"}',
    '"}\n',
    "answer",
)

CHATML_TOOLS = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "user" %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>assistant\\n' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {%- if (loop.first and message.content) or not loop.first %}{{- '\\n' }}{%- endif %}
            {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or messages[loop.index0 - 1].role != "tool" %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != "tool" %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


class ByteVocab:
    """Control tokens come first, so that the simulated executor's end token, id 0, can be one of them."""

    def __init__(
        self,
        template: str = CHATML_TOOLS,
        *,
        end: str = "<|im_end|>",
        adds_bos: bool = False,
        control: Sequence[str] = CONTROL,
    ) -> None:
        order = [end, *(name for name in control if name != end)]
        self.control = {text: token for token, text in enumerate(order)}
        self.bytes_from = len(order)
        texts = [bytes([value]) for value in range(256)] + [piece.encode() for piece in PIECES]
        self.texts = [text.encode() for text in order] + texts
        self._ids = {text: token for token, text in enumerate(self.texts) if token >= self.bytes_from}
        self._template, self._end, self._adds_bos = template, end, adds_bos
        self._control = re.compile("(" + "|".join(map(re.escape, sorted(order, key=len, reverse=True))) + ")")

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        ids = [self.bos] if add_special and self._adds_bos else []
        for part in self._control.split(text) if parse_special else [text]:
            if parse_special and part in self.control:
                ids.append(self.control[part])
            else:
                ids += self._plain(part.encode())
        return ids

    def detokenize(self, tokens: Sequence[int], *, render_special: bool) -> bytes:
        return b"".join(self.texts[token] for token in tokens if render_special or token >= self.bytes_from)

    def chat_template(self) -> str:
        return self._template

    def metadata(self, key: str) -> str:
        return "rwkv" if key == "tokenizer.ggml.model" else ""  # longest match, as that family does

    @property
    def bos(self) -> int:
        return self.control["<|endoftext|>"] if self._adds_bos else -1

    @property
    def eos(self) -> int:
        return self.control[self._end]

    @property
    def adds_bos(self) -> bool:
        return self._adds_bos

    def is_control(self, token: int) -> bool:
        return token < self.bytes_from

    def __len__(self) -> int:
        return len(self.texts)

    def _plain(self, data: bytes) -> list[int]:
        ids, at = [], 0
        while at < len(data):
            length = next(n for n in range(min(10, len(data) - at), 0, -1) if data[at : at + n] in self._ids)
            ids.append(self._ids[data[at : at + length]])
            at += length
        return ids
