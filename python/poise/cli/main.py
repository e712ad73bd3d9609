"""`poise`: runs a command; errors come out as one sentence."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from poise.cli.parser import build_parser
from poise.errors import Error

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0; 1 for a finding; 2 for an error, said on stderr; 130 if interrupted."""
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help()
        return 2
    try:
        return _run(parsed)
    except Error as error:
        print(f"poise: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(parsed: argparse.Namespace) -> int:
    # Each command loads only what it needs.
    if parsed.command == "demo":
        from poise.cli.demo import demo

        return demo(parsed)
    if parsed.command == "run":
        from poise.cli.run import run

        return run(parsed)
    from poise.cli.doctor import doctor

    return doctor(parsed)
