// Pauses for a tenant whose guesses do not come true.
#pragma once

#include <cstdint>

#include "poise/clock.h"

namespace poise::idle {

struct BackOffRule {
  double min_hit_rate = 0.05;  ///< used entries over offered weight
  std::int32_t samples = 32;   ///< outcomes a verdict
  Duration first_pause{};
};

/// A verdict falls after every `samples` outcomes: below the rate the tenant pauses, twice as long each time up to
/// 64 x; at or above it the next pause is the first one again. Outcomes during a pause (of entries made
/// before it) can only end it.
class BackOff {
 public:
  /// Returns true if the tenant's pause began, ended or moved.
  bool on_outcome(bool used, double weight, const BackOffRule& rule, TimePoint now) noexcept;
  /// Guesses may be paid for from here on. The origin of time if it never paused.
  [[nodiscard]] TimePoint paused_until() const noexcept { return paused_until_; }
  /// When the memory of earlier pauses may be dropped.
  [[nodiscard]] TimePoint forget_at() const noexcept { return paused_until_ + last_pause_; }

 private:
  TimePoint paused_until_ = TimePoint::min() / 2;
  Duration last_pause_{};
  std::int32_t doublings_ = 0;
  bool pausing_ = false;
  // since the last verdict
  std::int32_t outcomes_ = 0;
  double used_ = 0.0;
  double offered_ = 0.0;

  void clear_counts() noexcept;
};

}  // namespace poise::idle
