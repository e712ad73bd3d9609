"""Poise: LLM sessions that pre-position in idle time."""

from poise._core import __version__

__all__ = ["__version__"]
