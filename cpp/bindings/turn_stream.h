// One turn's events, queued between the executor's thread and Python.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "poise/session_manager.h"
#include "wakeup.h"

namespace poise::bindings {

using TurnEvent = std::variant<TurnStart, TurnToken, TurnEnd>;

/// The queue: a sink that the manager holds while the turn runs. Thread-safe.
class TurnQueue final : public TurnSink {
 public:
  void on_start(const TurnStart& start) override { push(start); }
  void on_token(const TurnToken& token) override { push(token); }
  void on_end(const TurnEnd& end) override { push(end); }

  /// The next event. Nothing if none is queued.
  [[nodiscard]] std::optional<TurnEvent> take();
  [[nodiscard]] std::vector<TurnEvent> take_all();
  /// Waits until an event is queued or the turn has ended. False if `timeout` passed first.
  [[nodiscard]] bool wait(Duration timeout);
  /// The turn has ended; its last events may still be queued.
  [[nodiscard]] bool ended() const;
  /// Made at the first call. Readable while next_event() would return at once.
  [[nodiscard]] int fileno();

 private:
  void push(TurnEvent event);
  void signal() noexcept;  ///< mutex_ is held

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<TurnEvent> events_;
  bool ended_ = false;
  std::unique_ptr<Wakeup> wakeup_;
};

/// What Python holds. Dropping it cancels the turn, unless it has ended.
class TurnStream {
 public:
  TurnStream(std::shared_ptr<SessionManager> manager, const SessionId& session, TurnRequest request);
  ~TurnStream();
  TurnStream(const TurnStream&) = delete;
  TurnStream& operator=(const TurnStream&) = delete;

  [[nodiscard]] TurnId turn_id() const noexcept { return turn_; }
  [[nodiscard]] TurnQueue& queue() noexcept { return *queue_; }
  void cancel() { manager_->cancel(turn_); }
  void stop_at(std::int32_t answer_tokens) { manager_->stop_at(turn_, answer_tokens); }

 private:
  std::shared_ptr<SessionManager> manager_;
  std::shared_ptr<TurnQueue> queue_ = std::make_shared<TurnQueue>();
  TurnId turn_ = 0;
};

}  // namespace poise::bindings
