"""Steps that several workflows share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import phrases

if TYPE_CHECKING:
    from ..script import Script

Json = dict[str, Any]


def escalate(s: Script, team: str) -> None:
    """Hand over to a team; the answer follows from who is free."""
    if s.call("escalate", team=team)["agent"] == "available":
        s.say(f"I have handed this to our {team} team. A colleague is joining this chat now.")
    else:
        s.say(f"I have handed this to our {team} team. They will call you back within one working day.")


def verified(s: Script) -> bool:
    """Make sure once a session who the customer is; two wrong codes end at the security team."""
    if s.verified_email is not None:
        return True
    s.say("To protect your account, please give me your email address and the 6-digit code that we just sent.")
    email = s.world.know("email", s.pools.email())
    for attempt in range(2):
        code = s.pools.code()
        if attempt == 0:
            s.user(phrases.CREDENTIALS, email=email, code=code)
        else:
            s.say(f"That code does not match <{email}>. Please check it and send it again.")
            s.user(phrases.CODE_AGAIN, code=code)
        if s.call("verify_customer", email=email, code=code)["verified"]:
            s.verified_email = email
            s.world.new_plan(email)
            return True
    escalate(s, "security")
    return False


def refund(s: Script, reference: str, amount: str) -> None:
    """Pay back, unless the amount is above the limit that the system message states."""
    if float(amount) > s.policy.refund_limit:
        escalate(s, "billing")
        return
    outcome = s.call("issue_refund", reference=reference, amount=amount)["refund"]
    if outcome == "done":
        s.say(f"I have refunded {amount} EUR for {reference}.")
    elif outcome == "pending":
        s.say(f"The refund of {amount} EUR for {reference} is on its way and takes up to five days.")
    else:
        escalate(s, "billing")


def find_order(s: Script, order_id: str) -> Json | None:
    """Look an order up; an unknown number is asked for again, twice at most."""
    order = s.call("find_order", order_id=order_id)
    for _ in range(2):
        if "error" not in order:
            return order
        s.say(f"I cannot find order {order_id}. Please check the number.")
        order_id = s.world.new_order() if s.chance(0.9) else s.pools.order_id()
        s.user(phrases.ORDER_ID_AGAIN, id=order_id)
        order = s.call("find_order", order_id=order_id)
    if "error" not in order:
        return order
    s.say(f"I cannot find order {order_id}. Please check the number.")
    return None


def some_order(s: Script, delivered: float = 0.35) -> str:
    """An order number as users give it: mostly right. `delivered`: chance that it has arrived."""
    return s.world.new_order(delivered) if s.chance(0.92) else s.pools.order_id()
