"""Messages to text, through the same chat template that the model file carries."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from jinja2 import Template

Json = dict[str, Any]

TEMPLATE_PATH = Path(__file__).with_name("chat_template.jinja")


def to_json(value: Any) -> str:
    """JSON as every part of the project writes it: default separators, no ASCII escapes, key order kept."""
    return json.dumps(value, ensure_ascii=False)


@cache
def template() -> Template:
    """The compiled template; `tojson` is plain JSON, not Jinja's HTML-safe one."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = to_json
    return environment.from_string(TEMPLATE_PATH.read_text(encoding="utf-8"))


def render(messages: list[Json], tools: list[Json] | None = None, add_generation_prompt: bool = False) -> str:
    """The text of a conversation. Appending a message only appends text."""
    return template().render(messages=messages, tools=tools, add_generation_prompt=add_generation_prompt)
