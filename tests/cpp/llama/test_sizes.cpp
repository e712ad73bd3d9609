// Several lengths of sequence over one model: where a request goes, how an owner moves, and that classes share one order
// of requests and idle work.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "llama/harness.h"
#include "poise/error.h"

using namespace poise;
using namespace poise::test;

namespace {

LlamaOptions sized(std::vector<SizeClass> classes = {{256, 3}, {1024, 2}, {2048, 1}}) {
  LlamaOptions options = tiny_options();
  options.size_classes = std::move(classes);
  return options;
}

Request idle(Tokens context, std::int32_t max_new_tokens, OwnerId owner) {
  Request request = greedy(std::move(context), max_new_tokens, owner);
  request.priority = 0.1F;
  return request;
}

Tokens fresh_answer(const Tokens& context, std::int32_t max_new_tokens) {
  LlamaOptions options = tiny_options(1);
  options.context_tokens = 2048;
  LlamaExecutor executor(options);
  return run(executor, greedy(context, max_new_tokens))->tokens;
}

std::vector<std::int32_t> used(const LlamaExecutor& executor) {
  executor.check_integrity();  // a round trip through its thread
  std::vector<std::int32_t> all;
  for (const SizeClassState& state : executor.classes()) {
    all.push_back(state.sequences_used);
  }
  return all;
}

using Used = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("one memory plan over all classes, refused before anything is allocated") {
  const LlamaExecutor executor(sized());
  CHECK(executor.info().max_sequences == 6);
  CHECK(executor.info().max_context_tokens == 2048);
  CHECK(executor.info().kv_bytes == (3 * 256 + 2 * 1024 + 2048) * executor.info().kv_bytes_per_token);
  const std::string plan = executor.info().memory_plan;
  CHECK(plan.find("(3 sequences x 256 tokens + 2 sequences x 1024 tokens + 1 sequences x 2048 tokens) x 256 B = ") ==
        0);
  CHECK(plan.find("KV moves between classes") != std::string::npos);
  const auto classes = executor.classes();
  REQUIRE(classes.size() == 3);
  CHECK(classes[1].size.context_tokens == 1024);
  CHECK(classes[1].kv_bytes == 2 * 1024 * executor.info().kv_bytes_per_token);

  LlamaOptions options = sized();
  options.max_kv_bytes = 1'000'000;
  try {
    const LlamaExecutor refused(options);
    FAIL("1.2 MB of KV were allowed 1 MB");
  } catch (const ResourceExhausted& error) {
    const std::string message = error.what();
    CHECK(message.find("3 sequences x 256 tokens") != std::string::npos);
    CHECK(message.find("976.6 KiB") != std::string::npos);
    CHECK(message.find("size_classes (one sequence of 2048 tokens takes 512.0 KiB)") != std::string::npos);
  }
}

TEST_CASE("classes that make no sense are refused") {
  CHECK_THROWS_AS(LlamaExecutor(sized({{1024, 1}, {256, 1}})), InvalidArgument);
  CHECK_THROWS_AS(LlamaExecutor(sized({{256, 1}, {256, 1}})), InvalidArgument);
  CHECK_THROWS_AS(LlamaExecutor(sized({{256, 0}})), InvalidArgument);
  CHECK_THROWS_AS(LlamaExecutor(sized({{0, 2}})), InvalidArgument);
  CHECK_THROWS_AS(LlamaExecutor(sized({{256, 257}})), InvalidArgument);
}

TEST_CASE("a request goes to the smallest class that holds its context and its answer") {
  LlamaExecutor executor(sized());
  static_cast<void>(run(executor, greedy(some_tokens(250, 1), 6, 1)));
  CHECK(used(executor) == Used{1, 0, 0});
  static_cast<void>(run(executor, greedy(some_tokens(250, 2), 7, 2)));
  CHECK(used(executor) == Used{1, 1, 0});
  static_cast<void>(run(executor, greedy(some_tokens(1025, 3), 0, 3)));
  CHECK(used(executor) == Used{1, 1, 1});
  CHECK_THROWS_AS(executor.enqueue(greedy(some_tokens(2048, 4), 1, 4), std::make_shared<Recorder>()), ContextOverflow);
}

TEST_CASE("an owner that outgrows its class moves with its KV, and answers as before") {
  for (const KvLayout layout : {KvLayout::streams, KvLayout::unified}) {
    LlamaOptions options = sized();
    options.layout = layout;
    LlamaExecutor executor(options);
    Tokens log = some_tokens(200, 1);
    static_cast<void>(run(executor, greedy(some_tokens(20, 8), 0, 8)));  // a neighbour in each class
    static_cast<void>(run(executor, greedy(some_tokens(300, 9), 0, 9)));
    static_cast<void>(run(executor, greedy(log, 0, 1)));
    for (const std::size_t length : {400U, 1200U}) {
      const std::size_t before = log.size();
      log = joined(log, some_tokens(length - before, static_cast<std::uint32_t>(length)));
      const auto answer = run(executor, greedy(log, 8, 1));
      CHECK(answer->completion.copied_tokens == static_cast<std::int32_t>(before));
      CHECK(answer->completion.prefilled_tokens == static_cast<std::int32_t>(length - before));
      CHECK(answer->tokens == fresh_answer(log, 8));
    }
    CHECK(used(executor) == Used{1, 1, 1});
    CHECK(executor.classes()[1].promotions == 1);
    CHECK(executor.classes()[2].promotions == 1);
    CHECK(executor.stats().resident_tokens == 20 + 300 + 1207);
    // it stays in its class while it fits, also when it gets shorter
    log.resize(100);
    CHECK(run(executor, greedy(log, 4, 1))->completion.reused_tokens == 99);
    CHECK(used(executor) == Used{1, 1, 1});
    executor.release(1, 0);
    CHECK(used(executor) == Used{1, 1, 0});
  }
}

TEST_CASE("without room in host memory a larger class is prefilled") {
  LlamaOptions options = sized();
  options.park_bytes = 0;
  LlamaExecutor executor(options);
  const Tokens log = some_tokens(400, 1);
  static_cast<void>(run(executor, greedy({log.begin(), log.begin() + 200}, 0, 1)));
  const auto answer = run(executor, greedy(log, 8, 1));
  CHECK(answer->completion.reused_tokens == 0);
  CHECK(answer->completion.prefilled_tokens == 400);
  CHECK(answer->tokens == fresh_answer(log, 8));
  CHECK(used(executor) == Used{0, 1, 0});
}

TEST_CASE("idle work moves an owner ahead, so that its request finds the room") {
  LlamaExecutor executor(sized());
  const Tokens log = some_tokens(230, 1);
  static_cast<void>(run(executor, greedy({log.begin(), log.begin() + 150}, 0, 1)));
  CHECK(used(executor) == Used{1, 0, 0});
  CHECK(run(executor, idle({log.begin(), log.begin() + 200}, 0, 1))->completion.copied_tokens == 0);  // 78 %
  CHECK(used(executor) == Used{1, 0, 0});
  CHECK(run(executor, idle(log, 0, 1))->completion.copied_tokens == 200);  // 90 %
  CHECK(used(executor) == Used{0, 1, 0});
  const auto request = run(executor, greedy(joined(log, some_tokens(100, 2)), 4, 1));
  CHECK(request->completion.copied_tokens == 0);
  CHECK(request->completion.reused_tokens == 230);
  CHECK(request->tokens == fresh_answer(joined(log, some_tokens(100, 2)), 4));
}

TEST_CASE("idle work does not move ahead over owners that were asked later") {
  LlamaExecutor executor(sized({{256, 2}, {512, 1}}));
  static_cast<void>(run(executor, greedy(some_tokens(150, 1), 0, 1)));
  static_cast<void>(run(executor, greedy(some_tokens(400, 2), 0, 2)));
  static_cast<void>(run(executor, idle(joined(some_tokens(150, 1), some_tokens(80, 3)), 0, 1)));
  CHECK(used(executor) == Used{1, 1});
  CHECK(executor.resident_prefix(some_tokens(400, 2), {}, 2) == 400);
  CHECK(executor.classes()[1].promotions == 0);
}

TEST_CASE("requests of one owner keep their order across classes") {
  LlamaExecutor executor(sized());
  const Tokens log = some_tokens(900, 1);
  std::vector<int> order;
  std::mutex mutex;
  class Noting final : public Sink {
   public:
    std::function<void()> ended;
    void on_finish(RequestId /*id*/, const Completion& completion) override {
      CHECK(completion.reason == FinishReason::length);
      ended();
    }
  };
  std::vector<std::shared_ptr<Noting>> sinks;
  const auto blocker = start(executor, greedy(some_tokens(240, 5), 10, 5));
  int index = 0;
  for (const std::size_t length : {100U, 800U, 150U, 1500U, 120U}) {
    Tokens context = joined(log, some_tokens(700, 2));
    context.resize(length);
    sinks.push_back(std::make_shared<Noting>());
    sinks.back()->ended = [&, index] {
      const std::lock_guard lock(mutex);
      order.push_back(index);
    };
    executor.enqueue(greedy(std::move(context), 5, 1), sinks.back());
    ++index;
  }
  blocker->wait();
  while (true) {
    const std::lock_guard lock(mutex);
    if (order.size() == 5) {
      break;
    }
  }
  CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
  CHECK(used(executor) == Used{1, 0, 1});
}

TEST_CASE("idle work of one class stops for a request of another one, and is interrupted in its pass") {
  LlamaOptions options = sized({{256, 2}, {2048, 1}});
  options.max_idle_step_ms = 1e6;  // the quantum is a whole batch, so that arrivals fall into passes
  options.batch_tokens = 512;
  LlamaExecutor executor(options);
  const Tokens long_context = some_tokens(1900);
  std::uint64_t interrupted = 0;
  for (int round = 0; round < 200 && interrupted == 0; ++round) {
    executor.release(1, 0);
    const auto entry = start(executor, idle(long_context, 0, 1));
    while (executor.stats().running_idle == 0 && !entry->finished()) {
      std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
    static_cast<void>(run(executor, greedy({5, 6, 7}, 1, 2)));
    CHECK(entry->wait().reason == FinishReason::prefilled);
    CHECK(executor.resident_prefix(long_context, {}, 1) == 1900);
    interrupted = executor.stats().interrupted_steps;
  }
  CHECK(interrupted > 0);
  CHECK(run(executor, greedy(long_context, 4, 1))->tokens == fresh_answer(long_context, 4));
  executor.check_integrity();
}

TEST_CASE("a request that waits for its class displaces idle work there, and only there") {
  LlamaExecutor executor(sized({{256, 1}, {1024, 1}}));
  const auto small = start(executor, idle(some_tokens(60, 1), 120, 1));
  const auto large = start(executor, idle(some_tokens(400, 2), 120, 2));
  small->wait_tokens(2);
  large->wait_tokens(2);
  const Tokens context = some_tokens(50, 3);
  CHECK(run(executor, greedy(context, 5, 3))->tokens == fresh_answer(context, 5));
  CHECK(small->wait().reason == FinishReason::length);
  CHECK(large->wait().reason == FinishReason::length);
  CHECK(small->tokens == fresh_answer(some_tokens(60, 1), 120));
  CHECK(large->tokens == fresh_answer(some_tokens(400, 2), 120));
  CHECK(executor.classes()[1].promotions == 0);
}

TEST_CASE("running requests of all classes go on together") {
  LlamaExecutor executor(sized());
  std::vector<std::shared_ptr<Recorder>> answers;
  const std::size_t lengths[] = {30, 60, 90, 400, 700, 1500};
  for (std::size_t i = 0; i < 6; ++i) {
    answers.push_back(start(executor, greedy(some_tokens(lengths[i], static_cast<std::uint32_t>(i)), 30, i + 1)));
  }
  for (std::size_t i = 0; i < 6; ++i) {
    answers[i]->wait();
    CHECK(answers[i]->tokens == fresh_answer(some_tokens(lengths[i], static_cast<std::uint32_t>(i)), 30));
  }
  CHECK(used(executor) == Used{3, 2, 1});
}

TEST_CASE("a session parked in one class comes back in another one") {
  LlamaExecutor executor(sized({{256, 1}, {1024, 1}}));
  const Tokens log = some_tokens(240, 1);
  static_cast<void>(run(executor, greedy(log, 0, 1)));
  static_cast<void>(run(executor, greedy(some_tokens(240, 2), 0, 2)));  // parks owner 1
  const auto back = run(executor, greedy(joined(log, some_tokens(60, 3)), 6, 1));
  CHECK(back->completion.restored_tokens == 240);
  CHECK(back->completion.prefilled_tokens == 60);
  CHECK(back->tokens == fresh_answer(joined(log, some_tokens(60, 3)), 6));
  CHECK(used(executor) == Used{1, 1});
}

TEST_CASE("a prefix of another owner reaches another class") {
  LlamaExecutor executor(sized());
  const Tokens system = some_tokens(240, 1);
  static_cast<void>(run(executor, greedy(system, 0, 1)));
  const Tokens context = joined(system, some_tokens(200, 2));
  const auto answer = run(executor, greedy(context, 6, 2));
  CHECK(answer->completion.copied_tokens == 240);
  CHECK(answer->tokens == fresh_answer(context, 6));
  CHECK(executor.resident_prefix(system, {}, 1) == 240);
  CHECK(run(executor, greedy(context, 1, 3, 9))->completion.reused_tokens == 0);  // another tenant
  CHECK(used(executor) == Used{1, 2, 0});
}

TEST_CASE("memory that cannot move is prefilled in the larger class") {
  for (const char* architecture : {"gemma2", "mamba"}) {
    CAPTURE(architecture);
    LlamaOptions options = tiny_options(1, architecture);
    options.size_classes = {{256, 2}, {1024, 1}};
    LlamaExecutor executor(options);
    CHECK(executor.info().memory_plan.find("a larger class is prefilled anew") != std::string::npos);
    const Tokens log = some_tokens(300, 1);
    static_cast<void>(run(executor, greedy({log.begin(), log.begin() + 240}, 0, 1)));
    const auto answer = run(executor, greedy(log, 6, 1));
    CHECK(answer->completion.prefilled_tokens == 300);
    options.size_classes.clear();
    options.context_tokens = 1024;
    LlamaExecutor fresh(options);
    CHECK(answer->tokens == run(fresh, greedy(log, 6))->tokens);
    executor.check_integrity();
  }
}
