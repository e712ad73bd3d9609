"""Structured answers of real models: what was asked for, whatever the weights say, and whoever prepared them."""

from __future__ import annotations

import json
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

from poise import GREEDY, Engine, Question, Sampling, _core, choices, grammar, json_schema, regex
from poise.cli.loading import shipped_model
from poise.errors import ExecutorError
from tests.support import tiny_gguf
from tests.support.text_world import sim_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from poise import Session, TurnResult
    from poise.constraint import Spec

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 10},
        "kind": {"enum": ["order", "refund", "question"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "urgent": {"type": "boolean"},
    },
    "required": ["name", "kind", "count", "urgent"],
    "additionalProperties": False,
}
CODE = r"[A-Z]{3}-[0-9]{4}"
ANSWERS = ("yes", "no", "I do not know")
HOT = Sampling(temperature=2.0, seed=11)

SPECS: dict[str, Spec] = {
    "schema": json_schema(SCHEMA),
    "regex": regex(CODE),
    "choices": choices(ANSWERS),
    "grammar": grammar('start: "[" /[0-9]/ ("," /[0-9]/){2} "]"'),
}


def check(name: str, text: str) -> None:
    if name == "schema":
        jsonschema.validate(json.loads(text), SCHEMA)
    elif name == "regex":
        assert re.fullmatch(CODE, text)
    elif name == "choices":
        assert text in ANSWERS
    else:
        assert len(json.loads(text)) == 3


def tiny(architecture: str) -> Path:
    path = Path(tempfile.mkdtemp(prefix="poise-tiny-")) / f"{architecture}.gguf"
    tiny_gguf.ARCHITECTURES[architecture]().write(path)
    return path


@pytest.fixture(scope="module", params=["sim", "tiny", "recurrent", "desk"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "sim":
        made = sim_engine()
    else:
        if not hasattr(_core, "LlamaExecutor"):
            pytest.skip("built without the embedded executor")
        path = {"tiny": lambda: tiny("llama"), "recurrent": lambda: tiny("mamba"), "desk": shipped_model}
        made = Engine.load(path[request.param](), max_sequences=6, context_tokens=512, threads=1)
    with made:
        yield made


def settled(engine: Engine) -> None:
    assert engine.wait_prepositioned(60.0)


def forced_share(engine: Engine, spec: Spec, tokens: tuple[int, ...]) -> int:
    """How many ids of an answer are forced, by the constraint itself."""
    constraint = engine.constraint(spec)
    assert constraint is not None
    constraint = constraint.clone()
    count = 0
    for token in tokens:
        count += constraint.forced()[:1] == [token]
        constraint.accept(token)
    return count


def context_of(session: Session, said: str) -> list[int]:
    """What the model sees when this is asked."""
    assert session._conversation is not None
    plan = session._conversation.plan([{"role": "user", "content": said}], prompt=True)
    return list(session.state.log) + plan.ids


def choices_within_noise(engine: Engine, context: list[int], sampling: Sampling, mask: NDArray[np.bool_]) -> set[int]:
    """What may be chosen behind a context: its row, computed in one piece and in small ones, and rows around both."""
    rows = []
    for salt, chunk in ((901, len(context)), (902, 1)):
        for end in [*range(chunk, len(context), chunk), len(context)]:
            sink = _core.CollectSink()
            wanted = _core.LogitsWanted(context_positions=[end - 1])
            request = _core.Request(context=context[:end], owner=salt, key=_core.KvKey(tenant_salt=salt), logits=wanted)
            engine.executor.enqueue(request, sink)
            assert sink.wait(60.0)
        rows.append(sink.logits[len(context)])
        engine.executor.release(salt)
    cold, pieces = rows
    if isinstance(engine.executor, _core.SimExecutor):
        assert np.array_equal(cold, pieces)
    around = (cold + step * (pieces - cold) for step in np.linspace(-2, 3, 41, dtype=np.float32))
    return {_core.scan(row, sampling.core(), mask=mask, position=len(context)).token for row in around}


def assert_same(
    engine: Engine,
    context: list[int],
    expected: tuple[int, ...],
    actual: tuple[int, ...],
    sampling: Sampling,
    spec: Spec,
) -> None:
    """The same ids; where the executor's own noise decides, answers may part."""
    at = next((index for index, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), None)
    if at is None:
        assert actual == expected
        return
    constraint = engine.constraint(spec)
    assert constraint is not None
    constraint = constraint.clone()
    for token in expected[:at]:
        constraint.accept(token)
    assert constraint.forced() == []
    mask = np.zeros(engine.info.vocab_size, dtype=bool)
    mask[constraint.allowed(engine.info.vocab_size)] = True
    possible = choices_within_noise(engine, context + list(expected[:at]), sampling, mask)
    assert {expected[at], actual[at]} <= possible


@pytest.mark.parametrize("sampling", [GREEDY, HOT], ids=["greedy", "hot"])
@pytest.mark.parametrize("name", SPECS)
def test_answers_are_what_was_asked_for(engine: Engine, name: str, sampling: Sampling) -> None:
    with engine.open_session("Answer the customer.", sampling=sampling) as session:
        result = session.turn("I never got my order!", constraint=SPECS[name], max_new_tokens=200).result()
        check(name, result.text)
        # the grammar's end is the answer's end, as the model itself would end it
        assert result.end.finish_reason == "stop"
        assert result.tokens[-1] in engine.info.end_tokens
        # and the conversation goes on
        assert session.messages[-1] == {"role": "assistant", "content": result.text}
        following = session.turn("And now?", constraint=SPECS["choices"], max_new_tokens=40).result()
        check("choices", following.text)


@pytest.mark.parametrize("name", SPECS)
def test_forced_ids_are_not_decoded(engine: Engine, name: str) -> None:
    with engine.open_session("Answer.", sampling=HOT, preposition=False) as session:
        before = engine.executor.stats().steps
        result = session.turn("Well?", constraint=SPECS[name], max_new_tokens=200).result()
        forced = forced_share(engine, SPECS[name], result.tokens)
        assert forced > 0
        assert result.end.usage.decoded_tokens == len(result.tokens) - forced < len(result.tokens)
        context = result.end.usage.context_tokens
        # a pass for each token that was chosen; the context may take some more
        passes = engine.executor.stats().steps - before
        assert passes <= result.end.usage.decoded_tokens + context // 16 + 1
        if name == "schema":
            assert forced > len(result.tokens) / 3


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=1.2, seed=5)], ids=["greedy", "seeded"])
@pytest.mark.parametrize("name", SPECS)
def test_prepositioning_changes_nothing(engine: Engine, name: str, sampling: Sampling) -> None:
    """On registered questions: decoded ahead under the constraint, freely, and not at all."""
    if not engine.info.can_roll_back:
        pytest.skip("this memory cannot roll back: every entry is computed anew")
    spec = SPECS[name]
    asked: dict[str, TurnResult] = {}
    for how, question in {
        "off": None,
        "ahead": Question(content="What is it?", constraint=spec),
        "freely": Question(content="What is it?"),
    }.items():
        with engine.open_session(
            "Answer.", sampling=sampling, preposition=question is not None, questions=[question] if question else []
        ) as session:
            session.append({"role": "user", "content": "My order is late."})
            settled(engine)
            result = session.ask("What is it?", constraint=spec, max_new_tokens=200).result()
            assert result.path == ("ready" if question else result.path)
            check(name, result.text)
            context = context_of(session, "What is it?")
            asked[how] = result
            if how == "ahead" and sampling is GREEDY and len(result.tokens) <= 16:
                assert result.end.usage.decoded_tokens == 0
    for how in ("ahead", "freely"):
        assert_same(engine, context, asked["off"].tokens, asked[how].tokens, sampling, spec)


def test_a_question_brings_its_constraint(engine: Engine) -> None:
    with engine.open_session("Answer.", sampling=GREEDY) as session:
        session.register_question(Question(content="Is it late?", name="late", constraint=SPECS["choices"]))
        session.append({"role": "user", "content": "My order is late."})
        settled(engine)
        check("choices", session.ask("late").result().text)
        check("regex", session.ask("late", constraint=SPECS["regex"], max_new_tokens=40).result().text)
        form = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
        check("schema", session.ask("late", response_format=form, max_new_tokens=200).result().text)
        assert session.messages[-1]["role"] == "user"  # nothing was committed


def test_a_length_may_cut_an_answer_and_says_so(engine: Engine) -> None:
    with engine.open_session("Answer.", sampling=GREEDY) as session:
        result = session.turn("Well?", constraint=SPECS["schema"], max_new_tokens=5).result()
        assert result.end.finish_reason == "length"
        assert len(result.tokens) == 5
        assert result.text.startswith('{"name":"'[: len(result.text)])


def test_stop_tokens_of_the_request_replace_the_models(engine: Engine) -> None:
    """Then the constraint itself ends the answer, behind the end token."""
    ends = set(engine.info.end_tokens)
    other = next(token for token in range(engine.info.vocab_size) if token not in ends)
    with engine.open_session("Answer.", sampling=GREEDY) as session:
        result = session.turn("Well?", constraint=SPECS["regex"], stop_tokens=[other], max_new_tokens=60).result()
        assert result.end.finish_reason in ("constraint", "stop")
        if result.end.finish_reason == "constraint":
            check("regex", result.text)


def test_a_constraint_of_ones_own_that_raises(engine: Engine) -> None:
    class Broken(_core.Constraint):
        def fill_mask(self, mask: Any) -> None:
            raise RuntimeError("out of order")

        def accept(self, token: int) -> None: ...

        @property
        def finished(self) -> bool:
            return False

        def clone(self) -> Broken:
            return Broken()

    with engine.open_session("Answer.", sampling=GREEDY) as session:
        with pytest.raises(ExecutorError, match="out of order"):
            session.turn("Well?", constraint=Broken()).result()
        check("choices", session.turn("Well?", constraint=SPECS["choices"]).result().text)


def test_fifty_at_once(engine: Engine) -> None:
    names = list(SPECS)

    def one(index: int) -> tuple[str, str]:
        session: Session
        name = names[index % len(names)]
        with engine.open_session(
            "Answer.", sampling=Sampling(temperature=1.5, seed=index), preposition=index % 2 == 0
        ) as session:
            said = f"Number {index}, please."
            return name, session.turn(said, constraint=SPECS[name], max_new_tokens=200).result().text

    with ThreadPoolExecutor(max_workers=50) as pool:
        for name, text in pool.map(one, range(50)):
            check(name, text)
    settled(engine)
    engine.executor.check_integrity()
