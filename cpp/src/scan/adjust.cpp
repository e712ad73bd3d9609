#include "scan/adjust.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "common/format.h"
#include "poise/constraint.h"
#include "poise/error.h"
#include "scan/kernels.h"

namespace poise::scan_detail {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

void check_id(TokenId token, std::size_t vocab_size, const char* what) {
  if (token < 0 || static_cast<std::size_t>(token) >= vocab_size) {
    throw InvalidArgument(text(what, " names id ", token, ", but the row has ids 0 to ", vocab_size - 1,
                               "; pass the row and the ids of one model"));
  }
}

/// `items` if ascending by token, else a sorted copy in `copy`.
template <typename Item>
std::span<const Item> ascending(std::span<const Item> items, std::vector<Item>& copy) {
  const auto by_token = [](const Item& a, const Item& b) { return a.token < b.token; };
  if (std::is_sorted(items.begin(), items.end(), by_token)) {
    return items;
  }
  copy.assign(items.begin(), items.end());
  std::stable_sort(copy.begin(), copy.end(), by_token);
  return copy;
}

}  // namespace

void check(std::span<const float> logits, const ScanRequest& request) {
  if (request.params == nullptr) {
    throw InvalidArgument("scan request without sampling params; point `params` at a SamplingParams");
  }
  if (logits.empty()) {
    throw ScanError("the row has no logits");
  }
  if (logits.size() > static_cast<std::size_t>(std::numeric_limits<TokenId>::max())) {
    throw InvalidArgument(
        text("the row has ", logits.size(), " logits, token ids end at ", std::numeric_limits<TokenId>::max()));
  }
  const std::size_t words = mask_words(static_cast<std::int32_t>(logits.size()));
  if (!request.mask.empty() && request.mask.size() != words) {
    throw InvalidArgument(
        text("the mask has ", request.mask.size(), " words, a row of ", logits.size(), " logits needs ", words));
  }
  if (request.params->has_penalties()) {
    for (const TokenCount& count : request.counts) {
      check_id(count.token, logits.size(), "a token count");
    }
  }
  for (const LogitBias& term : request.params->bias) {
    check_id(term.token, logits.size(), "sampling.bias");
  }
}

bool has_edits(const ScanRequest& request) noexcept {
  return !request.params->bias.empty() || (request.params->has_penalties() && !request.counts.empty());
}

float penalised(float logit, const TokenCount& count, const SamplingParams& params) noexcept {
  if (count.in_context) {
    logit = logit > 0.0F ? logit / params.repetition_penalty : logit * params.repetition_penalty;
  }
  if (count.generated > 0) {
    logit -= params.presence_penalty + params.frequency_penalty * static_cast<float>(count.generated);
  }
  return logit;
}

std::size_t count_allowed(std::span<const std::uint32_t> mask, std::size_t vocab_size) noexcept {
  const std::size_t whole = vocab_size / 32;
  std::size_t count = kernels().count_bits(mask.data(), whole);
  if (vocab_size % 32 != 0) {
    count += static_cast<std::size_t>(std::popcount(mask[whole] & ((1U << (vocab_size % 32)) - 1U)));
  }
  return count;
}

void list_ids(std::span<const std::uint32_t> mask, std::size_t vocab_size, bool wanted, std::vector<TokenId>& out) {
  for (std::size_t word = 0; word < mask.size(); ++word) {
    std::uint32_t bits = wanted ? mask[word] : ~mask[word];
    for (; bits != 0; bits &= bits - 1) {
      const std::size_t id = word * 32 + static_cast<std::size_t>(std::countr_zero(bits));
      if (id >= vocab_size) {
        return;
      }
      out.push_back(static_cast<TokenId>(id));
    }
  }
}

void list_edits(std::span<const float> logits, const ScanRequest& request, std::vector<Edit>& out) {
  thread_local std::vector<TokenCount> count_copy;
  thread_local std::vector<LogitBias> bias_copy;
  thread_local std::vector<TokenId> forbidden;
  const SamplingParams& params = *request.params;
  const auto counts = ascending(params.has_penalties() ? request.counts : std::span<const TokenCount>{}, count_copy);
  const auto bias = ascending(std::span<const LogitBias>(params.bias), bias_copy);
  forbidden.clear();
  list_ids(request.mask, logits.size(), false, forbidden);

  out.clear();
  constexpr TokenId kEnd = std::numeric_limits<TokenId>::max();
  std::size_t c = 0;
  std::size_t b = 0;
  std::size_t f = 0;
  for (;;) {
    const TokenId token = std::min({c < counts.size() ? counts[c].token : kEnd, b < bias.size() ? bias[b].token : kEnd,
                                    f < forbidden.size() ? forbidden[f] : kEnd});
    if (token == kEnd) {
      return;
    }
    const float raw = logits[static_cast<std::size_t>(token)];
    float now = raw;
    for (; c < counts.size() && counts[c].token == token; ++c) {
      now = penalised(now, counts[c], params);
    }
    for (; b < bias.size() && bias[b].token == token; ++b) {
      now += bias[b].bias;
    }
    for (; f < forbidden.size() && forbidden[f] == token; ++f) {
      now = kForbidden;
    }
    out.push_back({token, raw, now});
  }
}

}  // namespace poise::scan_detail
