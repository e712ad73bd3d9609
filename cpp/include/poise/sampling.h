// What a request says about how its tokens are chosen. Every field lists its neutral value.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "poise/types.h"

namespace poise {

/// Added to one id's logit after the penalties. -infinity forbids the id.
struct LogitBias {
  TokenId token = kNoToken;
  float bias = 0.0F;
};

/// Sampling parameters. The order in which they act is the vocabulary scan's (scan.h).
struct SamplingParams {
  float temperature = 1.0F;  ///< 0 = greedy; neutral 1; finite, in [0, 100]
  std::int32_t top_k = 0;    ///< keep the k best ids; neutral 0 (all)
  float top_p = 1.0F;        ///< keep the smallest best-first set with this mass; neutral 1; in (0, 1]
  float min_p = 0.0F;        ///< keep ids with p >= min_p * max p; neutral 0; in [0, 1]
  float repetition_penalty =
      1.0F;  ///< divides positive, multiplies negative logits of ids in the context; neutral 1; > 0
  float presence_penalty = 0.0F;   ///< subtracted once from ids already generated; neutral 0
  float frequency_penalty = 0.0F;  ///< subtracted per occurrence among the generated ids; neutral 0
  std::vector<LogitBias> bias;     ///< at most one term an id; neutral empty
  /// Key of the draws. Unset: the session adopts its entry's, or draws a fresh one.
  std::optional<std::uint64_t> seed;
  std::uint32_t choice_index = 0;  ///< which of the `n` answers to one prompt this is

  [[nodiscard]] bool greedy() const noexcept { return temperature == 0.0F; }
  [[nodiscard]] bool has_penalties() const noexcept {
    return repetition_penalty != 1.0F || presence_penalty != 0.0F || frequency_penalty != 0.0F;
  }
  /// Throws InvalidArgument naming the field, its value and its range. `vocab_size` bounds the biased ids.
  void validate(std::int32_t vocab_size) const;
  /// Equal in everything that decides a draw, the seed left out.
  [[nodiscard]] bool same_distribution(const SamplingParams& other) const noexcept;
};

}  // namespace poise
