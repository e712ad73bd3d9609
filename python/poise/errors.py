"""Everything that Poise raises on purpose, under one root: one class a C++ class of the same name."""

from poise._core import (
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

__all__ = [
    "Conflict",
    "ContextOverflow",
    "Error",
    "ExecutorError",
    "InvalidArgument",
    "ModelError",
    "NotFound",
    "ResourceExhausted",
    "ScanError",
]
