// Where a request's prefix comes from: the owner's sequence, a leftover, a copy, a parked state, or nowhere.
#include <algorithm>
#include <chrono>

#include "executors/llama/kv_store.h"

namespace poise::llama {
namespace {

double us_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

// How many resident tokens the context can start from. Memory that cannot roll back is of use as a whole or not at all.
Position KvStore::usable(const Tokens& resident, TokenSpan context, Position limit) const {
  const auto common = static_cast<Position>(common_prefix(resident, context));
  if (!options_.can_roll_back) {
    return common == static_cast<Position>(resident.size()) && common <= limit ? common : 0;
  }
  return std::min(common, limit);
}

KvStore::Source KvStore::choose_source(const KvRequest& request, std::optional<SeqId> own) const {
  Source best;
  double best_gain_us = 0.0;
  const auto consider = [&](const Source& source) {
    const double gain = costs_.prefill_us(source.tokens) - source.cost_us;
    if (source.tokens > 0 && gain > best_gain_us) {
      best = source;
      best_gain_us = gain;
    }
  };
  if (own && at(*own).key == request.key) {
    consider(
        {Source::Kind::own, static_cast<HolderId>(*own), usable(at(*own).tokens, request.tokens, request.limit), 0.0});
  }
  if (best.tokens >= request.limit) {
    return best;  // nothing can be longer
  }
  consider(take_over_source(request));
  if (options_.can_roll_back) {
    consider(copy_source(request));
    consider(parked_source(request));
  }
  return best;
}

// A leftover of nobody is continued in place if that keeps most of it; otherwise it is worth a copy at best.
KvStore::Source KvStore::take_over_source(const KvRequest& request) const {
  const auto found = index_.longest(request.key, request.tokens, [this](HolderId holder) {
    return !is_parked(holder) && at(static_cast<SeqId>(holder)).owner == kNoOwner &&
           at(static_cast<SeqId>(holder)).user == 0;
  });
  if (!found) {
    return {};
  }
  const Tokens& resident = at(static_cast<SeqId>(found->holder)).tokens;
  const Position tokens = usable(resident, request.tokens, request.limit);
  if (2 * tokens < static_cast<Position>(resident.size())) {
    return {};
  }
  return {Source::Kind::take_over, found->holder, tokens, 0.0};
}

KvStore::Source KvStore::copy_source(const KvRequest& request) const {
  const auto found =
      index_.longest(request.key, request.tokens, [this](HolderId holder) { return !is_parked(holder); });
  if (!found) {
    return {};
  }
  const Position tokens = std::min(found->tokens, request.limit);
  if (!context_.holds(static_cast<SeqId>(found->holder), tokens)) {
    return {};
  }
  return {Source::Kind::copy, found->holder, tokens, costs_.copy_us.value_or(0.0)};
}

KvStore::Source KvStore::parked_source(const KvRequest& request) const {
  const auto found = index_.longest(request.key, request.tokens, [this](HolderId holder) { return is_parked(holder); });
  if (!found) {
    return {};
  }
  const Parked* parked = parking_.of_holder(found->holder);
  return {Source::Kind::parked, found->holder, std::min(found->tokens, request.limit),
          costs_.restore_us(parked->state.size())};
}

// Brings the source's tokens into an empty sequence. False: it failed, the sequence is empty.
bool KvStore::fetch(const Source& source, SeqId seq) {
  if (source.kind == Source::Kind::copy) {
    const auto from = static_cast<SeqId>(source.holder);
    if (from == seq || size(from) < source.tokens) {
      return false;
    }
    context_.copy(from, seq, source.tokens);
    const std::lock_guard lock(books_);
    ++counters_.copies;
    return true;
  }
  // Parked. A sequence with a pending copy takes no state; then the request prefills.
  const Parked* parked = parking_.of_holder(source.holder);
  if (parked == nullptr || context_.dirty(seq)) {
    return false;
  }
  const auto begin = std::chrono::steady_clock::now();
  const bool whole = context_.restore(seq, parked->state) && context_.length(seq) == parked->state_tokens &&
                     context_.remove(seq, source.tokens);
  if (!whole) {
    static_cast<void>(context_.remove(seq, 0));
    return false;
  }
  costs_.restore_us_per_byte.add(us_since(begin) / static_cast<double>(parked->state.size()));
  const std::lock_guard lock(books_);
  ++counters_.restores;
  return true;
}

}  // namespace poise::llama
