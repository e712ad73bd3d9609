"""The session side of ``poise._core``: constructors, defaults, Python journals, counters by name."""

from __future__ import annotations

import pytest

from poise import _core
from tests.support.sim_world import SimWorld

LOG = [11, 12, 13, 14]


def test_options_are_keyword_only_and_keep_what_they_are_given() -> None:
    guess = _core.Anticipation(tokens=[1, 2], weight=0.5, label="next", persistent=True)
    assert guess.tokens == [1, 2]
    assert guess.decides
    assert "label='next'" in repr(guess)
    guess.completion_tokens = 4
    assert guess.completion_tokens == 4
    with pytest.raises(TypeError):
        _core.Anticipation([1, 2])
    with pytest.raises(TypeError):
        _core.TurnRequest(tokenz=[1])
    request = _core.TurnRequest(gate=_core.GateOptions(answer_set=[3, 4]), rebase_to=2)
    assert request.gate is not None
    assert request.gate.answer_set == [3, 4]
    assert request.gate.gap_threshold == 2.0
    assert request.rebase_to == 2
    assert _core.TurnRequest().rebase_to is None
    assert _core.OpenOptions().time_to_live_ms is None
    assert _core.OpenOptions(time_to_live_ms=1500).time_to_live_ms == 1500.0
    options = _core.ManagerOptions(idle=_core.IdleOptions(max_time_share=0.25), seed=7)
    assert options.idle.max_time_share == 0.25
    assert options.seed == 7


def test_results_cannot_be_changed() -> None:
    world = SimWorld()
    state = world.manager.state(world.open(LOG))
    with pytest.raises(AttributeError):
        state.log = []  # type: ignore[misc]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_time_that_is_no_time_is_refused_by_name(value: float) -> None:
    with pytest.raises(_core.InvalidArgument, match="back_off_ms"):
        _core.IdleOptions(back_off_ms=value)


class ListJournal(_core.Journal):
    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[_core.JournalRecord.Kind] = []
        self.refuse = False

    def write(self, record: _core.JournalRecord) -> None:
        if self.refuse:
            raise _core.ResourceExhausted("the disk is full")
        self.kinds.append(record.kind)


def test_a_journal_written_in_python_sees_commits_and_can_refuse_them() -> None:
    journal = ListJournal()
    world = SimWorld(journal=journal)
    session = world.open(LOG)
    world.manager.append(session, [20, 21])
    world.ask(session, [22])
    kind = _core.JournalRecord.Kind
    assert journal.kinds == [kind.open, kind.append, kind.turn]
    log = world.log(session)
    journal.refuse = True
    with pytest.raises(_core.ResourceExhausted, match="the disk is full"):
        world.manager.append(session, [30])
    assert world.log(session) == log
    journal.refuse = False
    world.manager.append(session, [30])
    assert world.log(session) == [*log, 30]


def test_the_memory_journal_replays_the_log() -> None:
    journal = _core.MemoryJournal()
    world = SimWorld(journal=journal)
    session = world.open(LOG)
    world.manager.append(session, [20, 21])
    world.ask(session, [22])
    assert journal.replay(session) == world.log(session)
    assert journal.replay("unknown") is None
    records = journal.records()
    assert [record.session for record in records] == [session] * 3
    assert records[1].tokens == [20, 21]
    copy = _core.MemoryJournal()
    for record in records:
        copy.write(record)
    assert copy.replay(session) == world.log(session)


def test_counters_by_name() -> None:
    world = SimWorld()
    session = world.open(LOG)
    world.anticipate(session, [30, 31])
    world.idle()
    world.ask(session, [30, 31])
    counters = world.manager.counters()
    assert counters.turns(_core.Path.ready) == 1
    assert counters.turns_by_path == {"ready": 1, "gate": 0, "entry": 0, "prefix": 0, "cold": 0}
    assert counters.entry_outcomes["used"]["hint"] == 1
    named = counters.as_dict()
    assert named["turns_by_path"] == counters.turns_by_path
    assert named["idle_prefilled_tokens"] == counters.idle_prefilled_tokens > 0
    assert named["idle_time_ms"] == counters.idle_time_ms > 0
    for name, value in named.items():
        assert getattr(counters, name) == value
    # Every public number of the object is in the dictionary.
    public = {name for name in dir(counters) if not name.startswith("_")} - {"turns", "as_dict"}
    assert public == set(named)


def test_the_manager_hands_out_its_executor() -> None:
    world = SimWorld()
    assert world.manager.executor is world.sim
