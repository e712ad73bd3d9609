"""The command line of `poise`.

argparse, not typer: it is in the standard library, starts in milliseconds, and its flags can be
derived from the option dataclasses at run time.
"""

from __future__ import annotations

import argparse

from poise import __version__
from poise.cli.flags import add_engine_flags

_EXAMPLES = """\
examples:
  poise demo                     watch real sessions on the shipped model, with a baseline beside them
  poise demo --sessions 2 --json the same, shorter, as one JSON object
  poise run                      chat with the shipped model; a line a turn says how its first token came
  poise run model.gguf --temperature 0.7
  poise doctor                   what this machine offers, and what is missing

paths of a first token, cheapest first:
  ready    the request was expected: its first token was there before it came
  gate     answered from a prepared distribution although not exactly this was expected (opt-in)
  entry    its beginning was expected: only the rest was computed
  prefix   nothing was expected, but the session's context was still in memory
  cold     everything was computed anew
"""

_DEMO = """\
Plays support-desk sessions that the shipped model has never seen, turn by turn, with Poise and with
plain prefix caching on the same machine in the same run. Users think between turns and tools take
their time; Poise uses that time. The answers of both are compared.
"""

_RUN = """\
Chat with a model. After each answer a line says which path its first token took, the milliseconds,
how much was prepared ahead, and the logit gap. The shipped model is a support desk: its tools are
simulated and answer by themselves. /reset starts over, /quit leaves, Ctrl-C stops an answer.
"""

_DOCTOR = """\
Looks at versions, processor, GPU, memory and the model's step time, and says how to get what is
missing. Exit code 1 if Poise cannot work here.
"""

_MODEL = "a GGUF file (default: the shipped desk model)"


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="poise",
        description="LLM sessions that use idle time to stand at their next decision before a request comes.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"poise {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _demo(commands.add_parser("demo", help="play held-out sessions with and without Poise", description=_DEMO))
    _run(commands.add_parser("run", help="chat in the terminal", description=_RUN))
    _doctor(commands.add_parser("doctor", help="what this machine offers and what is missing", description=_DOCTOR))
    return parser


def _demo(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--json", action="store_true", help="print one JSON object instead of a live table")
    add("--sessions", type=int, default=6, metavar="N", help="sessions to play (default: %(default)s)")
    add(
        "--max-messages",
        type=int,
        default=5,
        metavar="N",
        help="user messages of each (default: %(default)s)",
    )
    add("--model", metavar="PATH", help=_MODEL)
    add(
        "--think-ms",
        type=float,
        default=1200.0,
        metavar="MS",
        help="how long a user thinks before each message (default: %(default)s)",
    )
    _tool_ms(parser)
    add("--patient", action="store_true", help="users and tools wait until all is prepared, on any machine")
    offered = ("max_sequences", "context_tokens", "threads", "layout", "max_idle_step_ms", "seed")
    add_engine_flags(parser, only=offered)


def _run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help=_MODEL)
    add("--system", metavar="TEXT", help="a system prompt; replaces the shipped model's desk and its tools")
    add("--temperature", type=float, default=0.0, help="0 = greedy (default: %(default)s)")
    add("--top-p", type=float, default=1.0, help="(default: %(default)s)")
    add("--max-new-tokens", type=int, default=256, metavar="N", help="(default: %(default)s)")
    add("--adapter", metavar="NAME", help="the LoRA adapter to chat with, one of --adapters")
    add("--adapter-scale", type=float, default=1.0, metavar="SCALE", help="of the adapter (default: %(default)s)")
    add("--type-ahead", action="store_true", help="prepare each message while it is typed; needs a terminal")
    _tool_ms(parser)
    add_engine_flags(parser)


def _tool_ms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tool-ms",
        type=float,
        default=400.0,
        metavar="MS",
        help="how long the desk's tools take to answer (default: %(default)s)",
    )


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--model", metavar="PATH", help=_MODEL)
    add_engine_flags(parser, only=("threads", "max_idle_step_ms"))
