#include "poise/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "format.h"
#include "poise/error.h"

namespace poise {
namespace {

/// Written so that not-a-number fails too.
void require(bool holds, const char* field, double value, const char* range, const char* remedy) {
  if (!holds) {
    throw InvalidArgument(text("sampling.", field, " is ", value, ", must be ", range, "; ", remedy));
  }
}

void validate_bias(const std::vector<LogitBias>& bias, std::int32_t vocab_size) {
  std::vector<TokenId> ids;
  ids.reserve(bias.size());
  for (const LogitBias& term : bias) {
    if (term.token < 0 || term.token >= vocab_size) {
      throw InvalidArgument(text("sampling.bias names id ", term.token, ", the vocabulary has ids 0 to ",
                                 vocab_size - 1, "; remove the term"));
    }
    if (std::isnan(term.bias) || term.bias == std::numeric_limits<float>::infinity()) {
      throw InvalidArgument(text("sampling.bias of id ", term.token, " is ", term.bias,
                                 ", must be finite, or -infinity to forbid the id"));
    }
    ids.push_back(term.token);
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice != ids.end()) {
    throw InvalidArgument(text("sampling.bias names id ", *twice, " more than once; add the terms up into one"));
  }
}

bool same_bias(const std::vector<LogitBias>& a, const std::vector<LogitBias>& b) noexcept {
  return std::is_permutation(a.begin(), a.end(), b.begin(), b.end(), [](const LogitBias& x, const LogitBias& y) {
    return x.token == y.token && x.bias == y.bias;
  });
}

}  // namespace

void SamplingParams::validate(std::int32_t vocab_size) const {
  require(temperature >= 0.0F && temperature <= 100.0F, "temperature", static_cast<double>(temperature),
          "finite and in [0, 100]", "0 is greedy, 1 the model's own distribution");
  require(top_k >= 0, "top_k", top_k, "at least 0", "0 keeps all ids");
  require(top_p > 0.0F && top_p <= 1.0F, "top_p", static_cast<double>(top_p), "in (0, 1]", "1 keeps all ids");
  require(min_p >= 0.0F && min_p <= 1.0F, "min_p", static_cast<double>(min_p), "in [0, 1]", "0 keeps all ids");
  require(repetition_penalty > 0.0F && std::isfinite(repetition_penalty), "repetition_penalty",
          static_cast<double>(repetition_penalty), "finite and above 0", "1 is neutral");
  require(std::isfinite(presence_penalty), "presence_penalty", static_cast<double>(presence_penalty), "finite",
          "0 is neutral");
  require(std::isfinite(frequency_penalty), "frequency_penalty", static_cast<double>(frequency_penalty), "finite",
          "0 is neutral");
  validate_bias(bias, vocab_size);
}

bool SamplingParams::same_distribution(const SamplingParams& other) const noexcept {
  const bool same_logits = repetition_penalty == other.repetition_penalty &&
                           presence_penalty == other.presence_penalty && frequency_penalty == other.frequency_penalty &&
                           same_bias(bias, other.bias);
  if (!same_logits || greedy() != other.greedy()) {
    return false;
  }
  // A greedy choice never reaches top-k, top-p, min-p or the draw (scan.h, step 4).
  return greedy() || (temperature == other.temperature && top_k == other.top_k && top_p == other.top_p &&
                      min_p == other.min_p && choice_index == other.choice_index);
}

}  // namespace poise
