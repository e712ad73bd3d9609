// What is known of the ids behind a kept head: their sums at temperature 1, and tight bounds of their mass at any other.
#pragma once

#include <cstddef>
#include <vector>

#include "scan/choose.h"
#include "scan/kernels.h"

namespace poise::scan_detail {

/// The tail's ids have x = exp(l - reference) in [0, 1]; P(a) is the sum of x^a, a = 1 / temperature.
struct Tail {
  float reference = 0.0F;  ///< the head's smallest logit: no id of the tail lies above it
  std::size_t size = 0;    ///< ids with a finite logit
  RowSums sums;            ///< at temperature 1, relative to `reference`
  /// The non-empty bins of the mass histogram: log of the mean x, and how many ids. One entry a bin.
  std::vector<float> levels, counts;
  double deep = 0.0;  ///< ids in the last, open-ended bin; not among `levels`

  /// Bounds of P(1 / temperature).
  [[nodiscard]] Interval mass(double temperature) const;
};

/// `rest` is the row with the head's ids at -infinity.
[[nodiscard]] Tail measure_tail(const float* rest, std::size_t size, float reference);

/// Sums of any list of logits, moved to `reference`.
[[nodiscard]] RowSums sums_at(const float* logits, std::size_t size, float reference);

}  // namespace poise::scan_detail
