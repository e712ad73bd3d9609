"""From an answer's token ids to typed events: thought, text, tool calls, stop strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poise.events import Event, Notice, Text, Thought, ToolCall
from poise.text.thought import Piece, ThoughtSplitter
from poise.tools.parser import Parsed, ParsedCall, ParsedText, ToolParser

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
        self,
        model: TextModel | None,
        stop: Sequence[str],
        parse_tools: bool,
        mint_call_id: Callable[[], str],
        *,
        header: str = "",
    ) -> None:
        """`header` is what the generation prompt ends with: it may have opened a thought."""
        self.tokens: list[int] = []
        self.thought_tokens = 0  # of those: in the thought, marks included
        self.calls: list[ToolCall] = []
        self._shown: list[str] = []
        self._unclaimed: list[int] = []  # ids whose text has not come out yet
        self._parser = ToolParser() if parse_tools else None
        self._stop = StopStrings(stop)
        self._mint = mint_call_id
        self._thoughts: list[str] = []
        self._splitter: ThoughtSplitter | None = None
        self._field = ""
        self._decoder = None
        if model is not None:
            if model.thought is not None:
                inside = header.rstrip().endswith(model.thought.begin)
                self._splitter, self._field = ThoughtSplitter(model.thought, inside=inside), model.thought.field
            visible = model.tool_mark_ids if parse_tools else frozenset()
            self._decoder = model.tokenizer.decoder(visible | model.thought_mark_ids)

    @property
    def text(self) -> str:
        """The text shown so far."""
        return "".join(self._shown)

    @property
    def stopped(self) -> bool:
        """A stop string is complete with the newest token."""
        return self._stop.found

    @property
    def thought(self) -> str:
        """The thought so far."""
        return "".join(self._thoughts)

    def message(self) -> Message | None:
        """The answer with its thought and its tool calls taken apart; nothing if it has neither."""
        if not self.calls and not self._thoughts:
            return None
        told = self.told()
        if self._thoughts:
            told[self._field] = self.thought
        return told

    def told(self) -> Message:
        """The answer as a client sees it, and sends it again."""
        told: Message = {"role": "assistant", "content": self.text}
        if self.calls:
            told["tool_calls"] = [
                {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.calls
            ]
        return told

    def feed(self, token: int) -> list[Event]:
        """One more id of the answer, and the events that it completes."""
        if self.stopped:
            return []  # decoded before the stop arrived; not part of the answer
        self.tokens.append(token)
        self._unclaimed.append(token)
        if self._decoder is None:
            return self._emit([ParsedText("")])
        text = self._decoder.feed(token)
        if self._splitter is None:
            return self._read(self._stop.feed(text))
        before = self._splitter.inside
        pieces = self._splitter.feed(text)
        if before:
            self.thought_tokens += 1
        elif self._splitter.inside:
            self.thought_tokens = len(self.tokens)  # what came before belongs to the mark
        return self._sort(pieces)

    def close(self) -> list[Event]:
        """The answer is over; what was held back comes out."""
        if self._decoder is None:
            return []
        rest = self._decoder.close()
        events: list[Event] = []
        if self._splitter is not None:
            events = self._sort([*self._splitter.feed(rest), *self._splitter.close()])
            rest = ""
        events += self._read(self._stop.feed(rest) + self._stop.close())
        return events + self._emit(self._parser.close()) if self._parser else events

    def _sort(self, pieces: Sequence[Piece]) -> list[Event]:
        events: list[Event] = []
        for piece in pieces:
            if piece.thought:
                self._thoughts.append(piece.text)
                events.append(Thought(piece.text, tuple(self._unclaimed)))
                self._unclaimed.clear()
            else:
                events += self._read(self._stop.feed(piece.text))
        return events

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
