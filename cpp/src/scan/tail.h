// What is known of the ids behind a kept head: sums at a few temperatures, and bounds at every other.
#pragma once

#include <array>
#include <cstddef>

#include "scan/choose.h"
#include "scan/kernels.h"

namespace poise::scan_detail {

/// Exponents a = 1 / t at which the tail's mass is summed; 0 counts its ids. Ascending.
inline constexpr std::array<double, 9> kTailExponents{0.0, 0.25, 0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 4.0};

/// The tail's ids have x = exp(l - reference) in [0, 1]; P(a) is the sum of x^a.
struct Tail {
  float reference = 0.0F;  ///< the head's smallest logit: no id of the tail lies above it
  std::size_t size = 0;
  RowSums sums;                                        ///< at temperature 1, relative to `reference`
  std::array<double, kTailExponents.size()> powers{};  ///< P at kTailExponents

  /// Bounds of P(1 / temperature). log P is convex and falling: between two sums it lies under their chord and above
  /// the lines through the neighbouring sums. (At t > 1 with the sums 0 and 1 alone the chord is n^(1-a) * S^a.)
  [[nodiscard]] Interval mass(double temperature) const noexcept;
};

/// `rest` is the row with the head's ids at -infinity.
[[nodiscard]] Tail measure_tail(const float* rest, std::size_t size, float reference);

/// Sums of any short list of logits, moved to `reference`.
[[nodiscard]] RowSums sums_at(const float* logits, std::size_t size, float reference);

}  // namespace poise::scan_detail
