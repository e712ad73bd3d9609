"""How close a call was: the margin between the best two tokens where two answers parted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poise.engine import Engine


def margin_at(engine: Engine, context: Sequence[int], tenant: str) -> float | None:
    """Log-probability margin of the token behind `context`, decoded from scratch; nothing if it cannot be
    had."""
    if len(context) < 2:
        return None
    manager = engine.manager
    session = manager.open(_core.OpenOptions(tenant=tenant, tokens=list(context[:-1]), preposition=False))
    try:
        stream = manager.turn(
            session,
            _core.TurnRequest(
                tokens=[context[-1]],
                durable=False,
                max_new_tokens=1,
                top_logprobs=2,
                sampling=_core.SamplingParams(temperature=0.0),
            ),
        )
        best: list[float] = []
        while not isinstance(event := stream.next_event(), _core.TurnEnd):
            if isinstance(event, _core.TurnToken):
                best = [token.logprob for token in event.top_logprobs]
        return best[0] - best[1] if len(best) > 1 else None
    finally:
        manager.close(session)
