"""What a slide takes out of a conversation, so that later renderings agree with the shortened log."""

# ruff: noqa: SLF001 - a part of Conversation that has a file of its own
from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from poise.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poise import _core
    from poise.text.conversation import Conversation, Plan


def head_of(spans: Sequence[_core.MessageSpan]) -> int:
    """Tokens that stay for ever: the system message. Where it joins the log with the first turn only, the
    log's first token stands for it: the core widens the head to the end of a message."""
    return spans[0].end if spans and spans[0].role == "system" else 1


def drop_from(conversation: Conversation, drop: _core.WindowDrop, log: Sequence[int], kept_messages: int) -> bool:
    """The log of `conversation`, up to now `log`, has lost the tokens [drop.begin, drop.end); behind them the
    core still knows `kept_messages` messages.

    Where both ends lie between messages, the marked text is cut there. Otherwise False: the conversation has
    lost its messages, but its log is not what they are told as. Then retold() or as_raw() follows.
    """
    span = _whole_messages(conversation, drop, log)
    if span is None:
        last = max(drop.first_message, len(conversation.messages) - kept_messages)
        del conversation.messages[drop.first_message : last]
        return False
    begin, end, messages = span
    conversation.shorten(messages, (begin, end), (drop.begin, drop.end))
    return True


def retold(conversation: Conversation) -> Plan | None:
    """The whole log as its messages are told afresh, for Conversation.begin_anew(); nothing if it holds raw ids."""
    return None if conversation._floor > 0 or not conversation.messages else conversation.retell()


def as_raw(conversation: Conversation, log_tokens: int) -> None:
    """Takes what is left of the log for raw ids: nothing before this point can be told differently any more."""
    conversation.log_tokens = conversation.excess_tokens = 0
    conversation.commit_ids(log_tokens)


def _whole_messages(
    conversation: Conversation, drop: _core.WindowDrop, log: Sequence[int]
) -> tuple[int, int, slice] | None:
    """The drop in marked characters of the log, and the messages that it covers; nothing if it cuts one."""
    try:
        begin, end = _chars(conversation, drop.begin, log), _chars(conversation, drop.end, log)
        first, last = _messages_until(conversation, begin), _messages_until(conversation, end)
    except InvalidArgument:
        return None  # the template does not tell the half of a conversation, or tells it in another way
    return begin, end, slice(first, last)


def _chars(conversation: Conversation, position: int, log: Sequence[int]) -> int:
    """A place between two messages, in marked characters. Raises InvalidArgument if text stands around it."""
    known = [(0, 0), *conversation._boundaries]
    chars, ids = max((boundary for boundary in known if boundary[1] <= position), key=lambda boundary: boundary[1])
    rest = conversation.model.tokenizer.text(list(log[ids:position]))
    if rest.strip() or not conversation.log_text.startswith(rest, chars):
        raise InvalidArgument("not between two messages")
    return chars + len(rest)


def _messages_until(conversation: Conversation, chars: int) -> int:
    """How many messages end within the first `chars` marked characters of the log, found by halving.

    Raises InvalidArgument if one ends elsewhere, or the template tells them in another way than the log.
    """
    log = conversation.log_text
    boundaries = [marked for marked, _ in conversation._boundaries]

    def end_of(count: int) -> int:
        """Where a message's last special token ends."""
        text = conversation._render(conversation.messages[:count], False)
        if not text.startswith(log) and not log.startswith(text):
            raise InvalidArgument("the log was told otherwise")
        if len(text) > len(log) and boundaries and boundaries[-1] == len(log) and not log.startswith(text.rstrip()):
            return len(text)  # held back: it has no tokens yet
        reach = bisect.bisect_right(boundaries, len(text))
        return boundaries[reach - 1] if reach else 0

    low, high = 0, len(conversation.messages)
    while low < high:
        middle = (low + high + 1) // 2
        if end_of(middle) <= chars:
            low = middle
        else:
            high = middle - 1
    if not end_of(low) <= chars <= len(conversation._render(conversation.messages[:low], False)):
        raise InvalidArgument("inside a message")
    return low
