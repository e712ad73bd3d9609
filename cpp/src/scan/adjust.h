// Steps 1 to 3 of the scan on single ids: penalties, bias, mask.
#pragma once

#include <span>
#include <vector>

#include "poise/scan.h"

namespace poise::scan_detail {

/// Throws InvalidArgument for missing params, a row too long for token ids, a mask of the wrong length, or
/// a counted or biased id outside the row. The params' own ranges are SamplingParams::validate's business.
void check(std::span<const float> logits, const ScanRequest& request);

/// True if penalties or bias change a logit.
[[nodiscard]] bool has_edits(const ScanRequest& request) noexcept;

/// Step 1 for one id.
[[nodiscard]] float penalised(float logit, const TokenCount& count, const SamplingParams& params) noexcept;

[[nodiscard]] inline bool allowed(std::span<const std::uint32_t> mask, TokenId token) noexcept {
  const auto i = static_cast<std::size_t>(token);
  return mask.empty() || ((mask[i / 32] >> (i % 32)) & 1U) != 0;
}

/// How many ids of a vocabulary of `vocab_size` the mask allows. Bits behind the vocabulary do not count.
[[nodiscard]] std::size_t count_allowed(std::span<const std::uint32_t> mask, std::size_t vocab_size) noexcept;

/// The ids whose bit equals `wanted`, ascending, appended to `out`.
void list_ids(std::span<const std::uint32_t> mask, std::size_t vocab_size, bool wanted, std::vector<TokenId>& out);

/// One id whose logit a request changes.
struct Edit {
  TokenId token = kNoToken;
  float raw = 0.0F;
  float now = 0.0F;
};

/// Every id that penalties, bias or a mask bit that is clear change, ascending, each once, into `out`.
/// O(counts + bias + mask words + forbidden ids), plus a sort where counts or bias are not ascending.
void list_edits(std::span<const float> logits, const ScanRequest& request, std::vector<Edit>& out);

}  // namespace poise::scan_detail
