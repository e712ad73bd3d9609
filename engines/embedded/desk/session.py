"""Composes a support-desk session from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from .flows import FLOWS
from .flows.talk import thanks
from .pools import Pools, Split
from .script import Policy, Script
from .tools import TOOLS
from .world import World

Json = dict[str, Any]


@dataclass(frozen=True)
class Session:
    """One finished session: OpenAI-shaped messages (system first) and what it was made of."""

    id: str
    messages: list[Json]
    tools: list[Json]
    world: list[Json]
    flows: list[str]


def system_text(policy: Policy) -> str:
    """The system message: who, when, and the house rules."""
    return (
        f"You are the support desk of {policy.company}. Today is {policy.today}.\n"
        f"Refunds above {policy.refund_limit} EUR go to the billing team. "
        f"Exchanges are possible for {policy.return_days} days after delivery. "
        f"A paid visit costs {policy.repair_fee} EUR. "
        f"The credit for an outage is {policy.outage_credit} EUR."
    )


def make_session(seed: int, index: int, split: Split, novel: bool = False, episodes: int | None = None) -> Session:
    """Session number `index` of a seed: the same arguments give the same session.

    `episodes` is how many workflows follow each other; None draws 1 to 32, mostly few.
    """
    rng = random.Random(f"desk:{seed}:{split}:{novel}:{index}")
    pools = Pools(rng, split)
    today = date(2026, 1, 1) + timedelta(days=rng.randint(0, 700))
    policy = Policy(
        company=pools.company(),
        today=today.isoformat(),
        refund_limit=rng.choice((50, 80, 100, 120, 150, 200)),
        return_days=rng.choice((14, 21, 30, 45)),
        repair_fee=f"{rng.randint(39, 129)}.00",
        outage_credit=f"{rng.randint(3, 20)}.50",
    )
    offered = rng.sample(list(FLOWS), rng.randint(3, 7))
    names = sorted({tool for flow in offered for tool in FLOWS[flow].tools})
    for extra in rng.sample(list(TOOLS), len(TOOLS)):
        if len(names) >= 6 and rng.random() < 0.8:
            break
        if extra not in names:
            names.append(extra)
    rng.shuffle(names)

    script = Script(rng, pools, World(pools, today), policy, novel)
    if episodes is None:
        episodes = rng.randint(1, 6) if rng.random() < 0.85 else rng.randint(6, 32)
    played = rng.choices(offered, [FLOWS[flow].weight for flow in offered], k=episodes)
    for flow in played:
        FLOWS[flow].play(script)
    if rng.random() < 0.4:
        thanks(script)

    script.world.alternatives(names)
    return Session(
        id=f"desk-{split}{'-novel' if novel else ''}-{seed}-{index}",
        messages=[{"role": "system", "content": system_text(policy)}, *script.messages],
        tools=[TOOLS[name] for name in names],
        world=[
            {"name": name, "arguments": arguments, "result": result}
            for name, arguments, result in script.world.results.values()
        ],
        flows=played,
    )
