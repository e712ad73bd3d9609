// Sinks that note when each token came, on the thread that brought it, and nothing else.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "poise/clock.h"
#include "poise/session_manager.h"

namespace poise::bench {

/// Now, in the steady clock's nanoseconds.
[[nodiscard]] TimePoint now() noexcept;
[[nodiscard]] double to_us(Duration duration) noexcept;

/// Lets another thread wait for an end.
class Finish {
 public:
  void signal();
  /// Throws ExecutorError after `limit`.
  void wait(Duration limit = std::chrono::minutes(10));

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
};

/// One turn. Read the fields after wait().
class TimedTurn final : public TurnSink {
 public:
  /// `ended` runs last, on the executor's thread (or on the caller's of turn()).
  explicit TimedTurn(std::size_t expected_tokens, std::function<void()> ended = {});

  void on_start(const TurnStart& started) override { start = started; }
  void on_token(const TurnToken&) override { token_times.push_back(now()); }
  void on_end(const TurnEnd& ending) override;
  void wait() { finish_.wait(); }

  TurnStart start;
  TurnEnd end;
  std::vector<TimePoint> token_times;
  TimePoint ended_at{};

 private:
  std::function<void()> ended_;
  Finish finish_;
};

/// One executor request. Read the fields after wait().
class TimedRequest final : public Sink {
 public:
  explicit TimedRequest(std::size_t expected_tokens) { token_times.reserve(expected_tokens); }

  void on_token(RequestId, const GeneratedToken&) override { token_times.push_back(now()); }
  void on_finish(RequestId, const Completion& done) override;
  void wait() { finish_.wait(); }

  Completion completion;
  std::vector<TimePoint> token_times;
  TimePoint ended_at{};

 private:
  Finish finish_;
};

/// Runs one turn to its end. Throws ExecutorError if it failed.
/// `asked_at` receives the time just before turn() was called.
std::shared_ptr<TimedTurn> run_turn(SessionManager& manager, const SessionId& session, TurnRequest request,
                                    TimePoint& asked_at);

}  // namespace poise::bench
