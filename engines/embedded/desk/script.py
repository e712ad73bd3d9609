"""A session under construction: what the user says, what the assistant decides, what tools return."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .wording import expand

if TYPE_CHECKING:
    import random

    from .pools import Pools
    from .world import World

Json = dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """House rules that the system message states and that decide branches."""

    company: str
    today: str
    refund_limit: int
    return_days: int
    repair_fee: str
    outage_credit: str


@dataclass
class Script:
    """Collects OpenAI-shaped messages. The assistant's part is a function of the messages before it."""

    rng: random.Random
    pools: Pools
    world: World
    policy: Policy
    novel: bool = False
    messages: list[Json] = field(default_factory=list)
    verified_email: str | None = None

    def user(self, phrases: list[str], **slots: str) -> None:
        """A user message made from one of `phrases`."""
        text = expand(phrases, self.rng, self.novel, **slots)
        self.messages.append({"role": "user", "content": text})

    def say(self, text: str) -> None:
        """An assistant answer."""
        self.messages.append({"role": "assistant", "content": text})

    def call(self, name: str, **arguments: str) -> Json:
        """An assistant tool call and its result, which is returned."""
        result = self.world.call(name, arguments)
        # Default separators and no ASCII escapes: the serving side writes JSON the same way.
        function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        call = {"type": "function", "function": function}
        self.messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        self.messages.append({"role": "tool", "content": json.dumps(result, ensure_ascii=False)})
        return result

    def chance(self, probability: float) -> bool:
        """True with `probability`."""
        return self.rng.random() < probability
