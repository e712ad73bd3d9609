"""The promises, checked on seeded random histories against a bare executor and a plain list."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from poise import _core
from tests.support.sim_world import SimWorld, random_world

PATHS_SEEN: Counter[str] = Counter()


class Client:
    """One session with the log that it should have."""

    def __init__(self, world: SimWorld, rng: random.Random, tenant: str) -> None:
        self.world, self.rng = world, rng
        self.log = [rng.randrange(2, 90) for _ in range(rng.randrange(0, 40))]
        self.id = world.open(self.log, tenant=tenant, continuation_tokens=rng.choice([0, 1, 5, 16]))
        self.guesses: list[list[int]] = []

    def words(self, most: int) -> list[int]:
        return [self.rng.randrange(2, 90) for _ in range(self.rng.randrange(1, most))]

    def act(self) -> None:
        choice = self.rng.random()
        if choice < 0.30:
            guess = self.words(8)
            self.guesses.append(guess)
            self.world.anticipate(
                self.id,
                guess,
                decides=self.rng.random() < 0.8,
                persistent=self.rng.random() < 0.3,
                may_branch=self.rng.random() < 0.3,
                weight=self.rng.random(),
                kind=self.rng.choice(
                    [_core.AnticipationKind.question, _core.AnticipationKind.tool_result, _core.AnticipationKind.turn]
                ),
            )
        elif choice < 0.42:
            data = self.guesses[-1][:2] if self.guesses and self.rng.random() < 0.5 else self.words(6)
            self.world.manager.append(self.id, data)
            self.log += data
        elif choice < 0.62:
            for _ in range(self.rng.randrange(1, 30)):
                if not self.world.manager.run_idle():
                    self.world.sim.step()
        else:
            self.turn()

    def turn(self) -> None:
        rng = self.rng
        request = self.words(6)
        if self.guesses and rng.random() < 0.7:
            request = list(rng.choice(self.guesses)) + (self.words(3) if rng.random() < 0.3 else [])
        base = len(self.log)
        rebase = rng.randrange(base + 1) if rng.random() < 0.1 else None
        if rebase is not None:
            base = rebase
        sampling = _core.SamplingParams(temperature=0.0)
        if rng.random() < 0.4:
            sampling = _core.SamplingParams(temperature=rng.uniform(0.3, 1.5), seed=rng.randrange(1000))
        if len(self.log) + len(request) + 40 > self.world.sim.info().max_context_tokens:
            return
        durable = rng.random() < 0.6
        wanted = rng.randrange(1, 30)
        answer = self.world.ask(
            self.id, request, durable=durable, sampling=sampling, max_new_tokens=wanted, rebase_to=rebase
        )
        context = self.log[:base] + request
        expected = self.world.reference(context, sampling=sampling, max_new_tokens=wanted)
        assert answer.ids == expected, (answer.start, context)
        PATHS_SEEN[answer.start.path.name] += 1
        if durable:
            self.log = context + expected
        assert self.world.log(self.id) == self.log


@pytest.mark.parametrize("seed", range(24))
def test_a_session_answers_as_the_bare_executor_would(seed: int) -> None:
    """Promise 1 and 2: same ids in, same ids out, whatever was anticipated, appended, forked or evicted."""
    rng = random.Random(seed)
    journal = _core.MemoryJournal()
    world = random_world(rng, seed=seed, journal=journal, max_context_tokens=600)
    clients = [Client(world, rng, tenant) for tenant in ("a", "a", "b")]
    for _ in range(60):
        rng.choice(clients).act()
    world.sim.run_until_idle()
    world.sim.check_integrity()
    for client in clients:
        assert journal.replay(client.id) == client.log
        world.manager.close(client.id)
    world.sim.run_until_idle()
    assert world.sim.stats().resident_tokens == 0  # promise 7
    assert world.manager.counters().entry_bytes == 0


def test_the_random_histories_took_every_lossless_path() -> None:
    """Runs behind the histories above: without this they could pass on one path alone."""
    if sum(PATHS_SEEN.values()) < 100:
        pytest.skip("needs the seeded histories of this file to have run in this process")
    for path in ("ready", "entry", "prefix", "cold"):
        assert PATHS_SEEN[path] >= 5, PATHS_SEEN


def test_tenants_never_share() -> None:
    """Promise 8: the same tokens cost another tenant everything, and its own tenant nothing."""
    world = SimWorld()
    log = list(range(10, 50))
    first = world.open(log, tenant="a")
    world.anticipate(first, [5, 6])
    world.idle()
    stranger = world.open(log, tenant="b")
    before = world.ask(stranger, [5, 6], durable=False)
    assert before.start.path == _core.Path.cold
    assert before.end.reused_tokens == 0
    sibling = world.open(log, tenant="a")
    assert world.ask(sibling, [5, 6], durable=False).end.reused_tokens > 0
    assert world.ask(first, [5, 6]).start.path == _core.Path.ready


def test_adapters_never_share() -> None:
    world = SimWorld()
    log = list(range(10, 50))
    plain = world.open(log)
    world.idle()
    adapted = world.open(log, adapter_id=1, adapter_scale=1.0)
    assert world.ask(adapted, [5], durable=False).start.path == _core.Path.cold
    scaled = world.open(log, adapter_id=1, adapter_scale=0.5)
    assert world.ask(scaled, [5], durable=False).start.path == _core.Path.cold
    assert world.ask(plain, [5], durable=False).start.path == _core.Path.prefix


def test_the_same_seed_gives_the_same_run() -> None:
    def run() -> list[object]:
        world = SimWorld(seed=9)
        rng = random.Random(9)
        clients = [Client(world, rng, "a") for _ in range(2)]
        for _ in range(40):
            rng.choice(clients).act()
        return [world.manager.counters().as_dict(), [c.log for c in clients], world.clock.now_ms()]

    assert run() == run()
