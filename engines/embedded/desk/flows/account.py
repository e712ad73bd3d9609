"""Getting back into an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import phrases
from .common import escalate, verified

if TYPE_CHECKING:
    from ..script import Script


def locked_out(s: Script) -> None:
    """Verify, then send a reset link; a link that cannot be sent goes to the accounts team."""
    s.user(phrases.LOCKED, name=s.pools.first())
    if not verified(s):
        return
    assert s.verified_email is not None
    if s.call("reset_password", email=s.verified_email)["sent"]:
        s.say(f"I have sent a reset link to <{s.verified_email}>.")
    else:
        escalate(s, "accounts")
