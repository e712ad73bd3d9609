#include "scan/tail.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace poise::scan_detail {
namespace {

/// Relative error of a sum of float exponentials at temperature 1, with room; it grows with 1 / temperature.
constexpr double kSumError = 5e-6;
/// Width of a bin in nats; the kernel finds bins in float, so a little more.
constexpr double kBinNats = 1.01 / static_cast<double>(kBinsPerNat);

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
  std::vector<double> mass(kBins, 0.0);
  std::vector<std::uint32_t> counts(kBins, 0);
  kernels().histogram(rest, size, reference, 1.0F, mass.data(), counts.data());
  Tail tail;
  tail.reference = reference;
  tail.sums = sums_at(rest, size, reference);
  tail.size = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  tail.deep = static_cast<double>(counts.back());
  for (std::size_t bin = 0; bin + 1 < kBins; ++bin) {
    if (counts[bin] != 0) {
      tail.levels.push_back(static_cast<float>(std::log(mass[bin] / static_cast<double>(counts[bin]))));
      tail.counts.push_back(static_cast<float>(counts[bin]));
    }
  }
  return tail;
}

// Within one bin let f(a) = log of the mean of x^a. f(0) = 0, f(1) is the bin's level, and f'' is a variance of log x, which
// in a bin of width w is at most w^2 / 4. So f(a) differs from a * f(1) by at most w^2 / 8 * |a * (a - 1)|, upwards (Jensen)
// for a > 1 and downwards for a < 1, and so does the log of the whole sum.
Interval Tail::mass(double temperature) const {
  if (temperature == 1.0) {
    return {sums.mass * (1.0 - kSumError), sums.mass * (1.0 + kSumError)};
  }
  const double a = 1.0 / temperature;
  const double sum = kernels().counted_mass(levels.data(), counts.data(), levels.size(), static_cast<float>(a));
  const double bend = kBinNats * kBinNats / 8.0 * a * (a - 1.0);
  const double error = kSumError * (1.0 + a);
  const double deepest = static_cast<double>(kBins - 2) / static_cast<double>(kBinsPerNat);
  return {sum * std::exp(std::min(bend, 0.0) - error),
          sum * std::exp(std::max(bend, 0.0) + error) + deep * std::exp(-a * deepest)};
}

}  // namespace poise::scan_detail
