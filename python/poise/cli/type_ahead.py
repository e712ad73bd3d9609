"""Reads messages from a terminal key by key, and tells what is typed before Enter is pressed."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.cells import cell_len

from poise.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COLUMNS = 80
_ENTER, _ESCAPE, _INTERRUPT, _END = ("\r", "\n"), "\x1b", "\x03", "\x04"
_BACKSPACE, _LINE_KILL, _WORD_KILL = ("\x7f", "\b"), "\x15", "\x17"


class TypeAhead:
    """The line editor of `poise run --type-ahead`: letters, backspace, Ctrl-U (line) and Ctrl-W (word)."""

    def __init__(self, keys: int, screen: int, on_change: Callable[[str], None]) -> None:
        """`keys` and `screen` are file descriptors of one terminal. Raises InvalidArgument if `keys` is none."""
        if not os.isatty(keys):
            raise InvalidArgument("--type-ahead reads keys from a terminal, and stdin is none")
        self._keys, self._screen, self._on_change = keys, screen, on_change
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting: list[str] = []  # keys that came behind an Enter

    def read(self, prompt: str) -> str | None:
        """The next line; nothing at the end of the input (Ctrl-D on an empty line) or after Ctrl-C."""
        text = ""
        with self._raw():
            rows = self._draw(prompt, 0)
            while True:
                key = self._key()
                if key in _ENTER:
                    self._write("\r\n")
                    return text
                if key == _INTERRUPT or (key == _END and not text) or not key:
                    self._write("\r\n")
                    return None
                changed = _edited(text, key)
                if changed != text:
                    text = changed
                    rows = self._draw(prompt + text, rows)
                    self._on_change(text)

    def _key(self) -> str:
        """One character; empty at the end of the input. Cursor keys and the like are swallowed."""
        while True:
            if not self._waiting:
                data = os.read(self._keys, 1024)
                self._waiting += self._decoder.decode(data, final=not data)
                if not data and not self._waiting:
                    return ""
            if not self._waiting:
                continue
            key = self._waiting.pop(0)
            if key != _ESCAPE:
                return key
            if self._waiting and self._waiting[0] in "[O":  # the rest of an escape sequence comes with it
                self._waiting.pop(0)
                while self._waiting and not self._waiting.pop(0).isalpha():
                    pass

    def _draw(self, line: str, rows: int) -> int:
        """Writes the line over its old form, which took `rows` rows more than one; returns the same of the new."""
        try:
            columns = os.get_terminal_size(self._screen).columns or _COLUMNS  # 0: it does not say
        except OSError:
            columns = _COLUMNS
        self._write("\r" + (f"\x1b[{rows}A" if rows else "") + "\x1b[J" + line)
        cells = cell_len(line)
        if cells and cells % columns == 0:
            self._write(" \b")  # has the cursor leave the row that is full
            return cells // columns
        return cells // columns

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._screen, data) :]

    @contextmanager
    def _raw(self) -> Iterator[None]:
        """Keys as they are pressed, not shown by the terminal; afterwards the terminal is as it was."""
        import termios  # not there on Windows
        import tty

        before = termios.tcgetattr(self._keys)
        try:
            tty.setraw(self._keys, termios.TCSADRAIN)
            yield
        finally:
            termios.tcsetattr(self._keys, termios.TCSADRAIN, before)


def _edited(text: str, key: str) -> str:
    if key in _BACKSPACE:
        return text[:-1]
    if key == _LINE_KILL:
        return ""
    if key == _WORD_KILL:
        return text.rstrip()[: len(text.rstrip()) - len(text.split()[-1])] if text.split() else ""
    return text + key if key.isprintable() else text


def on_terminal(on_change: Callable[[str], None]) -> TypeAhead | None:
    """For the process's own terminal; nothing, and a line on stderr that says why, if it has none."""
    try:
        import termios  # noqa: F401

        return TypeAhead(sys.stdin.fileno(), sys.stdout.fileno(), on_change)
    except (InvalidArgument, OSError, ValueError) as error:  # a replaced stdin has no descriptor
        why = str(error) if isinstance(error, InvalidArgument) else "--type-ahead needs a terminal on stdin"
    except ImportError:
        why = "--type-ahead needs a Unix terminal"
    print(f"poise: {why}; messages are read line by line", file=sys.stderr)
    return None
