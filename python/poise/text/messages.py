"""Messages as the OpenAI chat format has them, brought into the one form that templates expect."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from poise.errors import InvalidArgument

Message = dict[str, Any]
Ids = Sequence[int]


def is_ids(value: object) -> bool:
    """Whether a value is a non-empty sequence of token ids (and not text or messages)."""
    return (
        not isinstance(value, (str, bytes, Mapping))
        and isinstance(value, Sequence)
        and len(value) > 0
        and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    )


def to_messages(
    value: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]], role: str = "user"
) -> list[Message]:
    """Text, one message or several, as a list of messages. Text gets `role`."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if isinstance(value, Mapping):
        return [normalize(value)]
    return [message for item in value for message in to_messages(item, role)]


def normalize(message: Mapping[str, Any]) -> Message:
    """A message with text content and with tool-call arguments as objects."""
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidArgument(f"a message needs a role such as 'user'; got {dict(message)!r}")
    normal: Message = {**message, "content": _text(message.get("content"))}
    if message.get("tool_calls"):
        normal["tool_calls"] = [_call(call) for call in message["tool_calls"]]
    return normal


def tool_message(name: str, result: Any, call_id: str) -> Message:
    """The answer of a tool to a call."""
    return {"role": "tool", "name": name, "tool_call_id": call_id, "content": result_text(result)}


def result_text(result: Any) -> str:
    """How a tool's result is written: text as it is, everything else as JSON."""
    if isinstance(result, str):
        return result
    return json.dumps(result, ensure_ascii=False)


def digest(message: Mapping[str, Any]) -> str:
    """Recognises a message that is sent again: equal messages have equal digests."""
    canonical = json.dumps(message, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and all(isinstance(part, Mapping) and "text" in part for part in content):
        return "".join(part["text"] for part in content)
    raise InvalidArgument(f"message content must be text or a list of text parts; got {type(content).__name__}")


def _call(call: Mapping[str, Any]) -> Message:
    function = dict(call.get("function", call))
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError):  # otherwise the template shows it as it came
            arguments = json.loads(arguments or "{}")
    return {
        **call,
        "type": "function",
        "function": {"name": function.get("name", ""), "arguments": arguments},
    }
