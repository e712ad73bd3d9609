#include "scan/row.h"

#include <algorithm>

#include "common/format.h"
#include "poise/error.h"
#include "scan/adjust.h"
#include "scan/kernels.h"

namespace poise::scan_detail {
namespace {

/// Where id `token` stands in the scratch values, or null if it was not gathered.
float* find(Scratch& memory, bool gathered, TokenId token) {
  if (!gathered) {
    return &memory.values[static_cast<std::size_t>(token)];
  }
  const auto at = std::lower_bound(memory.ids.begin(), memory.ids.end(), token);
  return at != memory.ids.end() && *at == token ? &memory.values[static_cast<std::size_t>(at - memory.ids.begin())]
                                                : nullptr;
}

void apply_edits(Scratch& memory, bool gathered, const ScanRequest& request) {
  if (request.params->has_penalties()) {
    for (const TokenCount& count : request.counts) {
      if (float* logit = find(memory, gathered, count.token); logit != nullptr) {
        *logit = penalised(*logit, count, *request.params);
      }
    }
  }
  for (const LogitBias& term : request.params->bias) {
    if (float* logit = find(memory, gathered, term.token); logit != nullptr) {
      *logit += term.bias;
    }
  }
}

}  // namespace

Scratch& scratch() {
  thread_local Scratch memory;
  return memory;
}

bool worth_gathering(std::size_t allowed, std::size_t vocab_size) noexcept {
  return allowed <= kGatherLimit && allowed <= vocab_size / 4;
}

Row adjusted_row(std::span<const float> logits, const ScanRequest& request, Scratch& memory) {
  check(logits, request);
  const std::size_t vocab_size = logits.size();
  const bool edits = has_edits(request);
  if (request.mask.empty() && !edits) {
    return {logits.data(), nullptr, vocab_size};
  }
  bool gathered = false;
  if (request.mask.empty()) {
    memory.values.assign(logits.begin(), logits.end());
  } else {
    const std::size_t allowed = count_allowed(request.mask, vocab_size);
    if (allowed == 0) {
      throw ScanError(text("the mask allows none of ", vocab_size, " ids; allow at least one"));
    }
    gathered = worth_gathering(allowed, vocab_size);
    if (gathered) {
      memory.ids.clear();
      list_ids(request.mask, vocab_size, true, memory.ids);
      memory.values.resize(allowed);
      std::transform(memory.ids.begin(), memory.ids.end(), memory.values.begin(),
                     [&](TokenId id) { return logits[static_cast<std::size_t>(id)]; });
    } else {
      memory.values.resize(vocab_size);
      kernels().masked_copy(logits.data(), vocab_size, request.mask.data(), memory.values.data());
    }
  }
  if (edits) {
    apply_edits(memory, gathered, request);
  }
  return {memory.values.data(), gathered ? memory.ids.data() : nullptr, memory.values.size()};
}

}  // namespace poise::scan_detail
