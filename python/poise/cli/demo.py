"""`poise demo`: the live table, and the summary."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from poise import __version__
from poise.cli.flags import engine_overrides, milliseconds
from poise.cli.loading import load_engine, shipped_model
from poise.demo.play import MODES, Pace, play
from poise.demo.report import differences, totals, words
from poise.demo.scripts import held_out
from poise.errors import InvalidArgument
from poise.options import GREEDY, EngineOptions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from poise.demo.duel import Row
    from poise.engine import Engine

_FAIRNESS = (
    "Both engines load the same model with the same options, each on an executor of its own. The plain "
    "one keeps prefixes and never uses idle time. A plain turn runs right after the same turn with Poise, "
    "as soon as Poise has nothing left to do, so that neither disturbs the other."
)
_WIDTHS = (-22, 3, -8, -6, -8, 8, 8, 6, 6, 6, 8, 8, -4)  # negative: to the left
_HEADERS = (
    ("", "", "", "path", "source", "first", "token ms", "pre-", "filled", "gap", "whole", "turn ms", "same"),
    ("session", "", "request", "", "", "Poise", "plain", "Poise", "plain", "", "Poise", "plain", ""),
)
_COLOURS = {
    "ready": "bold green",
    "gate": "bold magenta",
    "entry": "green",
    "prefix": "yellow",
    "cold": "red",
}


def demo(arguments: argparse.Namespace) -> int:
    """Plays the sessions in both modes. Exit code 0, also if answers differ: the summary says so."""
    if arguments.sessions < 1:
        raise InvalidArgument(f"--sessions is {arguments.sessions}; play at least one")
    pace = _pace(arguments)
    scripts = held_out(arguments.sessions)
    model = Path(arguments.model or shipped_model())
    options = EngineOptions(**engine_overrides(arguments))
    rows: list[Row] = []
    console = Console(stderr=arguments.json, highlight=False)
    with ExitStack() as stack:
        engine = stack.enter_context(load_engine(model, options))
        plain = stack.enter_context(load_engine(model, options, preposition=False))
        _warm_up(engine, plain)
        show = _shower(console, quiet=arguments.json)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("sessions", total=len(scripts) * len(MODES))
            for mode, explained in MODES.items():
                if not arguments.json:
                    progress.console.print(f"\n[bold]{mode}[/bold]: {explained}", soft_wrap=True)
                    for header in _HEADERS:
                        progress.console.print(f"[dim]{' '.join(_cells(*header))}[/dim]", soft_wrap=True)
                for script in scripts:
                    progress.update(task, description=f"{mode} {script.id}")
                    play(
                        script,
                        mode,
                        engine,
                        plain,
                        pace,
                        arguments.max_messages,
                        _collect(rows, show, progress),
                    )
                    progress.advance(task)
        report = {
            "poise": __version__,
            "model": model.name,
            "model_fingerprint": engine.info.model_fingerprint,
            "think_ms": pace.think_ms,
            "tool_ms": pace.tool_ms,
            "fairness": _FAIRNESS,
            "turns": [row.json() for row in rows],
            "totals": totals(rows),
            "path_mix": {mode: totals([row for row in rows if row.mode == mode])["path_mix"] for mode in MODES},
            "modes": {
                mode: {"explained": explained, **totals([row for row in rows if row.mode == mode])}
                for mode, explained in MODES.items()
            },
        }
    if arguments.json:
        print(json.dumps(report))
        return 0
    console.print()
    for mode, explained in MODES.items():
        console.print("\n".join(words(rows, mode, explained)), soft_wrap=True)
    console.print("\n".join(differences(rows)), soft_wrap=True)
    console.print(f"[dim]{_pace_in_words(pace)} {_FAIRNESS}[/dim]", soft_wrap=True)
    return 0


def _pace(arguments: argparse.Namespace) -> Pace:
    if arguments.patient:
        return Pace(None, None)
    return Pace(milliseconds(arguments.think_ms, "--think-ms"), milliseconds(arguments.tool_ms, "--tool-ms"))


def _pace_in_words(pace: Pace) -> str:
    if pace.think_ms is None or pace.tool_ms is None:
        return "Users and tools waited until everything was prepared (--patient), however long that took."
    return (
        f"Users thought for {pace.think_ms:.0f} ms before each message (people take longer), "
        f"tools took {pace.tool_ms:.0f} ms."
    )


def _warm_up(*engines: Engine) -> None:
    """The first pass of a process maps memory and starts threads: it belongs to nobody's clock."""
    for engine in engines:
        with engine.open_session(tenant="warm-up", sampling=GREEDY, preposition=False) as session:
            session.turn("Hello", max_new_tokens=4).result()


def _collect(rows: list[Row], show: Callable[[Progress, Row], None], progress: Progress) -> Callable[[Row], None]:
    def on_row(row: Row) -> None:
        rows.append(row)
        show(progress, row)

    return on_row


def _shower(console: Console, *, quiet: bool) -> Callable[[Progress, Row], None]:
    def show(progress: Progress, row: Row) -> None:
        if not quiet:
            progress.console.print(_line(row), soft_wrap=True)

    return show


def _line(row: Row) -> str:
    cells = _cells(
        row.session[-22:],
        row.turn,
        row.request,
        row.path,
        row.source if row.source != "none" else ("framing" if row.kind == "turn" else "-"),
        _number(row.ttft_ms, 2),
        _number(row.baseline_ttft_ms, 2),
        row.prefilled_tokens,
        _number(row.baseline_prefilled_tokens, 0),
        _number(row.gap, 1),
        _number(row.turn_ms, 1),
        _number(row.baseline_turn_ms, 1),
        {True: "yes", False: "NO", None: "-"}[row.same_answer],
    )
    colour = _COLOURS[row.path]
    cells[3] = f"[{colour}]{cells[3]}[/{colour}]"
    if row.same_answer is False:
        cells[-1] = f"[red]{cells[-1]}[/red]"
    return " ".join(cells)


def _cells(*values: object) -> list[str]:
    return [
        f"{value!s:<{-width}}" if width < 0 else f"{value!s:>{width}}"
        for value, width in zip(values, _WIDTHS, strict=True)
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
