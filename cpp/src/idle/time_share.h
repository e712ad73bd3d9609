// A share of wall time, as a token bucket.
#pragma once

#include "poise/clock.h"

namespace poise::idle {

/// Fills at `share` seconds a second up to share x window, and starts full. Work is charged when it is done, so the
/// bucket may go below zero by one job; nothing more is affordable until it has filled up again. Hence in
/// every span of length W: charged time <= share x (W + window) + one job. A share of 1 is no limit.
class TimeShare {
 public:
  TimeShare(double share, Duration window, TimePoint now);

  void charge(Duration spent, TimePoint now) noexcept;
  /// `now` or earlier if something may be spent now, else when.
  [[nodiscard]] TimePoint affordable_at(TimePoint now) const noexcept;
  /// From when on the bucket is as good as new.
  [[nodiscard]] TimePoint full_at(TimePoint now) const noexcept;

 private:
  [[nodiscard]] double balance_ns(TimePoint now) const noexcept;
  [[nodiscard]] TimePoint when(double wanted_ns, TimePoint now) const noexcept;

  double share_;
  double capacity_ns_;
  double balance_ns_;  ///< at `updated_`
  TimePoint updated_;
};

}  // namespace poise::idle
