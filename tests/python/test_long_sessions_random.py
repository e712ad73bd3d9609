"""Seeded random lives of long sessions: rebases, slides, thoughts and typing between turns, against a bare executor
and a plain list."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from poise import _core
from tests.support.sim_world import SimWorld, random_world
from tests.support.window_world import without

PARTIAL = _core.AnticipationKind.partial
MAX = 120
SEEN: Counter[str] = Counter()


class Life:
    """One session with the log that it should have."""

    def __init__(self, world: SimWorld, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.log = self.words(30)
        self.typed: list[int] = []
        self.guess = 0
        self.slides = 0
        self.id = world.open(
            self.log,
            window=_core.WindowOptions(head_tokens=5, keep_tokens=50, max_tokens=MAX, automatic=False),
            thought=_core.ThoughtOptions(begin=[rng.randrange(2, 90)], end=[rng.randrange(2, 90)], tokens=20),
            continuation_tokens=rng.choice([0, 4, 16]),
        )

    def words(self, most: int) -> list[int]:
        return [self.rng.randrange(2, 90) for _ in range(self.rng.randrange(1, most))]

    def act(self) -> None:
        choice = self.rng.random()
        if choice < 0.30:
            self.type()
        elif choice < 0.55:
            for _ in range(self.rng.randrange(20, 200)):
                if not self.world.manager.run_idle():
                    self.world.sim.step()
        elif choice < 0.62:
            base = self.rng.randrange(len(self.log))
            new = self.words(12)
            if base + len(new) < MAX:
                self.world.manager.rebase(self.id, base, new)
                self.log = [*self.log[:base], *new]
        elif choice < 0.68:
            self.world.manager.fork(self.id)
            child = self.world.manager.sessions("default")[0]
            if child != self.id and self.world.log(child) == self.log:
                self.world.manager.close(child)
        else:
            self.turn()

    def type(self) -> None:
        keep = self.rng.randrange(len(self.typed) + 1)
        self.typed = [*self.typed[:keep], *self.words(6)]
        self.guess = self.world.anticipate(
            self.id, self.typed, kind=PARTIAL, decides=self.rng.random() < 0.4, replaces=self.guess
        )
        partials = [entry for entry in self.world.manager.state(self.id).entries if entry.kind == PARTIAL]
        assert len(partials) == 1

    def turn(self) -> None:
        request = self.typed or self.words(6)
        wanted = self.rng.randrange(1, 25)
        drop = self.world.manager.slide(self.id, len(request) + wanted)
        if drop is not None:
            self.slides += 1
            self.log = without(self.log, drop)
        assert self.world.log(self.id) == self.log
        sampling = _core.SamplingParams(temperature=0.0)
        if self.rng.random() < 0.4:
            sampling = _core.SamplingParams(temperature=1.0, seed=self.rng.randrange(1000))
        durable = self.rng.random() < 0.7
        context = [*self.log, *request]
        answer = self.world.ask(self.id, request, durable=durable, sampling=sampling, max_new_tokens=wanted)
        assert answer.ids == self.world.reference(context, sampling=sampling, max_new_tokens=wanted), answer.start
        if drop is not None:
            SEEN["prepared" if drop.prepared else "unprepared"] += 1
        SEEN[answer.start.path.name] += 1
        SEEN["thought"] += answer.start.thought_tokens > 0
        if drop is not None and drop.prepared:
            assert answer.end.prefilled_tokens <= len(request)
        if durable:
            self.log, self.typed = [*context, *answer.ids], []


@pytest.mark.parametrize("seed", range(24))
def test_a_long_life(seed: int) -> None:
    rng = random.Random(seed)
    journal = _core.MemoryJournal()
    world = random_world(rng, seed=seed, journal=journal, max_context_tokens=200)
    lives = [Life(world, rng) for _ in range(2)]
    for _ in range(80):
        rng.choice(lives).act()
    world.sim.run_until_idle()
    world.sim.check_integrity()
    assert world.manager.counters().window_slides == sum(life.slides for life in lives)
    for life in lives:
        assert journal.replay(life.id) == life.log
    for session in world.manager.sessions("default"):
        world.manager.close(session)
    world.sim.run_until_idle()
    world.sim.check_integrity()
    assert world.sim.stats().resident_tokens == 0
    assert world.sim.stats().sequences_used == 0
    assert world.manager.counters().entry_bytes == 0
    assert world.manager.counters().entries == 0


def test_the_random_lives_had_everything_in_them() -> None:
    """Runs behind the lives above: without this they could pass on one path alone."""
    if sum(SEEN.values()) < 100:
        pytest.skip("needs the seeded lives of this file to have run in this process")
    for what in ("prepared", "unprepared", "thought", "ready", "entry", "prefix", "cold"):
        assert SEEN[what] >= 5, SEEN
