"""Thoughts: decoded ahead further than an answer, streamed at once, counted as what they are.

The toy model thinks when we say so: the marks are ids that its answer is known to contain.
"""

from __future__ import annotations

import pytest

from poise import _core
from tests.support.sim_world import Answer, SimWorld

LOG = list(range(10, 40))
ASKED = [5, 6]
AHEAD = 6


@pytest.fixture
def world() -> SimWorld:
    return SimWorld(idle_quantum_tokens=16, vocab_size=50_021)  # so large that no id comes twice


@pytest.fixture
def plain(world: SimWorld) -> list[int]:
    """The answer without Poise; long, and no id twice, so that any of them can be a mark."""
    answer = world.reference([*LOG, *ASKED], max_new_tokens=120)
    assert len(answer) == 120
    return answer


def marks(begin: list[int], end: list[int], tokens: int = 256) -> _core.ThoughtOptions:
    return _core.ThoughtOptions(begin=begin, end=end, tokens=tokens)


def prepared(world: SimWorld, thought: _core.ThoughtOptions, asked: list[int] = ASKED) -> tuple[str, _core.EntryState]:
    session = world.open(LOG, thought=thought, continuation_tokens=AHEAD)
    world.anticipate(session, asked)
    world.idle()
    (entry,) = world.manager.state(session).entries
    assert entry.ready
    return session, entry


def told_at_once(world: SimWorld, session: str, asked: list[int], max_new_tokens: int = 100) -> Answer:
    """A turn, and a check that all that was prepared came before the executor did anything."""
    steps = world.sim.stats().steps
    stream = world.begin(session, asked, max_new_tokens=max_new_tokens)
    at_once = world.drain(stream)
    assert world.sim.stats().steps == steps
    assert at_once.start.path == _core.Path.ready
    assert len(at_once.ids) == at_once.start.continuation_tokens
    assert all(token.prepositioned for token in at_once.tokens)
    world.sim.run_until_idle()
    rest = world.drain(stream)
    return Answer(at_once.start, [*at_once.tokens, *rest.tokens], rest.end)


def unique(plain: list[int], *places: int) -> list[int]:
    for place in places:
        assert plain.count(plain[place]) == 1
    return [plain[place] for place in places]


def test_a_thought_that_the_answer_opens_is_followed_to_its_end(world: SimWorld, plain: list[int]) -> None:
    begin, end = unique(plain, 2, 60)
    session, entry = prepared(world, marks([begin], [end]))
    # 3 before the thought and with its begin mark, 58 to its end mark, and what is left of the 6
    assert entry.thought_tokens == 58
    assert entry.continuation_tokens == 58 + AHEAD
    assert world.manager.counters().idle_thought_tokens == 58
    answer = told_at_once(world, session, ASKED)
    assert answer.start.thought_tokens == 58
    assert answer.ids == plain[:100]
    assert answer.end.reprefilled_tokens == 0


def test_a_thought_that_the_template_opens(world: SimWorld, plain: list[int]) -> None:
    (end,) = unique(plain, 45)
    session, entry = prepared(world, marks([ASKED[-1]], [end]))
    assert (entry.thought_tokens, entry.continuation_tokens) == (46, 46 + AHEAD)
    assert told_at_once(world, session, ASKED).ids == plain[:100]


def test_a_mark_may_be_in_the_log(world: SimWorld) -> None:
    plain = world.reference(LOG, max_new_tokens=100)
    (end,) = unique(plain, 30)
    session = world.open(LOG[:-1], thought=marks([LOG[-2]], [end]), continuation_tokens=AHEAD)
    world.anticipate(session, LOG[-1:])
    world.idle()
    (entry,) = world.manager.state(session).entries
    assert (entry.thought_tokens, entry.continuation_tokens) == (31, 31 + AHEAD)
    # an append that is the whole guess moves the decision point into the log, not the thought
    world.manager.append(session, LOG[-1:])
    answer = told_at_once(world, session, [])
    assert answer.start.thought_tokens == 31
    assert answer.ids == plain


def test_a_thought_that_an_earlier_message_left_open_is_over(world: SimWorld) -> None:
    (stop,) = world.sim.info().end_tokens
    asked = [700, stop, 5]
    _, entry = prepared(world, marks([700], [701]), asked)
    assert (entry.thought_tokens, entry.continuation_tokens) == (0, AHEAD)


def test_a_thought_that_has_ended_is_no_thought(world: SimWorld) -> None:
    _, entry = prepared(world, marks([700], [701]), [700, 5, 701, 6])
    assert (entry.thought_tokens, entry.continuation_tokens) == (0, AHEAD)


def test_marks_of_several_ids_and_across_the_decision_point(world: SimWorld, plain: list[int]) -> None:
    begin = [ASKED[-1], plain[0]]
    end = plain[38:41]
    unique(plain, 0, 38, 39, 40)
    session, entry = prepared(world, marks(begin, end))
    assert (entry.thought_tokens, entry.continuation_tokens) == (40, 40 + AHEAD)
    assert told_at_once(world, session, ASKED).ids == plain[:100]


def test_the_cap_ends_what_is_decoded_ahead(world: SimWorld, plain: list[int]) -> None:
    begin, end = unique(plain, 2, 90)
    session, entry = prepared(world, marks([begin], [end], tokens=40))
    assert (entry.thought_tokens, entry.continuation_tokens) == (40, 43)
    answer = told_at_once(world, session, ASKED)
    assert answer.ids == plain[:100]
    assert answer.end.reprefilled_tokens == 0


def test_a_cap_of_nothing_leaves_the_distribution(world: SimWorld, plain: list[int]) -> None:
    session, entry = prepared(world, marks([ASKED[-1]], [plain[50]], tokens=0))
    assert (entry.thought_tokens, entry.continuation_tokens) == (0, 0)
    assert told_at_once(world, session, ASKED).ids == plain[:100]


def test_a_stop_token_inside_a_thought_ends_it_all(world: SimWorld, plain: list[int]) -> None:
    stop, end = unique(plain, 20, 60)
    session = world.open(LOG, thought=marks([ASKED[-1]], [end]), continuation_tokens=AHEAD, stop_tokens=[stop])
    world.anticipate(session, ASKED)
    world.idle()
    (entry,) = world.manager.state(session).entries
    assert entry.continuation_tokens == 21
    answer = told_at_once(world, session, ASKED)
    assert answer.ids[:21] == plain[:21]


def test_thoughts_are_drawn_as_a_request_would_draw_them(world: SimWorld) -> None:
    sampling = _core.SamplingParams(temperature=1.0, seed=3)
    plain = world.reference([*LOG, *ASKED], sampling=sampling, max_new_tokens=100)
    session = world.open(LOG, thought=marks([ASKED[-1]], [50_000], tokens=70), sampling=_core.SamplingParams())
    world.anticipate(session, ASKED)
    world.idle()
    answer = world.ask(session, ASKED, sampling=sampling, max_new_tokens=100)
    assert answer.start.path == _core.Path.ready
    assert answer.ids == plain


def test_a_thought_is_offered_as_the_work_it_is(world: SimWorld, plain: list[int]) -> None:
    """In pieces: a guess that appears meanwhile, and is worth more, need not wait for the thought's end."""
    begin, end = unique(plain, 0, 110)
    session = world.open(LOG, thought=marks([begin], [end]), continuation_tokens=AHEAD)
    world.anticipate(session, ASKED)
    while not world.manager.state(session).entries[0].thought_tokens:
        assert world.manager.run_idle()
        world.sim.run_until_idle()
    partly = world.manager.state(session).entries[0].thought_tokens
    assert partly < 110
    other = world.anticipate(session, [8, 9])
    assert world.manager.run_idle()
    world.sim.run_until_idle()
    entries = {entry.id: entry for entry in world.manager.state(session).entries}
    assert entries[other].ready
    assert max(entry.thought_tokens for entry in entries.values()) == partly
    world.idle()
    assert told_at_once(world, session, ASKED, 118).ids == plain[:118]


def test_a_request_that_comes_too_early_gets_what_is_there(world: SimWorld, plain: list[int]) -> None:
    begin, end = unique(plain, 0, 110)
    session = world.open(LOG, thought=marks([begin], [end]), continuation_tokens=AHEAD)
    world.anticipate(session, ASKED)
    while world.manager.state(session).entries == [] or not world.manager.state(session).entries[0].thought_tokens:
        if not world.manager.run_idle():
            world.sim.step()
    answer = told_at_once(world, session, ASKED)
    assert 0 < answer.start.thought_tokens < 110
    assert answer.ids == plain[:100]


def test_without_the_option_a_thought_is_text_like_any_other(world: SimWorld) -> None:
    session = world.open(LOG, continuation_tokens=AHEAD)
    world.anticipate(session, ASKED)
    world.idle()
    (entry,) = world.manager.state(session).entries
    assert (entry.thought_tokens, entry.continuation_tokens) == (0, AHEAD)
    assert world.manager.counters().idle_thought_tokens == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"begin": [], "end": [2]}, "begin mark has no tokens"),
        ({"begin": [1], "end": []}, "end mark has no tokens"),
        ({"begin": [1], "end": [2], "tokens": -1}, "tokens is -1"),
        ({"begin": [1], "end": [99999]}, "99999"),
    ],
)
def test_impossible_options_are_refused(world: SimWorld, options: dict[str, object], words: str) -> None:
    with pytest.raises(_core.InvalidArgument, match=words):
        world.open(LOG, thought=_core.ThoughtOptions(**options))
