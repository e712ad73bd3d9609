// Memory that takes nothing back (a recurrent state), and memory that would not by default (sliding windows).
#include <doctest/doctest.h>

#include "llama/harness.h"

using namespace poise;
using namespace poise::test;

TEST_CASE("recurrent: what extends the whole sequence is reused, a mismatch prefills anew, answers are right") {
  LlamaExecutor executor(tiny_options(3, "mamba"));
  CHECK_FALSE(executor.info().can_roll_back);
  const Tokens context = some_tokens(80);
  const auto first = run(executor, greedy(context, 6, 1));
  CHECK(first->tokens == reference_answer(context, 6, "mamba"));

  const Tokens next = joined(joined(context, first->tokens), some_tokens(10, 2));
  CHECK(executor.resident_prefix(next, {}, 1) == 85);
  const auto second = run(executor, greedy(next, 6, 1));
  CHECK(second->completion.reused_tokens == 85);
  CHECK(second->tokens == reference_answer(next, 6, "mamba"));

  const Tokens other = joined(context, some_tokens(10, 3));
  CHECK(executor.resident_prefix(other, {}, 1) == 0);
  const auto third = run(executor, greedy(other, 6, 1));
  CHECK(third->completion.reused_tokens == 0);
  CHECK(third->completion.prefilled_tokens == 90);
  CHECK(third->tokens == reference_answer(other, 6, "mamba"));

  const auto again = run(executor, greedy(other, 6, 1));  // the whole context is resident, its last row is not
  CHECK(again->completion.prefilled_tokens == 90);
  CHECK(again->tokens == third->tokens);
  CHECK(executor.stats().hole_tokens == 0);
  executor.check_integrity();
}

TEST_CASE("recurrent: several at once, cancelled, evicted and released") {
  LlamaExecutor executor(tiny_options(2, "mamba"));
  std::vector<std::shared_ptr<Recorder>> answers;
  for (std::uint32_t i = 0; i < 4; ++i) {
    answers.push_back(start(executor, greedy(some_tokens(30 + i, i), 8, i + 1)));
  }
  for (std::uint32_t i = 0; i < 4; ++i) {
    answers[i]->wait();
    CHECK(answers[i]->tokens == reference_answer(some_tokens(30 + i, i), 8, "mamba"));
  }
  auto recorder = std::make_shared<Recorder>();
  const RequestId id = executor.enqueue(greedy(some_tokens(30, 9), 400, 9), recorder);
  recorder->wait_tokens(3);
  executor.cancel(id);
  recorder->wait();
  executor.check_integrity();
  executor.release(9, 10);  // cannot be cut: given up whole
  CHECK(executor.resident_prefix(some_tokens(10, 9), {}, 9) == 0);
  executor.check_integrity();
  CHECK(executor.stats().parks == 0);
  CHECK(executor.stats().copies == 0);
}

TEST_CASE("sliding windows keep all cells, so that a rollback over more than a window answers right") {
  LlamaExecutor executor(tiny_options(3, "gemma2"));
  CHECK(executor.info().can_roll_back);
  const Tokens log = some_tokens(90);
  static_cast<void>(run(executor, greedy(joined(log, some_tokens(60, 2)), 4, 1)));
  const Tokens other = joined(log, some_tokens(10, 3));
  const auto answer = run(executor, greedy(other, 6, 1));
  CHECK(answer->completion.reused_tokens == 90);
  CHECK(answer->tokens == reference_answer(other, 6, "gemma2"));
  executor.check_integrity();
}
