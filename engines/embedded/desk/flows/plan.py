"""Ending a subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import phrases
from .common import escalate, verified

if TYPE_CHECKING:
    from ..script import Script


def cancel_plan(s: Script) -> None:
    """Verify, look the plan up, agree on a fee where months are left, cancel."""
    s.user(phrases.CANCEL, name=s.pools.first())
    if not verified(s):
        return
    email = s.verified_email
    assert email is not None
    plan = s.call("get_plan", email=email)
    if plan["months_left"] > 0:
        s.say(
            f"Your {plan['plan']} plan runs for {plan['months_left']} more months. "
            f"Ending it now costs {plan['exit_fee']} EUR. Shall I go ahead?"
        )
        if s.chance(0.4):
            s.user(phrases.DECLINE_FEE)
            s.say("All right, I leave it as it is.")
            return
        s.user(phrases.CONFIRM_FEE)
    if s.call("cancel_plan", email=email)["cancelled"]:
        s.say(f"Your {plan['plan']} plan is cancelled.")
    else:
        escalate(s, "accounts")
