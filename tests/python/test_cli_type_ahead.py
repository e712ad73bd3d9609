"""`poise run --type-ahead`: the line editor on a pseudo terminal, and the whole command."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from poise.cli import main
from poise.cli.type_ahead import TypeAhead, on_terminal
from poise.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

pty = pytest.importorskip("pty", reason="no pseudo terminals here")


class Terminal:
    """Presses keys and keeps what the screen got."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.shown = b""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            self.shown += data

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def close(self) -> None:
        os.close(self.slave)
        self.reader.join(5.0)
        os.close(self.master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def read(terminal: Terminal, keys: str) -> tuple[str | None, list[str]]:
    """The line that these keys make, and every state in which it was told."""
    import termios

    told: list[str] = []
    editor = TypeAhead(terminal.slave, terminal.slave, told.append)
    before = termios.tcgetattr(terminal.slave)
    # Keys that are pressed before the terminal is raw would be edited by it; the prompt says that it is.
    watched = threading.Thread(target=lambda: (_await(terminal, b"> "), terminal.press(keys)))
    watched.start()
    line = editor.read("> ")
    watched.join()
    assert termios.tcgetattr(terminal.slave) == before  # as it was
    return line, told


def _await(terminal: Terminal, text: bytes, timeout_s: float = 10.0) -> None:
    for _ in range(int(timeout_s / 0.005)):
        if text in terminal.shown:
            time.sleep(0.05)
            return
        time.sleep(0.005)
    raise AssertionError(f"the screen shows {terminal.shown!r}")


@pytest.mark.parametrize(
    ("keys", "line", "told"),
    [
        ("hi\r", "hi", ["h", "hi"]),
        ("hx\x7fi\r", "hi", ["h", "hx", "h", "hi"]),
        ("\x7f\x7fa\r", "a", ["a"]),
        ("gr\u00fc\u00df\r", "gr\u00fc\u00df", ["g", "gr", "gr\u00fc", "gr\u00fc\u00df"]),
        (
            "one two\x17 2\r",
            "one  2",
            ["o", "on", "one", "one ", "one t", "one tw", "one two", "one ", "one  ", "one  2"],
        ),
        ("abc\x15d\r", "d", ["a", "ab", "abc", "", "d"]),
        ("a\x1b[Ab\x1b[1;5Cc\r", "abc", ["a", "ab", "abc"]),
        ("\x04", None, []),
        ("ab\x03", None, ["a", "ab"]),
    ],
)
def test_keys(terminal: Terminal, keys: str, line: str | None, told: list[str]) -> None:
    assert read(terminal, keys) == (line, told)


def test_the_screen_shows_the_line(terminal: Terminal) -> None:
    read(terminal, "hx\x7fello\r")
    _await(terminal, b"\r\n")
    shown = re.sub(r"\x1b\[[0-9]*[A-Z]", "", terminal.shown.decode()).replace("\r\n", "\n")
    assert shown.split("\r")[-1].strip() == "> hello"


def test_without_a_terminal_lines_are_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hi\n"))
    assert on_terminal(lambda _: None) is None
    assert "--type-ahead needs a terminal on stdin; messages are read line by line" in capsys.readouterr().err
    ends = os.pipe()
    try:
        with pytest.raises(InvalidArgument, match="stdin is none"):
            TypeAhead(ends[0], ends[1], lambda _: None)
    finally:
        os.close(ends[0])
        os.close(ends[1])


def test_the_command_says_so_and_goes_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\n"))
    assert main(["run", "--type-ahead", "--tool-ms", "0", "--max-new-tokens", "4"]) == 0
    captured = capsys.readouterr()
    assert "messages are read line by line" in captured.err
    assert " prefilled" in captured.out


def test_a_chat_whose_message_was_typed(terminal: Terminal) -> None:
    # A short system prompt: what is typed must be prepared within seconds on any machine.
    command = [sys.executable, "-m", "poise", "run", "--type-ahead", "--system", "Be kind.", "--max-new-tokens", "4"]
    with subprocess.Popen(command, stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave) as running:
        _await(terminal, b"> ", 60.0)
        for key in "Hey, what about order C-63842?":
            terminal.press(key)
            time.sleep(0.02)
        time.sleep(3.0)  # typing rests; the answer is prepared
        terminal.press("\r")
        _await(terminal, b"at Enter", 60.0)
        terminal.press("/quit\r")
        assert running.wait(60.0) == 0
    shown = re.sub(r"\x1b\[[0-9]*[A-Za-z]", "", terminal.shown.decode("utf-8", "replace"))
    status = re.search(r"(\w+) \(typing\).* (\d+) left to prefill at Enter", shown)
    assert status is not None, terminal.shown[-600:]
    # 30 letters and the header of the answer are more than a dozen tokens
    assert status[1] in ("ready", "entry")
    assert int(status[2]) < 12
