// One request inside the SimExecutor.
#pragma once

#include <algorithm>
#include <memory>

#include "executors/common/token_sampler.h"
#include "executors/sim/kv_store.h"
#include "poise/executor.h"

namespace poise::sim {

struct Job {
  RequestId id = 0;
  Request request;
  std::shared_ptr<Sink> sink;
  std::unique_ptr<TokenSampler> sampler;
  Tokens tokens;                  ///< the context and what was generated
  std::size_t rows_returned = 0;  ///< of request.logits.context_positions
  Sequence* sequence = nullptr;   ///< null while it waits
  TimePoint enqueued_at{};
  bool started = false;  ///< on_start was called; a displaced job waits again, but starts once
  bool cancelled = false;
  Completion completion;

  [[nodiscard]] bool idle_work() const noexcept { return request.priority < kRequestPriority; }
  [[nodiscard]] bool running() const noexcept { return sequence != nullptr; }
  /// Tokens without KV.
  [[nodiscard]] std::int32_t pending() const noexcept {
    return static_cast<std::int32_t>(tokens.size() - sequence->cells.size());
  }
  /// Of the next `tokens` tokens: belong to the context. Behind it lie generated ones.
  [[nodiscard]] std::int32_t context_share(std::int32_t tokens) const noexcept {
    const auto left =
        static_cast<std::int32_t>(request.context.size()) - static_cast<std::int32_t>(sequence->cells.size());
    return std::clamp(left, 0, tokens);
  }
  /// Only the last generated token has no KV: the next pass is a decode.
  [[nodiscard]] bool decodes() const noexcept { return completion.generated_tokens > 0 && pending() == 1; }
  /// How many resident tokens the job can use: whatever produces a row must be computed again.
  [[nodiscard]] Position reuse_limit() const noexcept {
    auto limit = static_cast<Position>(tokens.size());
    if (request.max_new_tokens > 0) {
      --limit;
    }
    const auto& wanted = request.logits.context_positions;
    return rows_returned < wanted.size() ? std::min(limit, wanted[rows_returned]) : limit;
  }
};

}  // namespace poise::sim
