"""Turns without tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import phrases

if TYPE_CHECKING:
    from ..script import Script


def offtopic(s: Script) -> None:
    """A question that the desk does not answer."""
    s.user(phrases.OFFTOPIC)
    s.say(f"I am the support desk of {s.policy.company} and can only help with our products and services.")


def thanks(s: Script) -> None:
    """The end of a session."""
    s.user(phrases.THANKS)
    s.say(f"You are welcome. Thank you for choosing {s.policy.company}.")
