"""A compiled grammar walked at random: masks, forced runs, clones and rollbacks agree with each other."""

from __future__ import annotations

import json
import random
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from poise import InvalidArgument, _core, choices, grammar, json_schema, regex
from poise.cli.loading import shipped_model
from poise.constraint import Choices, Grammar, JsonSchema, Regex, Spec
from poise.constraint.compiler import KEPT, Compiler
from poise.text.tokenizer import Tokenizer
from tests.support import tiny_gguf
from tests.support.byte_vocab import ByteVocab

if TYPE_CHECKING:
    from poise.constraint.matcher import GrammarConstraint
    from poise.text.tokenizer import Vocab

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 3},
        "state": {"const": "a rather long sentence that nobody has to decide about"},
        "ok": {"type": "boolean"},
    },
    "required": ["name", "age", "tags", "state", "ok"],
    "additionalProperties": False,
}
SPECS: dict[str, Spec] = {
    "schema": json_schema(PERSON),
    "spaced schema": json_schema(PERSON, whitespace="spaced"),
    "regex": regex(r"(order|case) [A-Z]{2}-[0-9]{3,5}( \(urgent\))?"),
    "choices": choices(["yes", "yes, please", "no", "not at all", "vielleicht später"]),
    "grammar": grammar('start: "[" item ("," item)* "]"\nitem: /[0-9]/ | start'),
}


def satisfies(spec: Spec, text: str) -> bool:
    if isinstance(spec, JsonSchema):
        jsonschema.validate(json.loads(text), json.loads(spec.schema))
        return ('", "age": ' if spec.whitespace == "spaced" else '","age":') in text
    if isinstance(spec, Regex):
        return re.fullmatch(spec.pattern, text) is not None
    if isinstance(spec, Choices):
        return text in spec.options
    assert isinstance(spec, Grammar)
    return isinstance(json.loads(text), list)


def llama_vocab(path: str) -> Vocab:
    return _core.LlamaExecutor(_core.LlamaOptions(model_path=path, context_tokens=64, max_sequences=1)).vocab()


@pytest.fixture(scope="module", params=["bytes", "desk", "tiny"])
def compiler(request: pytest.FixtureRequest) -> Compiler:
    vocab: Vocab
    if request.param == "bytes":
        vocab = ByteVocab()
        return Compiler(Tokenizer(vocab), len(vocab), [0], 4096)
    if not hasattr(_core, "LlamaExecutor"):
        pytest.skip("built without the embedded executor")
    if request.param == "desk":
        vocab = llama_vocab(str(shipped_model()))
    else:
        path = Path(tempfile.mkdtemp(prefix="poise-tiny-")) / "llama.gguf"
        tiny_gguf.ARCHITECTURES["llama"]().write(path)
        vocab = llama_vocab(str(path))
    ends = [token for token in range(len(vocab)) if vocab.is_end_of_generation(token)]  # type: ignore[attr-defined]
    return Compiler(Tokenizer(vocab), len(vocab), [vocab.eos, *ends], 4096)


def fresh(compiler: Compiler, spec: Spec) -> GrammarConstraint:
    return compiler.compile(spec).clone()


def size(compiler: Compiler) -> int:
    return compiler._vocab_size


def look(constraint: GrammarConstraint, vocab_size: int) -> tuple[Any, ...]:
    return constraint.finished, constraint.forced(), constraint.allowed(vocab_size)


def step(constraint: GrammarConstraint, draw: random.Random, vocab_size: int) -> int:
    """One more id: the forced one, or one of those allowed, ends preferred so that walks end."""
    run = constraint.forced()
    allowed = constraint.allowed(vocab_size)
    ends = [token for token in allowed if token in constraint._end_tokens]
    if run:
        assert run[0] in allowed
        token = run[0]
    else:
        token = draw.choice(ends) if ends and draw.random() < 0.3 else draw.choice(allowed)
    constraint.accept(token)
    return token


def walk(constraint: GrammarConstraint, draw: random.Random, vocab_size: int, limit: int = 600) -> list[int]:
    ids: list[int] = []
    while not constraint.finished and len(ids) < limit:
        ids.append(step(constraint, draw, vocab_size))
    return ids


@pytest.mark.parametrize("name", SPECS)
def test_every_walk_satisfies_the_spec(compiler: Compiler, name: str) -> None:
    for seed in range(12):
        constraint = fresh(compiler, SPECS[name])
        ids = walk(constraint, random.Random(seed), size(compiler))
        if not constraint.finished:
            continue  # a grammar may nest for ever
        assert ids[-1] in constraint._end_tokens
        text = compiler._tokenizer.vocab.detokenize(ids[:-1], render_special=False).decode()
        assert satisfies(SPECS[name], text), text
        assert constraint.allowed(size(compiler)) == []


@pytest.mark.parametrize("name", SPECS)
def test_clones_and_rollbacks_are_exact(compiler: Compiler, name: str) -> None:
    vocab_size = size(compiler)
    for seed in range(6):
        draw = random.Random(seed)
        constraint = fresh(compiler, SPECS[name])
        trail = [look(constraint, vocab_size)]
        for _ in range(40):
            if constraint.finished:
                break
            clone = constraint.clone()
            assert look(clone, vocab_size) == trail[-1]
            walk(clone, random.Random(seed + 1), vocab_size, draw.randrange(1, 9))
            assert look(constraint, vocab_size) == trail[-1]  # the clone went its own way
            step(constraint, draw, vocab_size)
            trail.append(look(constraint, vocab_size))
            back = draw.randrange(len(trail))
            if draw.random() < 0.3:
                constraint.rollback(back)
                del trail[len(trail) - back :]
                assert look(constraint, vocab_size) == trail[-1]
        with pytest.raises(InvalidArgument, match="cannot take back"):
            constraint.rollback(len(trail))


@pytest.mark.parametrize("name", SPECS)
def test_a_replay_forces_the_same_ids(compiler: Compiler, name: str) -> None:
    """A request that is split anywhere accepts what came before without asking what was forced."""
    vocab_size = size(compiler)
    constraint = fresh(compiler, SPECS[name])
    told: list[list[int]] = []
    ids: list[int] = []
    draw = random.Random(3)
    while not constraint.finished and len(ids) < 150:
        told.append(constraint.forced())
        ids.append(step(constraint, draw, vocab_size))
    for split in range(len(ids)):
        replay = fresh(compiler, SPECS[name])
        for token in ids[:split]:
            replay.accept(token)
        assert replay.forced() == told[split]


def test_a_run_is_followed_to_its_end(compiler: Compiler) -> None:
    constraint = fresh(compiler, json_schema({"const": "one sentence that is forced as a whole"}))
    run = constraint.forced()
    text = b'"one sentence that is forced as a whole"'
    assert compiler._tokenizer.vocab.detokenize(run, render_special=False) == text
    for index, token in enumerate(run):
        assert constraint.forced() == run[index:]
        constraint.accept(token)
    (end,) = constraint.forced()
    assert end in constraint._end_tokens
    constraint.accept(end)
    assert constraint.finished
    assert constraint.forced() == []


def test_a_wrong_id_changes_nothing(compiler: Compiler) -> None:
    vocab_size = size(compiler)
    constraint = fresh(compiler, SPECS["choices"])
    before = look(constraint, vocab_size)
    wrong = next(token for token in range(vocab_size) if token not in before[2])
    with pytest.raises(InvalidArgument, match=f"id {wrong}"):
        constraint.accept(wrong)
    end = min(constraint._end_tokens)
    with pytest.raises(InvalidArgument, match="not satisfied yet"):
        constraint.accept(end)
    assert look(constraint, vocab_size) == before


def test_where_the_text_may_go_on_the_model_chooses_the_end(compiler: Compiler) -> None:
    constraint = fresh(compiler, choices(["yes", "yes, please"]))
    for token in compiler._tokenizer.plain("yes"):
        if token in constraint.allowed(size(compiler)):
            constraint.accept(token)
    while (run := constraint.forced()) and run[0] not in constraint._end_tokens:
        constraint.accept(run[0])
    allowed = constraint.allowed(size(compiler))
    assert constraint._end_tokens <= set(allowed)
    assert len(allowed) > len(constraint._end_tokens)


def test_compiled_constraints_are_bounded() -> None:
    vocab = ByteVocab()
    small = Compiler(Tokenizer(vocab), len(vocab), [0], 4096)
    first = small.compile(regex("a0"))
    for index in range(1, KEPT):
        small.compile(regex(f"a{index}"))
    assert small.compile(regex("a0")) is first
    small.compile(regex("one more"))
    assert (len(small._compiled), small.compilations) == (KEPT, KEPT + 1)
    assert small.compile(regex("a0")) is first  # used last
    small.compile(regex("a1"))  # had to go
    assert small.compilations == KEPT + 2


def test_special_tokens_are_no_text(compiler: Compiler) -> None:
    """A grammar that allows any character allows no control token by its spelling."""
    constraint = fresh(compiler, regex(r"(?s).{0,40}"))
    control = set(compiler._tokenizer.control) - constraint._end_tokens
    assert control
    assert control.isdisjoint(constraint.allowed(size(compiler)))
