// A kept head: the best ids of a raw row, and what is known of the rest.
#pragma once

#include <span>
#include <vector>

#include "poise/scan.h"
#include "scan/candidate.h"
#include "scan/kernels.h"
#include "scan/tail.h"

namespace poise::scan_detail {

struct HeadIndex {
  std::vector<Candidate> best;  ///< best first
  RowSums sums;                 ///< of the whole neutral row
  Tail tail;

  [[nodiscard]] bool complete() const noexcept { return tail.size == 0; }
};

/// How a request's edits (adjust.h) change head and tail.
struct EditedHead {
  std::vector<Candidate> best;  ///< the row's best ids, none left out, best first; may be empty
  bool complete = false;
  /// Ids behind `best`: edits away from the tail are `removed`, edits that fall behind the head are `added`.
  std::vector<float> removed, added;
};

/// Answers a request that neither penalties nor bias nor a mask touch. Nothing, if the head does not prove it.
[[nodiscard]] bool answer(const HeadIndex& index, const ScanStatistics& stats, const ScanRequest& request,
                          ScanResult& out);

/// Answers a request with edits from the head. False, if the head does not prove it.
[[nodiscard]] bool answer_edited(const HeadIndex& index, std::span<const float> logits, const ScanRequest& request,
                                 ScanResult& out);

}  // namespace poise::scan_detail
