"""The idle scheduler against a plain list, over random sequences of calls."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from poise._core import (
    AnticipationKind,
    EntryOutcome,
    FakeClock,
    IdleCandidate,
    IdleOptions,
    IdleScheduler,
)
from tests.support.idle_naive import NaiveQueue

# At most 16 sessions and 64 candidates: every call of next() then sees the newest rates and costs.
sessions = st.integers(0, 11)
anticipations = st.integers(0, 4)
kinds = st.sampled_from(list(AnticipationKind))
outcomes = st.sampled_from(list(EntryOutcome))
tokens = st.sampled_from([0, 1, 5, 5, 5, 40, 700])  # repeated on purpose: ties


def tenant_of(session: int) -> int:
    return 100 + session % 3


def describe(candidate: IdleCandidate | None) -> str:
    return repr(candidate)


class SchedulerAgainstList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.scheduler = IdleScheduler(IdleOptions(min_hit_rate=0.0), self.clock)
        self.naive = NaiveQueue()

    @rule(
        session=sessions,
        anticipation=anticipations,
        kind=kinds,
        prefill=tokens,
        completion=st.sampled_from([0, 0, 3]),
        decode=st.sampled_from([0, 0, 4, 16]),
        decided=st.sampled_from([0, 0, 2]),
        decides=st.booleans(),
        weight=st.sampled_from([0.0, 0.25, 1.0, 1.0]),
    )
    def offer(
        self,
        session: int,
        anticipation: int,
        kind: AnticipationKind,
        prefill: int,
        completion: int,
        decode: int,
        decided: int,
        decides: bool,
        weight: float,
    ) -> None:
        candidate = IdleCandidate(
            session=session,
            anticipation=anticipation,
            tenant=tenant_of(session),
            kind=kind,
            prefill_tokens=prefill,
            completion_tokens=completion,
            decode_tokens=decode,
            decoded_tokens=decided,
            decides=decides,
            weight=weight,
        )
        self.scheduler.offer(candidate)
        self.naive.offer(candidate)

    @rule(session=sessions, anticipation=anticipations)
    def withdraw(self, session: int, anticipation: int) -> None:
        self.scheduler.withdraw(session, anticipation)
        self.naive.withdraw(session, anticipation)

    @rule(session=sessions, forget=st.booleans())
    def withdraw_session(self, session: int, forget: bool) -> None:
        self.scheduler.withdraw_session(session, forget)
        self.naive.withdraw_session(session, forget)

    @rule(session=sessions, kind=kinds, outcome=outcomes, weight=st.sampled_from([0.25, 1.0]))
    def outcome(self, session: int, kind: AnticipationKind, outcome: EntryOutcome, weight: float) -> None:
        self.scheduler.on_outcome(session, tenant_of(session), kind, outcome, weight)

    @rule(session=sessions, prefilled=st.integers(0, 64), decoded=st.integers(0, 4))
    def work(self, session: int, prefilled: int, decoded: int) -> None:
        self.scheduler.on_work(
            tenant_of(session),
            prefilled_tokens=prefilled,
            prefill_ms=0.2 * prefilled,
            decoded_tokens=decoded,
            decode_ms=3.0 * decoded,
        )
        self.clock.advance_ms(1.0)

    @rule(times=st.integers(1, 4))
    def choose(self, times: int) -> None:
        for _ in range(times):
            expected = self.naive.next(self.scheduler)
            assert describe(self.scheduler.next()) == describe(expected)

    @invariant()
    def same_size(self) -> None:
        assert len(self.scheduler) == len(self.naive)
        assert (self.scheduler.retry_at_ms() is None) == (len(self.naive) == 0)
        # Only sessions that were offered and not forgotten are remembered.
        assert self.scheduler.sessions_known == len(self.naive.sessions)


SchedulerAgainstList.TestCase.settings = settings(
    max_examples=80, stateful_step_count=60, deadline=None, print_blob=True
)
TestSchedulerAgainstList = SchedulerAgainstList.TestCase
