"""One conversation in the terminal: prints what comes, answers tool calls from the shipped desk's world."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from poise.errors import InvalidArgument
from poise.events import Notice, Text, Thought, ToolCall, TurnResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from poise.demo.scripts import DeskScript
    from poise.engine import Engine
    from poise.options import Sampling
    from poise.prefix import BasePrefix
    from poise.turn import Turn

_ROUNDS = 8  # tool calls in a row before the user is heard again


class Chat:
    """`desk` gives the shipped model the system prompt and the tools that it knows; its tools take `tool_ms`.
    `adapter` is the name and scale of the LoRA adapter to chat with."""

    def __init__(
        self,
        engine: Engine,
        console: Console,
        *,
        system: str | None,
        desk: DeskScript | None,
        sampling: Sampling,
        max_new_tokens: int,
        tool_ms: float,
        adapter: tuple[str | None, float] = (None, 1.0),
    ) -> None:
        self._engine, self._console = engine, console
        self._system, self._desk = system, desk
        self._sampling, self._max_new_tokens = sampling, max_new_tokens
        self._tool_ms, self._adapter = tool_ms, adapter
        self.types_ahead = False  # the status line says what was left to do at Enter
        self._prefix = self._declare()  # before the first session: a reset starts from it
        self._open()

    def reset(self) -> None:
        """Starts over with an empty conversation."""
        self._session.close()
        self._open()

    def typing(self, text: str) -> None:
        """The next message as far as it is typed; commands are none."""
        self._session.typing("" if text.lstrip().startswith("/") else text.strip())

    def savings(self) -> str | None:
        """What the declared beginning has saved, in words; nothing if it has not."""
        savings = None if self._prefix is None else self._prefix.savings
        return f"system prompt and tools: {savings}" if savings is not None and savings.sessions else None

    def say(self, text: str) -> None:
        """One message of the user, and the answers to the tool calls that follow from it.

        Raises what Session.turn raises; the conversation stays as it was before the turn that failed.
        """
        session, limit = self._session, self._max_new_tokens
        result = self._show(session.turn(text, max_new_tokens=limit, keep_partial=True))
        for _ in range(_ROUNDS):
            if not result.tool_calls or self._desk is None:
                return
            results = [self._desk.answer(call) for call in result.tool_calls]
            time.sleep(self._tool_ms / 1e3)
            for answer in results:
                self._console.print(f"[dim]tool: {escape(json.dumps(answer))}[/dim]", soft_wrap=True)
            result = self._show(session.turn(results=results, max_new_tokens=limit, keep_partial=True))

    def _declare(self) -> BasePrefix | None:
        system, tools = self._beginning
        if (system is None and not tools) or self._adapter[0] is not None:  # what is declared has no adapter
            return None
        try:
            return self._engine.declare_prefix(system, tools=tools)
        except InvalidArgument:  # the template has no beginning that conversations share
            return None

    def _open(self) -> None:
        system, tools = self._beginning
        adapter, scale = self._adapter
        self._session = self._engine.open_session(
            system, tools=tools, sampling=self._sampling, adapter=adapter, adapter_scale=scale
        )

    @property
    def _beginning(self) -> tuple[str | None, Sequence[Mapping[str, Any]]]:
        if self._desk is not None:
            return self._desk.system, self._desk.tools
        return self._system, ()

    def _show(self, turn: Turn) -> TurnResult:
        try:
            for event in turn:
                if isinstance(event, Text):
                    self._console.out(event.text, end="")
                elif isinstance(event, Thought):
                    self._console.print(escape(event.text), end="", style="dim italic", soft_wrap=True)
                elif isinstance(event, ToolCall):
                    self._console.out(f"{event.name}({json.dumps(event.arguments, ensure_ascii=False)})", end="")
                elif isinstance(event, Notice):
                    print(f"poise: {event.message}", file=sys.stderr)
        except KeyboardInterrupt:
            turn.cancel()
        self._console.out("")
        result = turn.result()
        self._console.print(f"[dim]{escape(status_line(result, typed=self.types_ahead))}[/dim]", soft_wrap=True)
        return result


def status_line(result: TurnResult, *, typed: bool = False) -> str:
    """One line: path, first-token time, what was prepared ahead, gap, and the whole turn; `typed`: what was left
    to prefill when Enter was pressed, by its name."""
    end = result.end
    parts = [result.path]
    if result.start is not None and result.start.label:
        parts[0] += f" ({result.start.label})"
    parts.append(f"first token {end.timings.first_token_ms:.2f} ms")
    if result.start is not None:
        parts.append(f"{result.start.prepositioned_tokens} tokens prepared")
    parts.append(f"{end.usage.prefilled_tokens} {'left to prefill at Enter' if typed else 'prefilled'}")
    if result.start is not None and result.start.gap is not None:
        parts.append(f"gap {result.start.gap:.2f}")
    parts.append(f"{end.usage.answer_tokens} tokens in {end.timings.total_ms:.0f} ms")
    if end.finish_reason in ("length", "cancelled"):
        parts.append(f"ended by {end.finish_reason}")
    return " | ".join(parts)
