// How much memory the KV cache takes, checked before any of it is allocated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "executors/llama/model.h"
#include "poise/llama_executor.h"

namespace poise::llama {

struct MemoryPlan {
  std::vector<SizeClass> classes;  ///< tokens as allocated (padded)
  std::uint64_t bytes_per_token = 0;
  std::uint64_t limit_bytes = 0;  ///< max_kv_bytes, or what the machine has free
  bool limit_is_option = false;

  [[nodiscard]] std::uint64_t kv_bytes() const;
  /// One line for people.
  [[nodiscard]] std::string text() const;
};

/// The plan for all size classes. Throws ResourceExhausted, with the plan and the options that shrink it, if the KV cache
/// does not fit.
[[nodiscard]] MemoryPlan plan_memory(const Model& model, const LlamaOptions& options,
                                     const std::vector<SizeClass>& classes);

/// What the KV of a class takes.
[[nodiscard]] std::uint64_t kv_bytes(const SizeClass& size, std::uint64_t bytes_per_token);

/// llama.cpp allocates a multiple of this many cells for each sequence.
inline constexpr Position kCellPadding = 256;

/// Bytes for people: "3.1 GiB".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

}  // namespace poise::llama
