"""Tool calls: reading them from an answer, and remembering what tools have returned."""

from poise.tools.memory import ToolResultMemory
from poise.tools.parser import ToolParser

__all__ = ["ToolParser", "ToolResultMemory"]
