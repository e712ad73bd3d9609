#include "timed_sink.h"

#include <chrono>

#include "poise/error.h"

namespace poise::bench {

TimePoint now() noexcept { return SteadyClock().now(); }

double to_us(Duration duration) noexcept { return std::chrono::duration<double, std::micro>(duration).count(); }

void Finish::signal() {
  const std::lock_guard lock(mutex_);
  done_ = true;
  changed_.notify_all();
}

void Finish::wait(Duration limit) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, limit, [this] { return done_; })) {
    throw ExecutorError("a request of the benchmark did not end within " + std::to_string(to_ms(limit)) + " ms");
  }
}

TimedTurn::TimedTurn(std::size_t expected_tokens, std::function<void()> ended) : ended_(std::move(ended)) {
  token_times.reserve(expected_tokens);
}

void TimedTurn::on_end(const TurnEnd& ending) {
  ended_at = now();
  end = ending;
  finish_.signal();
  if (ended_) {
    ended_();
  }
}

void TimedRequest::on_finish(RequestId, const Completion& done) {
  ended_at = now();
  completion = done;
  finish_.signal();
}

std::shared_ptr<TimedTurn> run_turn(SessionManager& manager, const SessionId& session, TurnRequest request,
                                    TimePoint& asked_at) {
  auto sink = std::make_shared<TimedTurn>(static_cast<std::size_t>(request.max_new_tokens));
  asked_at = now();
  manager.turn(session, std::move(request), sink);
  sink->wait();
  if (sink->end.reason == FinishReason::error) {
    throw ExecutorError("a turn of the benchmark failed: " + sink->end.error);
  }
  return sink;
}

}  // namespace poise::bench
