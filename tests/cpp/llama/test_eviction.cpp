// More owners than sequences: who goes, what is parked, what comes back.
#include <doctest/doctest.h>

#include <thread>

#include "llama/harness.h"

using namespace poise;
using namespace poise::test;

namespace {

Request keeping(Tokens context, OwnerId owner, std::int32_t priority, std::uint64_t tenant = 0) {
  Request request = greedy(std::move(context), 0, owner, tenant);
  request.retention = {{0, -1, priority, std::nullopt}};
  return request;
}

}  // namespace

TEST_CASE("the lowest priority goes first, among equals the least recently used") {
  LlamaOptions options = tiny_options(3);
  options.park_bytes = 0;
  LlamaExecutor executor(options);
  const auto resident = [&](OwnerId owner) {
    return executor.resident_prefix(some_tokens(40, static_cast<std::uint32_t>(owner)), {}, owner);
  };
  static_cast<void>(run(executor, keeping(some_tokens(40, 1), 1, 80)));
  static_cast<void>(run(executor, keeping(some_tokens(40, 2), 2, 20)));
  static_cast<void>(run(executor, keeping(some_tokens(40, 3), 3, 80)));
  static_cast<void>(run(executor, keeping(some_tokens(40, 4), 4, 80)));
  CHECK(resident(2) == 0);
  CHECK(resident(1) == 40);
  static_cast<void>(run(executor, keeping(some_tokens(40, 1), 1, 80)));  // 3 is now the oldest
  static_cast<void>(run(executor, keeping(some_tokens(40, 5), 5, 80)));
  CHECK(resident(3) == 0);
  CHECK(resident(1) == 40);
  CHECK(resident(4) == 40);
  CHECK(executor.stats().evictions == 2);
  CHECK(executor.stats().parks == 0);
  executor.check_integrity();
}

TEST_CASE("an evicted owner comes back from host memory and answers as before") {
  for (const KvLayout layout : {KvLayout::streams, KvLayout::unified}) {
    LlamaOptions options = tiny_options(1);
    options.layout = layout;
    options.context_tokens = 1024;
    LlamaExecutor executor(options);
    const Tokens context = some_tokens(600, 1);
    static_cast<void>(run(executor, greedy(context, 0, 1)));
    static_cast<void>(run(executor, greedy(some_tokens(600, 2), 0, 2)));
    CHECK(executor.stats().parks >= 1);  // or 2: the next victim is saved ahead
    CHECK(executor.stats().parked_tokens >= 600);
    CHECK(executor.stats().parked_bytes >= 600 * executor.info().kv_bytes_per_token);
    executor.check_integrity();
    const auto back = run(executor, greedy(joined(context, some_tokens(8, 3)), 6, 1));
    CHECK(back->completion.restored_tokens == 600);
    CHECK(back->completion.prefilled_tokens == 8);
    CHECK(executor.stats().restores == 1);
    CHECK(back->tokens == [&] {
      LlamaOptions fresh = options;
      LlamaExecutor other(fresh);
      return run(other, greedy(joined(context, some_tokens(8, 3)), 6))->tokens;
    }());
    executor.check_integrity();
  }
}

TEST_CASE("parking stays below its cap, checked before it is allocated") {
  LlamaOptions options = tiny_options(1);
  options.context_tokens = 1024;
  options.park_bytes = 200'000;  // one parked sequence of 600 tokens, not two
  LlamaExecutor executor(options);
  for (OwnerId owner = 1; owner <= 4; ++owner) {
    static_cast<void>(run(executor, greedy(some_tokens(600, static_cast<std::uint32_t>(owner)), 0, owner)));
    CHECK(executor.stats().parked_bytes <= options.park_bytes);
    executor.check_integrity();
  }
  CHECK(executor.stats().parks >= 3);
  CHECK(executor.stats().parked_tokens == 600);
  for (OwnerId owner = 1; owner <= 4; ++owner) {
    executor.release(owner, 0);
  }
  executor.check_integrity();
  CHECK(executor.stats().parked_bytes == 0);
  CHECK(executor.stats().sequences_used == 0);
}

TEST_CASE("with all sequences taken, the next victim is saved in idle time") {
  LlamaOptions options = tiny_options(2);
  options.context_tokens = 1024;
  LlamaExecutor executor(options);
  static_cast<void>(run(executor, keeping(some_tokens(600, 1), 1, 80)));
  executor.check_integrity();
  CHECK(executor.stats().parks == 0);  // a sequence is vacant
  static_cast<void>(run(executor, keeping(some_tokens(500, 2), 2, 20)));
  while (executor.stats().parks == 0) {  // the test's time limit ends this if it never comes
    std::this_thread::yield();
  }
  executor.check_integrity();
  CHECK(executor.stats().parked_tokens == 500);
  CHECK(executor.stats().idle_steps == 1);
  CHECK(executor.resident_prefix(some_tokens(500, 2), {}, 2) == 500);  // still there
  static_cast<void>(run(executor, keeping(some_tokens(300, 3), 3, 80)));
  CHECK(executor.resident_prefix(some_tokens(500, 2), {}, 2) == 0);
  CHECK(run(executor, keeping(some_tokens(500, 2), 2, 20))->completion.restored_tokens == 500);
  executor.check_integrity();
}

TEST_CASE("a copy that no pass followed is carried out in idle time") {
  LlamaOptions options = tiny_options(3);
  options.context_tokens = 1024;
  LlamaExecutor executor(options);
  const Tokens context = some_tokens(700, 1);
  static_cast<void>(run(executor, greedy(context, 0, 1)));
  const auto steps = executor.stats().steps;
  CHECK(run(executor, greedy(context, 0, 2))->completion.copied_tokens == 700);
  CHECK(executor.stats().steps == steps);
  while (executor.stats().hole_tokens == 0) {
    std::this_thread::yield();
  }
  executor.check_integrity();
  CHECK(executor.stats().steps == steps);
  CHECK(executor.stats().idle_steps == 1);
  executor.release(1, 0);
  LlamaExecutor fresh(options);
  CHECK(run(executor, greedy(context, 5, 2))->tokens == run(fresh, greedy(context, 5))->tokens);
}

TEST_CASE("a parked sequence can be cut, and is cut when it comes back") {
  LlamaOptions options = tiny_options(1);
  options.context_tokens = 1024;
  LlamaExecutor executor(options);
  const Tokens context = some_tokens(600, 1);
  static_cast<void>(run(executor, greedy(context, 0, 1)));
  static_cast<void>(run(executor, greedy(some_tokens(600, 2), 0, 2)));
  executor.release(1, 500);
  executor.check_integrity();
  const auto back = run(executor, greedy(context, 0, 1));
  CHECK(back->completion.restored_tokens == 500);
  CHECK(back->completion.prefilled_tokens == 100);
  executor.check_integrity();
}

TEST_CASE("a longer prefix of another owner is copied where that beats prefilling") {
  for (const KvLayout layout : {KvLayout::streams, KvLayout::unified}) {
    LlamaOptions options = tiny_options(3);
    options.layout = layout;
    options.context_tokens = 1024;
    LlamaExecutor executor(options);
    const Tokens system = some_tokens(700, 1);
    static_cast<void>(run(executor, greedy(system, 0, 1)));
    const Tokens other = joined(system, some_tokens(12, 2));
    CHECK(executor.resident_prefix(other, {}, 2) == 0);  // without a copy
    const auto copied = run(executor, greedy(other, 5, 2));
    CHECK(copied->completion.copied_tokens == 700);
    CHECK(copied->completion.prefilled_tokens == 12);
    CHECK(executor.stats().copies == 1);
    CHECK(executor.resident_prefix(system, {}, 1) == 700);
    LlamaExecutor fresh(options);
    CHECK(copied->tokens == run(fresh, greedy(other, 5))->tokens);
    // another tenant gets nothing of it
    CHECK(run(executor, greedy(other, 1, 3, 9))->completion.reused_tokens == 0);
    executor.check_integrity();
  }
}

TEST_CASE("what nobody owns is continued in place") {
  LlamaExecutor executor(tiny_options(2));
  const Tokens context = some_tokens(60, 1);
  const auto first = run(executor, greedy(context, 4));
  const Tokens next = joined(joined(context, first->tokens), some_tokens(5, 2));
  CHECK(executor.resident_prefix(next, {}, 7) == 63);
  const auto second = run(executor, greedy(next, 4, 7));
  CHECK(second->completion.reused_tokens == 63);
  CHECK(second->completion.copied_tokens == 0);
  CHECK(executor.stats().sequences_used == 1);
  CHECK(second->tokens == reference_answer(next, 4));
  executor.check_integrity();
}

TEST_CASE("with one sequence, another owner's short common prefix does not block a newcomer") {
  LlamaOptions options = tiny_options(1);
  LlamaExecutor executor(options);
  const Tokens system = some_tokens(50, 1);
  static_cast<void>(run(executor, greedy(joined(system, some_tokens(100, 2)), 0, 1)));
  const Tokens other = joined(system, some_tokens(100, 3));
  CHECK(run(executor, greedy(other, 4, 2))->tokens == reference_answer(other, 4));
  executor.check_integrity();
}

TEST_CASE("two tenants under pressure: a branch and a restore at one step boundary answer right") {
  // Both requests are enqueued from a sink, so that one round of admission sees them: the first copies owner 1's
  // sequence, the second evicts owner 1 and wants its parked state there while the copy is pending.
  LlamaOptions options = tiny_options(2);
  options.context_tokens = 1024;
  LlamaExecutor executor(options);
  const Tokens a = some_tokens(700, 1);
  const Tokens b = some_tokens(700, 2);
  const Tokens question = some_tokens(6, 3);
  static_cast<void>(run(executor, greedy(b, 0, 20, 2)));
  static_cast<void>(run(executor, greedy(some_tokens(700, 4), 0, 30, 3)));
  static_cast<void>(run(executor, greedy(a, 0, 10, 1)));  // parks owner 20
  REQUIRE(executor.stats().parked_tokens >= 700);

  class Trigger final : public Sink {
   public:
    std::function<void()> fire;
    void on_finish(RequestId /*id*/, const Completion& /*completion*/) override { fire(); }
  };
  const auto trigger = std::make_shared<Trigger>();
  auto branch = std::make_shared<Recorder>();
  auto restored = std::make_shared<Recorder>();
  trigger->fire = [&] {
    executor.enqueue(greedy(joined(a, question), 6, 11, 1), branch);
    executor.enqueue(greedy(joined(b, question), 6, 20, 2), restored);
  };
  executor.enqueue(greedy(a, 0, 10, 1), trigger);
  branch->wait();
  restored->wait();
  CHECK(branch->completion.copied_tokens == 700);
  CHECK(restored->completion.restored_tokens == 0);  // refused: its place was the source of the pending copy
  LlamaExecutor fresh(options);
  CHECK(branch->tokens == run(fresh, greedy(joined(a, question), 6))->tokens);
  CHECK(restored->tokens == run(fresh, greedy(joined(b, question), 6, kNoOwner, 2))->tokens);
  executor.check_integrity();
}
