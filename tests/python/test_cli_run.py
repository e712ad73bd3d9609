"""`poise run` on the shipped model: a desk whose tools answer, and a status line a turn."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from poise.cli import main
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
    # the session behind the reset began with the desk's system prompt and tools, prefilled once
    saved = [line for line in captured.out.splitlines() if line.startswith("system prompt and tools: ")]
    assert len(saved) == 1
    assert re.search(r"(1 session|2 sessions) began with it: \d+ tokens not prefilled again", saved[0])
    assert all(line.split()[0] in ("ready", "entry", "prefix", "cold") for line in status)
