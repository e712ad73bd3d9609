"""Which session a resent history belongs to, found in a few dictionary lookups."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


@dataclass(frozen=True)
class Match(Generic[T]):
    """The longest history that a request shares with a session."""

    owner: T
    messages: int  # that both begin with
    whole: bool  # the session holds nothing beyond them


class HistoryIndex(Generic[T]):
    """From the keys of history beginnings (poise.text.identity.chain) to the sessions that hold them. Thread-safe.

    A lookup tries the longest beginning first: one step more than the request has new messages. At most
    `max_keys` beginnings are kept: then the sessions used longest ago keep only their whole history, so that
    they can still be continued (up to half of the room), and after that leave.
    """

    def __init__(self, max_keys: int = 1_000_000) -> None:
        self.lookups = 0  # dictionary lookups of all finds so far
        self._max_keys = max_keys
        self._holders: dict[bytes, T | dict[T, None]] = {}  # one holder mostly; several as keys of a dict
        self._keys: OrderedDict[T, Sequence[bytes]] = OrderedDict()  # by last use; without the root
        self._reduced: OrderedDict[T, Sequence[bytes]] = OrderedDict()  # of these only the last key is held
        self._held = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many sessions can be found."""
        return len(self._keys) + len(self._reduced)

    @property
    def keys_held(self) -> int:
        """How many (session, beginning) pairs are kept."""
        return self._held

    def put(self, owner: T, keys: Sequence[bytes]) -> None:
        """`owner` now holds the history with these keys: the root, then one a message."""
        with self._lock:
            known = self._keys.pop(owner, None)
            if known is None:
                self._drop_reduced(owner)
                known = ()
            kept = 0
            while kept < min(len(known), len(keys) - 1) and known[kept] == keys[kept + 1]:
                kept += 1
            for key in known[kept:]:
                self._remove(key, owner)
            for key in keys[kept + 1 :]:
                self._add(key, owner)
            if len(keys) > 1:
                self._keys[owner] = tuple(keys[1:])
            self._make_room()

    def remove(self, owner: T) -> None:
        """The session is closed. Unknown ones are ignored."""
        with self._lock:
            for key in self._keys.pop(owner, ()):
                self._remove(key, owner)
            self._drop_reduced(owner)

    def find(self, keys: Sequence[bytes]) -> Match[T] | None:
        """The session that shares most with a request, and of those one that holds nothing else, the newest first."""
        with self._lock:
            for messages in range(len(keys) - 1, 0, -1):
                self.lookups += 1
                holders = self._holders.get(keys[messages])
                if holders is not None:
                    return self._choose(holders, messages)
            return None

    def holds(self, owner: T) -> bool:
        """Whether a session can be found."""
        with self._lock:
            return owner in self._keys or owner in self._reduced

    def touch(self, owner: T) -> None:
        """The session was used."""
        with self._lock:
            if owner in self._keys:
                self._keys.move_to_end(owner)

    def _choose(self, holders: T | dict[T, None], messages: int) -> Match[T]:
        if not isinstance(holders, dict):
            return Match(holders, messages, self._length(holders) == messages)
        newest: T | None = None
        for tried, owner in enumerate(reversed(holders)):
            newest = owner if newest is None else newest
            self.lookups += 1
            if self._length(owner) == messages:
                return Match(owner, messages, True)
            if tried >= 7:  # the rest are long histories with this beginning: any of them will do
                break
        assert newest is not None
        return Match(newest, messages, False)

    def _length(self, owner: T) -> int:
        keys = self._keys.get(owner)
        return len(keys if keys is not None else self._reduced[owner])

    def _add(self, key: bytes, owner: T) -> None:
        holders = self._holders.get(key)
        if holders is None:
            self._holders[key] = owner
        elif isinstance(holders, dict):
            holders[owner] = None
        else:
            self._holders[key] = {holders: None, owner: None}
        self._held += 1

    def _remove(self, key: bytes, owner: T) -> None:
        holders = self._holders[key]
        if not isinstance(holders, dict):
            del self._holders[key]
        else:
            del holders[owner]
            if len(holders) == 1:
                self._holders[key] = next(iter(holders))
        self._held -= 1

    def _drop_reduced(self, owner: T) -> None:
        keys = self._reduced.pop(owner, None)
        if keys is not None:
            self._remove(keys[-1], owner)

    def _make_room(self) -> None:
        while self._held > self._max_keys and (self._keys or self._reduced):
            if len(self._keys) > 1 and len(self._reduced) < self._max_keys // 2:
                owner, keys = self._keys.popitem(last=False)
                for key in keys[:-1]:
                    self._remove(key, owner)
                self._reduced[owner] = keys
            elif self._reduced:
                self._drop_reduced(next(iter(self._reduced)))
            else:
                owner, keys = self._keys.popitem(last=False)
                for key in keys:
                    self._remove(key, owner)
