// Memory that takes nothing back (a recurrent state), and memory that would not by default (sliding windows).
#include <doctest/doctest.h>

#include "llama/harness.h"

using namespace poise;
using namespace poise::test;

namespace {

Tokens reference_answer_of(const LlamaOptions& options, const Tokens& context, std::int32_t max_new_tokens) {
  LlamaExecutor executor(options);
  return run(executor, greedy(context, max_new_tokens))->tokens;
}

}  // namespace

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

TEST_CASE("sliding windows under unified KV: cells that left a window go to others, so a mismatch prefills anew") {
  LlamaOptions options = tiny_options(4, "gemma2");
  options.layout = KvLayout::unified;
  LlamaExecutor executor(options);
  CHECK_FALSE(executor.info().can_roll_back);
  // many owners in few sequences: cells are freed and taken again out of order
  for (std::uint32_t i = 0; i < 24; ++i) {
    CAPTURE(i);
    const Tokens context = some_tokens(20 + 37 * (i % 7), i);
    const auto answer = run(executor, greedy(context, 8, i % 6 + 1));
    CHECK(answer->tokens == reference_answer(context, 8, "gemma2"));
    const Tokens next = joined(joined(context, answer->tokens), some_tokens(9, 100 + i));
    CHECK(run(executor, greedy(next, 8, i % 6 + 1))->tokens == reference_answer(next, 8, "gemma2"));
    executor.check_integrity();
  }
}

TEST_CASE("sliding windows under streams: a parked state holds one window, so it is cut no further") {
  LlamaOptions options = tiny_options(1, "gemma2");
  options.context_tokens = 1024;
  LlamaExecutor executor(options);
  const Tokens context = some_tokens(600, 1);
  static_cast<void>(run(executor, greedy(context, 0, 1)));
  static_cast<void>(run(executor, greedy(some_tokens(600, 2), 0, 2)));
  const Tokens whole = joined(context, some_tokens(5, 3));
  CHECK(run(executor, greedy(whole, 6, 1))->tokens == reference_answer_of(options, whole, 6));
  static_cast<void>(run(executor, greedy(some_tokens(600, 2), 0, 2)));
  const Tokens cut = joined(Tokens(context.begin(), context.begin() + 300), some_tokens(5, 3));
  const auto answer = run(executor, greedy(cut, 6, 1));
  CHECK(answer->completion.restored_tokens == 0);
  CHECK(answer->tokens == reference_answer_of(options, cut, 6));
  executor.check_integrity();
}
