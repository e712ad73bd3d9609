// One pass over an adjusted row: sums and the two best ids.
#pragma once

#include "scan/kernels.h"
#include "scan/row.h"

namespace poise::scan_detail {

struct RowStatistics {
  RowSums sums;
  ScanStatistics stats;
};

/// Fills the scratch's block_max and lane_max. Throws ScanError for not-a-number, +infinity, or no finite logit.
[[nodiscard]] RowStatistics measure(const Row& row, Scratch& memory);

/// Statistics from a row's two best ids and its sums relative to top1's logit. `top2` kNoToken: none.
[[nodiscard]] ScanStatistics statistics_of(Candidate top1, Candidate top2, double mass, double weighted) noexcept;

}  // namespace poise::scan_detail
