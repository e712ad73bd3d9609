// A sink that keeps everything: for tests, and for callers that want an answer and no stream.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "poise/executor.h"

namespace poise::bindings {

/// One row that an executor returned.
struct CollectedRow {
  Position position = 0;  ///< the row is the distribution of the token at this position
  std::vector<float> row;
};

/// Serves one request. Thread-safe: read it at any time, or wait for the end first.
class CollectSink final : public Sink {
 public:
  void on_start(RequestId id, std::int32_t reused_tokens) override;
  void on_logits(RequestId id, const LogitsView& logits) override;
  void on_token(RequestId id, const GeneratedToken& token) override;
  void on_finish(RequestId id, const Completion& completion) override;

  /// Waits for the end of the request; false if the time ran out.
  bool wait(std::chrono::duration<double> timeout) const;

  [[nodiscard]] std::optional<std::int32_t> reused_tokens() const;  ///< unset before the request has started
  [[nodiscard]] Tokens tokens() const;
  [[nodiscard]] std::vector<GeneratedToken> generated() const;
  [[nodiscard]] std::vector<CollectedRow> rows() const;
  [[nodiscard]] std::optional<Completion> completion() const;
  [[nodiscard]] std::int32_t finishes() const;  ///< 1 once it ended

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable ended_;
  std::optional<std::int32_t> reused_tokens_;
  std::vector<GeneratedToken> generated_;
  std::vector<CollectedRow> rows_;
  std::optional<Completion> completion_;
  std::int32_t finishes_ = 0;
};

}  // namespace poise::bindings
