"""Messages as the OpenAI chat format has them, checked and brought into the one form that templates expect."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from poise.errors import InvalidArgument

Message = dict[str, Any]
Ids = Sequence[int]

_MAX_DEPTH = 64  # of lists and objects in tool-call arguments and the like


def is_ids(value: object) -> bool:
    """Whether a value is a non-empty sequence of token ids (and not text or messages)."""
    return (
        not isinstance(value, (str, bytes, bytearray, Mapping))
        and isinstance(value, Sequence)
        and len(value) > 0
        and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
    )


def to_messages(
    value: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | bytes, role: str = "user"
) -> list[Message]:
    """Text, one message or several, as a list of messages. Text gets `role`. Raises InvalidArgument."""
    if isinstance(value, str):
        return [{"role": role, "content": checked(value, "a message's content")}]
    if isinstance(value, Mapping):
        return [normalize(value)]
    if isinstance(value, (bytes, bytearray)):
        raise InvalidArgument("content is bytes; decode it first, for example with .decode('utf-8')")
    if not isinstance(value, Sequence):
        raise InvalidArgument(f"content must be text, messages or token ids; got {type(value).__name__}")
    messages: list[Message] = []
    for item in value:
        if not isinstance(item, (str, Mapping)):
            raise InvalidArgument(f"a list of messages holds a {type(item).__name__}; it takes text and messages")
        messages += to_messages(item, role)
    return messages


def normalize(message: Mapping[str, Any]) -> Message:
    """A message with text content and with tool-call arguments as objects. Raises InvalidArgument."""
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise InvalidArgument(f"a message needs a role such as 'user'; got {_short(message)}")
    normal: Message = {"role": checked(role, "a role"), "content": _text(message.get("content"))}
    for key, value in message.items():
        if key in ("role", "content"):
            continue
        if not isinstance(key, str):
            raise InvalidArgument(f"the keys of a message are text; got {_short(key)}")
        if key == "tool_calls":
            if value:
                normal[key] = _calls(value)
        else:
            normal[key] = _json(value, f"{key!r} of a message")
    return normal


def tool_message(name: str, result: Any, call_id: str) -> Message:
    """The answer of a tool to a call."""
    return {"role": "tool", "name": name, "tool_call_id": call_id, "content": result_text(result)}


def result_text(result: Any) -> str:
    """How a tool's result is written: text as it is, everything else as JSON. Raises InvalidArgument."""
    if isinstance(result, str):
        return checked(result, "a tool's result")
    return json.dumps(_json(result, "a tool's result"), ensure_ascii=False)


def checked(text: str, what: str) -> str:
    """Text that is Unicode. Halves of a surrogate pair side by side become their character; a lone half is refused."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            at = next(index for index, char in enumerate(text) if "\ud800" <= char <= "\udfff")
            raise InvalidArgument(
                f"{what} is not valid Unicode: half a surrogate pair (U+{ord(text[at]):04X}) at character {at}; "
                "replace it, for example by U+FFFD"
            ) from None
    return text


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return checked(content, "a message's content")
    if isinstance(content, (bytes, bytearray)):
        raise InvalidArgument("a message's content is bytes; decode it first, for example with .decode('utf-8')")
    if isinstance(content, Sequence):
        return "".join(map(_part, content))
    raise InvalidArgument(f"a message's content must be text or a list of text parts; got {type(content).__name__}")


def _part(part: Any) -> str:
    if isinstance(part, str):
        return checked(part, "a part of a message's content")
    if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
        kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
        raise InvalidArgument(f"a message's content has a part of kind {_short(kind)}; only text parts are understood")
    return checked(part["text"], "a part of a message's content")


def _calls(calls: Any) -> list[Message]:
    if isinstance(calls, (str, bytes, Mapping)) or not isinstance(calls, Sequence):
        raise InvalidArgument(f"tool_calls must be a list of calls; got {type(calls).__name__}")
    return [_call(call) for call in calls]


def _call(call: Any) -> Message:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise InvalidArgument(f"a tool call needs a function with a name; got {_short(call)}")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):  # otherwise the template shows it as it came
            arguments = json.loads(arguments or "{}")
    if arguments is not None and not isinstance(arguments, (str, Mapping)):
        raise InvalidArgument(f"the arguments of a tool call are an object; got {_short(arguments)}")
    told: Message = {key: _json(value, "a tool call") for key, value in call.items() if key == "id"}
    return {
        **told,
        "type": "function",
        "function": {
            "name": checked(function["name"], "a function's name"),
            "arguments": _json(arguments or {}, "a tool call"),
        },
    }


def _json(value: Any, what: str, depth: int = 0) -> Any:
    """A copy that holds nothing but JSON."""
    if isinstance(value, str):
        return checked(value, what)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth >= _MAX_DEPTH:
        raise InvalidArgument(f"{what} is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise InvalidArgument(f"{what} has keys that are not text; got {_short(value)}")
        return {checked(key, what): _json(item, what, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_json(item, what, depth + 1) for item in value]
    raise InvalidArgument(f"{what} must be JSON; got a {type(value).__name__}")


def _short(value: Any) -> str:
    try:
        told = repr(value)
    except (RecursionError, ValueError):
        told = type(value).__name__
    return told if len(told) <= 100 else told[:97] + "..."
