#include "world.h"

#include <chrono>
#include <thread>

#include "poise/error.h"
#include "timed_sink.h"
#ifdef POISE_HAS_LLAMA
#include "poise/llama_executor.h"
#endif

namespace poise::bench {

TokenSource::TokenSource(std::int32_t vocab_size, std::uint64_t seed)
    : random_(seed), ids_(vocab_size / 4, vocab_size - 2) {}

Tokens TokenSource::draw(std::int32_t count) {
  Tokens tokens(static_cast<std::size_t>(count));
  for (TokenId& token : tokens) {
    token = ids_(random_);
  }
  return tokens;
}

TokenId unlikely_stop(const ExecutorInfo& info) { return info.vocab_size - 1; }

std::shared_ptr<Executor> load_llama(Arguments& arguments, std::int32_t sequences, Position context_tokens) {
#ifdef POISE_HAS_LLAMA
  LlamaOptions options;
  options.model_path = arguments.text("model", "");
  options.max_sequences = arguments.integer("sequences", sequences);
  options.context_tokens = arguments.integer("context", context_tokens);
  options.threads = arguments.integer("threads", 0);
  options.batch_tokens = arguments.integer("batch", 512);
  const std::string layout = arguments.text("layout", "automatic");
  options.layout = layout == "streams"   ? KvLayout::streams
                   : layout == "unified" ? KvLayout::unified
                                         : KvLayout::automatic;
  if (options.model_path.empty()) {
    throw InvalidArgument("no model; name a GGUF file with --model");
  }
  return std::make_shared<LlamaExecutor>(options);
#else
  static_cast<void>(arguments);
  static_cast<void>(sequences);
  static_cast<void>(context_tokens);
  throw InvalidArgument("this build has no embedded executor; configure with POISE_LLAMA=ON");
#endif
}

TurnRequest plain_turn(const ExecutorInfo& info, Tokens tokens, std::int32_t answer_tokens) {
  TurnRequest request;
  request.tokens = std::move(tokens);
  request.durable = false;
  request.max_new_tokens = answer_tokens;
  request.sampling.temperature = 0.0F;
  request.stop_tokens = {unlikely_stop(info)};
  return request;
}

void settle(SessionManager& manager) {
  if (!manager.wait_prepositioned(std::chrono::minutes(1))) {
    const Counters counters = manager.counters();
    throw ExecutorError("idle work did not settle within a minute: " + std::to_string(counters.idle_jobs) +
                        " idle jobs so far, " + std::to_string(counters.idle_jobs_failed) + " failed, " +
                        std::to_string(counters.idle_prefilled_tokens) + " tokens prefilled");
  }
}

void wait_until_quiet(const Executor& executor) {
  const TimePoint until = now() + std::chrono::minutes(1);
  while (now() < until) {
    const ExecutorStats stats = executor.stats();
    if (stats.running_requests + stats.waiting_requests + stats.running_idle + stats.waiting_idle == 0) {
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  throw ExecutorError("the executor still runs a minute after its last session was closed");
}

JsonObject describe(const Executor& executor) {
  const ExecutorInfo& info = executor.info();
  JsonObject facts;
  facts.add("name", info.name)
      .add("model", info.model_name)
      .add("vocab_size", info.vocab_size)
      .add("max_sequences", info.max_sequences)
      .add("max_context_tokens", info.max_context_tokens)
      .add("idle_quantum_tokens", info.idle_quantum_tokens)
      .add("memory_plan", info.memory_plan);
#ifdef POISE_HAS_LLAMA
  if (const auto* const llama = dynamic_cast<const LlamaExecutor*>(&executor)) {
    facts.add("layout", llama->options().layout == KvLayout::unified ? "unified" : "streams")
        .add("threads", llama->options().threads)
        .add("batch_tokens", llama->options().batch_tokens);
  }
#endif
  return facts;
}

}  // namespace poise::bench
