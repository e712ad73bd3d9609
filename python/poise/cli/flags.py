"""Command-line flags derived from the fields of EngineOptions, whose defaults they show."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from poise.errors import InvalidArgument
from poise.options import EngineOptions

if TYPE_CHECKING:
    from collections.abc import Collection


def add_engine_flags(parser: argparse.ArgumentParser, only: Collection[str] | None = None) -> None:
    """Adds a flag a field; `only` names the fields to offer."""
    group = parser.add_argument_group("engine")
    for item in fields(EngineOptions):
        if only is not None and item.name not in only:
            continue
        flag = "--" + item.name.replace("_", "-")
        choices = item.metadata["choices"] or None
        words = item.metadata["help"]
        extra: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": item.name}
        if isinstance(item.default, bool):
            group.add_argument(
                flag,
                action=argparse.BooleanOptionalAction,
                help=f"{words} (default: {_yes(item.default)})",
                **extra,
            )
        elif isinstance(item.default, tuple):
            default = ",".join(item.default) or "none"
            shown = f"{words}; several with commas between them (default: {default})"
            group.add_argument(
                flag, type=_several, metavar=f"{item.metadata['metavar'] or 'NAME'},...", help=shown, **extra
            )
        else:
            kind = int if item.default is None else type(item.default)
            shown = words if item.default is None else f"{words} (default: {item.default})"
            metavar = None if choices else kind.__name__.upper()
            group.add_argument(flag, type=kind, choices=choices, metavar=metavar, help=shown, **extra)


def engine_overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of EngineOptions that were given on the command line."""
    return {item.name: getattr(arguments, item.name) for item in fields(EngineOptions) if item.name in arguments}


def _several(value: str) -> tuple[str, ...]:
    """`a,b` as a tuple; `none` is the empty one."""
    return () if value in ("", "none") else tuple(value.split(","))


def milliseconds(value: float, flag: str) -> float:
    """A waiting time as given, or InvalidArgument."""
    if not 0.0 <= value <= 600_000.0:
        raise InvalidArgument(f"{flag} is {value}; milliseconds from 0 to 600000")
    return value


def _yes(value: bool) -> str:
    return "yes" if value else "no"
