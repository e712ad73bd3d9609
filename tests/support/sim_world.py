"""A SessionManager on a SimExecutor, both driven step by step on one thread: same seed, same run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from poise import _core

if TYPE_CHECKING:
    import random


@dataclass
class Answer:
    """Everything that one turn emitted."""

    start: _core.TurnStart | None = None
    tokens: list[_core.TurnToken] = field(default_factory=list)
    end: _core.TurnEnd | None = None

    @property
    def ids(self) -> list[int]:
        return [token.token for token in self.tokens]


class FullJournal(_core.Journal):
    """Refuses every record once `refuses` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses = False

    def write(self, record: _core.JournalRecord) -> None:
        if self.refuses:
            raise OSError("disk full")


class SimWorld:
    """`idle()` spends idle time until nothing is left; `ask()` runs one turn to its end."""

    def __init__(self, *, seed: int = 1, journal: _core.Journal | None = None, **sim: Any) -> None:
        manager = {k: sim.pop(k) for k in list(sim) if k in MANAGER_OPTIONS}
        self.clock = _core.FakeClock()
        self.sim_options = _core.SimOptions(**sim)
        self.sim = _core.SimExecutor(self.sim_options, self.clock)
        self.journal = journal
        options = _core.ManagerOptions(seed=seed, idle_thread=False, **manager)
        self.manager = _core.SessionManager(self.sim, options, journal, self.clock)

    def open(self, tokens: list[int] | None = None, **options: Any) -> str:
        options.setdefault("sampling", _core.SamplingParams(temperature=0.0))
        return self.manager.open(_core.OpenOptions(tokens=tokens or [], **options))

    def idle(self, limit: int = 10_000) -> int:
        """Runs idle jobs until none is affordable; returns how many ran."""
        for jobs in range(limit):
            if not self.manager.run_idle():
                return jobs
            self.sim.run_until_idle()
        raise AssertionError(f"idle work does not settle within {limit} jobs")

    def begin(self, session: str, tokens: list[int], **request: Any) -> _core.TurnStream:
        request.setdefault("sampling", _core.SamplingParams(temperature=0.0))
        request.setdefault("max_new_tokens", 8)
        return self.manager.turn(session, _core.TurnRequest(tokens=tokens, **request))

    def drain(self, stream: _core.TurnStream) -> Answer:
        answer = Answer()
        while (event := stream.try_next()) is not None:
            if isinstance(event, _core.TurnStart):
                answer.start = event
            elif isinstance(event, _core.TurnToken):
                answer.tokens.append(event)
            else:
                answer.end = event
        return answer

    def ask(self, session: str, tokens: list[int], **request: Any) -> Answer:
        stream = self.begin(session, tokens, **request)
        self.sim.run_until_idle()
        answer = self.drain(stream)
        assert answer.end is not None, "the turn did not end"
        return answer

    def anticipate(self, session: str, tokens: list[int], **guess: Any) -> int:
        return self.manager.anticipate(session, _core.Anticipation(tokens=tokens, **guess))

    def log(self, session: str) -> list[int]:
        return list(self.manager.state(session).log)

    def reference(self, context: list[int], **request: Any) -> list[int]:
        """The answer of a bare executor of the same model on the same ids."""
        request.setdefault("sampling", _core.SamplingParams(temperature=0.0))
        request.setdefault("max_new_tokens", 8)
        bare = _core.SimExecutor(self.sim_options, _core.FakeClock())
        request.setdefault("stop_tokens", list(bare.info().end_tokens))
        sink = _core.CollectSink()
        bare.enqueue(_core.Request(context=context, **request), sink)
        bare.run_until_idle()
        return list(sink.tokens)


MANAGER_OPTIONS = frozenset(
    {
        "max_sessions",
        "max_sessions_per_tenant",
        "max_base_prefixes_per_tenant",
        "max_entries_per_session",
        "max_entry_bytes",
        "preposition",
        "idle",
    }
)


def random_world(rng: random.Random, *, seed: int, journal: _core.Journal, max_context_tokens: int) -> SimWorld:
    """A world whose shape is drawn: few or many sequences, short or long slices, little or much memory."""
    return SimWorld(
        seed=seed,
        journal=journal,
        vocab_size=97,
        max_context_tokens=max_context_tokens,
        max_sequences=rng.choice([1, 2, 3, 8]),
        idle_quantum_tokens=rng.choice([1, 7, 64]),
        max_entry_bytes=rng.choice([4_000, 40_000, 10_000_000]),
        end_bias=2.0,
    )
