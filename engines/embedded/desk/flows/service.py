"""Devices and the network."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from .. import phrases
from .common import escalate

if TYPE_CHECKING:
    from ..script import Script


def _visit(s: Script, serial: str, day: str) -> None:
    """Book a visit; one other day is tried before people take over."""
    today = date.fromisoformat(s.policy.today)
    for attempt in range(2):
        if s.call("book_technician", serial=serial, day=day)["booked"]:
            s.say(f"A technician will come on {day} for {serial}.")
            return
        if attempt == 0:
            s.say(f"There is no visit left on {day}. Which other day suits you?")
            day = s.pools.day(today, 1, 30)
            s.user(phrases.OTHER_DAY, day=day)
    escalate(s, "repairs")


def broken_device(s: Script) -> None:
    """Active warranty: visit or send in. Expired: paid visit. Void: the repairs team."""
    device, serial = s.pools.device(), s.pools.serial()
    today = date.fromisoformat(s.policy.today)
    if s.chance(0.93):
        s.world.know("serial", serial)
    s.user(phrases.BROKEN, device=device, serial=serial, name=s.pools.first())
    answer = s.call("check_warranty", serial=serial)
    if "error" in answer:
        s.say(f"I cannot find serial {serial}. Please check the number.")
        serial = s.world.know("serial", s.pools.serial())
        s.user(phrases.SERIAL_AGAIN, serial=serial)
        answer = s.call("check_warranty", serial=serial)
    s.world.know("reference", serial)
    if answer["warranty"] == "void":
        escalate(s, "repairs")
    elif answer["warranty"] == "active":
        s.say(f"{serial} is under warranty. Would you like a visit, and on which day, or will you send it in?")
        if s.chance(0.6):
            day = s.pools.day(today, 1, 30)
            s.user(phrases.VISIT, day=day)
            _visit(s, serial, day)
        else:
            s.user(phrases.SEND_IN)
            label = s.call("create_return_label", reference=serial)["label"]
            s.say(f"Please send it with label {label}.")
    else:
        s.say(f"The warranty has ended. A paid visit costs {s.policy.repair_fee} EUR. On which day may we come?")
        if s.chance(0.6):
            day = s.pools.day(today, 1, 30)
            s.user(phrases.PAID_YES, day=day)
            _visit(s, serial, day)
        else:
            s.user(phrases.NO_THANKS)
            s.say("All right, I leave it as it is.")


def outage(s: Script) -> None:
    """Up: restart, then people. Degraded: wait. Down: credit the account."""
    region = s.world.know("region", s.pools.region())
    s.user(phrases.OUTAGE, region=region, name=s.pools.first())
    state = s.call("service_status", region=region)["network"]
    if state == "up":
        s.say(f"The network in {region} is up. Please restart your router. Does it work now?")
        if s.chance(0.5):
            s.user(phrases.WORKS)
            s.say("Good to hear. Is there anything else?")
        else:
            s.user(phrases.STILL_BROKEN)
            escalate(s, "network")
    elif state == "degraded":
        s.say(f"The network in {region} is slow at the moment. It should be back to normal within two hours.")
    else:
        credit = s.policy.outage_credit
        s.say(f"The network in {region} is down. I can credit you {credit} EUR. What is your account number?")
        account = s.world.know("account", s.pools.account())
        s.user(phrases.ACCOUNT, account=account)
        if s.call("apply_credit", account=account, amount=credit)["applied"]:
            s.say(f"I have credited {credit} EUR to account {account}.")
        else:
            escalate(s, "billing")
