"""Clients that send the whole conversation with every request: each request finds the session that holds
most of it, continues it, or forks it where the histories part."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from poise.errors import Conflict, InvalidArgument, NotFound, ResourceExhausted
from poise.text import identity
from poise.text.history_index import HistoryIndex
from poise.text.messages import to_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from poise.engine import Engine
    from poise.options import Sampling
    from poise.session import Content, Session
    from poise.text.messages import Message
    from poise.turn import Turn


@dataclass(eq=False)
class _Chat:
    """One session that such a client speaks to."""

    session: Session
    keys: list[bytes]  # of the history that the session holds: the root, then one a message
    asked: list[bytes] = field(default_factory=list)  # of the request that is being answered


class Chats:
    """The sessions of an engine that belong to resending clients. Thread-safe."""

    def __init__(self, engine: Engine, max_chats: int) -> None:
        self.index: HistoryIndex[_Chat] = HistoryIndex()
        self._engine = engine
        self._max_chats = max_chats
        self._open: OrderedDict[_Chat, None] = OrderedDict()  # by last use
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def turn(
        self,
        messages: Content,
        *,
        tools: Sequence[Mapping[str, Any]],
        tenant: str,
        template_arguments: Mapping[str, Any] | None,
        sampling: Sampling | None,
        **options: Any,
    ) -> Turn:
        """Asks for the answer to the last message of a whole conversation."""
        told = to_messages(messages)  # type: ignore[arg-type]
        if not told:
            raise InvalidArgument("a chat needs at least one message")
        arguments = dict(template_arguments or {})
        root = identity.root(tenant, arguments, list(tools), self._engine.options.history)
        keys = identity.chain(root, identity.digests(told))

        def opened() -> Session:
            return self._engine.open_session(
                tools=tools, tenant=tenant, template_arguments=arguments, sampling=sampling
            )

        while True:
            chat, new, fresh = self._find(told, keys, opened)
            chat.asked = keys
            options.setdefault("sampling", sampling)
            try:
                return chat.session.turn(new or None, **options)
            except (NotFound, Conflict):
                if fresh:
                    raise
                self._forget(chat)  # closed, or asked by its own owner meanwhile: another one, or a new one
            except BaseException:
                if fresh:
                    self._close(chat)
                raise

    def _find(
        self, told: list[Message], keys: list[bytes], opened: Callable[[], Session]
    ) -> tuple[_Chat, list[Message], bool]:
        """The session for a request, what is new to it, and whether it was made for this request."""
        with self._lock:
            match = self.index.find(keys)
            shared = 0
            if match is not None:
                shared = _agreed(match.owner.session.messages, told, match.messages)
            if match is not None and shared:
                chat = match.owner
                session = chat.session
                self._open.move_to_end(chat)
                self.index.touch(chat)
                if match.whole and shared == match.messages and not session.answering:
                    return chat, told[shared:], False
                try:
                    point = session.cut_point(shared)
                    if point:
                        made = self._adopt(self._roomy(lambda: session.fork(messages=point)), keys[: point + 1])
                        return made, told[point:], True
                except NotFound:
                    self._forget_locked(chat)
            return self._adopt(self._roomy(opened), keys[:1]), told, True

    def _adopt(self, session: Session, keys: list[bytes]) -> _Chat:
        chat = _Chat(session, keys)
        session.on_ended = lambda answer: self._ended(chat, answer)
        session.on_closed = lambda: self._forget(chat)
        self._open[chat] = None
        while len(self._open) > self._max_chats and self._close_oldest(chat):
            pass
        return chat

    def _roomy(self, make: Callable[[], Session]) -> Session:
        """Makes a session; where there is no room for one, the chat used longest ago makes it."""
        while True:
            try:
                return make()
            except ResourceExhausted:  # noqa: PERF203 - it may take several
                if not self._close_oldest(None):
                    raise

    def _close_oldest(self, spared: _Chat | None) -> bool:
        for chat in self._open:
            if chat is not spared and not chat.session.answering:
                self._forget_locked(chat)
                chat.session.on_closed = None
                chat.session.close()
                return True
        return False

    def _ended(self, chat: _Chat, answer: Message | None) -> None:
        """A turn is over; `answer` was committed, or nothing was."""
        if answer is not None:
            chat.keys = [*chat.asked, *identity.chain(chat.asked[-1], [identity.digest_bytes(answer)])[1:]]
            self.index.put(chat, chat.keys)
        elif len(chat.keys) <= 1 or not self.index.holds(chat):
            self._close(chat)  # made for a turn that came to nothing

    def _close(self, chat: _Chat) -> None:
        self._forget(chat)
        chat.session.on_closed = None
        chat.session.close()

    def _forget(self, chat: _Chat) -> None:
        with self._lock:
            self._forget_locked(chat)

    def _forget_locked(self, chat: _Chat) -> None:
        self._open.pop(chat, None)
        self.index.remove(chat)


def _agreed(held: list[Message], told: list[Message], messages: int) -> int:
    """How many of the shared messages also agree in what digests leave out: a thought that the client tells must be
    the one that the session's answer begins with."""
    for index in range(messages):
        thought = identity.thought(told[index]).strip()
        if thought and thought not in identity.thought(held[index]) and thought not in held[index]["content"]:
            return index
    return messages
