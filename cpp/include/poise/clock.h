// Time comes through this seam, so that scheduler and session store can be simulated.
#pragma once

#include <atomic>
#include <chrono>

namespace poise {

using Duration = std::chrono::nanoseconds;
/// A point in time: nanoseconds since an arbitrary origin, never decreasing.
using TimePoint = std::chrono::nanoseconds;

/// Monotonic time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint now() const noexcept = 0;
};

/// std::chrono::steady_clock.
class SteadyClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
  }
};

/// Time that moves only when told to.
class FakeClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return TimePoint(now_ns_.load(std::memory_order_relaxed)); }
  void advance(Duration by) noexcept { now_ns_.fetch_add(by.count(), std::memory_order_relaxed); }

 private:
  std::atomic<Duration::rep> now_ns_{0};
};

/// Milliseconds as a double, for reports.
[[nodiscard]] inline double to_ms(Duration d) noexcept { return std::chrono::duration<double, std::milli>(d).count(); }

}  // namespace poise
