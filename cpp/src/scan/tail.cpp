#include "scan/tail.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace poise::scan_detail {
namespace {

/// Relative error of one sum, with room: it is what extending a line through two of them multiplies.
constexpr double kSumError = 5e-6;

}  // namespace

RowSums sums_at(const float* logits, std::size_t size, float reference) {
  RowSums sums = kernels().row_sums(logits, size, nullptr, nullptr);
  if (sums.max == -std::numeric_limits<float>::infinity()) {
    return {reference, 0.0, 0.0, sums.has_nan};
  }
  const double shift = static_cast<double>(sums.max) - static_cast<double>(reference);
  const double factor = std::exp(shift);
  sums.weighted = factor * (sums.weighted + sums.mass * shift);
  sums.mass *= factor;
  sums.max = reference;
  return sums;
}

Tail measure_tail(const float* rest, std::size_t size, float reference) {
  Tail tail;
  tail.reference = reference;
  tail.sums = sums_at(rest, size, reference);
  for (std::size_t i = 0; i < size; ++i) {
    tail.size += rest[i] > -std::numeric_limits<float>::infinity() ? 1 : 0;
  }
  for (std::size_t i = 0; i < kTailExponents.size(); ++i) {
    const double a = kTailExponents[i];
    tail.powers[i] = a == 0.0   ? static_cast<double>(tail.size)
                     : a == 1.0 ? tail.sums.mass
                                : kernels().mass(rest, size, reference, static_cast<float>(a));
  }
  return tail;
}

Interval Tail::mass(double temperature) const noexcept {
  if (size == 0) {
    return {};
  }
  const double a = 1.0 / temperature;
  constexpr std::size_t kLast = kTailExponents.size() - 1;
  // log P at the sums; P may underflow far below the head, where it cannot matter.
  const auto log_power = [this](std::size_t i) { return std::log(std::max(powers[i], 1e-300)); };
  // The line through sums i and i + 1, lowered by what errors in both can do to it at `a`.
  const auto line = [&](std::size_t i) {
    const double width = kTailExponents[i + 1] - kTailExponents[i];
    const double slope = (log_power(i + 1) - log_power(i)) / width;
    const double away = std::abs(a - kTailExponents[i]) / width;
    return log_power(i) + slope * (a - kTailExponents[i]) - kSumError * (1.0 + 2.0 * away);
  };
  const auto above = std::upper_bound(kTailExponents.begin(), kTailExponents.end(), a);
  if (above == kTailExponents.end()) {
    return {std::exp(line(kLast - 1)), powers[kLast] * (1.0 + kSumError)};
  }
  const auto right = static_cast<std::size_t>(above - kTailExponents.begin());  // a is in [right - 1, right)
  const std::size_t left = right - 1;
  if (a == kTailExponents[left]) {
    return {powers[left] * (1.0 - kSumError), powers[left] * (1.0 + kSumError)};
  }
  const double share = (a - kTailExponents[left]) / (kTailExponents[right] - kTailExponents[left]);
  const double chord = (1.0 - share) * log_power(left) + share * log_power(right);
  double lower = log_power(right) - kSumError;  // P falls as `a` rises
  if (left > 0) {
    lower = std::max(lower, line(left - 1));
  }
  if (right < kLast) {
    lower = std::max(lower, line(right));
  }
  return {std::exp(lower), std::exp(chord + kSumError)};
}

}  // namespace poise::scan_detail
