"""The workflows, each with the tools that it may call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .account import locked_out
from .billing import unpaid
from .orders import exchange, late_order, moved, two_orders
from .plan import cancel_plan
from .service import broken_device, outage
from .talk import offtopic

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..script import Script


@dataclass(frozen=True)
class Flow:
    """One workflow: plays itself into a script; `tools` are all that it may call."""

    play: Callable[[Script], None]
    tools: tuple[str, ...]
    weight: float = 1.0


_VERIFY = ("verify_customer", "escalate")
_REFUND = ("issue_refund", "escalate")

FLOWS: dict[str, Flow] = {
    "late_order": Flow(late_order, ("find_order", "check_stock", "reship_order", *_VERIFY, *_REFUND), weight=1.6),
    "exchange": Flow(exchange, ("find_order", "check_stock", "create_return_label", "reship_order", *_REFUND)),
    "two_orders": Flow(two_orders, ("find_order",), weight=0.6),
    "moved": Flow(moved, ("update_address", "find_order"), weight=0.8),
    "locked_out": Flow(locked_out, ("reset_password", *_VERIFY)),
    "unpaid": Flow(unpaid, ("get_invoice", "retry_payment", *_VERIFY, *_REFUND), weight=1.4),
    "broken_device": Flow(
        broken_device, ("check_warranty", "book_technician", "create_return_label", "escalate"), weight=1.3
    ),
    "outage": Flow(outage, ("service_status", "apply_credit", "escalate")),
    "cancel_plan": Flow(cancel_plan, ("get_plan", "cancel_plan", *_VERIFY)),
    "offtopic": Flow(offtopic, (), weight=0.3),
}
