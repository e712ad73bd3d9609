// Averages of measured costs that follow a changing machine.
#pragma once

#include <algorithm>
#include <cstddef>

namespace poise {

/// An exponentially weighted mean. Starts as the first sample, so it has no warm-up bias.
class Average {
 public:
  /// `weight` in (0, 1]: the share of a new sample.
  explicit Average(double weight = 0.1) : weight_(weight) {}

  void add(double sample) {
    value_ = samples_ == 0 ? sample : value_ + weight_ * (sample - value_);
    ++samples_;
  }
  [[nodiscard]] bool empty() const noexcept { return samples_ == 0; }
  /// `otherwise` while nothing has been measured.
  [[nodiscard]] double value_or(double otherwise) const noexcept { return empty() ? otherwise : value_; }

 private:
  double weight_;
  double value_ = 0.0;
  std::size_t samples_ = 0;
};

/// A line `cost = base + slope * n` through measured (n, cost), older samples weighing less.
/// Weighted least squares over the running moments.
class LinearCost {
 public:
  /// `forget` in (0, 1): what an older sample keeps of its weight at each new one.
  explicit LinearCost(double forget = 0.98) : forget_(forget) {}

  void add(double n, double cost) {
    weight_ = forget_ * weight_ + 1.0;
    sum_n_ = forget_ * sum_n_ + n;
    sum_cost_ = forget_ * sum_cost_ + cost;
    sum_nn_ = forget_ * sum_nn_ + n * n;
    sum_n_cost_ = forget_ * sum_n_cost_ + n * cost;
  }
  /// Cost of one more n, at least 0. Without two different n: the whole cost counts as base.
  [[nodiscard]] double slope() const noexcept {
    const double spread = weight_ * sum_nn_ - sum_n_ * sum_n_;
    if (spread <= 1e-9 * weight_ * sum_nn_) {
      return 0.0;
    }
    return std::max(0.0, (weight_ * sum_n_cost_ - sum_n_ * sum_cost_) / spread);
  }
  [[nodiscard]] double base() const noexcept {
    return weight_ == 0.0 ? 0.0 : std::max(0.0, (sum_cost_ - slope() * sum_n_) / weight_);
  }
  [[nodiscard]] bool empty() const noexcept { return weight_ == 0.0; }

 private:
  double forget_;
  double weight_ = 0.0, sum_n_ = 0.0, sum_cost_ = 0.0, sum_nn_ = 0.0, sum_n_cost_ = 0.0;
};

}  // namespace poise
