// Idle work: only when nothing else is there, sliced, interrupted, and over when its owner's request comes.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "llama/harness.h"

using namespace poise;
using namespace poise::test;

namespace {

Request idle(Tokens context, std::int32_t max_new_tokens, OwnerId owner) {
  Request request = greedy(std::move(context), max_new_tokens, owner);
  request.priority = 0.1F;
  return request;
}

}  // namespace

TEST_CASE("idle work runs when nothing else does, in slices") {
  LlamaExecutor executor(tiny_options());
  const auto answer = run(executor, idle(some_tokens(200), 4, 1));
  const ExecutorStats stats = executor.stats();
  CHECK(answer->tokens == reference_answer(some_tokens(200), 4));
  CHECK(stats.idle_prefilled_tokens == 200);
  CHECK(stats.idle_decoded_tokens == 3);
  CHECK(stats.prefilled_tokens == 0);
  CHECK(stats.steps == 0);
  const auto slices =
      static_cast<std::uint64_t>((200 + executor.info().idle_quantum_tokens - 1) / executor.info().idle_quantum_tokens);
  CHECK(stats.idle_steps >= slices + 3);
}

TEST_CASE("a request overtakes idle work of others, which then goes on and answers right") {
  LlamaExecutor executor(tiny_options());
  const auto slow = start(executor, idle(some_tokens(60), 400, 1));
  slow->wait_tokens(3);
  const auto request = run(executor, greedy(some_tokens(50, 2), 30, 2));
  CHECK_FALSE(slow->finished());
  CHECK(request->tokens == reference_answer(some_tokens(50, 2), 30));
  CHECK(slow->wait().reason == FinishReason::length);
  CHECK(slow->tokens == reference_answer(some_tokens(60), 400));
  executor.check_integrity();
}

TEST_CASE("an owner's idle work is over when a request of that owner arrives; what it prefilled stays") {
  LlamaExecutor executor(tiny_options());
  const Tokens log = some_tokens(120);
  const auto entry = start(executor, idle(log, 380, 1));
  entry->wait_tokens(2);
  const auto turn = run(executor, greedy(joined(log, some_tokens(9, 2)), 5, 1));
  CHECK(entry->completion.reason == FinishReason::cancelled);
  CHECK(turn->completion.reused_tokens >= 120);
  CHECK(turn->completion.prefilled_tokens <= 9);
  CHECK(turn->tokens == reference_answer(joined(log, some_tokens(9, 2)), 5));
  executor.check_integrity();
}

TEST_CASE("idle work gives its sequence to a request when there is no other, and starts once") {
  LlamaExecutor executor(tiny_options(1));
  const auto slow = start(executor, idle(some_tokens(60), 300, 1));
  slow->wait_tokens(3);
  CHECK(run(executor, greedy(some_tokens(50, 2), 5, 2))->tokens == reference_answer(some_tokens(50, 2), 5));
  CHECK(slow->wait().reason == FinishReason::length);  // and Recorder checks that on_start came once
  CHECK(slow->tokens == reference_answer(some_tokens(60), 300));
  executor.check_integrity();
}

TEST_CASE("idle work that would push out a session asked later ends without a step, and its owner's request runs") {
  LlamaExecutor executor(tiny_options(2));
  for (OwnerId owner = 1; owner <= 3; ++owner) {
    static_cast<void>(run(executor, greedy(some_tokens(40, static_cast<std::uint32_t>(owner)), 0, owner)));
  }
  const std::uint64_t evictions = executor.stats().evictions;
  const auto refused = start(executor, idle(some_tokens(90, 1), 0, 1));  // 2 and 3 were asked later
  CHECK(refused->wait().reason == FinishReason::cancelled);
  CHECK(refused->completion.error.find("asked later; raise max_sequences (2)") != std::string::npos);
  CHECK(refused->completion.prefilled_tokens == 0);
  CHECK(executor.stats().evictions == evictions);
  CHECK(executor.resident_prefix(some_tokens(40, 2), {}, 2) == 40);
  CHECK(executor.resident_prefix(some_tokens(40, 3), {}, 3) == 40);
  CHECK(run(executor, idle(some_tokens(90, 3), 0, 3))->completion.reused_tokens >= 1);  // has a sequence
  CHECK(run(executor, greedy(some_tokens(90, 1), 4, 1))->tokens == reference_answer(some_tokens(90, 1), 4));
  executor.check_integrity();
}

TEST_CASE("the listener hears of every end that leaves the executor idle") {
  LlamaExecutor executor(tiny_options());
  std::atomic<int> calls{0};
  executor.on_idle([&] { ++calls; });
  static_cast<void>(run(executor, greedy(some_tokens(30), 3, 1)));
  static_cast<void>(run(executor, idle(some_tokens(40), 3, 2)));
  executor.check_integrity();  // a round trip through the executor's thread
  CHECK(calls == 2);
  executor.on_idle({});
  static_cast<void>(run(executor, greedy(some_tokens(30), 3, 1)));
  executor.check_integrity();
  CHECK(calls == 2);
}

TEST_CASE("a pass of idle work is interrupted when a request arrives, and its tokens are computed again") {
  // With a limit that no pass reaches the quantum is a whole batch, so that arrivals fall into passes.
  LlamaOptions options = tiny_options(2);
  options.max_idle_step_ms = 1e6;
  options.batch_tokens = 512;
  options.context_tokens = 2048;
  LlamaExecutor executor(options);
  CHECK(executor.info().idle_quantum_tokens == 512);
  const Tokens long_context = some_tokens(1900);
  std::uint64_t interrupted = 0;
  for (int round = 0; round < 200 && interrupted == 0; ++round) {
    executor.release(1, 0);
    const auto entry = start(executor, idle(long_context, 0, 1));
    while (executor.stats().running_idle == 0 && !entry->finished()) {
      std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
    const auto request = run(executor, greedy({5, 6, 7}, 1, 2));
    CHECK(entry->wait().reason == FinishReason::prefilled);
    CHECK(executor.resident_prefix(long_context, {}, 1) == 1900);
    interrupted = executor.stats().interrupted_steps;
  }
  CHECK(interrupted > 0);
  executor.check_integrity();
  LlamaExecutor fresh(options);
  CHECK(run(executor, greedy(long_context, 4, 1))->tokens == run(fresh, greedy(long_context, 4, 1))->tokens);
}
