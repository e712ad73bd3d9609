"""The environment in which chat templates run: Jinja2's immutable sandbox with bounds on work and memory.

A rendering may take a number of steps (an iteration of a loop, a call of a macro) and may make a
number of characters (text and list items that are joined, added, multiplied, filtered or returned).
Both are counted, not timed: the same template and the same messages always end the same way. What
one operation could blow up in a single step (padding, powers, formats with widths) has a bound of its own.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jinja2.parser import Parser
    from jinja2.runtime import Context

MAX_STEPS = 1_000_000
MAX_CHARS = 1 << 26
_MAX_RANGE = 100_000
_MAX_WIDTH = 10_000  # of padding, indents and the like
_MAX_INTEGER_BITS = 4096
_PADDING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
_SIZED_FILTERS = frozenset({"batch", "center", "indent", "slice", "truncate", "wordwrap"})
# A format that brings a width of more than three digits, or takes it from an argument.
_WIDE = re.compile(r":[^{}]*(?:\d{4}|\{)")
_WIDE_PERCENT = re.compile(r"%[^a-zA-Z%]*(?:\*|\d{4})")


class BoundExceeded(jinja2.TemplateError):
    """The template does more than a chat template may."""


class Budget:
    """What one rendering may still do."""

    __slots__ = ("chars", "max_chars", "max_steps", "steps")

    def __init__(self, messages: int, input_chars: int) -> None:
        """Templates may look at every message for every message, and copy each a few times."""
        self.steps = self.max_steps = MAX_STEPS + 4 * messages * messages
        self.chars = self.max_chars = MAX_CHARS + 16 * input_chars

    def step(self) -> None:
        """One iteration or call."""
        self.steps -= 1
        if self.steps < 0:
            raise BoundExceeded(f"it takes more than {self.max_steps} loop iterations and macro calls; does it end?")

    def charge(self, chars: int) -> None:
        """Characters or list items that are about to exist, or do already."""
        self.chars -= chars
        if self.chars < 0:
            raise BoundExceeded(f"it makes more than {self.max_chars} characters; does it repeat itself?")


class _GenerationBlock(Extension):
    """`{% generation %}` marks what the assistant wrote, for training; here its body is rendered and
    nothing more."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Generator(CodeGenerator):
    """Sends `~`, `in` and the counting of steps through the environment."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.join((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        if len(node.ops) != 1 or node.ops[0].op not in ("in", "notin"):
            super().visit_Compare(node, frame)
            return
        self.write("(not " if node.ops[0].op == "notin" else "(")
        self.write("environment.contains(")
        self.visit(node.expr, frame)
        self.write(", ")
        self.visit(node.ops[0].expr, frame)
        self.write("))")

    def visit_Call(self, node: nodes.Call, frame: Frame, **kwargs: Any) -> None:  # type: ignore[override]
        if isinstance(node.node, nodes.EnvironmentAttribute):
            self.write(f"environment.{node.node.name}()")
        else:
            super().visit_Call(node, frame, **kwargs)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Thread-safe: each thread renders on a budget of its own. Without one (while compiling) nothing is counted."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, loopcontrols])
        self._local = threading.local()
        self.globals.pop("lipsum", None)
        self.globals["range"] = self._range
        self.globals["raise_exception"] = _raise_exception
        self.filters["tojson"] = _tojson
        self.filters["from_json"] = json.loads
        for name, function in list(self.filters.items()):
            self.filters[name] = self._bounded(name, function)

    def spend(self, budget: Budget | None) -> None:
        """What this thread renders from now on counts against `budget`."""
        self._local.budget = budget

    @property
    def budget(self) -> Budget | None:
        """Of this thread."""
        return getattr(self._local, "budget", None)

    def charge(self, value: Any) -> Any:
        """Counts a value that an operation has made."""
        budget = self.budget
        if budget is not None and isinstance(value, (str, list, tuple, dict)):
            budget.charge(len(value))
        return value

    # --- called by the compiled templates

    def step(self) -> None:
        """A loop's body, a macro or a block begins."""
        budget = self.budget
        if budget is not None:
            budget.step()

    def join(self, parts: Iterable[Any]) -> str:
        """The `~` operator."""
        texts = list(map(str, parts))
        self._reserve(sum(map(len, texts)))
        return "".join(texts)

    def concat(self, parts: Iterable[str]) -> str:
        """Joins what a template, macro or block has put out."""
        budget = self.budget
        if budget is None:
            return "".join(parts)
        taken = []
        for part in parts:
            budget.charge(len(part))
            taken.append(part)
        return "".join(taken)

    def contains(self, item: Any, container: Any) -> bool:
        """The `in` operator."""
        if isinstance(container, (str, list, tuple)):
            self._reserve(len(container) // 16)
        return item in container

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The operators that can make something large of something small."""
        if operator == "+":
            return self.charge(left + right)
        if operator == "%" and isinstance(left, str) and _WIDE_PERCENT.search(left):
            raise BoundExceeded(f"the format {left[:40]!r} pads to more than 999 characters")
        if operator == "*" and isinstance(left, int) and isinstance(right, (str, list, tuple)):
            left, right = right, left
        if operator == "*" and isinstance(left, (str, list, tuple)) and isinstance(right, int):
            self._reserve(len(left) * max(0, right))
        if operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() + right.bit_length() if operator == "*" else left.bit_length() * abs(right)
            if bits > _MAX_INTEGER_BITS:
                raise BoundExceeded(f"{operator} makes a number of more than {_MAX_INTEGER_BITS} bits")
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as jinja2 has it
        """Functions, macros and methods of values."""
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            __self._before_method(owner, __obj.__name__, args)
        return __self.charge(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """str.format, sandboxed."""
        wrapped = super().wrap_str_format(value)
        if wrapped is not None and _WIDE.search(value.__self__):
            raise BoundExceeded(f"the format {value.__self__[:40]!r} pads to more than 999 characters")
        return wrapped

    # --- inside

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        counted = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)
        found: list[nodes.For | nodes.Macro | nodes.CallBlock | nodes.Block] = list(tree.find_all(counted))
        for node in found:
            count = nodes.Call(nodes.EnvironmentAttribute("step"), [], [], None, None, lineno=node.lineno)
            node.body.insert(0, nodes.ExprStmt(count, lineno=node.lineno))
        return tree

    def _reserve(self, chars: int) -> None:
        budget = self.budget
        if budget is not None:
            budget.charge(chars)
        elif chars > MAX_CHARS:
            raise BoundExceeded(f"it makes more than {MAX_CHARS} characters at once")

    def _before_method(self, owner: str, name: str, args: tuple[Any, ...]) -> None:
        self._reserve(len(owner) // 16)
        if name in _PADDING:
            _check_width(name, args)
        elif name == "replace" and len(args) >= 2 and isinstance(args[0], str) and isinstance(args[1], str):
            self._reserve(owner.count(args[0]) * len(args[1]))
        elif name == "join" and args and isinstance(args[0], (list, tuple)):
            self._reserve(len(owner) * len(args[0]) + sum(len(item) for item in args[0] if isinstance(item, str)))
        elif name in ("translate", "maketrans"):
            raise BoundExceeded(f"str.{name} is not available to chat templates")

    def _bounded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that counts what it makes. What it is given to decorate keeps its calling convention."""

        @functools.wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            if name in _SIZED_FILTERS:
                _check_width(name, (*args, *kwargs.values()))
            values = [value for value in args if isinstance(value, (str, list, tuple))]
            if name == "replace" and len(values) == 3:
                self._reserve(str(values[0]).count(str(values[1])) * len(values[2]))
            elif name == "join" and len(values) == 2:
                self._reserve(len(values[0]) * len(values[1]))
            elif name == "format" and values and _WIDE_PERCENT.search(str(values[0])):
                raise BoundExceeded(f"the format {str(values[0])[:40]!r} pads to more than 999 characters")
            return self.charge(function(*args, **kwargs))

        return bounded

    def _range(self, *args: int) -> range:
        numbers = range(*args)
        if len(numbers) > _MAX_RANGE:
            raise BoundExceeded(f"range() of {len(numbers)} numbers; at most {_MAX_RANGE} are allowed")
        self._reserve(len(numbers))
        return numbers


def _check_width(name: str, args: Iterable[Any]) -> None:
    if any(type(value) is int and abs(value) > _MAX_WIDTH for value in args):
        raise BoundExceeded(f"{name} with a number above {_MAX_WIDTH}")


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Not Jinja2's own filter: that one escapes for HTML.
    if indent is not None:
        _check_width("tojson", (indent * 100,))
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_listed,
    )


def _listed(value: Any) -> list[Any]:
    if isinstance(value, Iterator):  # what filters such as map give
        return list(value)
    raise TypeError(f"a {type(value).__name__} is not JSON")
