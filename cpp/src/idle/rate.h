// How often entries are used, learned from their ends.
#pragma once

#include <algorithm>

namespace poise::idle {

/// Used entries over offered weight. Guesses that exclude each other share a weight of 1 between them, so the rate
/// is the probability that one of them comes true; where every guess has weight 1, it is the share of used entries.
class Rate {
 public:
  /// `memory`: offered weight after which old outcomes count half.
  void add(bool used, double weight, double memory) noexcept {
    used_ += used ? 1.0 : 0.0;
    offered_ += weight;
    if (offered_ > memory) {
      used_ /= 2.0;
      offered_ /= 2.0;
    }
  }

  /// Mean of the Beta posterior whose prior has mean `prior` and counts as much as `strength` outcomes. In [0, 1].
  [[nodiscard]] double estimate(double prior, double strength) const noexcept {
    return std::min(1.0, (used_ + prior * strength) / (offered_ + strength));
  }

 private:
  double used_ = 0.0;
  double offered_ = 0.0;
};

}  // namespace poise::idle
