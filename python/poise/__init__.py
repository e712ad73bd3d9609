"""Poise: LLM sessions that pre-position in idle time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from poise._core import __version__

if TYPE_CHECKING:
    from poise.constraint import choices, grammar, json_schema, regex
    from poise.engine import Engine
    from poise.errors import (
        Conflict,
        ContextOverflow,
        Error,
        ExecutorError,
        InvalidArgument,
        ModelError,
        NotFound,
        ResourceExhausted,
        ScanError,
    )
    from poise.events import End, Event, Notice, Start, Text, Thought, Timings, ToolCall, TurnResult, Usage
    from poise.options import GREEDY, EngineOptions, Gate, Question, Sampling, Window
    from poise.prefix import BasePrefix, PrefixSavings
    from poise.session import Appended, Session
    from poise.turn import Turn

__all__ = [
    "GREEDY",
    "Appended",
    "BasePrefix",
    "Conflict",
    "ContextOverflow",
    "End",
    "Engine",
    "EngineOptions",
    "Error",
    "Event",
    "ExecutorError",
    "Gate",
    "InvalidArgument",
    "ModelError",
    "NotFound",
    "Notice",
    "PrefixSavings",
    "Question",
    "ResourceExhausted",
    "Sampling",
    "ScanError",
    "Session",
    "Start",
    "Text",
    "Thought",
    "Timings",
    "ToolCall",
    "Turn",
    "TurnResult",
    "Usage",
    "Window",
    "__version__",
    "choices",
    "grammar",
    "json_schema",
    "regex",
]

_HOMES = (
    "poise.errors",
    "poise.events",
    "poise.options",
    "poise.constraint",
    "poise.prefix",
    "poise.turn",
    "poise.session",
    "poise.engine",
)


def __getattr__(name: str) -> Any:
    # Loaded on first use: who only needs poise._core does not wait for the text layer.
    if name in __all__:
        for home in _HOMES:
            module = import_module(home)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'poise' has no attribute {name!r}")
