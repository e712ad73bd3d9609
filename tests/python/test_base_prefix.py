"""Declared beginnings: prefilled once a tenant, copied into its new sessions, never into another's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from poise import GREEDY, Engine, InvalidArgument, NotFound, ResourceExhausted, _core
from tests.support import tiny_gguf
from tests.support.sim_world import SimWorld
from tests.support.text_world import bare_answer, sim_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poise import BasePrefix, Session

SYSTEM = "You are the support desk of a shop that sells lamps. " * 6
TOOLS = [{"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}]
BASE = list(range(100, 300))


@pytest.fixture(params=["sim", "streams", "unified"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "sim":
        made = sim_engine(sim={"max_sequences": 4})
    else:
        if not hasattr(_core, "LlamaExecutor"):
            pytest.skip("built without the embedded executor")
        path = Path(tempfile.mkdtemp(prefix="poise-tiny-")) / "llama.gguf"
        tiny_gguf.ARCHITECTURES["llama"]().write(path)
        made = Engine.load(path, max_sequences=4, context_tokens=1024, threads=1, layout=request.param)
    with made:
        yield made


def settled(engine: Engine) -> None:
    assert engine.wait_prepositioned(60.0)


def declared(engine: Engine, **options: Any) -> BasePrefix:
    prefix = engine.declare_prefix(SYSTEM, **options)
    settled(engine)
    assert prefix.resident_tokens == len(prefix.tokens) > 200
    return prefix


def first_turn(session: Session) -> tuple[Any, list[int]]:
    result = session.turn("Where is my lamp?", max_new_tokens=4).result()
    return result, list(session.state.log)


def test_a_new_session_is_copied_ahead_and_prefills_only_what_is_new(engine: Engine) -> None:
    prefix = declared(engine)
    before = engine.executor.stats()
    with engine.open_session(SYSTEM, sampling=GREEDY) as session:
        settled(engine)
        after = engine.executor.stats()
        # the log, and perhaps once more for the framing behind it, which the prefix holds too
        assert 1 <= after.copies - before.copies <= 2
        # nothing of the beginning was computed again, only what is anticipated behind it
        assert after.idle_prefilled_tokens - before.idle_prefilled_tokens < 40
        assert session.state.resident_tokens == len(session.state.log)
        result, log = first_turn(session)
        assert result.path in ("prefix", "entry")  # the framing behind the log is prepared as well
        assert result.end.usage.reused_tokens >= len(prefix.tokens) - 1
        assert result.end.usage.prefilled_tokens < 40
        assert result.tokens == tuple(bare_answer(engine, log[: len(log) - len(result.tokens)], 4))
    assert (prefix.sessions_started, prefix.tokens_saved > 200) == (1, True)
    assert prefix.ms_saved > 0.0
    assert not prefix.savings.estimated or isinstance(engine.executor, _core.SimExecutor)
    assert str(prefix.savings).startswith("1 session began with it: ")


def test_a_first_turn_that_comes_at_once_takes_the_path_prefix(engine: Engine) -> None:
    prefix = declared(engine)
    before = engine.executor.stats().copies
    with engine.open_session(SYSTEM, sampling=GREEDY, preposition=False) as session:
        result, _ = first_turn(session)
        assert result.path == "prefix"
        assert engine.executor.stats().copies - before == 1
        assert result.end.usage.prefilled_tokens < 40
        assert result.end.usage.reused_tokens + result.end.usage.prefilled_tokens == result.end.usage.context_tokens
    assert prefix.sessions_started == 1


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "somebody else"},
        {"tools": TOOLS},
        {"template_arguments": {"thinking": True}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_others_never_start_from_it(engine: Engine, other: dict[str, Any]) -> None:
    prefix = declared(engine)
    with engine.open_session(SYSTEM, sampling=GREEDY, preposition=False, **other) as session:
        result, _ = first_turn(session)
        assert result.path == "cold"
        assert result.end.usage.reused_tokens == 0
    assert (prefix.sessions_started, prefix.tokens_saved, prefix.ms_saved) == (0, 0, 0.0)
    assert str(prefix.savings) == "no session has begun with it yet"


def test_tools_and_arguments_that_were_declared_do(engine: Engine) -> None:
    same: dict[str, Any] = {"tools": TOOLS, "template_arguments": {"thinking": True}, "tenant": "acme"}
    prefix = declared(engine, **same)
    # what begins with "x-" is for the engine and not part of the beginning
    tools = [{**TOOLS[0], "x-results": [1, 2]}]
    with engine.open_session(SYSTEM, sampling=GREEDY, preposition=False, **{**same, "tools": tools}) as session:
        assert first_turn(session)[0].path == "prefix"
    assert prefix.sessions_started == 1


def test_it_is_no_session_of_anybody(engine: Engine) -> None:
    prefix = declared(engine)
    assert engine.manager.sessions("default") == []
    counters = engine.counters
    assert (counters.sessions_open, counters.base_prefixes) == (0, 1)
    prefix.retract()
    prefix.retract()
    assert prefix.retracted
    assert engine.counters.base_prefixes == 0
    settled(engine)
    assert engine.executor.stats().resident_tokens == 0


def test_a_retracted_one_is_not_started_from_and_keeps_its_numbers(engine: Engine) -> None:
    with declared(engine) as prefix, engine.open_session(SYSTEM, sampling=GREEDY, preposition=False) as session:
        first_turn(session)
    assert prefix.retracted
    assert (prefix.sessions_started, prefix.resident_tokens) == (1, 0)
    with engine.open_session(SYSTEM, sampling=GREEDY, preposition=False) as session:
        assert first_turn(session)[0].path == "cold"
    assert prefix.sessions_started == 1


def test_what_cannot_be_declared_is_refused() -> None:
    with sim_engine() as engine, pytest.raises(InvalidArgument, match="system prompt or tools"):
        engine.declare_prefix()
    with sim_engine(text=False) as engine, pytest.raises(InvalidArgument, match="no tokenizer"):
        engine.declare_prefix("Hello")


def test_a_template_that_wants_a_user_first_still_has_a_beginning() -> None:
    """The session's log is empty until its first turn; that turn starts from the prefix."""
    template = (
        "{%- if messages[-1].role == 'system' %}{{ raise_exception('say something') }}{%- endif %}"
        "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
    )
    with sim_engine(template) as engine:
        prefix = declared(engine)
        with engine.open_session(SYSTEM, sampling=GREEDY, preposition=False) as session:
            assert session.state.log == []
            result, _ = first_turn(session)
            assert result.path == "prefix"
            assert result.end.usage.reused_tokens == len(prefix.tokens)
        assert prefix.tokens_saved == len(prefix.tokens)


class TestManager:
    """The same below the text layer, step by step."""

    def test_limits_of_sessions_do_not_count_it(self) -> None:
        world = SimWorld(max_sessions=1, max_sessions_per_tenant=1)
        world.open(BASE, base_prefix=True)
        session = world.open(BASE)
        with pytest.raises(ResourceExhausted, match="max_sessions"):
            world.open(BASE)
        world.open(BASE[1:], base_prefix=True)
        world.manager.close(session)
        world.open(BASE)

    def test_its_own_limit(self) -> None:
        world = SimWorld(max_base_prefixes_per_tenant=2)
        bases = [world.open([base, *BASE], base_prefix=True) for base in (1, 2)]
        with pytest.raises(ResourceExhausted, match="max_base_prefixes_per_tenant"):
            world.open(BASE, base_prefix=True)
        world.open(BASE, base_prefix=True, tenant="another")
        world.manager.close(bases[0])
        world.open(BASE, base_prefix=True)
        with pytest.raises(InvalidArgument, match="no tokens"):
            world.open([], base_prefix=True, tenant="third")

    def test_the_longest_one_counts(self) -> None:
        world = SimWorld()
        short = world.open(BASE[:100], base_prefix=True)
        long = world.open(BASE, base_prefix=True)
        world.idle()
        session = world.open([*BASE, 5, 6])
        world.idle()
        state = world.manager.state(session)
        assert state.resident_tokens == len(state.log)
        assert world.manager.state(short).prefix_use.sessions_started == 0
        use = world.manager.state(long).prefix_use
        assert (use.sessions_started, use.tokens_saved) == (1, len(BASE))
        assert use.time_saved_ms == pytest.approx(len(BASE) * world.sim_options.prefill_per_token_ms)
        assert world.manager.counters().prefix_tokens_saved == len(BASE)

    def test_a_fork_and_a_second_turn_are_no_starts(self) -> None:
        world = SimWorld()
        base = world.open(BASE, base_prefix=True)
        world.idle()
        session = world.open(BASE)
        world.ask(session, [7])
        world.ask(session, [8])
        fork = world.manager.fork(session)
        world.ask(fork, [9])
        assert world.manager.state(base).prefix_use.sessions_started == 1

    def test_it_is_not_journaled(self) -> None:
        class Journal(_core.Journal):
            def __init__(self) -> None:
                super().__init__()
                self.sessions: list[str] = []

            def write(self, record: _core.JournalRecord) -> None:
                self.sessions.append(record.session)

        journal = Journal()
        world = SimWorld(journal=journal)
        base = world.open(BASE, base_prefix=True)
        session = world.open(BASE)
        world.manager.close(base)
        assert journal.sessions == [session]
        with pytest.raises(NotFound):
            world.manager.state(base)

    def test_under_pressure_it_outlives_sessions(self) -> None:
        world = SimWorld(max_sequences=3, park_bytes=0)
        base = world.open(BASE, base_prefix=True, retention_priority=95)
        world.idle()
        for number in range(6):
            session = world.open([number, *range(400, 460)])
            world.ask(session, [7])
            world.idle()
        assert world.manager.state(base).resident_tokens == len(BASE)
