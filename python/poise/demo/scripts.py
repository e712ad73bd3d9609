"""What the users of the demo say, and how their tools answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from poise.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from poise.events import ToolCall

HELD_OUT = "desk_heldout.jsonl"
_UNKNOWN = {"error": "not found"}


@dataclass(frozen=True)
class DeskScript:
    """A support conversation: the user's messages in order, and a world that answers tool calls."""

    id: str
    system: str
    tools: Sequence[Mapping[str, Any]]
    says: Sequence[str]
    world: Mapping[str, Any] = field(repr=False)

    def answer(self, call: ToolCall) -> Any:
        """What the world returns to a call; "not found" to a call it does not know."""
        return self.world.get(_key(call.name, call.arguments), _UNKNOWN)


@dataclass(frozen=True)
class Ask:
    """A place in a stream where its question is asked."""

    content: str


@dataclass(frozen=True)
class StreamScript:
    """A stream of numbers: data messages in order, and between them questions."""

    id: str
    system: str
    steps: Sequence[str | Ask]
    questions: Sequence[str]


Script = DeskScript | StreamScript


def held_out(limit: int) -> list[Script]:
    """The first `limit` scripts of the held-out set that comes with Poise; every third one is a stream."""
    source = resources.files("poise") / "data" / HELD_OUT
    if not source.is_file():
        raise Error(f"the held-out sessions ({HELD_OUT}) are not in this installation; install Poise from its wheel")
    with source.open(encoding="utf-8") as lines:
        scripts = [_script(json.loads(line)) for line in lines if line.strip()]
    desks = (script for script in scripts if isinstance(script, DeskScript))
    streams = (script for script in scripts if isinstance(script, StreamScript))
    return list(_mixed(desks, streams, limit))


def _mixed(desks: Iterable[Script], streams: Iterable[Script], limit: int) -> Iterable[Script]:
    desks, streams = iter(desks), iter(streams)
    for index in range(limit):
        first, second = (streams, desks) if index % 3 == 2 else (desks, streams)
        script = next(first, None) or next(second, None)
        if script is None:
            return
        yield script


def _script(record: Mapping[str, Any]) -> Script:
    steps = record["steps"]
    if record["kind"] == "stream":
        questions = record["questions"]
        told = [Ask(questions[step["ask"]]) if "ask" in step else step["content"] for step in steps]
        return StreamScript(record["id"], record["system"], told, questions)
    return DeskScript(
        record["id"],
        record["system"],
        record["tools"],
        [step["content"] for step in steps],
        {_key(known["name"], known["arguments"]): known["result"] for known in record["world"]},
    )


def _key(name: str, arguments: Mapping[str, Any]) -> str:
    return name + json.dumps(arguments, sort_keys=True)
