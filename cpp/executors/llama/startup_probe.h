// Short measurements at start: what steps cost here, and so what an idle step may contain.
#pragma once

#include <chrono>

#include "executors/llama/costs.h"
#include "executors/llama/kv_context.h"

namespace poise::llama {

struct ProbeResult {
  /// Prefill tokens of the largest measured pass that stayed within the limit, at least 1.
  std::int32_t idle_quantum_tokens = 1;
  /// Whether a pass of one token fits into the limit.
  bool one_pass_fits = false;
  /// Whether the memory took back a part of a sequence.
  bool can_roll_back = false;
};

/// Warms up, then fills `costs` from passes of 1, 2, 4, ... tokens until one exceeds `max_idle_step_ms`; and, under streams,
/// from passes over several sequences and one copy. `budget` ends the repetitions. Leaves the context empty. Throws
/// ExecutorError if a pass fails.
ProbeResult probe_costs(KvContext& context, Costs& costs, double max_idle_step_ms,
                        std::chrono::milliseconds budget = std::chrono::milliseconds(800));

}  // namespace poise::llama
