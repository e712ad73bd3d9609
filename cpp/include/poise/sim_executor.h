// An executor in memory with a toy model: deterministic, instant, and unforgiving.
// The toy model's logits are a hash of the whole context *as its simulated KV holds it*, so a stale,
// foreign or misplaced KV cell changes every answer after it.
#pragma once

#include <cstdint>
#include <memory>

#include "poise/clock.h"
#include "poise/executor.h"

namespace poise {

struct SimOptions {
  std::int32_t vocab_size = 997;
  std::int32_t max_sequences = 8;
  Position max_context_tokens = 4096;
  std::int32_t step_tokens = 64;  ///< prefill tokens of one step
  std::int32_t idle_quantum_tokens = 16;
  std::uint64_t model_seed = 1;  ///< another seed is another model
  float sharpness = 4.0F;        ///< standard deviation of the toy logits; larger = more confident
  /// Adds this much to the logit of end token 0 at every position; raises the chance of early stops.
  float end_bias = 0.0F;
  Duration prefill_per_token{50'000};  ///< simulated cost, advances the clock if it is a FakeClock
  Duration decode_step{1'000'000};
  std::uint64_t park_bytes = 1U << 20U;  ///< host memory for parked sequences (4 bytes a token)
  bool threaded = false;                 ///< false: work happens in step(), on the caller's thread
};

class SimExecutor final : public Executor {
 public:
  SimExecutor(const SimOptions& options, std::shared_ptr<Clock> clock);
  ~SimExecutor() override;

  /// Runs one step; returns false if there was nothing to do. Only when not threaded.
  bool step();
  /// Steps until nothing is left.
  void run_until_idle();
  /// The toy model's row for a context, computed from scratch. For tests.
  [[nodiscard]] std::vector<float> reference_logits(TokenSpan context) const;
  /// Makes the next step fail with ExecutorError. For tests of failure paths.
  void fail_next_step();

  RequestId enqueue(Request request, std::shared_ptr<Sink> sink) override;
  void cancel(RequestId id) override;
  [[nodiscard]] Position resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const override;
  void release(OwnerId owner, Position keep_tokens) override;
  [[nodiscard]] const ExecutorInfo& info() const noexcept override;
  [[nodiscard]] ExecutorStats stats() const override;
  void on_idle(std::function<void()> listener) override;
  void check_integrity() const override;
  void shutdown() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace poise
