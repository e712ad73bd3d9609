"""The queue of the idle scheduler as a plain list: slow, obvious, and the measure of the fast one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poise._core import IdleCandidate, IdleScheduler

Lane = tuple[int, bool]  # tenant, whether it is the lane of guesses


@dataclass
class NaiveSession:
    tenant: int
    order: int
    served: int = 0
    candidates: list[IdleCandidate] = field(default_factory=list)
    candidate_served: dict[int, int] = field(default_factory=dict)

    def index_of(self, anticipation: int) -> int | None:
        for i, candidate in enumerate(self.candidates):
            if candidate.anticipation == anticipation:
                return i
        return None

    def remove(self, anticipation: int) -> None:
        index = self.index_of(anticipation)
        if index is not None:
            del self.candidates[index]
            del self.candidate_served[anticipation]


class NaiveQueue:
    """Same choices as IdleScheduler without budgets and back-off; values are asked from it."""

    def __init__(self) -> None:
        self.sessions: dict[int, NaiveSession] = {}
        self.tenant_orders: dict[int, int] = {}
        self.lane_served: dict[Lane, int] = {}
        self.created = 0
        self.ticks = 0

    def _session(self, candidate: IdleCandidate) -> NaiveSession:
        if candidate.session not in self.sessions:
            if candidate.tenant not in self.tenant_orders:
                self.created += 1
                self.tenant_orders[candidate.tenant] = self.created
            self.created += 1
            self.sessions[candidate.session] = NaiveSession(candidate.tenant, self.created)
        return self.sessions[candidate.session]

    def offer(self, candidate: IdleCandidate) -> None:
        work = candidate.prefill_tokens + candidate.completion_tokens + candidate.decode_tokens
        if work == 0 or candidate.weight == 0.0:
            self.withdraw(candidate.session, candidate.anticipation)
            return
        session = self._session(candidate)
        index = session.index_of(candidate.anticipation)
        if index is None:
            session.candidates.append(candidate)
            session.candidate_served[candidate.anticipation] = 0
        else:
            session.candidates[index] = candidate

    def withdraw(self, session: int, anticipation: int) -> None:
        if session in self.sessions:
            self.sessions[session].remove(anticipation)

    def withdraw_session(self, session: int, forget_history: bool) -> None:
        if session not in self.sessions:
            return
        self.sessions[session].candidates.clear()
        self.sessions[session].candidate_served.clear()
        if forget_history:
            del self.sessions[session]

    def __len__(self) -> int:
        return sum(len(session.candidates) for session in self.sessions.values())

    def next(self, scheduler: IdleScheduler) -> IdleCandidate | None:
        """Best value; then the lane, the session and the candidate served longest ago; then the oldest."""
        best: tuple[tuple[float, ...], IdleCandidate] | None = None
        for session in self.sessions.values():
            for index, candidate in enumerate(session.candidates):
                guess = candidate.anticipation != 0
                rank = (
                    -scheduler.value(candidate),
                    self.lane_served.get((session.tenant, guess), 0),
                    self.tenant_orders[session.tenant],
                    guess,
                    session.served,
                    session.order,
                    session.candidate_served[candidate.anticipation],
                    index,
                )
                if best is None or rank < best[0]:
                    best = (rank, candidate)
        if best is None:
            return None
        chosen = best[1]
        self.ticks += 1
        session = self.sessions[chosen.session]
        session.served = self.ticks
        session.candidate_served[chosen.anticipation] = self.ticks
        self.lane_served[(session.tenant, chosen.anticipation != 0)] = self.ticks
        return chosen
