// The gate in its uncertified form: an explicit logit gap and a set of answers
// (arXiv 2606.29565: fires iff gap >= T and the predicted token is in the fast-answer set).
#pragma once

#include <string>

#include "poise/scan.h"
#include "poise/session.h"

namespace poise {

struct GateVerdict {
  bool fires = false;
  TokenId token = kNoToken;  ///< the best answer
  float gap = 0.0F;          ///< logit gap between the two best answers
  float logprob = 0.0F;      ///< of the answer, among all ids
  std::string refusal;       ///< why it did not fire
};

/// Throws InvalidArgument: fewer than two answers, ids out of range, threshold negative or not finite.
void validate(const GateOptions& options, std::int32_t vocab_size);

/// One scan over the allowed answers of a ready distribution. Deterministic; thread-safe.
[[nodiscard]] GateVerdict judge(const ReadyRow& row, const GateOptions& options);

}  // namespace poise
