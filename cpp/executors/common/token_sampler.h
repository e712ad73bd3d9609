// One request's token choice, step by step: penalties, constraint, vocabulary scan, stop.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "common/guide.h"
#include "poise/executor.h"

namespace poise {

/// Chooses one request's tokens. Used by one thread at a time.
/// Draws are keyed by (seed, choice index, absolute position), counts and constraint follow from the context: a request
/// split in two chooses what the unsplit one would, given equal rows.
class TokenSampler {
 public:
  /// `fresh_seed` is used if the request brings none. Throws InvalidArgument if the request's constraint does not
  /// accept context[output_start..).
  TokenSampler(const Request& request, std::uint64_t fresh_seed, std::int32_t vocab_size);

  /// True if the constraint allows nothing more.
  [[nodiscard]] bool finished() { return guide_.finished(); }

  /// The token at `position` if the constraint leaves no choice: it needs no row. To be accepted before the next call.
  [[nodiscard]] std::optional<GeneratedToken> forced(Position position);

  /// The token at `position`, chosen from its raw row of shape [vocab_size]. Throws ScanError for a row without an
  /// answer; nothing is changed then.
  [[nodiscard]] GeneratedToken choose(std::span<const float> row, Position position);

  /// Takes the chosen token into counts and constraint. Returns why generation ends with it (stop or constraint), if it does.
  std::optional<FinishReason> accept(TokenId token);

 private:
  void count(TokenId token);

  SamplingParams params_;
  Tokens stop_tokens_;
  std::size_t top_logprobs_;
  Guide guide_;
  std::vector<TokenCount> counts_;                     // only with penalties
  std::unordered_map<TokenId, std::size_t> count_of_;  // token -> index into counts_
};

}  // namespace poise
