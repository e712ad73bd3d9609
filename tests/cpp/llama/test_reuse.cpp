// Reuse: what is resident is not computed again, and never changes an answer.
#include <doctest/doctest.h>

#include "llama/harness.h"

using namespace poise;
using namespace poise::test;

TEST_CASE("a cold request prefills its whole context and generates greedily") {
  LlamaExecutor executor(tiny_options());
  const Tokens context = some_tokens(100);
  const auto answer = run(executor, greedy(context, 8, 1));
  CHECK(answer->completion.reason == FinishReason::length);
  CHECK(answer->completion.prefilled_tokens == 100);
  CHECK(answer->completion.reused_tokens == 0);
  CHECK(answer->tokens.size() == 8);
  CHECK(answer->completion.resident_tokens == 107);  // the last sampled token has no KV
  executor.check_integrity();
}

TEST_CASE("an owner's next turn prefills only what is new, and answers as a fresh executor would") {
  LlamaExecutor executor(tiny_options());
  const Tokens context = some_tokens(100);
  const auto first = run(executor, greedy(context, 8, 1));
  const Tokens next = joined(joined(context, first->tokens), some_tokens(20, 2));
  CHECK(executor.resident_prefix(next, {}, 1) == 107);
  const auto second = run(executor, greedy(next, 8, 1));
  CHECK(second->completion.reused_tokens == 107);
  CHECK(second->completion.prefilled_tokens == 21);
  CHECK(second->tokens == reference_answer(next, 8));
  executor.check_integrity();
}

TEST_CASE("a mismatch rolls back in place") {
  LlamaExecutor executor(tiny_options());
  const Tokens log = some_tokens(80);
  static_cast<void>(run(executor, greedy(joined(log, some_tokens(30, 2)), 4, 1)));
  const Tokens other = joined(log, some_tokens(10, 3));
  const auto answer = run(executor, greedy(other, 4, 1));
  CHECK(answer->completion.reused_tokens == 80);
  CHECK(answer->completion.prefilled_tokens == 10);
  CHECK(executor.stats().rollbacks == 1);
  CHECK(executor.stats().copies == 0);
  CHECK(answer->tokens == reference_answer(other, 4));
  executor.check_integrity();
}

TEST_CASE("the same context again computes one token") {
  LlamaExecutor executor(tiny_options());
  const Tokens context = some_tokens(64);
  const auto first = run(executor, greedy(context, 4, 1));
  const auto again = run(executor, greedy(context, 4, 1));
  CHECK(again->completion.prefilled_tokens == 1);
  CHECK(again->tokens == first->tokens);
}

TEST_CASE("a prefill of what is resident does nothing") {
  LlamaExecutor executor(tiny_options());
  const Tokens context = some_tokens(64);
  static_cast<void>(run(executor, greedy(context, 0, 1)));
  const auto steps = executor.stats().steps;
  const auto again = run(executor, greedy(context, 0, 1));
  CHECK(again->completion.reason == FinishReason::prefilled);
  CHECK(again->completion.prefilled_tokens == 0);
  CHECK(again->completion.resident_tokens == 64);
  CHECK(executor.stats().steps == steps);
}

TEST_CASE("tenants share nothing") {
  LlamaExecutor executor(tiny_options());
  const Tokens context = some_tokens(64);
  static_cast<void>(run(executor, greedy(context, 4, 1, 7)));
  CHECK(executor.resident_prefix(context, KvKey{8, 0, 0.0F}, 1) == 0);
  const auto other = run(executor, greedy(context, 4, 2, 8));
  CHECK(other->completion.reused_tokens == 0);
  CHECK(other->completion.prefilled_tokens == 64);
}

TEST_CASE("release cuts, and forgets at 0") {
  LlamaExecutor executor(tiny_options());
  const Tokens context = some_tokens(64);
  static_cast<void>(run(executor, greedy(context, 0, 1)));
  executor.release(1, 40);
  CHECK(executor.resident_prefix(context, {}, 1) == 40);
  CHECK(run(executor, greedy(context, 0, 1))->completion.prefilled_tokens == 24);
  executor.release(1, 0);
  CHECK(executor.resident_prefix(context, {}, 1) == 0);
  executor.check_integrity();
  CHECK(executor.stats().sequences_used == 0);
}
