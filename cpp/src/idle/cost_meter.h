// Measured cost of one unit of work.
#pragma once

#include "poise/clock.h"

namespace poise::idle {

/// Microseconds a unit, as a ratio of decayed sums: large steps weigh more than small ones, and the first
/// measurement replaces the assumed value at once.
class CostMeter {
 public:
  /// `memory`: units after which old measurements count half.
  CostMeter(double assumed_us, double memory) : value_us_(assumed_us), memory_(memory) {}

  /// Returns whether the value may have changed.
  bool add(double units, Duration spent) noexcept {
    if (units <= 0.0 || spent.count() <= 0) return false;
    units_ += units;
    sum_us_ += static_cast<double>(spent.count()) / 1e3;
    value_us_ = sum_us_ / units_;
    if (units_ > memory_) {
      units_ /= 2.0;
      sum_us_ /= 2.0;
    }
    return true;
  }
  [[nodiscard]] double value_us() const noexcept { return value_us_; }

 private:
  double value_us_;
  double memory_;
  double units_ = 0.0;
  double sum_us_ = 0.0;
};

}  // namespace poise::idle
