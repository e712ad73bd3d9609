"""`poise doctor`: what this machine offers, and what is missing and how to get it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from poise.doctor.checks import Check, examine

if TYPE_CHECKING:
    import argparse

_MARKS = {"ok": "[green]ok  [/green]", "note": "[yellow]note[/yellow]", "missing": "[red]no  [/red]"}


def doctor(arguments: argparse.Namespace) -> int:
    """Prints the findings; 1 if one of them keeps Poise from working."""
    console = Console(stderr=arguments.json, highlight=False)
    overrides = {name: getattr(arguments, name) for name in ("threads", "max_idle_step_ms") if name in arguments}
    with console.status("looking at this machine"):
        facts, checks = examine(arguments.model, overrides)
    works = all(check.status != "missing" for check in checks)
    if arguments.json:
        print(json.dumps({"works": works, **facts, "checks": [check.json() for check in checks]}))
    else:
        for check in checks:
            console.print(_line(check), soft_wrap=True)
        console.print("Poise works here." if works else "[red]Poise cannot work here yet.[/red]")
    return 0 if works else 1


def _line(check: Check) -> str:
    line = f"{_MARKS[check.status]} {check.name:<14} {escape(check.detail)}"
    return line + (f"\n     [dim]{'':<14} {escape(check.remedy)}[/dim]" if check.remedy else "")
