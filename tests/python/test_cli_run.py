"""`poise run` on the shipped model: a desk whose tools answer, and a status line a turn."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from rich.console import Console

from poise import GREEDY
from poise.cli import main
from poise.cli.chat import Chat
from poise.cli.loading import load_engine, shipped_model
from poise.demo.scripts import DeskScript, held_out

if TYPE_CHECKING:
    import pytest


def test_a_chat_with_tools(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    script = held_out(1)[0]
    assert isinstance(script, DeskScript)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{script.says[0]}\n/reset\n{script.says[0]}\n"))
    assert main(["run", "--tool-ms", "0"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    called = [line for line in captured.out.splitlines() if line.startswith("tool: ")]
    assert called
    # after the reset the same message gets the same answers
    assert called[: len(called) // 2] == called[len(called) // 2 :]
    status = [line for line in captured.out.splitlines() if " | first token " in line]
    assert len(status) == len(called) + 2
    assert all(line.split()[0] in ("ready", "entry", "prefix", "cold") for line in status)


def test_sessions_begin_with_the_declared_prompt_and_tools() -> None:
    script = held_out(1)[0]
    assert isinstance(script, DeskScript)
    with load_engine(shipped_model(), max_sequences=4) as engine:
        console = Console(file=io.StringIO())
        chat = Chat(engine, console, system=None, desk=script, sampling=GREEDY, max_new_tokens=4, tool_ms=0.0)
        assert engine.wait_prepositioned(60.0)
        chat.reset()
        assert engine.wait_prepositioned(60.0)
        chat.say(script.says[0])
        savings = chat.savings()
        assert savings is not None
        assert re.match(r"system prompt and tools: (1 session|2 sessions) began with it: \d+ tokens", savings)
        assert engine.counters.prefix_tokens_saved > 100
