"""The `poise` command."""

from poise.cli.main import main

__all__ = ["main"]
