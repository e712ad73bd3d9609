// Parking: the cap, what goes first, and that restoring or prefilling follows the measured costs.
#include <doctest/doctest.h>

#include <chrono>
#include <random>

#include "executors/llama/kv_store.h"
#include "llama/harness.h"
#include "poise/error.h"

using namespace poise;
using namespace poise::llama;
using namespace poise::test;

namespace {

constexpr TimePoint kStart{std::chrono::hours(1)};

// A store over one context of the tiny model, whose costs a test sets.
struct World {
  Pools pools;
  std::unique_ptr<KvStore> store;
  RequestId next = 1;
  TimePoint now = kStart;

  explicit World(std::int32_t sequences, std::uint64_t park_bytes) {
    const auto model = load_model(tiny_model("llama"), 0, {});
    pools.push_back(std::make_unique<Pool>(model, ContextShape{sequences, 1024, 512, 40, 1, false}, nullptr, 0));
    store = std::make_unique<KvStore>(pools, KvStore::Options{.park_bytes = park_bytes});
    costs(100.0, 1e-5, 1e-5);
  }
  Pool& pool() { return *pools.front(); }
  void costs(double prefill_us_per_token, double park_us_per_byte, double restore_us_per_byte) {
    Costs& measured = pool().costs;
    measured.prefill_us_per_token = Average(1.0);
    measured.prefill_us_per_token.add(prefill_us_per_token);
    measured.park_us_per_byte = Average(1e-9);
    measured.park_us_per_byte.add(park_us_per_byte);
    measured.restore_us_per_byte = Average(1e-9);
    measured.restore_us_per_byte.add(restore_us_per_byte);
  }
  // A whole request: acquire, compute what is missing, end. Nothing if it got no sequence.
  std::optional<Acquired> ask(const Tokens& tokens, OwnerId owner, std::int32_t priority = 50, bool idle = false) {
    now += std::chrono::seconds(1);
    KvRequest request{
        next++, owner, {}, tokens, static_cast<Position>(tokens.size()), static_cast<Position>(tokens.size()), idle};
    if (store->refuses(request)) {
      return std::nullopt;
    }
    const auto acquired = store->acquire(request, now);
    if (acquired) {
      PassBatch& batch = pool().batch;
      batch.clear();
      for (auto at = static_cast<std::size_t>(acquired->reused); at < tokens.size(); ++at) {
        batch.add(tokens[at], static_cast<Position>(at), acquired->seq, false);
      }
      if (batch.size() > 0) {
        REQUIRE(pool().context.decode(batch) == PassResult::done);
        store->append(acquired->seq, TokenSpan(tokens).subspan(static_cast<std::size_t>(acquired->reused)));
      }
      store->end_use(acquired->seq, {{0, -1, priority, std::nullopt}}, now);
      store->check_integrity();
    }
    return acquired;
  }
  [[nodiscard]] ExecutorStats stats() const {
    ExecutorStats stats;
    store->fill(stats, {});
    return stats;
  }
  [[nodiscard]] bool resident(OwnerId owner) const { return store->find(owner).has_value(); }
};

Tokens log_of(OwnerId owner, std::size_t length = 300) {
  return some_tokens(length, static_cast<std::uint32_t>(owner));
}

}  // namespace

TEST_CASE("restoring or prefilling: what the measured costs say") {
  World cheap_memory(1, 1U << 24U);
  static_cast<void>(cheap_memory.ask(log_of(1), 1));
  static_cast<void>(cheap_memory.ask(log_of(2), 2));
  CHECK(cheap_memory.stats().parks == 1);
  CHECK(cheap_memory.ask(log_of(1), 1)->restored == 300);

  World cheap_prefill(1, 1U << 24U);
  cheap_prefill.costs(0.001, 1e-3, 1e-3);  // 300 tokens: 0.3 us against some 150 us
  static_cast<void>(cheap_prefill.ask(log_of(1), 1));
  static_cast<void>(cheap_prefill.ask(log_of(2), 2));
  CHECK(cheap_prefill.stats().parks == 0);
  CHECK(cheap_prefill.ask(log_of(1), 1)->reused == 0);

  World changed(1, 1U << 24U);  // parked while that paid, prefilled when restoring has become dear
  static_cast<void>(changed.ask(log_of(1), 1));
  static_cast<void>(changed.ask(log_of(2), 2));
  changed.costs(100.0, 1e-5, 1.0);
  CHECK(changed.ask(log_of(1), 1)->restored == 0);
}

TEST_CASE("a save that is longer than an idle step is not made on a request's way, but in idle time") {
  World world(1, 1U << 24U);
  world.costs(1000.0, 0.2, 1e-5);  // 77 KB: 15 ms, more than the 10 ms of an idle step, less than 300 ms of prefill
  static_cast<void>(world.ask(log_of(1), 1));
  static_cast<void>(world.ask(log_of(2), 2));
  CHECK(world.stats().parks == 0);
  CHECK(world.store->prepare_eviction(world.now));
  CHECK(world.stats().parks == 1);
  static_cast<void>(world.ask(log_of(3), 3));
  CHECK(world.ask(log_of(2), 2)->restored == 300);
}

TEST_CASE("parked states never take more than the cap, whatever comes") {
  World probe(1, 1U << 24U);
  static_cast<void>(probe.ask(log_of(1), 1));
  const std::uint64_t one = probe.pool().context.state_bytes(0);
  const std::uint64_t cap = 3 * one + one / 2;
  World world(1, cap);
  std::mt19937 draw(5);
  for (int round = 0; round < 60; ++round) {
    const OwnerId owner = 1 + draw() % 9;
    static_cast<void>(world.ask(log_of(owner, 200 + draw() % 200), owner, static_cast<std::int32_t>(30 + draw() % 40)));
    const ExecutorStats stats = world.stats();
    CHECK(stats.parked_bytes <= cap);
    if (draw() % 4 == 0) {
      world.store->release(1 + draw() % 9, draw() % 2 == 0 ? 0 : 150);
      world.store->check_integrity();
    }
  }
  CHECK(world.stats().parks > 10);
  CHECK(world.stats().restores > 0);
}

TEST_CASE("among parked states the lowest priority goes first, and never for one that is worth less") {
  World probe(1, 1U << 24U);
  static_cast<void>(probe.ask(log_of(1), 1));
  World world(1, 2 * probe.pool().context.state_bytes(0) + 100);
  static_cast<void>(world.ask(log_of(1), 1, 80));
  static_cast<void>(world.ask(log_of(2), 2, 40));
  static_cast<void>(world.ask(log_of(3), 3, 60));  // parked: 1 and 2
  static_cast<void>(world.ask(log_of(4), 4, 36));  // 3 pushes 2 out
  static_cast<void>(world.ask(log_of(5), 5, 36));  // 4 is worth less than both
  CHECK(world.stats().parked_tokens == 600);
  CHECK(world.ask(log_of(3), 3, 60)->restored == 300);
  CHECK(world.ask(log_of(2), 2, 40)->restored == 0);
  CHECK(world.ask(log_of(1), 1, 80)->restored == 300);
}

TEST_CASE("the parked state that a request needs is not given up to park the sequence that it takes") {
  World probe(1, 1U << 24U);
  static_cast<void>(probe.ask(log_of(1), 1));
  World world(1, probe.pool().context.state_bytes(0) + 100);  // room for one
  static_cast<void>(world.ask(log_of(1), 1));
  static_cast<void>(world.ask(log_of(2), 2));
  CHECK(world.ask(log_of(1), 1)->restored == 300);
}

TEST_CASE("of two owners with equal contents the one of lower priority goes, saved ahead or not") {
  for (const bool saved_ahead : {false, true}) {
    for (const OwnerId low : {1, 2}) {
      CAPTURE(saved_ahead);
      CAPTURE(low);
      World world(2, 1U << 24U);
      static_cast<void>(world.ask(log_of(9), 1, low == 1 ? 10 : 70));
      static_cast<void>(world.ask(log_of(9), 2, low == 2 ? 10 : 70));
      if (saved_ahead) {
        // the copy between the two is carried out by the next pass; a throwaway token is one
        world.pool().batch.clear();
        world.pool().batch.add(0, 300, 0, false);
        REQUIRE(world.pool().context.decode(world.pool().batch) == PassResult::done);
        world.store->undo_hole(0);
        CHECK(world.store->prepare_eviction(world.now));
      }
      static_cast<void>(world.ask(log_of(3), 3, 36));
      CHECK_FALSE(world.resident(low));
      CHECK(world.resident(3 - low));
    }
  }
}

TEST_CASE("idle work of sessions that share too few sequences comes to an end") {
  // Each session has slices left to prepare. Each slice that may run, runs; who was asked last, wins.
  World world(2, 0);
  for (OwnerId owner = 1; owner <= 5; ++owner) {
    static_cast<void>(world.ask(log_of(owner, 40), owner));
  }
  std::vector<std::size_t> prepared(6, 0);
  int evictions = 0;
  int steps = 0;
  bool worked = true;
  while (worked && steps < 1000) {
    worked = false;
    for (OwnerId owner = 1; owner <= 5; ++owner) {
      const Tokens all = log_of(owner, 300);
      const Position resident = world.store->resident_prefix(all, {}, owner);
      if (resident == 300) {
        continue;
      }
      const auto slice = static_cast<std::size_t>(std::min(300, resident + 60));
      const std::uint64_t before = world.stats().evictions;
      if (world.ask({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(slice)}, owner, 50, true)) {
        worked = true;
        prepared[owner] = slice;
      }
      evictions += static_cast<int>(world.stats().evictions - before);
      ++steps;
    }
  }
  CHECK(steps < 60);
  CHECK(evictions <= 2);
  CHECK(prepared[4] == 300);
  CHECK(prepared[5] == 300);
  CHECK(world.resident(4));
  CHECK(world.resident(5));
  // a request may always take a sequence, and then its owner's idle work may too
  CHECK(world.ask(log_of(1, 40), 1)->reused == 0);
  CHECK(world.ask(log_of(1, 300), 1, 50, true)->reused == 40);
}
