"""The next user message while it is typed: its beginning is prefilled, and once typing rests, its answer prepared."""

# ruff: noqa: SLF001 - a part of Session that has a file of its own
from __future__ import annotations

from typing import TYPE_CHECKING

from poise import anticipate
from poise.anticipate import Guess
from poise.errors import ContextOverflow, InvalidArgument, NotFound, ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poise.session import Session
    from poise.text.conversation import Conversation


class Draft:
    """One guess of a session that takes the place of itself with each change. Its session's lock guards it.

    Rendering and tokenizing happen on the engine's background thread; a change that is overtaken by the next
    one costs nothing.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._text = ""
        self._rest_ms = 0.0
        self._guess = 0  # the anticipation's id; it may be gone

    def type(self, text: str, rest_ms: float) -> None:
        """The message reads like this now. Nothing is typed: the guess is taken back."""
        if text == self._text:
            return
        self._text, self._rest_ms = text, rest_ms
        if text:
            self.renew()
        else:
            self._take_back()

    def renew(self) -> None:
        """Has the guess made for the log as it is now."""
        session = self._session
        if not self._text or not session._engine.options.preposition:
            return
        submit = session._engine.background.submit
        if self._rest_ms > 0:
            submit((session.id, "typing"), lambda: self._declare(whole=False))
        submit((session.id, "resting"), lambda: self._declare(whole=True), after_ms=self._rest_ms)

    def forget(self) -> None:
        """The message is sent, or another one in its place: the turn's commit takes the guess back."""
        self._text = ""

    def _take_back(self) -> None:
        if self._guess:
            self._session._manager.retract(self._session.id, self._guess)
            self._guess = 0

    def _wanted(self, text: str) -> bool:
        """Whether this text is still to be prepared. While a turn runs it is not: its end renews the guess."""
        return bool(text) and text == self._text and not self._session._closed and self._session._turn is None

    def _declare(self, *, whole: bool) -> None:
        session, text = self._session, self._text
        with session._lock:
            conversation, changes = session._conversation, session._changes
            if conversation is None or not self._wanted(text):
                return
            conversation = conversation.copy()
        ids = _ids(conversation, text, whole=whole)
        with session._lock:
            if not self._wanted(text) or session._outdated(changes):
                return  # typing went on: a newer job is on its way
            try:
                if ids:
                    guess = Guess("partial", "client", tuple(ids), "typing", decides=whole).core()
                    guess.replaces = self._guess
                    self._guess = session._manager.anticipate(session.id, guess)
                else:
                    self._take_back()
            except (ContextOverflow, NotFound, ResourceExhausted):
                self._guess = 0  # the message may fit all the same, without help


def _ids(conversation: Conversation, text: str, *, whole: bool) -> Sequence[int]:
    """What the message adds to the log: all of it, or what more typing cannot change; nothing if the template
    would rewrite the log."""
    message = [{"role": "user", "content": text}]
    try:
        if not whole:
            return anticipate.beginning(conversation, message)
        plan = conversation.plan(message, prompt=True)
    except InvalidArgument:
        return ()
    return plan.ids if plan.rebase_to is None else ()
