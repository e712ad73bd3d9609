"""Window sessions on any executor: what a slide must leave behind, worked out beside the manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.sim_world import SimWorld

WINDOW = {"head_tokens": 10, "keep_tokens": 40, "max_tokens": 100}
TRIGGER = 70


def window(**changes: int | bool) -> _core.WindowOptions:
    return _core.WindowOptions(**{**WINDOW, **changes})


def spans(*lengths: tuple[str, int]) -> list[_core.MessageSpan]:
    """Messages one behind the other."""
    made, begin = [], 0
    for role, length in lengths:
        made.append(_core.MessageSpan(role=role, begin=begin, end=begin + length))
        begin += length
    return made


def told(world: SimWorld, session: str) -> list[tuple[str, int, int]]:
    return [(m.role, m.begin, m.end) for m in world.manager.state(session).messages]


def without(log: Sequence[int], drop: _core.WindowDrop) -> list[int]:
    return [*log[: drop.begin], *log[drop.end :]]
