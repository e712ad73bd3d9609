"""One session played on two engines, turn by turn.

Both engines load the same model with the same options; the plain one never uses idle time and
keeps prefixes only. Each has an executor of its own, because an executor serves one listener, and
because a request of one would otherwise wait behind idle work of the other. They take turns: a
plain turn runs only while the other engine has nothing to do, so neither disturbs the other's
clock, and both meet the same noise of the machine within a second or two.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from poise.demo.margin import margin_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from poise.engine import Engine
    from poise.events import TurnResult
    from poise.session import Content, Session
    from poise.turn import Turn

_SETTLE_S = 120.0


@dataclass
class Row:
    """One turn, both ways. Plain columns are empty until the plain turn has run, or if the answers had
    parted."""

    session: str
    mode: str
    turn: int
    request: str  # user, tool or question
    path: str
    source: str
    kind: str | None
    label: str
    prepositioned_tokens: int
    gap: float | None
    ttft_ms: float
    turn_ms: float
    prefilled_tokens: int
    answer_tokens: int
    baseline_path: str | None = None
    baseline_ttft_ms: float | None = None
    baseline_turn_ms: float | None = None
    baseline_prefilled_tokens: int | None = None
    same_answer: bool | None = None
    first_difference: int | None = None  # index of the first answer token that differs
    margin_nats: float | None = None  # between the best two tokens there, decoded from scratch

    def json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return asdict(self)


class Duel:
    """`engines` and `sessions`: the one that pre-positions, then the plain one."""

    def __init__(
        self,
        engines: tuple[Engine, Engine],
        sessions: tuple[Session, Session],
        *,
        name: str,
        mode: str,
        on_row: Callable[[Row], None],
    ) -> None:
        self._engine, self._plain_engine = engines
        self._session, self._plain = sessions
        self._name, self._mode = name, mode
        self._on_row = on_row
        self._backlog: deque[Callable[[], None]] = deque()
        self._rows = 0
        self._parted = False  # an answer differed: the logs are no longer equal

    def think(self, milliseconds: float | None) -> None:
        """Lets time pass, as a user or a tool would; None: as long as idle work has something to prepare.

        Plain turns that are due run as soon as idle work has ended.
        """
        until = time.monotonic() + (_SETTLE_S if milliseconds is None else milliseconds / 1e3)
        left = max(0.0, until - time.monotonic())
        if (self._backlog or milliseconds is None) and self._engine.wait_prepositioned(left):
            self._catch_up()
        if milliseconds is not None:
            time.sleep(max(0.0, until - time.monotonic()))

    def append(self, content: Content) -> None:
        """Data for both logs."""
        self._session.append(content)
        self._backlog.append(lambda: None if self._parted else _ignore(self._plain.append(content)))

    def turn(self, request: str, ask: Callable[[Session], Turn]) -> TurnResult:
        """Runs a turn with Poise now, and the same turn plainly as soon as the machine is quiet."""
        result = ask(self._session).result()
        self._rows += 1
        row = self._row(request, result)
        self._backlog.append(lambda: self._compare(row, result, ask))
        return result

    def close(self) -> None:
        """Ends the session, runs the plain turns that are still due, and ends the plain session."""
        self._session.close()
        self._engine.wait_prepositioned(_SETTLE_S)
        self._catch_up()
        self._plain.close()

    def _catch_up(self) -> None:
        while self._backlog:
            self._backlog.popleft()()

    def _compare(self, row: Row, result: TurnResult, ask: Callable[[Session], Turn]) -> None:
        if not self._parted:
            plain = ask(self._plain).result()
            row.baseline_path = plain.path
            row.baseline_ttft_ms = plain.end.timings.first_token_ms
            row.baseline_turn_ms = plain.end.timings.total_ms
            row.baseline_prefilled_tokens = plain.end.usage.prefilled_tokens
            row.same_answer = plain.tokens == result.tokens
            if not row.same_answer:
                pairs = zip(plain.tokens, result.tokens, strict=False)
                shorter = min(len(plain.tokens), len(result.tokens))
                row.first_difference = next((i for i, (a, b) in enumerate(pairs) if a != b), shorter)
                if row.request != "question":  # a question leaves no trace in the log
                    self._parted = True
                    log = self._plain.state.log
                    context = log[: len(log) - len(plain.tokens) + row.first_difference]
                    row.margin_nats = margin_at(self._plain_engine, context, self._plain.tenant)
        self._on_row(row)

    def _row(self, request: str, result: TurnResult) -> Row:
        start, end = result.start, result.end
        return Row(
            session=self._name,
            mode=self._mode,
            turn=self._rows,
            request=request,
            path=result.path,
            source=start.source if start else "none",
            kind=start.kind if start else None,
            label=start.label if start else "",
            prepositioned_tokens=start.prepositioned_tokens if start else 0,
            gap=start.gap if start else None,
            ttft_ms=end.timings.first_token_ms,
            turn_ms=end.timings.total_ms,
            prefilled_tokens=end.usage.prefilled_tokens,
            answer_tokens=end.usage.answer_tokens,
        )


def _ignore(_: object) -> None:
    return None
