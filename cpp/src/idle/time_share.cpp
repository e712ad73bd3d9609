#include "idle/time_share.h"

#include <algorithm>
#include <cmath>

namespace poise::idle {
namespace {

// Rounding must not make a bucket unaffordable at the very time that affordable_at() named.
constexpr double kSlack_ns = 1.0;
// Thirty years: a tiny share must not overflow a time point.
constexpr double kFarAway_ns = 1e18;

}  // namespace

TimeShare::TimeShare(double share, Duration window, TimePoint now)
    : share_(share),
      capacity_ns_(share * static_cast<double>(window.count())),
      balance_ns_(capacity_ns_),
      updated_(now) {}

double TimeShare::balance_ns(TimePoint now) const noexcept {
  const double elapsed_ns = static_cast<double>((now - updated_).count());
  return std::min(capacity_ns_, balance_ns_ + share_ * elapsed_ns);
}

TimePoint TimeShare::when(double wanted_ns, TimePoint now) const noexcept {
  const double missing_ns = wanted_ns - balance_ns(now);
  if (missing_ns <= kSlack_ns) return now;
  return now + Duration(static_cast<Duration::rep>(std::min(std::ceil(missing_ns / share_), kFarAway_ns)));
}

void TimeShare::charge(Duration spent, TimePoint now) noexcept {
  if (share_ >= 1.0) return;
  balance_ns_ = balance_ns(now) - static_cast<double>(spent.count());
  updated_ = now;
}

TimePoint TimeShare::affordable_at(TimePoint now) const noexcept { return when(0.0, now); }

TimePoint TimeShare::full_at(TimePoint now) const noexcept { return when(capacity_ns_, now); }

}  // namespace poise::idle
