"""The template environment that follows slots; see poise.text.pattern."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jinja2.runtime import LoopContext, Macro
from jinja2.utils import Namespace

from poise.text.pattern import Slotted, parts_of
from poise.text.sandbox import BoundedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jinja2.runtime import Context

# What hands its input on, or looks only at how many there are. Everything else done to a Slotted in Python or C code
# that does not go through its methods would lose the slots unseen.
_PASSING = frozenset(
    {"count", "d", "default", "first", "last", "length", "list", "map", "reject", "rejectattr", "reverse"}
)
_PASSING |= {"replace", "select", "selectattr", "string", "trim"}
_DIRECT = frozenset({"d", "default", "replace", "string", "trim"})  # with a Slotted itself as their value
_TESTS = frozenset({"in", "lower", "upper"})


class TracingEnvironment(BoundedEnvironment):
    """Renders as BoundedEnvironment does, and keeps track of slots."""

    def __init__(self) -> None:
        super().__init__()
        self.filters["join"] = self._join_filter
        self.filters["tojson"] = self._traced_json(self.filters["tojson"])
        for name, function in list(self.filters.items()):
            if name not in ("join", "tojson"):
                self.filters[name] = _traced(name, function)
        for name in _TESTS:
            self.tests[name] = _opaque_to(f"test {name}", self.tests[name])
        for name in ("iterable", "sequence"):  # they would try its methods
            self.tests[name] = _always(self.tests[name])

    def charge(self, value: Any) -> Any:
        """Counts a value that an operation has made."""
        return value if isinstance(value, Slotted) else super().charge(value)

    def join(self, parts: Iterable[Any]) -> str:
        """The `~` operator."""
        return self.concat(map(str, parts))

    def concat(self, parts: Iterable[str]) -> str:
        """Joins what a template, macro or block has put out."""
        taken = []
        for part in parts:
            self._reserve(str.__len__(part))
            taken.append(part)
        return _join(taken)

    def contains(self, item: Any, container: Any) -> bool:
        """The `in` operator."""
        if isinstance(item, Slotted) and isinstance(container, str):
            item.trace.give_up("in")
        return item in container

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Adding keeps slots; nothing else does."""
        if operator != "+":
            for slotted in _inside((left, right)):
                slotted.trace.give_up(operator)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as jinja2 has it
        """Functions that see a Slotted must be the template's own."""
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, dict) and __obj.__name__ == "get" and not isinstance(args[0], Slotted):
            return __obj(*args)  # its default comes back as it is
        if not isinstance(__obj, Macro) and __obj is not Namespace and not isinstance(owner, (Slotted, LoopContext)):
            for slotted in _inside((args, kwargs)):
                slotted.trace.give_up(f"argument of {getattr(__obj, '__name__', __obj)}")
        if isinstance(owner, Slotted):  # its methods look after themselves
            return __obj(*args, **{key: value for key, value in kwargs.items() if not key.startswith("_")})
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """str.format of a Slotted cannot be followed."""
        if isinstance(owner := getattr(value, "__self__", None), Slotted) and value.__name__ in (
            "format",
            "format_map",
        ):
            owner.trace.give_up("format")
        return super().wrap_str_format(value)

    def _bounded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        bounded = super()._bounded(name, function)

        @functools.wraps(function)
        def choose(*args: Any, **kwargs: Any) -> Any:  # counting would ask a Slotted for its length
            slotted = any(isinstance(value, Slotted) for value in args)
            return function(*args, **kwargs) if slotted else bounded(*args, **kwargs)

        return choose

    @staticmethod
    def _join_filter(value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
        items = list(value)
        if attribute is not None:
            for slotted in _inside(items):
                slotted.trace.give_up("join of an attribute")
            items = [item[attribute] for item in items]
        parts: list[str] = []
        for item in items:
            parts += [d, str(item)] if parts else [str(item)]
        return _join(parts)

    @staticmethod
    def _traced_json(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def tojson(value: Any, ensure_ascii: bool = False, *args: Any, **kwargs: Any) -> Any:
            if isinstance(value, Slotted) and not ensure_ascii and (slotted := value.json()) is not None:
                return slotted
            for inner in _inside(value):
                inner.trace.give_up("tojson")
            return function(value, ensure_ascii, *args, **kwargs)

        return tojson


def _join(parts: list[str]) -> str:
    slotted = next((part for part in parts if isinstance(part, Slotted)), None)
    if slotted is None:
        return "".join(parts)
    return Slotted(slotted.trace, tuple(piece for part in parts for piece in parts_of(part)))


def _traced(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        slotted = list(_inside((args, kwargs)))
        direct = [value for value in args if isinstance(value, Slotted)]
        if slotted and (name not in _PASSING or (direct and name not in _DIRECT)):
            slotted[0].trace.give_up(f"filter {name}")
        return function(*args, **kwargs)

    return traced


def _always(function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    def answered(value: Any, *args: Any, **kwargs: Any) -> Any:
        return True if isinstance(value, Slotted) else function(value, *args, **kwargs)

    return answered


def _opaque_to(what: str, function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        for slotted in _inside((args, kwargs)):
            slotted.trace.give_up(what)
        return function(*args, **kwargs)

    return traced


def _inside(value: Any, depth: int = 0) -> Iterable[Slotted]:
    if isinstance(value, Slotted):
        yield value
    elif depth < 8:
        if isinstance(value, dict):
            for item in value.values():
                yield from _inside(item, depth + 1)
        elif isinstance(value, (list, tuple)):
            for item in value:
                yield from _inside(item, depth + 1)
