#include "gate/gate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "poise/error.h"

namespace poise {

void validate(const GateOptions& options, std::int32_t vocab_size) {
  if (!std::isfinite(options.gap_threshold) || options.gap_threshold < 0.0F) {
    throw InvalidArgument("gate: gap_threshold is " + std::to_string(options.gap_threshold) +
                          "; it must be finite and at least 0 (the paper uses 2.0)");
  }
  Tokens distinct = options.answer_set;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  if (distinct.size() < 2) {
    throw InvalidArgument("gate: answer_set names " + std::to_string(distinct.size()) +
                          " distinct ids; a gap needs at least 2");
  }
  if (distinct.front() < 0 || distinct.back() >= vocab_size) {
    const TokenId bad = distinct.front() < 0 ? distinct.front() : distinct.back();
    throw InvalidArgument("gate: answer id " + std::to_string(bad) + " is outside the vocabulary [0, " +
                          std::to_string(vocab_size) + ")");
  }
}

GateVerdict judge(const ReadyRow& row, const GateOptions& options) {
  GateVerdict verdict;
  const std::span<const float> logits = row.logits();
  float best = -std::numeric_limits<float>::infinity();
  float second = best;
  for (const TokenId token : options.answer_set) {
    const float logit = logits[static_cast<std::size_t>(token)];
    if (token == verdict.token) continue;  // named twice
    const bool wins = logit > best || (logit == best && token < verdict.token);
    if (wins) {
      second = best;
      best = logit;
      verdict.token = token;
    } else {
      second = std::max(second, logit);
    }
  }
  verdict.gap = best - second;
  verdict.logprob = best - row.statistics().log_sum_exp;
  if (verdict.token != row.statistics().top1) {
    verdict.refusal = "the best id is not one of the answers";
  } else if (!(verdict.gap >= options.gap_threshold)) {
    verdict.refusal =
        "gap " + std::to_string(verdict.gap) + " is below the threshold " + std::to_string(options.gap_threshold);
  } else {
    verdict.fires = true;
  }
  return verdict;
}

}  // namespace poise
