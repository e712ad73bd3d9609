"""Invoices: failed payments and double charges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import phrases
from .common import escalate, refund, verified

if TYPE_CHECKING:
    from ..script import Script


def unpaid(s: Script) -> None:
    """Charge again, by another method where the first is declined; a double charge is paid back."""
    invoice_id = s.world.new_invoice() if s.chance(0.92) else s.pools.invoice_id()
    s.user(phrases.UNPAID, id=invoice_id, name=s.pools.first())
    invoice = s.call("get_invoice", invoice_id=invoice_id)
    if "error" in invoice:
        s.say(f"I cannot find invoice {invoice_id}. Please check the number.")
        invoice_id = s.world.new_invoice()
        s.user(phrases.INVOICE_AGAIN, id=invoice_id)
        invoice = s.call("get_invoice", invoice_id=invoice_id)
    amount = invoice["amount"]
    if invoice["status"] == "paid":
        s.say(f"Invoice {invoice_id} over {amount} EUR is paid. There is nothing left to do.")
        return
    if invoice["status"] == "charged_twice":
        if verified(s):
            refund(s, invoice_id, amount)
        return
    outcome = s.call("retry_payment", invoice_id=invoice_id, method=invoice["method"])["payment"]
    if outcome == "accepted":
        s.say(f"The payment of {amount} EUR for {invoice_id} went through this time.")
        return
    reason = "was declined again" if outcome == "declined" else "failed because the card has expired"
    s.say(f"The payment {reason}. Which other way would you like to pay, PayPal or bank transfer?")
    others = [m for m in phrases.METHOD_WORDS if m != invoice["method"]]
    method = s.rng.choice(others)
    s.user(phrases.METHOD, method=s.rng.choice(phrases.METHOD_WORDS[method]))
    if s.call("retry_payment", invoice_id=invoice_id, method=method)["payment"] == "accepted":
        s.say(f"The payment of {amount} EUR for {invoice_id} went through this time.")
    else:
        escalate(s, "billing")
