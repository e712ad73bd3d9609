"""Compiles specs for one vocabulary, once each."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from poise.constraint.matcher import GrammarConstraint
from poise.constraint.specs import Choices, Grammar, JsonSchema, Regex, Spec
from poise.constraint.vocabulary import lltokenizer
from poise.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    import llguidance

    from poise.text.tokenizer import Tokenizer

KEPT = 64  # compiled constraints

_SEPARATORS: dict[str, dict[str, Any]] = {
    "compact": {"whitespace_flexible": False},
    "spaced": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "},
    "free": {},
}


class Compiler:
    """Thread-safe. The vocabulary is walked at the first use."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, end_tokens: Sequence[int], max_tokens: int) -> None:
        """`end_tokens` end an answer; the first of them is forced where a grammar is complete. No answer is longer
        than `max_tokens`."""
        if not end_tokens:
            raise InvalidArgument("structured output needs a model that declares an end token")
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._end_tokens = list(dict.fromkeys(end_tokens))
        self._max_tokens = max_tokens
        self._compiled: OrderedDict[Spec, GrammarConstraint] = OrderedDict()
        self._lltokenizer: llguidance.LLTokenizer | None = None
        self._lock = threading.Lock()
        self.compilations = 0

    def compile(self, spec: Spec) -> GrammarConstraint:
        """The constraint in its initial state, shared: clone it before you change it.

        Raises InvalidArgument with what llguidance says about a spec that does not compile, or that no text
        satisfies.
        """
        with self._lock:
            known = self._compiled.get(spec)
            if known is not None:
                self._compiled.move_to_end(spec)
                return known
            if self._lltokenizer is None:
                self._lltokenizer = lltokenizer(self._tokenizer, self._vocab_size, self._end_tokens)
            tokenizer = self._lltokenizer
        made = self._make(spec, tokenizer)  # may take long: others go on
        with self._lock:
            made = self._compiled.setdefault(spec, made)
            self._compiled.move_to_end(spec)
            self.compilations += 1
            while len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        return made

    def _make(self, spec: Spec, tokenizer: llguidance.LLTokenizer) -> GrammarConstraint:
        import llguidance

        matcher = llguidance.LLMatcher(
            tokenizer, _grammar(spec), log_level=0, limits=llguidance.LLParserLimits(verbose_errors=False)
        )
        _refuse(matcher, spec)
        self._try_first_step(matcher.deep_copy(), spec)
        return GrammarConstraint(matcher, self._end_tokens[0], frozenset(self._end_tokens))

    def _try_first_step(self, matcher: llguidance.LLMatcher, spec: Spec) -> None:
        """Finds what llguidance only notices on the way: nothing can begin, or a beginning never ends."""
        forced = matcher.compute_ff_tokens()
        if len(forced) > self._max_tokens:
            raise InvalidArgument(
                f"{_name(spec)}: every text that satisfies it begins with more than {self._max_tokens} forced tokens, "
                "which no context of this executor holds"
            )
        accepting = matcher.is_accepting()
        mask = int.from_bytes(matcher.compute_bitmask(), "little")
        for token in self._end_tokens:
            mask &= ~(1 << token)
        if matcher.is_error() or (mask == 0 and not accepting and not forced):
            raise InvalidArgument(f"{_name(spec)}: no text satisfies it")


def _grammar(spec: Spec) -> str:
    from llguidance import LLMatcher

    if isinstance(spec, JsonSchema):
        try:
            return LLMatcher.grammar_from_json_schema(spec.schema, overrides=_SEPARATORS[spec.whitespace])  # type: ignore[arg-type]
        except ValueError as error:
            raise InvalidArgument(f"{_name(spec)}: {error}") from error
    if isinstance(spec, Regex):
        return LLMatcher.grammar_from_regex(spec.pattern)
    if isinstance(spec, Choices):
        return LLMatcher.grammar_from_lark("start: " + " | ".join(json.dumps(option) for option in spec.options))
    return LLMatcher.grammar_from_lark(spec.lark)


def _refuse(matcher: llguidance.LLMatcher, spec: Spec) -> None:
    if matcher.is_error():
        raise InvalidArgument(f"{_name(spec)}: {matcher.get_error().strip()}")


def _name(spec: Spec) -> str:
    names = {JsonSchema: "the JSON schema", Regex: "the regular expression", Choices: "choices", Grammar: "the grammar"}
    return names[type(spec)]
