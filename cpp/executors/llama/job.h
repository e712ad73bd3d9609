// One request inside the LlamaExecutor.
#pragma once

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>

#include "executors/common/token_sampler.h"
#include "executors/llama/kv_context.h"
#include "poise/clock.h"
#include "poise/executor.h"

namespace poise::llama {

struct Job {
  RequestId id = 0;
  Request request;  ///< request.context moved into `tokens`
  std::shared_ptr<Sink> sink;
  std::unique_ptr<TokenSampler> sampler;
  Tokens tokens;  ///< the context and what was generated
  Position context_tokens = 0;
  std::size_t rows_returned = 0;  ///< of request.logits.context_positions
  std::optional<SeqId> seq;       ///< nothing while it waits
  std::uint64_t last_pass = 0;    ///< fairness: when a pass last served it
  TimePoint enqueued_at{};
  bool started = false;  ///< on_start was called; displaced idle work waits again, but starts once
  bool cancelled = false;
  std::optional<Position> keep_tokens;  ///< a release that waits for the end of this job
  Completion completion;

  /// Calls the sink. A sink must not throw; one that does ends its request at the next step boundary.
  template <typename Call>
  void tell(const Call& call) noexcept {
    try {
      call(*sink);
    } catch (const std::exception& failure) {
      cancelled = true;
      completion.error = failure.what();
    } catch (...) {
      cancelled = true;
      completion.error = "the sink threw";
    }
  }

  [[nodiscard]] bool idle() const noexcept { return request.priority < kRequestPriority; }
  [[nodiscard]] bool generates() const noexcept { return request.max_new_tokens > 0; }
  /// How many resident tokens the job can use: whatever produces a row must be computed again.
  [[nodiscard]] Position reuse_limit() const noexcept {
    const auto all = static_cast<Position>(tokens.size());
    const Position limit = generates() ? all - 1 : all;
    const auto& wanted = request.logits.context_positions;
    return rows_returned < wanted.size() ? std::min(limit, wanted[rows_returned]) : limit;
  }
  /// Whether the row of the token at `position` is needed.
  [[nodiscard]] bool wants_row(Position position, std::size_t rows_before) const noexcept {
    const auto& wanted = request.logits.context_positions;
    return (generates() && position + 1 == static_cast<Position>(tokens.size())) ||
           (rows_before < wanted.size() && wanted[rows_before] == position);
  }
};

}  // namespace poise::llama
