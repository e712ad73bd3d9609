// DESIGN's row (a): SessionManager::turn with ids, from the call to the first token's callback, on `ready` and `gate`.
// The executor is the in-memory one with a large vocabulary: nothing of it runs on these two paths.
#include <atomic>
#include <cstdint>
#include <vector>

#include "commands.h"
#include "poise/error.h"
#include "poise/sim_executor.h"
#include "timed_sink.h"
#include "world.h"

namespace poise::bench {
namespace {

constexpr std::int32_t kEntryTokens = 8;
constexpr std::int32_t kDeltaTokens = 4;

/// Reads more memory than the caches hold, as a model's pass between two turns does.
class CacheFlush {
 public:
  void operator()() {
    std::uint64_t sum = 0;
    for (const std::uint64_t word : memory_) {
      sum += word;
    }
    sink_.store(sum, std::memory_order_relaxed);
  }

 private:
  std::vector<std::uint64_t> memory_ = std::vector<std::uint64_t>((96U << 20U) / sizeof(std::uint64_t), 1);
  std::atomic<std::uint64_t> sink_{0};
};

struct Case {
  const char* name;
  bool gate;
  bool sampled;
};

SamplingParams sampling_of(const Case& kind) {
  SamplingParams sampling;
  sampling.temperature = kind.sampled ? 0.7F : 0.0F;
  if (kind.sampled) {
    sampling.top_p = 0.9F;
    sampling.top_k = 40;
  }
  return sampling;
}

}  // namespace

int run_ready(Arguments& arguments) {
  SimOptions options;
  options.vocab_size = arguments.integer("vocab", 128'256);
  options.max_context_tokens = arguments.integer("context", 32'768) + 64;
  const std::int32_t context = options.max_context_tokens - 64;
  const std::int32_t turns = arguments.integer("turns", 1000);
  const bool flush = arguments.integer("flush", 0) != 0;
  arguments.check_all_used();
  options.max_sequences = 2;
  options.step_tokens = options.idle_quantum_tokens = 8192;
  options.sharpness = 12.0F;  // a confident model: the kept head carries the mass
  options.threaded = true;
  const auto executor = std::make_shared<SimExecutor>(options, std::make_shared<SteadyClock>());
  SessionManager manager(executor, ManagerOptions{});
  const ExecutorInfo& info = executor->info();

  TokenSource ids(info.vocab_size, 1);
  OpenOptions opened;
  opened.tokens = ids.draw(context);
  opened.continuation_tokens = 4;
  opened.sampling.temperature = 0.0F;
  opened.stop_tokens = {unlikely_stop(info)};
  const SessionId session = manager.open(opened);
  Anticipation question;
  question.kind = AnticipationKind::question;
  question.persistent = true;
  question.tokens = ids.draw(kEntryTokens);
  manager.anticipate(session, question);
  settle(manager);
  const SessionState state = manager.state(session);
  const TokenId best = state.entries.at(0).top1;
  Tokens beyond = question.tokens;
  const Tokens delta = ids.draw(kDeltaTokens);
  beyond.insert(beyond.end(), delta.begin(), delta.end());

  CacheFlush flush_caches;
  for (const Case& kind :
       {Case{"ready", false, false}, Case{"ready sampled", false, true}, Case{"gate", true, false}}) {
    const Counters before = manager.counters();
    const std::uint64_t steps_before = executor->stats().steps;
    std::vector<double> first_us;
    std::vector<double> reported_us;
    for (std::int32_t i = -turns / 10; i < turns; ++i) {
      TurnRequest request = plain_turn(info, kind.gate ? beyond : question.tokens, 1);
      request.sampling = sampling_of(kind);
      if (kind.gate) {
        request.gate = GateOptions{0.0F, {best, best == 7 ? 8 : 7}};
      }
      if (flush) {
        flush_caches();
      }
      TimePoint asked_at{};
      const auto turn = run_turn(manager, session, std::move(request), asked_at);
      if (turn->start.path != (kind.gate ? Path::gate : Path::ready)) {
        throw ExecutorError(std::string("a turn took the path ") + to_string(turn->start.path) + " in the case " +
                            kind.name);
      }
      if (i >= 0) {  // the first tenth warms up
        first_us.push_back(to_us(turn->token_times.at(0) - asked_at));
        reported_us.push_back(to_us(turn->end.first_token));
      }
    }
    const Counters after = manager.counters();
    JsonObject()
        .add("case", kind.name)
        .add("context_tokens", context)
        .add("vocab_size", info.vocab_size)
        .add("flushed_caches", flush)
        .add("turns", turns)
        .add("first_us", first_us)
        .add("reported_us", reported_us)
        .add("head_scans", after.scans_head - before.scans_head)
        .add("full_scans", after.scans_full - before.scans_full)
        .add("executor_steps", executor->stats().steps - steps_before)
        .print();
  }
  return 0;
}

}  // namespace poise::bench
