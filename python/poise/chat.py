"""Clients that send the whole conversation with every request: each request finds the session that holds
most of it, continues it, or forks it where the histories part."""

from __future__ import annotations

import functools
import itertools
import threading
from collections import OrderedDict
from dataclasses import dataclass
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
        adapter: str | int | None,
        adapter_scale: float,
        **options: Any,
    ) -> Turn:
        """Asks for the answer to the last message of a whole conversation."""
        told = to_messages(messages)  # type: ignore[arg-type]
        if not told:
            raise InvalidArgument("a chat needs at least one message")
        arguments = dict(template_arguments or {})
        tuned = (self._engine.adapter_id(adapter), adapter_scale) if adapter else (0, 0.0)
        root = identity.root(tenant, arguments, list(tools), self._engine.options.history, *tuned)
        keys = identity.chain(root, identity.digests(told))

        def opened() -> Session:
            return self._engine.open_session(
                tools=tools,
                tenant=tenant,
                template_arguments=arguments,
                sampling=sampling,
                adapter=adapter,
                adapter_scale=adapter_scale,
            )

        options.setdefault("sampling", sampling)
        while True:
            chat, new, fresh = self._find(told, keys, opened)
            try:
                return chat.session.turn(new or None, ended=functools.partial(self._ended, chat, keys), **options)
            except NotFound:
                self._forget(chat)  # closed meanwhile: another one, or a new one
                if fresh:
                    raise
            except Conflict:
                if fresh:
                    raise  # otherwise another request came first: this one forks
            except BaseException:
                if fresh:
                    chat.session.close()
                raise

    # Sessions are never called with the lock held: they call back.

    def _find(
        self, told: list[Message], keys: list[bytes], opened: Callable[[], Session]
    ) -> tuple[_Chat, list[Message], bool]:
        """The session for a request, what is new to it, and whether it was made for this request."""
        match = self.index.find(keys)
        while match is not None:
            chat, session = match.owner, match.owner.session
            shared = _agreed(session.messages, told, match.messages)
            if not shared:
                break
            self._touch(chat)
            if match.whole and shared == match.messages and not session.answering:
                return chat, told[shared:], False
            try:
                point = session.cut_point(shared)
                if not point:
                    break
                made = self._room_for(lambda: session.fork(messages=point))  # noqa: B023 - called at once
                return self._adopt(made, keys[: point + 1]), told[point:], True
            except NotFound:
                self._forget(chat)
                match = self.index.find(keys)
        return self._adopt(self._room_for(opened), keys[:1]), told, True

    def _adopt(self, session: Session, keys: list[bytes]) -> _Chat:
        chat = _Chat(session, keys)
        session.on_closed = functools.partial(self._forget, chat)
        with self._lock:
            self._open[chat] = None
        while len(self._open) > self._max_chats and self._close_oldest(chat):
            pass
        return chat

    def _room_for(self, make: Callable[[], Session]) -> Session:
        """Makes a session; where there is no room for one, the chat used longest ago makes it."""
        while True:
            try:
                return make()
            except ResourceExhausted:  # noqa: PERF203 - it may take several
                if not self._close_oldest(None):
                    raise

    def _close_oldest(self, spared: _Chat | None) -> bool:
        with self._lock:
            candidates = [chat for chat in itertools.islice(self._open, 16) if chat is not spared]
        idle = next((chat for chat in candidates if not chat.session.answering), None)
        if idle is not None:
            idle.session.close()
        return idle is not None

    def _ended(self, chat: _Chat, asked: list[bytes], answer: Message | None) -> None:
        """A turn is over; `answer` was committed behind the request with the keys `asked`, or nothing was."""
        if answer is not None:
            with self._lock:
                if chat not in self._open:
                    return  # closed meanwhile
            chat.keys = [*asked, *identity.chain(asked[-1], [identity.digest_bytes(answer)])[1:]]
            self.index.put(chat, chat.keys)
        elif not self.index.holds(chat):
            chat.session.close()  # made for a turn that came to nothing

    def _touch(self, chat: _Chat) -> None:
        self.index.touch(chat)
        with self._lock:
            if chat in self._open:
                self._open.move_to_end(chat)

    def _forget(self, chat: _Chat) -> None:
        with self._lock:
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
