"""What a template makes of contents that are not known yet: text with slots, and under which conditions.

A Slotted is a string that stands in for such contents while a template is rendered. It knows which of
its parts are the template's own and which are slots, through concatenation, trimming and JSON; and it
writes down every question that the template asks about it (does it contain this, is it empty, ...)
together with the answer. Contents that give the same answers take the same way through the template, so
for them the rendering is the pattern with its slots filled. Anything else that a template does with a
Slotted makes the trace opaque: then only rendering tells.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsIndex, TypeAlias, overload


@dataclass(frozen=True)
class Slot:
    """A place for the content of one message."""

    index: int
    as_json: bool = False  # written as a JSON string

    def fill(self, contents: Sequence[str]) -> str:
        """What stands there for given contents."""
        content = contents[self.index]
        return json.dumps(content, ensure_ascii=False) if self.as_json else content


Part: TypeAlias = str | Slot
Question: TypeAlias = Callable[[str], Any]


@dataclass(frozen=True)
class Pattern:
    """Text with slots."""

    parts: tuple[Part, ...]

    def fill(self, contents: Sequence[str]) -> str:
        """The text for given contents."""
        return "".join(part if isinstance(part, str) else part.fill(contents) for part in self.parts)

    @property
    def head(self) -> str:
        """The text in front of the first slot."""
        return self.parts[0] if self.parts and isinstance(self.parts[0], str) else ""

    @property
    def tail(self) -> str:
        """The text behind the last slot; empty without slots."""
        return self.parts[-1] if len(self.parts) > 1 and isinstance(self.parts[-1], str) else ""

    @property
    def slots(self) -> int:
        """How many places there are."""
        return sum(isinstance(part, Slot) for part in self.parts)

    def without(self, chars: int) -> Pattern:
        """The same without the first characters, which must lie in front of the first slot."""
        return Pattern((self.head[chars:], *self.parts[1:]))


@dataclass
class Trace:
    """One rendering with slots: the contents that stood in them, what was asked, and what cannot be followed."""

    probes: Sequence[str]
    opaque: str | None = None  # the first thing the template did that a pattern cannot say
    asked: list[tuple[Pattern, Question, Any]] = field(default_factory=list)

    def slot(self, index: int) -> Slotted:
        """Stands in for the content of a message."""
        return Slotted(self, (Slot(index),))

    def give_up(self, reason: str) -> None:
        """The template did something that a pattern cannot say."""
        self.opaque = self.opaque or reason

    def allows(self, contents: Sequence[str]) -> bool:
        """Whether contents give the same answers as the probes did."""
        return all(question(pattern.fill(contents)) == answer for pattern, question, answer in self.asked)


class Slotted(str):
    """A string with slots; its value is that of the probes."""

    __slots__ = ("_parts", "_trace")
    _trace: Trace
    _parts: tuple[Part, ...]

    def __new__(cls, trace: Trace, parts: tuple[Part, ...]) -> Slotted:
        """Neighbouring pieces of text are joined."""
        joined: list[Part] = []
        for part in parts:
            if isinstance(part, str) and joined and isinstance(joined[-1], str):
                joined[-1] += part
            elif part != "":
                joined.append(part)
        self = super().__new__(cls, Pattern(tuple(joined)).fill(trace.probes))
        self._trace, self._parts = trace, tuple(joined)
        return self

    @property
    def pattern(self) -> Pattern:
        """Its parts."""
        return Pattern(self._parts)

    @property
    def trace(self) -> Trace:
        """The rendering it belongs to."""
        return self._trace

    def ask(self, question: Question) -> Any:
        """The answer for the probes, remembered."""
        answer = question(self.plain)
        self._trace.asked.append((self.pattern, question, answer))
        return answer

    @property
    def plain(self) -> str:
        """The value without its parts."""
        return str.__str__(self)[:]  # a copy of the base type

    def json(self) -> Slotted | None:
        """As a JSON string, if it is one slot and nothing else."""
        if len(self._parts) == 1 and isinstance(self._parts[0], Slot) and not self._parts[0].as_json:
            return Slotted(self._trace, (Slot(self._parts[0].index, as_json=True),))
        return None

    # --- what a pattern can say

    def __str__(self) -> str:
        return self

    def __add__(self, other: str) -> Slotted:
        return Slotted(self._trace, (*self._parts, *parts_of(other)))

    def __radd__(self, other: str) -> Slotted:
        return Slotted(self._trace, (*parts_of(other), *self._parts))

    def strip(self, chars: str | None = None) -> Slotted:
        """Outer text is stripped; a slot at the end must have nothing to strip."""
        return self._stripped(chars, left=True, right=True)

    def lstrip(self, chars: str | None = None) -> Slotted:
        """See strip."""
        return self._stripped(chars, left=True, right=False)

    def rstrip(self, chars: str | None = None) -> Slotted:
        """See strip."""
        return self._stripped(chars, left=False, right=True)

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        """At something that it does not hold."""
        if sep and not isinstance(sep, Slotted) and sep not in self:
            return [self]
        self._trace.give_up("split")
        return self.plain.split(sep, maxsplit)

    def replace(self, old: str, new: str, count: SupportsIndex = -1) -> str:
        """Something that it does not hold."""
        if old and not isinstance(old, Slotted) and old not in self:
            return self
        self._trace.give_up("replace")
        return self.plain.replace(old, new, count)

    def _stripped(self, chars: str | None, *, left: bool, right: bool) -> Slotted:
        parts = list(self._parts)
        if left and parts and isinstance(parts[0], str):
            parts[0] = parts[0].lstrip(chars)
        if right and parts and isinstance(parts[-1], str):
            parts[-1] = parts[-1].rstrip(chars)
        stripped = Slotted(self._trace, tuple(parts))
        how = str.strip if left and right else str.lstrip if left else str.rstrip
        if how(self.plain, chars) != stripped.plain:
            self._trace.give_up("strip")  # the probe itself has something to strip, or is empty
            return stripped
        # Exact for any content: the stripped whole must equal the parts, filled.
        begin = len(self.pattern.head) - len(stripped.pattern.head)
        end = len(self.pattern.tail) - len(stripped.pattern.tail)
        self.ask(lambda text: how(text, chars) == text[begin : len(text) - end])
        return stripped

    # --- what it is asked

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Slotted) or not isinstance(item, str):
            self._trace.give_up("in")
            return isinstance(item, str) and str(item) in self.plain
        return bool(self.ask(lambda text: item in text))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Slotted):
            if other._parts != self._parts:
                self._trace.give_up("comparison of two contents")
            return str.__eq__(self.plain, other.plain)
        if not isinstance(other, str):
            return False
        return bool(self.ask(lambda text: text == other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        self._trace.give_up("used as a key")
        return hash(self.plain)

    def __bool__(self) -> bool:
        return bool(self.ask(bool))

    def startswith(self, prefix: str | tuple[str, ...], *bounds: SupportsIndex) -> bool:  # type: ignore[override]
        """Asked."""
        return bool(self.ask(lambda text: text.startswith(prefix, *bounds)))

    def endswith(self, suffix: str | tuple[str, ...], *bounds: SupportsIndex) -> bool:  # type: ignore[override]
        """Asked."""
        return bool(self.ask(lambda text: text.endswith(suffix, *bounds)))

    # --- what a pattern cannot say

    @overload
    def __getitem__(self, key: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> str: ...
    def __getitem__(self, key: Any) -> str:
        if isinstance(key, str):
            raise TypeError("string indices must be integers")  # content["type"]: as with any string
        self._trace.give_up("index")
        return self.plain[key]


def parts_of(text: str) -> tuple[Part, ...]:
    """The parts of a string with or without slots."""
    return text.pattern.parts if isinstance(text, Slotted) else (str(text),)


def _opaque(name: str) -> Any:
    original = getattr(str, name)

    def method(self: Slotted, *args: Any, **kwargs: Any) -> Any:
        self.trace.give_up(name.strip("_"))
        return original(self.plain, *args, **kwargs)

    method.__name__ = name
    return method


# What object itself needs, and what a Slotted may do unseen.
_KEPT = frozenset(dir(object)) - {
    "__eq__",
    "__ne__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "__hash__",
    "__str__",
    "__format__",
}
_KEPT |= {"__getnewargs__"}
for _name in dir(str):
    if _name not in _KEPT and _name not in Slotted.__dict__ and callable(getattr(str, _name)):
        setattr(Slotted, _name, _opaque(_name))
