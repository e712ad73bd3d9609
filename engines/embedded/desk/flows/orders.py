"""Orders: where they are, exchanging them, sending them elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import phrases
from .common import find_order, refund, some_order, verified

if TYPE_CHECKING:
    from ..script import Script

Json = dict[str, Any]


def _where(order: Json) -> str:
    """One sentence on the state of an order."""
    head = f"Order {order['order_id']} ({order['item']})"
    match order["status"]:
        case "delivered":
            return f"{head} was delivered {order['days_ago']} days ago."
        case "in_transit":
            return f"{head} is on its way and should arrive on {order['eta']}."
        case "processing":
            return f"{head} is being packed and should arrive on {order['eta']}."
        case "late":
            return f"{head} is late. It was due on {order['eta']}."
    return f"{head} was lost on the way."


def _make_good(s: Script, order: Json) -> None:
    """Send again if in stock, refund otherwise."""
    if s.call("check_stock", sku=order["sku"])["in_stock"]:
        tracking = s.call("reship_order", order_id=order["order_id"], sku=order["sku"])["tracking"]
        s.say(f"I am sorry. A new {order['item']} is on its way with tracking number {tracking}.")
    else:
        refund(s, order["order_id"], order["amount"])


def late_order(s: Script) -> None:
    """Late or lost: reship or refund. Delivered but missing: the same after verification."""
    order_id = some_order(s)
    if s.chance(0.7):
        s.user(phrases.WHERE, id=order_id, name=s.pools.first())
    else:
        s.user(phrases.WHERE_NO_ID, name=s.pools.first())
        s.say("I will check. What is the order number?")
        s.user(phrases.ORDER_ID, id=order_id)
    order = find_order(s, order_id)
    if order is None:
        return
    if order["status"] in ("late", "lost"):
        _make_good(s, order)
        return
    s.say(_where(order))
    if order["status"] == "delivered" and s.chance(0.6):
        s.user(phrases.NEVER_CAME)
        if verified(s):
            _make_good(s, order)
    elif s.chance(0.3):
        s.user(phrases.OK)
        s.say("You are welcome. Is there anything else?")


def two_orders(s: Script) -> None:
    """Two look-ups in one turn, then one answer."""
    first, second = s.world.new_order(), s.world.new_order()
    s.user(phrases.TWO_ORDERS, id=first, other=second, name=s.pools.first())
    states = [_where(s.call("find_order", order_id=order_id)) for order_id in (first, second)]
    s.say(" ".join(states))


def exchange(s: Script) -> None:
    """Another colour: only if delivered, within the return days, and in stock."""
    order_id = some_order(s, delivered=0.75)
    colour = s.pools.rng.choice(("blue", "red", "green", "black", "white", "grey", "orange", "yellow"))
    s.user(phrases.EXCHANGE, id=order_id, colour=colour, name=s.pools.first())
    order = find_order(s, order_id)
    if order is None:
        return
    order_id = order["order_id"]
    if order["status"] != "delivered":
        s.say(f"{_where(order)} You can exchange it once it has arrived.")
        return
    if order["days_ago"] > s.policy.return_days:
        s.say(
            f"Order {order_id} was delivered {order['days_ago']} days ago. "
            f"Exchanges end after {s.policy.return_days} days."
        )
        return
    sku = s.world.know("sku", f"{order['sku'].split('-')[0]}-{colour.upper()}")
    if s.call("check_stock", sku=sku)["in_stock"]:
        label = s.call("create_return_label", reference=order_id)["label"]
        tracking = s.call("reship_order", order_id=order_id, sku=sku)["tracking"]
        s.say(f"The {colour} one is on its way with tracking number {tracking}. Send the old one with label {label}.")
        return
    s.say(f"I am sorry, {sku} is not in stock. Would you like a refund instead?")
    if s.chance(0.6):
        s.user(phrases.REFUND_INSTEAD)
        s.call("create_return_label", reference=order_id)
        refund(s, order_id, order["amount"])
    else:
        s.user(phrases.KEEP_IT)
        s.say("All right, I leave it as it is.")


def moved(s: Script) -> None:
    """A new address; where that is too late, say where the order is."""
    order_id, address = s.world.new_order(), s.pools.address()
    s.user(phrases.MOVED, id=order_id, address=address, name=s.pools.first())
    if s.call("update_address", order_id=order_id, address=address)["updated"]:
        s.say(f"Order {order_id} now goes to {address}.")
    else:
        order = s.call("find_order", order_id=order_id)
        s.say(f"The address can no longer be changed. {_where(order)}")
