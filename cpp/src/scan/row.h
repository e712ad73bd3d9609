// The row that the rest of a full scan works on: raw logits after penalties, bias and mask.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "poise/scan.h"
#include "scan/candidate.h"

namespace poise::scan_detail {

/// At most this many allowed ids are gathered instead of walking the whole row.
inline constexpr std::size_t kGatherLimit = 4096;

/// Memory that a thread keeps between scans.
struct Scratch {
  std::vector<float> values;  ///< adjusted or gathered logits
  std::vector<TokenId> ids;   ///< ids of gathered logits
  std::vector<float> block_max, lane_max, pool;
  std::vector<std::uint32_t> indices;  ///< always as long as the row
  std::vector<Candidate> list;
  std::vector<double> cumulated;
};
[[nodiscard]] Scratch& scratch();

/// Borrowed from the caller's logits or the thread's scratch: good until the thread's next scan.
struct Row {
  const float* values = nullptr;
  const TokenId* ids = nullptr;  ///< ascending; null: entry i is id i
  std::size_t size = 0;

  [[nodiscard]] TokenId token(std::size_t i) const noexcept {
    return ids != nullptr ? ids[i] : static_cast<TokenId>(i);
  }
  [[nodiscard]] Candidate candidate(std::size_t i) const noexcept { return {values[i], token(i)}; }
};

/// True if a mask of `allowed` ids over a row of `vocab_size` is worth gathering.
[[nodiscard]] bool worth_gathering(std::size_t allowed, std::size_t vocab_size) noexcept;

/// Applies steps 1 to 3. Throws InvalidArgument (see check()) or ScanError if the mask allows no id.
[[nodiscard]] Row adjusted_row(std::span<const float> logits, const ScanRequest& request, Scratch& memory);

}  // namespace poise::scan_detail
