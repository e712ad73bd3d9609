"""One thread an engine that works out what may come next, so that no client waits for it."""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_LOG = logging.getLogger("poise")
_RUNNING: weakref.WeakSet[Background] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    # A thread that the interpreter ends inside a call into C++ would take the process down with it.
    for background in list(_RUNNING):
        background.close()


class Background:
    """Runs jobs one after another, in the order in which they are due. A job with a key that already waits
    replaces it."""

    def __init__(self, name: str) -> None:
        self._jobs: dict[Hashable, tuple[float, Callable[[], None]]] = {}  # with the time when it is due
        self._changed = threading.Condition()
        self._running = False
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()
        _RUNNING.add(self)

    def submit(self, key: Hashable, job: Callable[[], None], *, after_ms: float = 0.0) -> None:
        """Has a job run soon, but not before `after_ms`."""
        with self._changed:
            if not self._closed:
                self._jobs[key] = (time.monotonic() + after_ms / 1e3, job)
                self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Waits until nothing is left to do. Returns whether it got there."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or not (self._jobs or self._running), timeout_s)

    def close(self) -> None:
        """Drops what waits and ends the thread."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (wait_s := self._due_in_s()) != 0:
                    self._changed.wait(wait_s)
                if self._closed:
                    return
                _, job = self._jobs.pop(self._next())
                self._running = True
            try:
                job()
            except Exception:  # noqa: BLE001 - a guess must never take sessions down
                _LOG.exception("a guess could not be made; sessions go on without it")
            finally:
                with self._changed:
                    self._running = False
                    self._changed.notify_all()

    def _next(self) -> Hashable:
        return min(self._jobs, key=lambda key: self._jobs[key][0])

    def _due_in_s(self) -> float | None:
        """0: a job is due. Nothing: none waits."""
        return max(0.0, self._jobs[self._next()][0] - time.monotonic()) if self._jobs else None
