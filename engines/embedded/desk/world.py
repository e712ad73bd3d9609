"""The world behind the tools: executes calls, with every result drawn once and then fixed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .tools import TOOLS

if TYPE_CHECKING:
    from datetime import date

    from .pools import Pools

Json = dict[str, Any]

NOT_FOUND: Json = {"error": "not found"}

# Weights of a tool's closed results, in the order of its ``x-results``.
_ODDS: dict[str, tuple[float, ...]] = {
    "check_stock": (0.6, 0.4),
    "issue_refund": (0.6, 0.25, 0.15),
    "verify_customer": (0.7, 0.3),
    "reset_password": (0.75, 0.25),
    "check_warranty": (0.45, 0.35, 0.2),
    "book_technician": (0.65, 0.35),
    "retry_payment": (0.45, 0.35, 0.2),
    "service_status": (0.35, 0.3, 0.35),
    "apply_credit": (0.7, 0.3),
    "escalate": (0.5, 0.5),
    "update_address": (0.6, 0.4),
    "cancel_plan": (0.75, 0.25),
}


class World:
    """Entities and tool results of one session.

    `new_*` registers an entity and returns its id. `call` executes a tool: the same call always
    returns the same result, and an id that was never registered answers `NOT_FOUND`.
    """

    def __init__(self, pools: Pools, today: date) -> None:
        self.pools = pools
        self.today = today
        self.results: dict[str, tuple[str, Json, Json]] = {}
        self._records: dict[tuple[str, str], Json] = {}
        self._known: set[tuple[str, str]] = set()

    def new_order(self, delivered: float = 0.35) -> str:
        """Register an order, delivered with this chance; its record says where it is and its price."""
        pools, rng = self.pools, self.pools.rng
        order_id = pools.order_id()
        item, colour, sku = pools.item()
        status = "delivered"
        if rng.random() >= delivered:
            status = rng.choices(("in_transit", "late", "lost", "processing"), (0.3, 0.3, 0.25, 0.15))[0]
        record: Json = {"order_id": order_id, "item": f"{colour} {item}", "sku": sku}
        record["amount"] = pools.amount(8, 240)
        record["status"] = status
        if status == "delivered":
            record["days_ago"] = rng.randint(1, 60)
        elif status != "lost":
            late = status == "late"
            record["eta"] = pools.day(self.today, -9 if late else 1, -1 if late else 9)
        self._records["find_order", order_id] = record
        self._known |= {("sku", sku), ("order_id", order_id), ("reference", order_id)}
        return order_id

    def new_invoice(self) -> str:
        """Register an invoice: paid, failed, or paid twice."""
        pools = self.pools
        invoice_id = pools.invoice_id()
        self._records["get_invoice", invoice_id] = {
            "invoice_id": invoice_id,
            "amount": pools.amount(8, 240),
            "method": pools.rng.choice(("card", "paypal")),
            "status": pools.rng.choices(("paid", "failed", "charged_twice"), (0.15, 0.45, 0.4))[0],
        }
        self._known |= {("invoice_id", invoice_id), ("reference", invoice_id)}
        return invoice_id

    def new_plan(self, email: str) -> None:
        """Register a customer's subscription."""
        rng = self.pools.rng
        months = rng.choice((0, 0, rng.randint(1, 11)))
        fee = self.pools.amount(10, 90) if months else "0.00"
        self._records["get_plan", email] = {
            "plan": rng.choice(("basic", "plus", "family", "business")),
            "months_left": months,
            "exit_fee": fee,
        }

    def know(self, argument: str, value: str) -> str:
        """Register a value that tools accept under `argument`; returns it."""
        self._known.add((argument, value))
        return value

    def record(self, tool: str, key: str) -> Json:
        """The record that `tool` returns for `key`, without calling it."""
        return self._records[tool, key]

    def call(self, name: str, arguments: Json) -> Json:
        """Execute a call and remember it."""
        key = name + json.dumps(arguments, sort_keys=True)
        if key not in self.results:
            self.results[key] = (name, arguments, self._draw(name, arguments))
        return self.results[key][2]

    def _draw(self, name: str, arguments: Json) -> Json:
        first, value = next(iter(arguments.items()))
        if name in ("find_order", "get_invoice", "get_plan"):
            return self._records.get((name, value), NOT_FOUND)
        if name != "escalate" and (first, value) not in self._known:
            return NOT_FOUND
        if name == "reship_order":
            return {"tracking": self.pools.tracking()}
        if name == "create_return_label":
            return {"label": self.pools.label()}
        outcomes: list[Json] = TOOLS[name]["x-results"]
        odds = _ODDS[name]
        if name == "retry_payment" and arguments["method"] != "card":
            outcomes, odds = outcomes[:2], odds[:2]  # only a card can have expired
        return self.pools.rng.choices(outcomes, odds)[0]

    def alternatives(self, tools: list[str]) -> None:
        """Fix results for sensible calls that the script did not make: a live model may make them."""
        for (tool, key), record in list(self._records.items()):
            if tool == "find_order":
                self.call("find_order", {"order_id": key})
                extra = [
                    ("check_stock", {"sku": record["sku"]}),
                    ("reship_order", {"order_id": key, "sku": record["sku"]}),
                    ("issue_refund", {"reference": key, "amount": record["amount"]}),
                    ("create_return_label", {"reference": key}),
                ]
            elif tool == "get_invoice":
                extra = [
                    ("get_invoice", {"invoice_id": key}),
                    ("retry_payment", {"invoice_id": key, "method": record["method"]}),
                    ("issue_refund", {"reference": key, "amount": record["amount"]}),
                ]
            else:
                extra = [("get_plan", {"email": key}), ("cancel_plan", {"email": key})]
            for name, arguments in extra:
                if name in tools:
                    self.call(name, arguments)
        if "escalate" in tools:
            for team in TOOLS["escalate"]["function"]["parameters"]["properties"]["team"]["enum"]:
                self.call("escalate", {"team": team})
