"""Which path a first token takes, and the work that it costs. Driven on the simulated executor."""

from __future__ import annotations

import pytest

from poise import _core
from tests.support.sim_world import SimWorld

LOG = list(range(10, 60))
QUESTION = [101, 102, 103]


@pytest.fixture
def world() -> SimWorld:
    return SimWorld()


def test_first_turn_is_cold_and_the_second_resumes_the_prefix(world: SimWorld) -> None:
    session = world.open()
    first = world.ask(session, LOG, max_new_tokens=4)
    assert first.start.path == _core.Path.cold
    assert first.end.prefilled_tokens == len(LOG)
    second = world.ask(session, [7, 8])
    assert second.start.path == _core.Path.prefix
    # the last answer token has no KV yet, and the request is two more
    assert second.end.prefilled_tokens == 3
    assert second.end.reused_tokens == len(LOG) + 3


def test_a_registered_question_is_ready_and_nothing_is_computed_twice(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, QUESTION, kind=_core.AnticipationKind.question, persistent=True)
    world.idle()
    before = world.sim.stats()
    answer = world.ask(session, QUESTION, max_new_tokens=24)
    after = world.sim.stats()
    assert answer.start.path == _core.Path.ready
    assert answer.start.placement == _core.EntryPlacement.resident
    assert answer.start.prepositioned_tokens == len(QUESTION)
    assert answer.end.prefilled_tokens == 0
    assert answer.end.reprefilled_tokens == 0
    prepaid = sum(token.prepositioned for token in answer.tokens)
    assert prepaid == 16
    # one executor pass a token behind the continuation, whose last id enters as context
    assert after.prefilled_tokens - before.prefilled_tokens == 1
    assert answer.end.decoded_tokens == len(answer.ids) - prepaid
    assert answer.ids == world.reference(LOG + QUESTION, max_new_tokens=24)


def test_a_short_answer_needs_no_executor_at_all(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, QUESTION)
    world.idle()
    before = world.sim.stats()
    answer = world.manager.turn(
        session,
        _core.TurnRequest(tokens=QUESTION, max_new_tokens=5, sampling=_core.SamplingParams(temperature=0.0)),
    )
    got = world.drain(answer)  # no step was run
    assert got.end.reason == _core.FinishReason.length
    assert got.ids == world.reference(LOG + QUESTION, max_new_tokens=5)
    after = world.sim.stats()
    assert (after.steps, after.prefilled_tokens) == (before.steps, before.prefilled_tokens)
    assert world.log(session) == LOG + QUESTION + got.ids


def test_twenty_questions_use_one_sequence_and_each_is_ready(world: SimWorld) -> None:
    session = world.open(LOG, continuation_tokens=4)
    questions = [[200 + 10 * i, 201 + 10 * i, 7] for i in range(20)]
    for question in questions:
        world.anticipate(session, question, kind=_core.AnticipationKind.question, persistent=True)
    world.idle()
    assert world.sim.stats().sequences_used == 1
    for question in questions:
        answer = world.ask(session, question, durable=False, max_new_tokens=6)
        assert answer.start.path == _core.Path.ready
        assert answer.end.prefilled_tokens == 0
        assert answer.ids == world.reference(LOG + question, max_new_tokens=6)
    assert world.sim.stats().sequences_used == 1
    assert world.log(session) == LOG


def test_a_detached_entry_prefills_its_tokens_behind_its_first_tokens(world: SimWorld) -> None:
    session = world.open(LOG, continuation_tokens=4)
    for first in (300, 301):
        world.anticipate(session, [first, 1, 2, 3])
    world.idle()
    entries = {e.id: e.placement for e in world.manager.state(session).entries}
    assert sorted(p.name for p in entries.values()) == ["detached", "resident"]
    first = 300 if entries[min(entries)] == _core.EntryPlacement.detached else 301
    answer = world.ask(session, [first, 1, 2, 3], max_new_tokens=10)
    assert answer.start.path == _core.Path.ready
    assert answer.start.placement == _core.EntryPlacement.detached
    assert answer.end.prefilled_tokens == 0
    # its four tokens, and the three continuation tokens that had KV before it was rolled back
    assert answer.end.reprefilled_tokens == 4 + 3
    assert answer.ids == world.reference([*LOG, first, 1, 2, 3], max_new_tokens=10)


def test_a_request_that_extends_an_entry_prefills_the_delta_only(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [40, 41, 42, 43], decides=False, kind=_core.AnticipationKind.turn)
    world.idle()
    answer = world.ask(session, [40, 41, 42, 43, 5, 6])
    assert answer.start.path == _core.Path.entry
    assert answer.start.kind == _core.AnticipationKind.turn
    assert answer.start.prepositioned_tokens == 4
    assert answer.start.delta_tokens == 2
    assert answer.end.prefilled_tokens == 2
    assert answer.ids == world.reference([*LOG, 40, 41, 42, 43, 5, 6])


def test_a_wrong_guess_costs_work_and_never_a_token(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [40, 41, 42, 43])
    world.idle()
    answer = world.ask(session, [40, 41, 9, 9])
    assert answer.start.path == _core.Path.entry
    assert answer.start.prepositioned_tokens == 2  # the longest common token prefix
    assert answer.end.prefilled_tokens == 2
    assert answer.ids == world.reference([*LOG, 40, 41, 9, 9])


def test_an_unrelated_request_takes_the_prefix_path(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, [40, 41])
    world.idle()
    answer = world.ask(session, [9, 9])
    assert answer.start.path == _core.Path.prefix
    assert answer.start.source == _core.AnticipationSource.none
    assert answer.end.prefilled_tokens == 2


def test_entries_can_be_left_unused(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, QUESTION)
    world.idle()
    answer = world.ask(session, QUESTION, use_entries=False)
    assert answer.start.path == _core.Path.prefix
    assert answer.ids == world.reference(LOG + QUESTION)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_sampling_without_a_seed_adopts_the_entrys_once(world: SimWorld, temperature: float) -> None:
    params = _core.SamplingParams(temperature=temperature)
    session = world.open(LOG, sampling=params)
    world.anticipate(session, QUESTION, kind=_core.AnticipationKind.question, persistent=True)
    world.idle()
    first = world.ask(session, QUESTION, durable=False, sampling=params, max_new_tokens=12)
    assert first.start.path == _core.Path.ready
    assert all(token.prepositioned for token in first.tokens)
    again = [world.ask(session, QUESTION, durable=False, sampling=params, max_new_tokens=12) for _ in range(4)]
    assert all(a.start.path == _core.Path.ready for a in again)
    # fresh draws: five equal answers would mean that randomness was used twice
    assert len({tuple(a.ids) for a in [first, *again]}) > 1


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 1.0, "seed": 5},
        {"temperature": 0.8, "seed": 6, "top_k": 7},
        {"temperature": 1.3, "seed": 7, "top_p": 0.8},
        {"temperature": 1.0, "seed": 8, "min_p": 0.1},
        {"temperature": 1.0, "seed": 9, "repetition_penalty": 1.3, "presence_penalty": 0.4, "frequency_penalty": 0.3},
        {"temperature": 0.0, "repetition_penalty": 1.5},
        {"temperature": 0.0, "bias": [_core.LogitBias(token=17, bias=30.0)]},
    ],
    ids=lambda p: "+".join(p),
)
def test_ready_under_any_sampling_equals_a_decode(world: SimWorld, params: dict[str, object]) -> None:
    """The entry was drawn greedily; the request brings its own parameters and seed."""
    session = world.open(LOG)
    world.anticipate(session, QUESTION)
    world.idle()
    sampling = _core.SamplingParams(**params)
    answer = world.ask(session, QUESTION, sampling=sampling, max_new_tokens=20)
    assert answer.start.path == _core.Path.ready
    assert answer.end.prefilled_tokens == 0
    assert answer.ids == world.reference(LOG + QUESTION, sampling=sampling, max_new_tokens=20)


def test_a_constraint_holds_across_ready_and_decode(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, QUESTION)
    world.idle()
    constraint = _core.TokenSetConstraint([3, 5, 8, 13], 12)
    answer = world.ask(session, QUESTION, constraint=constraint, max_new_tokens=30)
    assert answer.start.path == _core.Path.ready
    assert answer.end.reason == _core.FinishReason.constraint
    assert len(answer.ids) == 12
    assert set(answer.ids) <= {3, 5, 8, 13}
    assert answer.ids == world.reference(
        LOG + QUESTION, constraint=_core.TokenSetConstraint([3, 5, 8, 13], 12), max_new_tokens=30
    )


def test_logprobs_of_ready_equal_those_of_a_decode(world: SimWorld) -> None:
    session = world.open(LOG)
    world.anticipate(session, QUESTION)
    world.idle()
    ready = world.ask(session, QUESTION, durable=False, top_logprobs=5, max_new_tokens=6)
    plain = world.ask(session, QUESTION, durable=False, top_logprobs=5, max_new_tokens=6, use_entries=False)
    assert (ready.start.path, plain.start.path) == (_core.Path.ready, _core.Path.prefix)
    for a, b in zip(ready.tokens, plain.tokens, strict=True):
        assert a.logprob == pytest.approx(b.logprob, abs=1e-5)
        assert [t.token for t in a.top_logprobs] == [t.token for t in b.top_logprobs]


def test_a_long_guess_may_branch_and_is_handed_over(world: SimWorld) -> None:
    session = world.open(LOG, continuation_tokens=2)
    world.anticipate(session, [400] * 40, weight=1.0)
    world.idle()
    world.anticipate(session, [401] * 40, may_branch=True, weight=0.1)
    world.idle()
    assert world.sim.stats().sequences_used == 2
    answer = world.ask(session, [401] * 40, max_new_tokens=6)
    assert answer.start.path == _core.Path.ready
    assert answer.start.placement == _core.EntryPlacement.branch
    assert answer.end.reprefilled_tokens == 0  # its KV was there
    world.idle()
    assert world.sim.stats().sequences_used == 1  # the old sequence is gone
    assert answer.ids == world.reference(LOG + [401] * 40, max_new_tokens=6)


class TestGate:
    """The uncertified form: an explicit threshold and a set of answers."""

    @staticmethod
    def best_of(world: SimWorld, context: list[int]) -> tuple[int, float]:
        row = world.sim.reference_logits(context)
        order = sorted(range(len(row)), key=lambda i: -row[i])
        return order[0], row[order[0]] - row[order[1]]

    def test_answers_a_request_that_goes_beyond_the_entry(self, world: SimWorld) -> None:
        session = world.open(LOG)
        world.anticipate(session, QUESTION)
        world.idle()
        best, _ = self.best_of(world, LOG + QUESTION)
        other = 4 if best != 4 else 5
        before = world.sim.stats()
        gate = _core.GateOptions(gap_threshold=0.0, answer_set=[best, other])
        answer = world.drain(world.begin(session, [*QUESTION, 9, 9], gate=gate))
        assert answer.start.path == _core.Path.gate
        assert answer.start.gap_threshold == 0.0
        assert answer.start.delta_tokens == 2
        assert answer.ids == [best]
        assert world.sim.stats().steps == before.steps  # no decode
        # committed: question and answer; their KV is prefilled in idle time
        assert world.log(session) == [*LOG, *QUESTION, 9, 9, best]
        world.idle()
        state = world.manager.state(session)
        assert state.resident_version == state.data_version

    @pytest.mark.parametrize("why", ["threshold", "not an answer"])
    def test_refuses_and_falls_through_without_loss(self, world: SimWorld, why: str) -> None:
        session = world.open(LOG)
        world.anticipate(session, QUESTION)
        world.idle()
        best, gap = self.best_of(world, LOG + QUESTION)
        answers = [best, 3 if best != 3 else 4] if why == "threshold" else [i for i in (3, 4, 5) if i != best]
        threshold = 1e6 if why == "threshold" else 0.0
        gate = _core.GateOptions(gap_threshold=threshold, answer_set=answers)
        answer = world.ask(session, [*QUESTION, 9, 9], gate=gate)
        assert answer.start.path == _core.Path.entry
        assert answer.ids == world.reference([*LOG, *QUESTION, 9, 9])
        assert world.manager.counters().gate_refused == 1
        assert gap >= 0.0

    def test_an_equal_request_is_ready_and_not_gated(self, world: SimWorld) -> None:
        session = world.open(LOG)
        world.anticipate(session, QUESTION)
        world.idle()
        gate = _core.GateOptions(gap_threshold=0.0, answer_set=[1, 2])
        answer = world.ask(session, QUESTION, gate=gate)
        assert answer.start.path == _core.Path.ready

    def test_an_ephemeral_gate_answer_commits_nothing(self, world: SimWorld) -> None:
        session = world.open(LOG)
        world.anticipate(session, QUESTION)
        world.idle()
        best, _ = self.best_of(world, LOG + QUESTION)
        gate = _core.GateOptions(gap_threshold=0.0, answer_set=[best, best + 1 if best < 900 else 3])
        answer = world.ask(session, [*QUESTION, 9], gate=gate, durable=False)
        assert answer.start.path == _core.Path.gate
        assert world.log(session) == LOG

    @pytest.mark.parametrize(
        ("threshold", "answers", "message"),
        [
            (float("nan"), [1, 2], "gap_threshold"),
            (-1.0, [1, 2], "gap_threshold"),
            (2.0, [1], "answer_set"),
            (2.0, [1, 1], "answer_set"),
            (2.0, [1, 5000], "5000"),
        ],
    )
    def test_bad_options_are_refused(self, world: SimWorld, threshold: float, answers: list[int], message: str) -> None:
        session = world.open(LOG)
        with pytest.raises(_core.InvalidArgument, match=message):
            world.begin(session, [1], gate=_core.GateOptions(gap_threshold=threshold, answer_set=answers))
