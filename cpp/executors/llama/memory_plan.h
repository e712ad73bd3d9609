// How much memory the KV cache takes, checked before any of it is allocated.
#pragma once

#include <cstdint>
#include <string>

#include "executors/llama/model.h"
#include "poise/llama_executor.h"

namespace poise::llama {

struct MemoryPlan {
  std::int32_t sequences = 0;
  Position tokens = 0;  ///< of one sequence, as allocated (padded)
  std::uint64_t bytes_per_token = 0;
  std::uint64_t limit_bytes = 0;  ///< max_kv_bytes, or what the machine has free
  bool limit_is_option = false;

  [[nodiscard]] std::uint64_t kv_bytes() const {
    return static_cast<std::uint64_t>(sequences) * static_cast<std::uint64_t>(tokens) * bytes_per_token;
  }
  /// One line for people.
  [[nodiscard]] std::string text() const;
};

/// Throws ResourceExhausted, with the plan and the options that shrink it, if the KV cache does not fit.
[[nodiscard]] MemoryPlan plan_memory(const Model& model, const LlamaOptions& options);

/// llama.cpp allocates a multiple of this many cells for each sequence.
inline constexpr Position kCellPadding = 256;

/// Bytes for people: "3.1 GiB".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

}  // namespace poise::llama
