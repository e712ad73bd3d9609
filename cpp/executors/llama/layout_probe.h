// Streams or unified KV: which costs less here, measured on two small contexts.
#pragma once

#include "executors/llama/model.h"
#include "poise/llama_executor.h"

namespace poise::llama {

/// What one layout costs, microseconds a generated token.
struct LayoutCost {
  double one_us = 0.0;   ///< one sequence runs, all others are resident
  double many_us = 0.0;  ///< half of the sequences run, at every second id; a pass's cost over its tokens
};

struct LayoutChoice {
  KvLayout layout = KvLayout::streams;
  bool measured = false;
  LayoutCost streams, unified;  ///< if measured
};

/// Fills small contexts of both layouts, measures passes, and scales what unified KV pays for foreign cells to half-full
/// sequences of `options.context_tokens`. The layout with the smaller product of both costs wins: one that is r times
/// faster in one case may be r times slower in the other. Not measured, streams: with one sequence (the layouts are
/// the same then), with a recurrent memory, with sliding windows (only streams roll those back exactly), and where one pass
/// takes longer than kTooSlowUs.
[[nodiscard]] LayoutChoice choose_layout(const std::shared_ptr<const Model>& model, const LlamaOptions& options);

inline constexpr double kTooSlowUs = 50'000.0;

}  // namespace poise::llama
