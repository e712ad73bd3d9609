"""The tools of the support desk: JSON-schema definitions and, where few results exist, those results.

``x-results`` stands beside ``function`` and not inside it: it is what a client may declare to the
serving engine ahead of a call, and the chat template never shows it to the model.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TEXT = {"type": "string"}

TEAMS = ("billing", "security", "accounts", "repairs", "network")
METHODS = ("card", "paypal", "bank_transfer")


def _tool(name: str, description: str, parameters: Json, results: list[Json] | None = None) -> Json:
    tool: Json = {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": parameters, "required": list(parameters)},
        },
    }
    if results:
        tool["x-results"] = results
    return tool


TOOLS: dict[str, Json] = {
    tool["function"]["name"]: tool
    for tool in (
        _tool("find_order", "Look up an order by its number.", {"order_id": _TEXT}),
        _tool(
            "check_stock",
            "Tell whether an article is in stock.",
            {"sku": _TEXT},
            [{"in_stock": True}, {"in_stock": False}],
        ),
        _tool("reship_order", "Send an article again at no cost.", {"order_id": _TEXT, "sku": _TEXT}),
        _tool(
            "issue_refund",
            "Pay money back for an order or an invoice.",
            {"reference": _TEXT, "amount": _TEXT},
            [{"refund": "done"}, {"refund": "pending"}, {"refund": "failed"}],
        ),
        _tool("create_return_label", "Make a prepaid return label.", {"reference": _TEXT}),
        _tool(
            "verify_customer",
            "Check a customer's email address and sign-in code.",
            {"email": _TEXT, "code": _TEXT},
            [{"verified": True}, {"verified": False}],
        ),
        _tool(
            "reset_password",
            "Send a password reset link.",
            {"email": _TEXT},
            [{"sent": True}, {"sent": False}],
        ),
        _tool(
            "check_warranty",
            "Tell the warranty state of a device.",
            {"serial": _TEXT},
            [{"warranty": "active"}, {"warranty": "expired"}, {"warranty": "void"}],
        ),
        _tool(
            "book_technician",
            "Book a repair visit on a day.",
            {"serial": _TEXT, "day": {"type": "string", "format": "date"}},
            [{"booked": True}, {"booked": False}],
        ),
        _tool("get_invoice", "Look up an invoice.", {"invoice_id": _TEXT}),
        _tool(
            "retry_payment",
            "Charge an open invoice again.",
            {"invoice_id": _TEXT, "method": {"type": "string", "enum": list(METHODS)}},
            [{"payment": "accepted"}, {"payment": "declined"}, {"payment": "expired_card"}],
        ),
        _tool(
            "service_status",
            "Tell the network state of a region.",
            {"region": _TEXT},
            [{"network": "up"}, {"network": "degraded"}, {"network": "down"}],
        ),
        _tool(
            "apply_credit",
            "Credit an amount to an account.",
            {"account": _TEXT, "amount": _TEXT},
            [{"applied": True}, {"applied": False}],
        ),
        _tool(
            "escalate",
            "Hand the case to a team of people.",
            {"team": {"type": "string", "enum": list(TEAMS)}},
            [{"agent": "available"}, {"agent": "callback"}],
        ),
        _tool(
            "update_address",
            "Change the delivery address of an order.",
            {"order_id": _TEXT, "address": _TEXT},
            [{"updated": True}, {"updated": False}],
        ),
        _tool("get_plan", "Look up a customer's subscription.", {"email": _TEXT}),
        _tool(
            "cancel_plan",
            "End a customer's subscription.",
            {"email": _TEXT},
            [{"cancelled": True}, {"cancelled": False}],
        ),
    )
}
