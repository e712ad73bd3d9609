// Many requests at once: the same answers, shared passes, fairness, one request an owner.
#include <doctest/doctest.h>

#include <future>
#include <mutex>
#include <stdexcept>

#include "llama/harness.h"
#include "poise/error.h"

using namespace poise;
using namespace poise::test;

namespace {

// Largest difference of a logit between two ways to cut the same prefill into passes: attention on a CPU adds up 16-bit
// values in an order that depends on the pass. Logits here have a standard deviation of about 4.
constexpr float kChunkNoise = 0.1F;

// Holds the executor's thread inside a sink, so that requests pile up and meet in one round of admission.
class Gate final : public Sink {
 public:
  Gate() { held_.lock(); }
  void open() { held_.unlock(); }
  void on_finish(RequestId /*id*/, const Completion& /*completion*/) override { const std::lock_guard wait(held_); }

 private:
  std::mutex held_;
};

}  // namespace

TEST_CASE("requests at once answer as alone, in both layouts") {
  for (const KvLayout layout : {KvLayout::streams, KvLayout::unified}) {
    CAPTURE(static_cast<int>(layout));
    LlamaOptions options = tiny_options(6);
    options.layout = layout;
    LlamaExecutor executor(options);
    const auto gate = std::make_shared<Gate>();
    executor.enqueue(greedy({5}, 0), gate);
    std::vector<std::shared_ptr<Recorder>> answers;
    std::vector<Tokens> contexts;
    for (OwnerId owner = 1; owner <= 5; ++owner) {
      contexts.push_back(some_tokens(30 + 17 * owner, static_cast<std::uint32_t>(owner)));
      answers.push_back(start(executor, greedy(contexts.back(), 12, owner)));
    }
    gate->open();
    for (const auto& answer : answers) {
      answer->wait();
    }
    for (std::size_t i = 0; i < answers.size(); ++i) {
      CAPTURE(i);
      CHECK(answers[i]->tokens == reference_answer(contexts[i], 12));
    }
    const ExecutorStats stats = executor.stats();
    CHECK(stats.decoded_tokens == 5 * 11);  // the first token of each comes from its prefill
    CHECK(stats.steps < 5 * 11);            // passes were shared
    executor.check_integrity();
  }
}

TEST_CASE("running owners that do not lie side by side") {
  LlamaExecutor executor(tiny_options(8));
  for (OwnerId owner = 1; owner <= 8; ++owner) {
    static_cast<void>(run(executor, greedy(some_tokens(40, static_cast<std::uint32_t>(owner)), 0, owner)));
  }
  const auto gate = std::make_shared<Gate>();
  executor.enqueue(greedy({5}, 0, 2), gate);
  std::vector<std::shared_ptr<Recorder>> answers;
  for (OwnerId owner = 1; owner <= 7; owner += 2) {
    answers.push_back(start(executor, greedy(some_tokens(40, static_cast<std::uint32_t>(owner)), 20, owner)));
  }
  gate->open();
  OwnerId owner = 1;
  for (const auto& answer : answers) {
    answer->wait();
    CHECK(answer->completion.prefilled_tokens == 1);
    CHECK(answer->tokens == reference_answer(some_tokens(40, static_cast<std::uint32_t>(owner)), 20));
    owner += 2;
  }
  executor.check_integrity();  // holes, if any were filled, are rolled back
  CHECK(executor.stats().resident_tokens == 4 * 59 + 3 * 40 + 1);
}

TEST_CASE("more requests than sequences wait, and all are served") {
  LlamaExecutor executor(tiny_options(2));
  std::vector<std::shared_ptr<Recorder>> answers;
  for (std::uint32_t i = 0; i < 7; ++i) {
    answers.push_back(start(executor, greedy(some_tokens(25, i), 5, i + 1)));
  }
  for (std::uint32_t i = 0; i < 7; ++i) {
    answers[i]->wait();
    CHECK(answers[i]->tokens == reference_answer(some_tokens(25, i), 5));
  }
  executor.check_integrity();
}

TEST_CASE("requests of one owner run in the order of enqueue, whatever their priority") {
  LlamaExecutor executor(tiny_options(4));
  const auto gate = std::make_shared<Gate>();
  executor.enqueue(greedy({5}, 0), gate);
  const Tokens context = some_tokens(30);
  auto first = greedy(context, 6, 1);
  auto second = greedy(joined(context, some_tokens(4, 2)), 6, 1);
  second.priority = 1.0F;
  const auto one = start(executor, std::move(first));
  const auto two = start(executor, std::move(second));
  gate->open();
  two->wait();
  CHECK(one->finished());
  CHECK(two->completion.reused_tokens >= 30);
}

TEST_CASE("cancel ends a request at the next step and leaves the books in order") {
  LlamaExecutor executor(tiny_options(2));
  auto recorder = std::make_shared<Recorder>();
  const RequestId id = executor.enqueue(greedy(some_tokens(30), 400, 1), recorder);
  recorder->wait_tokens(3);
  executor.cancel(id);
  executor.cancel(id);
  executor.cancel(id + 100);
  CHECK(recorder->wait().reason == FinishReason::cancelled);
  CHECK(recorder->tokens.size() < 400);
  executor.check_integrity();
  const Tokens next = joined(some_tokens(30), recorder->tokens);
  CHECK(executor.resident_prefix(next, {}, 1) == recorder->completion.resident_tokens);
  CHECK(run(executor, greedy(next, 5, 1))->tokens == reference_answer(next, 5));
}

TEST_CASE("what cannot fit or be understood is refused before anything is touched") {
  LlamaExecutor executor(tiny_options(2));
  const auto sink = std::make_shared<Recorder>();
  CHECK_THROWS_AS(executor.enqueue(greedy(some_tokens(510), 3), sink), ContextOverflow);
  CHECK_THROWS_AS(executor.enqueue(greedy({}, 3), sink), InvalidArgument);
  CHECK_THROWS_AS(executor.enqueue(greedy({300}, 3), sink), InvalidArgument);
  CHECK_THROWS_AS(executor.enqueue(greedy({5}, 3), nullptr), InvalidArgument);
  Request adapter = greedy({5}, 1);
  adapter.key.adapter_id = 3;
  CHECK_THROWS_AS(executor.enqueue(std::move(adapter), sink), InvalidArgument);
  CHECK(executor.stats().steps == 0);
  CHECK(run(executor, greedy(some_tokens(509), 3, 1))->tokens.size() == 3);  // exactly full
  executor.shutdown();
  CHECK_THROWS_AS(executor.enqueue(greedy({5}, 1), sink), ExecutorError);
}

TEST_CASE("shutdown ends what runs and what waits, each once") {
  LlamaExecutor executor(tiny_options(1));
  const auto running = start(executor, greedy(some_tokens(30), 450, 1));
  const auto waiting = start(executor, greedy(some_tokens(30, 2), 450, 2));
  running->wait_tokens(2);
  executor.shutdown();
  executor.shutdown();
  CHECK(running->wait().reason == FinishReason::cancelled);
  CHECK(waiting->wait().reason == FinishReason::cancelled);
  executor.check_integrity();
}

TEST_CASE("a sink that throws ends its own request only") {
  class Throws final : public Sink {
   public:
    void on_token(RequestId /*id*/, const GeneratedToken& /*token*/) override { throw std::runtime_error("no more"); }
    void on_finish(RequestId /*id*/, const Completion& ended) override { done.set_value(ended); }
    std::promise<Completion> done;
  };
  LlamaExecutor executor(tiny_options(2));
  const auto sink = std::make_shared<Throws>();
  executor.enqueue(greedy(some_tokens(20), 50, 1), sink);
  const auto other = run(executor, greedy(some_tokens(20, 2), 20, 2));
  CHECK(other->tokens.size() == 20);
  const Completion ended = sink->done.get_future().get();
  CHECK(ended.reason == FinishReason::error);
  CHECK(ended.error == "no more");
  executor.check_integrity();
}

TEST_CASE("rows: the positions asked for, and the generated ones, equal the reference's") {
  LlamaExecutor executor(tiny_options(2));
  const Tokens context = some_tokens(150);
  Request request = greedy(context, 3, 1);
  for (Position position = 0; position < 150; position += 1) {
    request.logits.context_positions.push_back(position);  // more rows than one pass returns
  }
  request.logits.generated = true;
  const auto answer = run(executor, std::move(request));
  REQUIRE(answer->rows.size() == 150 + 2);  // the last context row is the first token's
  for (std::size_t i = 0; i < answer->rows.size(); ++i) {
    CHECK(answer->rows[i].position == static_cast<Position>(i) + 1);
  }
  for (const std::size_t length : {1U, 64U, 65U, 150U}) {
    CAPTURE(length);
    const Tokens part(context.begin(), context.begin() + static_cast<std::ptrdiff_t>(length));
    const std::vector<float> expected = reference_row(part);
    CHECK(distance(answer->rows[length - 1].logits, expected) < kChunkNoise);
    CHECK(distance(answer->rows[length % 150].logits, expected) > 10 * kChunkNoise);  // another position's row
  }
  // resident or not, rows asked for are computed: everything from the first of them on
  Request again = greedy(context, 0, 1);
  again.logits.context_positions = {100, 149};
  const auto rows = run(executor, std::move(again));
  CHECK(rows->completion.prefilled_tokens == 50);
  REQUIRE(rows->rows.size() == 2);
  CHECK(distance(rows->rows[0].logits, answer->rows[100].logits) < kChunkNoise);
}
