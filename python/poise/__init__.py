"""Poise: LLM sessions that pre-position in idle time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from poise._core import __version__

if TYPE_CHECKING:
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
    from poise.events import End, Event, Notice, Start, Text, Timings, ToolCall, TurnResult, Usage
    from poise.options import GREEDY, EngineOptions, Gate, Question, Sampling, Window
    from poise.session import Appended, Session
    from poise.turn import Turn

__all__ = [
    "GREEDY",
    "Appended",
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
    "Question",
    "ResourceExhausted",
    "Sampling",
    "ScanError",
    "Session",
    "Start",
    "Text",
    "Timings",
    "ToolCall",
    "Turn",
    "TurnResult",
    "Usage",
    "Window",
    "__version__",
]

_HOMES = ("poise.errors", "poise.events", "poise.options", "poise.turn", "poise.session", "poise.engine")


def __getattr__(name: str) -> Any:
    # Loaded on first use: who only needs poise._core does not wait for the text layer.
    if name in __all__:
        for home in _HOMES:
            module = import_module(home)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module 'poise' has no attribute {name!r}")
