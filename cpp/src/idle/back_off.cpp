#include "idle/back_off.h"

#include <algorithm>

namespace poise::idle {
namespace {

constexpr std::int32_t kMaxDoublings = 6;

}  // namespace

void BackOff::clear_counts() noexcept {
  outcomes_ = 0;
  used_ = 0.0;
  offered_ = 0.0;
}

bool BackOff::on_outcome(bool used, double weight, const BackOffRule& rule, TimePoint now) noexcept {
  if (pausing_ && now >= paused_until_) {
    pausing_ = false;
    clear_counts();
  }
  ++outcomes_;
  used_ += used ? 1.0 : 0.0;
  offered_ += weight;
  // As many hits as a whole verdict needs: the rate has recovered whatever the missing outcomes say.
  const double verdict_weight = std::max(offered_, static_cast<double>(rule.samples));
  const bool recovered = used && used_ >= rule.min_hit_rate * verdict_weight;
  if (recovered) {
    doublings_ = 0;
    if (pausing_) {
      pausing_ = false;
      paused_until_ = now;
      clear_counts();
      return true;
    }
  }
  if (pausing_ || outcomes_ < rule.samples) return false;
  const bool low = used_ < rule.min_hit_rate * offered_;
  clear_counts();
  if (!low) {
    doublings_ = 0;
    return false;
  }
  last_pause_ = rule.first_pause * (1LL << doublings_);
  doublings_ = std::min(doublings_ + 1, kMaxDoublings);
  paused_until_ = now + last_pause_;
  pausing_ = true;
  return true;
}

}  // namespace poise::idle
