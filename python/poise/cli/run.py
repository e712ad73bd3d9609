"""`poise run`: reads messages from the terminal, with a status line a turn."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from poise.cli.chat import Chat
from poise.cli.flags import engine_overrides, milliseconds
from poise.cli.loading import load_engine, shipped_model
from poise.cli.type_ahead import TypeAhead, on_terminal
from poise.demo.scripts import DeskScript, held_out
from poise.errors import Error
from poise.options import Sampling

if TYPE_CHECKING:
    import argparse

    from poise._core import ExecutorInfo


def run(arguments: argparse.Namespace) -> int:
    """Reads messages from stdin until it ends or says /quit."""
    console = Console(highlight=False)
    sampling = Sampling(temperature=arguments.temperature, top_p=arguments.top_p)
    shipped = arguments.model is None
    desk = _desk() if shipped and arguments.system is None else None
    path = shipped_model() if shipped else arguments.model
    with load_engine(path, **engine_overrides(arguments)) as engine:
        chat = Chat(
            engine,
            console,
            system=arguments.system,
            desk=desk,
            sampling=sampling,
            max_new_tokens=arguments.max_new_tokens,
            tool_ms=milliseconds(arguments.tool_ms, "--tool-ms"),
            adapter=(arguments.adapter, arguments.adapter_scale),
        )
        keys = on_terminal(chat.typing) if arguments.type_ahead else None
        chat.types_ahead = keys is not None
        if sys.stdin.isatty():
            console.print(f"[dim]{escape(_welcome(engine.info, desk))}[/dim]", soft_wrap=True)
        while (line := _read(keys)) is not None:
            if line in ("/quit", "/exit"):
                break
            if line == "/reset":
                chat.reset()
                continue
            if line.startswith("/"):
                print(f"poise: {line.split()[0]} is unknown; there are /reset and /quit", file=sys.stderr)
                continue
            try:
                chat.say(line)
            except Error as error:  # the session lives on
                print(f"poise: {error}", file=sys.stderr)
        if (savings := chat.savings()) is not None:
            console.print(f"[dim]{escape(savings)}[/dim]", soft_wrap=True)
    return 0


def _desk() -> DeskScript | None:
    """What the shipped model was made for: a support desk with tools that answer."""
    return next((script for script in held_out(1) if isinstance(script, DeskScript)), None)


def _welcome(info: ExecutorInfo, desk: DeskScript | None) -> str:
    lines = [info.memory_plan, f"{info.model_name}: /reset starts over, /quit leaves, Ctrl-C stops an answer"]
    if desk is not None:
        lines += ["This is a support desk. You could say:", *(f"  {said}" for said in desk.says[:3])]
    return "\n".join(lines)


def _read(keys: TypeAhead | None) -> str | None:
    """The next message; empty lines are passed over. Nothing at the end of the input."""
    while True:
        try:
            line = keys.read("> ") if keys else input("> " if sys.stdin.isatty() else "")
        except (EOFError, KeyboardInterrupt):
            return None
        if line is None or line.strip():
            return line and line.strip()
