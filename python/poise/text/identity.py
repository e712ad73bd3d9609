"""Who a message is: digests by which messages are known again when a client sends them once more.

Two messages are the same if they say the same: not counted are white space, key order and string or
object form of tool-call arguments; text as one string or as parts; empty fields; the thought in front of
an answer (clients leave it out); and the ids of tool calls, which count by the place of their call.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_THOUGHT = frozenset({"reasoning_content", "reasoning", "thinking"})
# What the text layer or an OpenAI client adds beside what was said.
_BESIDE = frozenset({"role", "content", "tool_calls", "tool_call_id", "refusal", "annotations", "audio"}) | _THOUGHT


def digest(message: Mapping[str, Any], calls: Sequence[str] = ()) -> str:
    """32 hexadecimal digits. `message` is normal (see poise.text.messages); `calls` are the ids of the tool calls
    that it may answer."""
    return digest_bytes(message, calls).hex()


def digest_bytes(message: Mapping[str, Any], calls: Sequence[str] = ()) -> bytes:
    """The same as 16 bytes."""
    role, content = message["role"], message["content"]
    if role == "assistant":
        content = content.strip()
    if len(message) == 2:
        rest = ""
    else:
        fields: dict[str, Any] = {
            key: value
            for key, value in message.items()
            if key not in _BESIDE and value not in (None, "", [], {}) and not (role == "tool" and key == "name")
        }
        if message.get("tool_calls"):
            fields["tool_calls"] = [[call["function"]["name"], _plain(call)] for call in message["tool_calls"]]
        if role == "tool" and (asked := message.get("tool_call_id")):
            fields["answers"] = calls.index(asked) if asked in calls else asked
        rest = _canonical(fields) if fields else ""
    told = f"{len(role)}:{role}{len(content)}:{content}{rest}"
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def digests(messages: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """Of a whole history; tool messages count by which call they answer."""
    found: list[bytes] = []
    calls: list[str] = []
    for message in messages:
        found.append(digest_bytes(message, calls))
        if message["role"] == "assistant":
            calls = [call.get("id", "") for call in message.get("tool_calls", ())]
    return found


def chain(root: bytes, parts: Iterable[bytes]) -> list[bytes]:
    """Keys of a history's beginnings: the root for none of its messages, then one a message."""
    keys = [root]
    for part in parts:
        keys.append(hashlib.blake2b(keys[-1] + part, digest_size=16).digest())
    return keys


def root(*identity: Any) -> bytes:
    """Where a chain begins: everything besides the messages that two histories must share."""
    return hashlib.blake2b(_canonical(identity).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def thought(message: Mapping[str, Any]) -> str:
    """What an answer thought, as its client tells it."""
    return next((message[key] for key in sorted(_THOUGHT) if isinstance(message.get(key), str)), "")


def _plain(call: Mapping[str, Any]) -> Any:
    # Arguments that are no JSON stay text; otherwise messages.normalize has parsed them.
    arguments = call["function"]["arguments"]
    return arguments.strip() if isinstance(arguments, str) else arguments


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
