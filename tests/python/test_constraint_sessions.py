"""Constraints on sessions: the same answer with pre-positioning and without, forced ids at once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from poise import _core
from tests.support.scripted import Scripted
from tests.support.sim_world import SimWorld

if TYPE_CHECKING:
    from tests.support.scripted import Step

LOG = list(range(10, 60))
QUESTION = [101, 102, 103]
CHOICE = tuple(range(200, 300))
SCRIPT: list[Step] = [5, 6, CHOICE, 7, 8, CHOICE, CHOICE, 9]


@pytest.fixture
def world() -> SimWorld:
    return SimWorld()


def entry(world: SimWorld, **guess: Any) -> str:
    """A session on which the question is ready."""
    session = world.open(LOG)
    world.anticipate(session, QUESTION, kind=_core.AnticipationKind.question, persistent=True, **guess)
    world.idle()
    assert [entry.ready for entry in world.manager.state(session).entries] == [True]
    return session


def test_forced_ids_come_before_any_step(world: SimWorld) -> None:
    session = entry(world)
    before = world.sim.stats()
    stream = world.begin(session, QUESTION, constraint=Scripted([5, 6, 7, CHOICE]), max_new_tokens=9)
    first = world.drain(stream)
    assert first.start is not None
    assert first.start.path == _core.Path.ready
    assert [(token.token, token.forced, token.logprob) for token in first.tokens] == [
        (5, True, 0.0),
        (6, True, 0.0),
        (7, True, 0.0),
    ]
    assert world.sim.stats().steps == before.steps
    world.sim.run_until_idle()
    rest = world.drain(stream)
    assert rest.end is not None
    assert rest.end.reason == _core.FinishReason.constraint
    assert world.sim.stats().steps - before.steps == 1
    assert rest.end.decoded_tokens == 1
    assert rest.end.prefilled_tokens == rest.end.reprefilled_tokens == 0


def test_an_answer_of_forced_ids_needs_no_executor(world: SimWorld) -> None:
    session = entry(world)
    answer = world.drain(world.begin(session, QUESTION, constraint=Scripted([5, 6, 7])))
    assert answer.end is not None
    assert answer.end.reason == _core.FinishReason.constraint
    assert answer.end.decoded_tokens == 0
    assert answer.ids == [5, 6, 7]
    assert world.log(session) == LOG + QUESTION + [5, 6, 7]
    world.idle()
    state = world.manager.state(session)
    assert state.resident_version == state.data_version
    following = world.ask(session, [55])
    assert following.ids == world.reference([*LOG, *QUESTION, 5, 6, 7, 55])


def test_forced_ids_that_the_entry_agrees_with_keep_its_rows(world: SimWorld) -> None:
    session = entry(world)
    said = world.reference(LOG + QUESTION, max_new_tokens=16)
    vocabulary = tuple(range(1, 997))
    script: list[Step] = [said[0], said[1], vocabulary, said[3], vocabulary, vocabulary]
    answer = world.drain(world.begin(session, QUESTION, constraint=Scripted(script)))
    assert answer.end is not None  # no step was run
    assert answer.ids == said[:6]
    assert [token.prepositioned for token in answer.tokens] == [False, False, True, False, True, True]


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("sampling", [{"temperature": 0.0}, {"temperature": 1.3, "seed": 4}], ids=["greedy", "seeded"])
@pytest.mark.parametrize("seed", range(12))
def test_prepositioning_changes_nothing(world: SimWorld, seed: int, sampling: dict[str, Any], *, durable: bool) -> None:
    """Random scripts, lengths and stops; the entry decoded ahead without the constraint, with it, or not at all."""
    draw = random.Random(seed)
    said = world.reference(LOG + QUESTION, max_new_tokens=8)
    script: list[Step] = [
        draw.choice([draw.randrange(5, 9), said[index % 8], (said[index % 8], *CHOICE), CHOICE])
        for index in range(draw.randrange(1, 14))
    ]
    options: dict[str, Any] = {
        "max_new_tokens": draw.randrange(1, 16),
        "stop_tokens": draw.choice([[0], [7], [8, *CHOICE[:20]]]),
        "sampling": _core.SamplingParams(frequency_penalty=draw.choice([0.0, 1.0]), **sampling),
    }
    constraint = Scripted(script, piece=draw.choice([1, 2, 1000]))
    expected = None
    for session in (world.open(LOG), entry(world), entry(world, constraint=constraint)):
        answer = world.ask(session, QUESTION, constraint=constraint, durable=durable, **options)
        assert answer.end is not None
        got = (answer.ids, answer.end.reason, [token.forced for token in answer.tokens])
        expected = expected or got
        assert got == expected
        assert constraint.accepted == []  # the core works on clones
    assert expected is not None
    assert expected[0] == world.reference(LOG + QUESTION, constraint=constraint, **options)


def test_an_answer_is_decoded_ahead_under_its_constraint(world: SimWorld) -> None:
    constraint = Scripted(SCRIPT)
    session = entry(world, constraint=constraint)
    state = world.manager.state(session).entries[0]
    assert (state.ready, state.continuation_tokens) == (True, len(SCRIPT))
    before = world.sim.stats()
    answer = world.drain(world.begin(session, QUESTION, constraint=constraint, max_new_tokens=20))
    assert answer.end is not None  # no step was run
    assert answer.end.reason == _core.FinishReason.constraint
    assert world.sim.stats().steps == before.steps
    assert answer.ids == world.reference(LOG + QUESTION, constraint=constraint, max_new_tokens=20)
    # the same question asked freely is answered as if there had been no constraint
    free = entry(world, constraint=constraint)
    assert world.ask(free, QUESTION).ids == world.reference(LOG + QUESTION)


def test_a_tail_that_was_forced_ahead_is_not_counted_as_computed(world: SimWorld) -> None:
    """The entry's last chosen token and the ids forced behind it never had KV."""
    constraint = Scripted([CHOICE, CHOICE, 5, 6, 7])
    session = entry(world, constraint=constraint)
    longer = Scripted([CHOICE, CHOICE, 5, 6, 7, CHOICE])
    answer = world.ask(session, QUESTION, constraint=longer)
    assert answer.end is not None
    assert len(answer.ids) == 6
    assert answer.end.reprefilled_tokens == 0
    assert answer.end.decoded_tokens == 1


def test_entries_with_other_constraints_are_other_entries(world: SimWorld) -> None:
    one, two = Scripted([CHOICE]), Scripted([CHOICE])
    session = world.open(LOG)
    first = world.anticipate(session, QUESTION, constraint=one)
    assert world.anticipate(session, QUESTION, constraint=one) == first
    assert world.anticipate(session, QUESTION, constraint=two) != first


class Broken(Scripted):
    def __init__(self, method: str, **kept: Any) -> None:
        super().__init__([CHOICE] * 3, **kept)
        self.method = method

    def fill_mask(self, mask: Any) -> None:
        if self.method == "fill_mask":
            raise RuntimeError("broken")
        super().fill_mask(mask)

    def accept(self, token: int) -> None:
        if self.method == "accept":
            raise RuntimeError("broken")
        super().accept(token)

    def clone(self) -> Broken:
        if self.method == "clone":
            raise RuntimeError("broken")
        return Broken(self.method, history=self.accepted)


@pytest.mark.parametrize("prepared", [True, False], ids=["entry", "no entry"])
@pytest.mark.parametrize("method", ["fill_mask", "accept", "clone"])
def test_a_session_survives_a_broken_constraint(world: SimWorld, method: str, *, prepared: bool) -> None:
    session = entry(world) if prepared else world.open(LOG)
    answer = world.ask(session, QUESTION, constraint=Broken(method))
    assert answer.end is not None
    assert answer.end.reason == _core.FinishReason.error
    assert "broken" in answer.end.error
    assert world.log(session) == LOG
    assert world.ask(session, QUESTION).ids == world.reference(LOG + QUESTION)


def test_a_broken_constraint_of_a_guess_stops_idle_work_of_its_session_only(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, QUESTION, constraint=Broken("fill_mask"))
    world.idle()
    assert "broken" in world.manager.state(session).idle_error
    other = entry(world)
    assert world.ask(other, QUESTION).start.path == _core.Path.ready
    assert world.ask(session, QUESTION).ids == world.reference(LOG + QUESTION)


def test_a_finished_constraint_allows_no_token(world: SimWorld) -> None:
    done = Scripted([])
    for session in (entry(world), world.open(LOG)):
        answer = world.ask(session, QUESTION, constraint=done, durable=False)
        assert answer.ids == []
        assert answer.end.reason == _core.FinishReason.constraint


def test_the_gate_leaves_constrained_requests_alone(world: SimWorld) -> None:
    session = entry(world)
    gate = _core.GateOptions(gap_threshold=0.0, answer_set=list(range(900)))
    answer = world.ask(session, [*QUESTION, 9], gate=gate, constraint=Scripted([5, CHOICE]))
    assert answer.start.path == _core.Path.entry
    assert answer.ids[0] == 5
