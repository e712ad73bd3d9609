"""`poise run`: chat in the terminal, with a status line a turn."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from poise.cli.flags import engine_overrides
from poise.cli.loading import load_engine, shipped_model
from poise.errors import Error
from poise.events import Notice, Text, ToolCall, TurnResult
from poise.options import Sampling

if TYPE_CHECKING:
    import argparse

    from poise.engine import Engine
    from poise.session import Session


def run(arguments: argparse.Namespace) -> int:
    """Reads messages from stdin until it ends or says /quit."""
    console = Console(highlight=False)
    sampling = Sampling(temperature=arguments.temperature, top_p=arguments.top_p)
    with load_engine(arguments.model or shipped_model(), **engine_overrides(arguments)) as engine:
        session = _open(engine, arguments.system, sampling)
        if sys.stdin.isatty():
            console.print(f"[dim]{escape(engine.info.model_name)}: /reset starts over, /quit leaves[/dim]")
        while (line := _read()) is not None:
            if line in ("/quit", "/exit"):
                break
            if line == "/reset":
                session.close()
                session = _open(engine, arguments.system, sampling)
                continue
            if line.startswith("/"):
                print(f"poise: {line.split()[0]} is unknown; there are /reset and /quit", file=sys.stderr)
                continue
            try:
                result = _turn(console, session, line, arguments.max_new_tokens)
            except Error as error:  # the session lives on
                print(f"poise: {error}", file=sys.stderr)
            else:
                console.print(f"[dim]{escape(status_line(result))}[/dim]", soft_wrap=True)
    return 0


def status_line(result: TurnResult) -> str:
    """One line: path, first-token time, what was prepared ahead, gap, and the whole turn."""
    end = result.end
    parts = [result.path]
    if result.start is not None and result.start.label:
        parts[0] += f" ({result.start.label})"
    parts.append(f"first token {end.timings.first_token_ms:.2f} ms")
    if result.start is not None:
        parts.append(f"{result.start.prepositioned_tokens} tokens prepared")
    parts.append(f"{end.usage.prefilled_tokens} prefilled")
    if result.start is not None and result.start.gap is not None:
        parts.append(f"gap {result.start.gap:.2f}")
    parts.append(f"{end.usage.answer_tokens} tokens in {end.timings.total_ms:.0f} ms")
    if end.finish_reason in ("length", "cancelled"):
        parts.append(f"ended by {end.finish_reason}")
    return " | ".join(parts)


def _open(engine: Engine, system: str | None, sampling: Sampling) -> Session:
    return engine.open_session(system, sampling=sampling)


def _turn(console: Console, session: Session, line: str, max_new_tokens: int) -> TurnResult:
    turn = session.turn(line, max_new_tokens=max_new_tokens, keep_partial=True)
    try:
        for event in turn:
            if isinstance(event, Text):
                console.out(event.text, end="")
            elif isinstance(event, ToolCall):
                console.out(event.raw, end="")
            elif isinstance(event, Notice):
                print(f"poise: {event.message}", file=sys.stderr)
    except KeyboardInterrupt:
        turn.cancel()
        for _ in turn:
            pass
    console.out("")
    return turn.result()


def _read() -> str | None:
    """The next message; empty lines are passed over. Nothing at the end of the input."""
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            return None
        if line:
            return line
