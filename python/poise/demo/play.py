"""Plays scripts as live clients: what is declared ahead is only what such a client would know then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poise.demo.duel import Duel, Row
from poise.demo.scripts import Ask, DeskScript, Script, StreamScript
from poise.options import GREEDY, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from poise.engine import Engine
    from poise.events import TurnResult
    from poise.session import Session

MODES = {
    "bare": "the client declares nothing: plain chat requests with plain tool definitions",
    "declared": "the client declares what its tools may return and registers the questions it will ask",
}
_ROUNDS = 8  # tool calls in a row before the user is heard again
_LIVE_TICKS = 3  # data messages in real time before a question; those before come at once


@dataclass(frozen=True)
class Pace:
    """How long users think and tools work, in milliseconds; None: until all is prepared."""

    think_ms: float | None
    tool_ms: float | None


def play(
    script: Script,
    mode: str,
    engine: Engine,
    plain: Engine,
    pace: Pace,
    max_says: int,
    on_row: Callable[[Row], None],
) -> None:
    """One script in one mode. Sessions of the two modes are different tenants, so that neither learns from
    the other."""
    declared = mode == "declared"
    if isinstance(script, DeskScript):
        tools = script.tools if declared else [_undeclared(tool) for tool in script.tools]
        duel = _duel(script, mode, engine, plain, on_row, tools=tools)
        _desk(script, duel, pace, max_says)
    else:
        questions = [Question(content=content) for content in script.questions] if declared else []
        duel = _duel(script, mode, engine, plain, on_row, questions=questions)
        _stream(script, duel, pace, max_says)
    duel.close()


def _duel(
    script: Script,
    mode: str,
    engine: Engine,
    plain: Engine,
    on_row: Callable[[Row], None],
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    questions: Sequence[Question] = (),
) -> Duel:
    def opened(each: Engine) -> Session:
        return each.open_session(script.system, tools=tools, questions=questions, tenant=mode, sampling=GREEDY)

    return Duel((engine, plain), (opened(engine), opened(plain)), name=script.id, mode=mode, on_row=on_row)


def _desk(script: DeskScript, duel: Duel, pace: Pace, max_says: int) -> None:
    for said in script.says[:max_says]:
        duel.think(pace.think_ms)
        result = duel.turn("user", lambda session, said=said: session.turn(said))  # type: ignore[misc]
        for _ in range(_ROUNDS):
            if not result.tool_calls:
                break
            duel.think(pace.tool_ms)
            result = _answer(duel, result, script)


def _answer(duel: Duel, result: TurnResult, script: DeskScript) -> TurnResult:
    results = [script.answer(call) for call in result.tool_calls]
    return duel.turn("tool", lambda session: session.turn(results=results))


def _stream(script: StreamScript, duel: Duel, pace: Pace, max_asks: int) -> None:
    places = [place for place, step in enumerate(script.steps) if isinstance(step, Ask)][:max_asks]
    for place, step in enumerate(script.steps[: places[-1] + 1] if places else ()):
        if isinstance(step, Ask):
            duel.turn("question", _ask(step.content))
            continue
        duel.append({"role": "user", "content": step})
        if any(place < ask <= place + _LIVE_TICKS for ask in places):
            duel.think(pace.tool_ms)


def _ask(question: str) -> Callable[[Session], Any]:
    return lambda session: session.ask(question, max_new_tokens=8)


def _undeclared(tool: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tool.items() if key != "x-results"}
