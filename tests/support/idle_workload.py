"""A seeded world of sessions for the idle scheduler: requests, and entries that are used or go stale."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Protocol

from poise._core import (
    AnticipationKind,
    EntryOutcome,
    FakeClock,
    IdleCandidate,
    IdleOptions,
    IdleScheduler,
)

PREFILL_MS = 0.2  # a token
DECODE_MS = 4.0  # a step, and the least that a pass costs
QUANTUM_TOKENS = 16
AGREEMENT = 0.9
KINDS = (AnticipationKind.turn, AnticipationKind.question, AnticipationKind.tool_result)


@dataclass(frozen=True)
class Guess:
    """One anticipation of one session between two requests, and whether it will come true."""

    kind: AnticipationKind
    prefill_tokens: int
    decode_tokens: int
    comes_true: bool
    agreed_tokens: int


@dataclass(frozen=True)
class Request:
    """The next request of a session: when it comes, and what could have been guessed before it."""

    at_ms: float
    session: int
    guesses: tuple[Guess, ...]


@dataclass(frozen=True)
class Workload:
    """All randomness of a run, drawn before any policy chooses."""

    seed: int
    tenants: tuple[int, ...]  # of each session
    rates: tuple[dict[AnticipationKind, float], ...]  # true probability that a guess comes true, of each session
    requests: tuple[Request, ...]


def make_workload(seed: int, sessions: int = 60, requests: int = 2000, gap_ms: float = 18.0) -> Workload:
    rng = random.Random(seed)
    tenants = tuple(index % 4 for index in range(sessions))
    rates = tuple({kind: rng.betavariate(0.6, 0.9) for kind in KINDS} for _ in range(sessions))
    now_ms = 0.0
    events = []
    for _ in range(requests):
        now_ms += rng.expovariate(1.0 / gap_ms)
        session = rng.randrange(sessions)
        guesses = []
        for kind in rng.sample(KINDS, rng.randint(1, len(KINDS))):
            agreed = 0
            while agreed < 16 and rng.random() < AGREEMENT:
                agreed += 1
            guesses.append(
                Guess(
                    kind=kind,
                    prefill_tokens=rng.choice([8, 30, 120, 400]),
                    decode_tokens=rng.choice([0, 4, 16]),
                    comes_true=rng.random() < rates[session][kind],
                    agreed_tokens=agreed,
                )
            )
        events.append(Request(now_ms, session, tuple(guesses)))
    return Workload(seed, tenants, rates, tuple(events))


@dataclass
class Job:
    """What is left of a guess, and what was paid for."""

    session: int
    tenant: int
    number: int
    guess: Guess
    prefill_left: int
    decode_left: int
    worked: bool = False

    def candidate(self) -> IdleCandidate:
        return IdleCandidate(
            session=self.session,
            anticipation=self.number,
            tenant=self.tenant,
            kind=self.guess.kind,
            prefill_tokens=self.prefill_left,
            decode_tokens=self.decode_left,
            decoded_tokens=self.guess.decode_tokens - self.decode_left,
        )

    def step(self) -> tuple[int, float, int, float]:
        """Do one idle step: tokens and milliseconds of prefill, steps and milliseconds of decode."""
        self.worked = True
        if self.prefill_left > 0:
            tokens = min(QUANTUM_TOKENS, self.prefill_left)
            self.prefill_left -= tokens
            return tokens, max(tokens * PREFILL_MS, DECODE_MS), 0, 0.0
        self.decode_left -= 1
        return 0, 0.0, 1, DECODE_MS

    def saved_ms(self) -> float:
        """What the request of this guess saves if it comes true."""
        if not self.guess.comes_true:
            return 0.0
        saved = (self.guess.prefill_tokens - self.prefill_left) * PREFILL_MS
        if self.prefill_left == 0:
            decoded = self.guess.decode_tokens - self.decode_left
            saved += DECODE_MS + DECODE_MS * min(decoded, self.guess.agreed_tokens)
        return saved


class Policy(Protocol):
    """Which job gets the next idle step."""

    def offer(self, job: Job) -> None: ...

    def withdraw(self, job: Job) -> None: ...

    def choose(self) -> Job | None: ...

    def on_work(self, job: Job, work: tuple[int, float, int, float]) -> None: ...

    def on_end(self, job: Job) -> None: ...


class Scheduled:
    """The policy under test."""

    def __init__(self, clock: FakeClock, options: IdleOptions | None = None) -> None:
        self.scheduler = IdleScheduler(options or IdleOptions(), clock)
        self.jobs: dict[tuple[int, int], Job] = {}

    def offer(self, job: Job) -> None:
        self.jobs[job.session, job.number] = job
        self.scheduler.offer(job.candidate())

    def withdraw(self, job: Job) -> None:
        self.jobs.pop((job.session, job.number), None)
        self.scheduler.withdraw(job.session, job.number)

    def choose(self) -> Job | None:
        chosen = self.scheduler.next()
        return None if chosen is None else self.jobs[chosen.session, chosen.anticipation]

    def on_work(self, job: Job, work: tuple[int, float, int, float]) -> None:
        prefilled, prefill_ms, decoded, decode_ms = work
        self.scheduler.on_work(
            job.tenant,
            prefilled_tokens=prefilled,
            prefill_ms=prefill_ms,
            decoded_tokens=decoded,
            decode_ms=decode_ms,
        )

    def on_end(self, job: Job) -> None:
        outcome = EntryOutcome.used if job.guess.comes_true else EntryOutcome.stale
        self.scheduler.on_outcome(job.session, job.tenant, job.guess.kind, outcome)


class Listed:
    """First come, first served; or, given a generator, any job that waits."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self.jobs: dict[tuple[int, int], Job] = {}
        self.rng = rng

    def offer(self, job: Job) -> None:
        self.jobs.setdefault((job.session, job.number), job)

    def withdraw(self, job: Job) -> None:
        self.jobs.pop((job.session, job.number), None)

    def choose(self) -> Job | None:
        if not self.jobs:
            return None
        if self.rng is None:
            return next(iter(self.jobs.values()))
        return self.rng.choice(list(self.jobs.values()))

    def on_work(self, job: Job, work: tuple[int, float, int, float]) -> None:
        pass

    def on_end(self, job: Job) -> None:
        pass


@dataclass
class Run:
    """What a policy achieved."""

    saved_ms: float = 0.0
    spent_ms: float = 0.0
    used: int = 0
    stale: int = 0
    trace: list[tuple[int, int]] = field(default_factory=list)  # (session, anticipation) of every idle step


def simulate(workload: Workload, policy: Policy, clock: FakeClock) -> Run:
    """Play the workload; all time between requests is idle."""
    run = Run()
    waiting: dict[int, list[Job]] = {}
    upcoming: dict[int, list[Request]] = {}
    for request in reversed(workload.requests):
        upcoming.setdefault(request.session, []).append(request)
    number = 0

    def prepare(session: int) -> None:
        nonlocal number
        if not upcoming.get(session):
            return
        for guess in upcoming[session][-1].guesses:
            number += 1
            job = Job(session, workload.tenants[session], number, guess, guess.prefill_tokens, guess.decode_tokens)
            waiting.setdefault(session, []).append(job)
            policy.offer(job)

    for session in range(len(workload.tenants)):
        prepare(session)
    for request in workload.requests:
        while clock.now_ms() < request.at_ms:
            chosen = policy.choose()
            if chosen is None:
                clock.advance_ms(request.at_ms - clock.now_ms())
                break
            run.trace.append((chosen.session, chosen.number))
            work = chosen.step()
            spent_ms = work[1] + work[3]
            run.spent_ms += spent_ms
            clock.advance_ms(spent_ms)
            policy.on_work(chosen, work)
            if chosen.prefill_left + chosen.decode_left > 0:
                policy.offer(chosen)
            else:
                policy.withdraw(chosen)
        for job in waiting.pop(request.session, []):
            run.saved_ms += job.saved_ms()
            policy.withdraw(job)
            if job.worked:
                run.used += job.guess.comes_true
                run.stale += not job.guess.comes_true
                policy.on_end(job)
        upcoming[request.session].pop()
        prepare(request.session)
    return run
