"""How a session's log begins: the ids that every conversation with one system prompt and one tool list shares."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from poise.errors import InvalidArgument
from poise.text.conversation import Conversation
from poise.text.model import common

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poise.text.model import TextModel

_PROBES = ("Hello", "1 + 1?")


def beginning(
    model: TextModel,
    system: str | None,
    tools: Sequence[Mapping[str, Any]] = (),
    arguments: Mapping[str, Any] | None = None,
) -> list[int]:
    """What two conversations that differ only in the user's first message have in common, as ids that nothing
    behind them can change. Empty if the template refuses both."""
    conversation = Conversation(model, model.context(tools, arguments))
    if system is not None:
        conversation.hold([{"role": "system", "content": system}])
    try:
        one, two = (conversation.plan([{"role": "user", "content": probe}], prompt=False).text for probe in _PROBES)
    except InvalidArgument:
        return []
    return model.tokenizer.stable(one[: common(one, two)], at_start=True)


def text_salt(tools: Sequence[Mapping[str, Any]] = (), arguments: Mapping[str, Any] | None = None) -> int:
    """What tells sessions of different tools or template arguments apart in every key; 0 for neither."""
    shown = [{key: tool[key] for key in tool if not key.startswith("x-")} for tool in tools]
    if not shown and not arguments:
        return 0
    told = json.dumps([shown, dict(arguments or {})], ensure_ascii=False, sort_keys=True, default=repr)
    return int.from_bytes(hashlib.sha256(told.encode("utf-8", "surrogatepass")).digest()[:8], "little") or 1
