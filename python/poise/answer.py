"""From an answer's token ids to typed events: text, tool calls, stop strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise.events import Event, Notice, Text, ToolCall
from poise.tools.parser import CLOSE, OPEN, Parsed, ParsedCall, ParsedText, ToolParser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poise.text.messages import Message
    from poise.text.model import TextModel


class StopStrings:
    """Holds back text that may begin a stop string."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [string for string in strings if string]
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """The text that is safe to show. After a stop string nothing more comes."""
        if self.found:
            return ""
        if not self._strings:
            return text
        self._held += text
        hits = [at for string in self._strings if (at := self._held.find(string)) >= 0]
        if hits:
            self.found = True
            return self._held[: min(hits)]
        keep = max(_overlap(self._held, string) for string in self._strings)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def close(self) -> str:
        """What was held back and turned out to be no stop string."""
        return "" if self.found else self._held


class AnswerReader:
    """One answer. Without a text model every token is an event of its own."""

    def __init__(
        self, model: TextModel | None, stop: Sequence[str], parse_tools: bool, mint_call_id: Callable[[], str]
    ) -> None:
        self.tokens: list[int] = []
        self.calls: list[ToolCall] = []
        self._shown: list[str] = []
        self._unclaimed: list[int] = []  # ids whose text has not come out yet
        self._parser = ToolParser() if parse_tools else None
        self._stop = StopStrings(stop)
        self._mint = mint_call_id
        self._decoder = None
        if model is not None:
            marks = frozenset(token for token, text in model.tokenizer.control.items() if text in (OPEN, CLOSE))
            self._decoder = model.tokenizer.decoder(marks if parse_tools else frozenset())

    @property
    def text(self) -> str:
        """The text shown so far."""
        return "".join(self._shown)

    @property
    def stopped(self) -> bool:
        """A stop string is complete with the newest token."""
        return self._stop.found

    def message(self) -> Message | None:
        """The answer with its tool calls taken apart; nothing if it made none."""
        if not self.calls:
            return None
        calls = [
            {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in self.calls
        ]
        return {"role": "assistant", "content": self.text, "tool_calls": calls}

    def feed(self, token: int) -> list[Event]:
        """One more id of the answer, and the events that it completes."""
        if self.stopped:
            return []  # decoded before the stop arrived; not part of the answer
        self.tokens.append(token)
        self._unclaimed.append(token)
        if self._decoder is None:
            return self._emit([ParsedText("")])
        return self._read(self._stop.feed(self._decoder.feed(token)))

    def close(self) -> list[Event]:
        """The answer is over; what was held back comes out."""
        if self._decoder is None:
            return []
        events = self._read(self._stop.feed(self._decoder.close()) + self._stop.close())
        return events + self._emit(self._parser.close()) if self._parser else events

    def _read(self, text: str) -> list[Event]:
        if not text:
            return []
        return self._emit(self._parser.feed(text) if self._parser else [ParsedText(text)])

    def _emit(self, parsed: Sequence[Parsed]) -> list[Event]:
        events: list[Event] = []
        for item in parsed:
            if isinstance(item, ParsedText):
                self._shown.append(item.text)
                events.append(Text(item.text, tuple(self._unclaimed)))
                self._unclaimed.clear()
            elif isinstance(item, ParsedCall):
                self.calls.append(ToolCall(item.name, item.arguments, item.raw, self._mint()))
                events.append(self.calls[-1])
                self._unclaimed.clear()
            else:
                events.append(Notice(item.message))
        return events


def _overlap(text: str, string: str) -> int:
    """Length of the longest end of `text` that begins `string`."""
    return next((n for n in range(min(len(string) - 1, len(text)), 0, -1) if text.endswith(string[:n])), 0)
