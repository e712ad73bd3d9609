// Rates of the embedded executor. Reads commands, so that peers can be run in between:
//
//   pp TOKENS             prefills a fresh prompt
//   tg TOKENS             decodes behind a prompt of one token
//   group RUNNING TOKENS  RUNNING of the resident sessions, chosen at random, decode TOKENS each at the same time
#include <algorithm>
#include <iostream>
#include <numeric>
#include <sstream>
#include <string>

#include "commands.h"
#include "poise/error.h"
#include "timed_sink.h"
#include "world.h"

namespace poise::bench {
namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

class BatchBench {
 public:
  explicit BatchBench(Arguments& arguments)
      : residents_(arguments.integer("residents", 32)),
        prompt_tokens_(arguments.integer("prompt", 512)),
        executor_(load_llama(arguments, residents_ + 1, std::max(prompt_tokens_, 512) + 256)),
        ids_(executor_->info().vocab_size, 29) {
    arguments.check_all_used();
    for (std::int32_t i = 0; i < residents_; ++i) {
      prompts_.push_back(ids_.draw(prompt_tokens_));
      run(prompts_.back(), 0, owner_of(i));
    }
    describe(*executor_).print();
  }

  void prefill(std::int32_t tokens) {
    const auto done = run(ids_.draw(tokens), 0, kScratch);
    executor_->release(kScratch, 0);
    JsonObject()
        .add("test", "pp")
        .add("tokens", done->completion.prefilled_tokens)
        .add("seconds", seconds(done->ended_at - asked_at_))
        .add("executor_seconds", seconds(done->completion.prefill))
        .print();
  }

  void decode(std::int32_t tokens) {
    const auto done = run(ids_.draw(1), tokens, kScratch);
    executor_->release(kScratch, 0);
    JsonObject()
        .add("test", "tg")
        .add("tokens", done->completion.generated_tokens)
        .add("seconds", seconds(done->ended_at - asked_at_))
        .add("executor_seconds", seconds(done->completion.prefill + done->completion.decode))
        .print();
  }

  void group(std::int32_t running, std::int32_t tokens) {
    std::vector<std::int32_t> chosen(prompts_.size());
    std::iota(chosen.begin(), chosen.end(), 0);
    std::shuffle(chosen.begin(), chosen.end(), ids_.random());
    chosen.resize(static_cast<std::size_t>(running));
    const ExecutorStats before = executor_->stats();
    std::vector<std::shared_ptr<TimedRequest>> requests;
    std::int32_t reused = 0;
    for (const std::int32_t resident : chosen) {
      Tokens context = prompts_[static_cast<std::size_t>(resident)];
      context.push_back(ids_.draw(1).front());
      requests.push_back(start(std::move(context), tokens, owner_of(resident)));
    }
    TimePoint first = TimePoint::max();
    TimePoint last{};
    std::int64_t generated = 0;
    for (const auto& request : requests) {
      request->wait();
      check(*request);
      reused += request->completion.reused_tokens;
      generated += request->completion.generated_tokens;
      first = std::min(first, request->token_times.front());
      last = std::max(last, request->token_times.back());
    }
    const ExecutorStats after = executor_->stats();
    for (const std::int32_t resident : chosen) {
      executor_->release(owner_of(resident), prompt_tokens_);
    }
    JsonObject()
        .add("test", "group")
        .add("running", running)
        .add("residents", residents_)
        .add("tokens", generated - running)  // behind each session's first, which the clock starts at
        .add("seconds", seconds(last - first))
        .add("reused_tokens", reused)
        .add("steps", after.steps - before.steps)
        .add("hole_tokens", after.hole_tokens - before.hole_tokens)
        .add("chosen", chosen)
        .print();
  }

 private:
  static constexpr OwnerId kScratch = 1;
  static OwnerId owner_of(std::int32_t resident) { return static_cast<OwnerId>(resident) + 2; }

  std::shared_ptr<TimedRequest> start(Tokens context, std::int32_t new_tokens, OwnerId owner) {
    Request request;
    request.context = std::move(context);
    request.max_new_tokens = new_tokens;
    request.sampling.temperature = 0.0F;
    request.stop_tokens = {unlikely_stop(executor_->info())};
    request.owner = owner;
    if (owner != kScratch) {
      request.retention.push_back({0, -1, 90, std::nullopt});
    }
    auto sink = std::make_shared<TimedRequest>(static_cast<std::size_t>(new_tokens));
    asked_at_ = now();
    executor_->enqueue(std::move(request), sink);
    return sink;
  }

  static void check(const TimedRequest& done) {
    if (done.completion.reason == FinishReason::error) {
      throw ExecutorError("a request of the benchmark failed: " + done.completion.error);
    }
  }

  std::shared_ptr<TimedRequest> run(Tokens context, std::int32_t new_tokens, OwnerId owner) {
    auto sink = start(std::move(context), new_tokens, owner);
    sink->wait();
    check(*sink);
    return sink;
  }

  std::int32_t residents_;
  Position prompt_tokens_;
  std::shared_ptr<Executor> executor_;
  TokenSource ids_;
  std::vector<Tokens> prompts_;
  TimePoint asked_at_{};
};

}  // namespace

int run_batching(Arguments& arguments) {
  BatchBench bench(arguments);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    std::int32_t first = 0;
    words >> command >> first;
    if (command == "pp") {
      bench.prefill(first);
    } else if (command == "tg") {
      bench.decode(first);
    } else if (command == "group") {
      std::int32_t tokens = 0;
      words >> tokens;
      bench.group(first, tokens);
    } else {
      throw InvalidArgument("batching: the command '" + command + "' is unknown; use pp, tg or group");
    }
    if (!words) {
      throw InvalidArgument("batching: '" + line + "' lacks a number");
    }
  }
  return 0;
}

}  // namespace poise::bench
