// The vocabulary scan: from one row of raw logits to a token and its statistics.
//
// One definition, in this order, for every device:
//   1. penalties     repetition: l > 0 ? l / r : l * r for ids in the context; then
//                    l -= presence * (generated count > 0) + frequency * generated count
//   2. bias          l += bias
//   3. mask          ids whose bit is clear become -infinity
//      -> statistics (top-1, top-2, gap, log-sum-exp, entropy) are taken here, at temperature 1
//   4. greedy        temperature 0: the largest l, ties to the smaller id; steps 5 to 9 do not run
//   5. temperature   l / t
//   6. top-k         the k largest (ties to the smaller id); 7. to 8. see the distribution renormalised after each step
//   7. top-p         best first, the smallest set whose mass reaches p (the id that crosses p stays)
//   8. min-p         ids with probability >= min_p * the largest
//   9. draw          candidates best first (larger l, then smaller id); u uniform in (0, 1) from
//                    Philox4x32-10 with key = seed and counter = (position, choice_index); the first
//                    id whose cumulated mass exceeds u * total mass.
// The draw walks best first, and not in id order, so that a kept head of the row proves the
// outcome whenever u falls into its mass.
//
// Steps 1 to 3 are float operations, each rounded once; masses are summed in double.
// Not-a-number logits and rows without an allowed finite logit throw ScanError; +infinity does too. The row is
// judged as it is after step 3: what a masked id's logit was does not matter. A counted or biased id outside the
// row, and a mask of the wrong length, throw InvalidArgument; the ranges of the sampling parameters are the caller's
// to check, once (SamplingParams::validate).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "poise/sampling.h"
#include "poise/types.h"

namespace poise {

namespace scan_detail {
struct HeadIndex;
}

/// How often an id occurs: input of the penalties.
struct TokenCount {
  TokenId token = kNoToken;
  std::int32_t generated = 0;  ///< occurrences at or behind the request's output_start
  bool in_context = true;      ///< occurs anywhere in the context (repetition penalty)
};

/// The counts of a context, as the penalties need them. O(tokens * log tokens).
/// `output_start` is the position where generated text began. Ascending by token: ReadyRow is fastest then.
[[nodiscard]] std::vector<TokenCount> count_tokens(TokenSpan context, Position output_start);

/// One row's request. Views are borrowed for the call.
struct ScanRequest {
  const SamplingParams* params = nullptr;  ///< required; params->seed unset counts as 0
  std::span<const std::uint32_t> mask;     ///< mask_words(vocab) words, or empty: all allowed
  std::span<const TokenCount> counts;      ///< used only if the params have penalties
  Position position = 0;                   ///< absolute position of the token that is chosen
};

/// Statistics after penalties, bias and mask, at temperature 1. Logits in natural-log units.
struct ScanStatistics {
  TokenId top1 = kNoToken;
  TokenId top2 = kNoToken;  ///< kNoToken if only one id is allowed
  float top1_logit = 0.0F;
  float top2_logit = 0.0F;  ///< -infinity if top2 is kNoToken
  float gap = 0.0F;         ///< top1_logit - top2_logit; +infinity if only one id is allowed
  float log_sum_exp = 0.0F;
  float entropy = 0.0F;  ///< nats
};

struct ScanResult {
  TokenId token = kNoToken;
  float logprob = 0.0F;  ///< natural log-probability of `token` under the statistics' distribution
  ScanStatistics stats;
  bool from_head = false;  ///< answered by a kept head, without touching the whole row
};

struct TokenLogprob {
  TokenId token = kNoToken;
  float logprob = 0.0F;
};

/// The instruction set that the CPU scan dispatches to on this machine.
enum class ScanIsa { portable, avx2, avx512 };
[[nodiscard]] ScanIsa scan_isa() noexcept;
[[nodiscard]] std::string_view to_string(ScanIsa isa) noexcept;
/// Forces a path for tests and benchmarks; throws InvalidArgument if this CPU lacks it. Not thread-safe.
void set_scan_isa(ScanIsa isa);

/// The full scan of one row of raw logits, shape [vocab_size]. Thread-safe (scratch is thread local).
[[nodiscard]] ScanResult scan(std::span<const float> logits, const ScanRequest& request);

/// Statistics only: no temperature, no draw. One pass over the row.
[[nodiscard]] ScanStatistics scan_statistics(std::span<const float> logits, const ScanRequest& request);

/// The n best ids with their log-probabilities (after penalties, bias and mask), best first.
[[nodiscard]] std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, const ScanRequest& request,
                                                     std::size_t n);

/// The uniform number in (0, 1) that the draw uses. Philox4x32-10 (Salmon et al., SC 2011).
[[nodiscard]] double scan_uniform(std::uint64_t seed, std::uint32_t choice_index, Position position) noexcept;

/// A ready distribution: the raw row, kept with everything that does not depend on a request.
/// Immutable after construction, so any number of threads may scan it.
class ReadyRow {
 public:
  /// Copies `logits` and sorts its `head_size` best ids. Throws ScanError for a row without an answer.
  explicit ReadyRow(std::span<const float> logits, std::size_t head_size = 256);

  /// Exactly scan(logits(), request), answered from the head where a bound on the mass and the
  /// logits of the tail proves the outcome, from the whole row otherwise.
  [[nodiscard]] ScanResult scan(const ScanRequest& request) const;

  [[nodiscard]] std::span<const float> logits() const noexcept { return logits_; }
  [[nodiscard]] std::span<const TokenLogprob> head() const noexcept { return head_; }
  /// Statistics of the neutral row: no penalties, bias or mask.
  [[nodiscard]] const ScanStatistics& statistics() const noexcept { return stats_; }
  [[nodiscard]] std::size_t size_bytes() const noexcept;

 private:
  std::vector<float> logits_;
  std::vector<TokenLogprob> head_;  ///< best first; logprob under the neutral row
  ScanStatistics stats_;
  /// The head's logits and the sums over the tail that the bounds need. Shared by copies.
  std::shared_ptr<const scan_detail::HeadIndex> index_;
};

}  // namespace poise
