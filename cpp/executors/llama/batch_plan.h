// Which sequences one pass computes, and how many tokens of each. Pure functions.
//
// Under streams llama.cpp computes a run of consecutive sequence ids with equal token counts in one pass, and anything
// else in several (split_equal in llama-batch.cpp). So a pass is planned as such a run; a hole in it may be filled with
// a throwaway token, which is rolled back afterwards, where that is cheaper than a pass of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "executors/llama/kv_context.h"

namespace poise::llama {

/// A sequence that has tokens to compute.
struct Lane {
  SeqId seq = 0;
  std::int32_t remaining = 0;   ///< tokens without KV, at least 1
  std::uint64_t last_pass = 0;  ///< when it was last served; smaller = longer ago
};

struct PassItem {
  SeqId seq = 0;
  std::int32_t tokens = 0;
  bool hole = false;  ///< one throwaway token of a sequence that nobody runs
  friend bool operator==(const PassItem&, const PassItem&) = default;
};

struct PassLimits {
  std::int32_t tokens = 512;  ///< of the whole pass
  bool streams = true;
};

struct HoleCosts {
  double pass_us = 0.0;  ///< of one more pass, whatever its width
  double hole_us = 0.0;  ///< of one throwaway token, its rollback included
  /// Whether a sequence can take a throwaway token now.
  std::function<bool(SeqId)> can_fill;
};

/// One token of each lane, or, under streams, of those that share a pass with the lane served longest ago.
/// `lanes` ascend by seq. Items ascend by seq.
[[nodiscard]] std::vector<PassItem> plan_single(std::span<const Lane> lanes, const PassLimits& limits,
                                                const HoleCosts& holes);

/// Prefill: always serves the lane served longest ago; others join if the pass computes more tokens with them.
[[nodiscard]] std::vector<PassItem> plan_prefill(std::span<const Lane> lanes, const PassLimits& limits);

}  // namespace poise::llama
