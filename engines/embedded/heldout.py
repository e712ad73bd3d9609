"""Held-out sessions for the demo, as JSON lines. The schema: python/poise/data/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desk.render import to_json
from desk.seeds import EVALUATION_SEED
from desk.session import Session, make_session
from desk.stream import ANSWERS, NOISE_LEVELS, Stream, make_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

OUT = Path(__file__).resolve().parents[2] / "python" / "poise" / "data" / "desk_heldout.jsonl"
DEMO_SEED = EVALUATION_SEED + 1
DESK_SESSIONS = 64
STREAM_SESSIONS = 16


def desk_line(session: Session) -> Json:
    """A session as user steps, each with the calls and the answer that the script expects."""
    steps: list[Json] = []
    for message in session.messages[1:]:
        if message["role"] == "user":
            steps.append(message | {"expected_calls": [], "expected_answer": ""})
        elif message["role"] == "assistant" and message.get("tool_calls"):
            function = message["tool_calls"][0]["function"]
            steps[-1]["expected_calls"].append(
                {"name": function["name"], "arguments": json.loads(function["arguments"])}
            )
        elif message["role"] == "assistant":
            steps[-1]["expected_answer"] = message["content"]
    return {
        "id": session.id,
        "kind": "desk",
        "system": session.messages[0]["content"],
        "tools": session.tools,
        "steps": steps,
        "world": session.world,
    }


def stream_line(stream: Stream) -> Json:
    """A stream as data steps and, in between, the places where the registered question is asked."""
    steps: list[Json] = []
    truth = {question.after: question.answer for question in stream.asked}
    for number, content in enumerate(stream.data, start=1):
        steps.append({"role": "user", "content": content})
        if number in truth:
            steps.append({"ask": 0, "expected_answer": truth[number]})
    return {
        "id": stream.id,
        "kind": "stream",
        "level": stream.level,
        "system": stream.system,
        "tools": [],
        "steps": steps,
        "questions": [stream.question],
        "answer_set": list(ANSWERS),
        "world": [],
    }


def lines() -> Iterator[Json]:
    """All held-out sessions, desk first."""
    for index in range(DESK_SESSIONS):
        episodes = 10 if index % 8 == 7 else 2 + index % 3
        yield desk_line(make_session(DEMO_SEED, index, "heldout", episodes=episodes))
    levels = list(NOISE_LEVELS)
    for index in range(STREAM_SESSIONS):
        values = (48, 96, 160, 640)[index // 4 % 4]
        level = levels[index % len(levels)]
        yield stream_line(make_stream(DEMO_SEED, index, "heldout", values=values, questions=12, level=level))


def write(path: Path) -> None:
    """Write the file anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(to_json(line) + "\n" for line in lines()), encoding="utf-8")
