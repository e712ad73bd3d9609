// Where a request's prefix comes from: the owner's sequence, a leftover, a copy, a parked state, a smaller class, or
// nowhere. Each is weighed by measured cost against prefilling.
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

KvStore::Source KvStore::choose_source(const KvRequest& request, std::size_t target, std::optional<SeqId> own) const {
  const Costs& costs = pools_[target]->costs;
  Source best;
  double best_gain_us = 0.0;
  const auto consider = [&](const Source& source) {
    const double gain = costs.prefill_us(source.tokens) - source.cost_us;
    if (source.tokens > 0 && gain > best_gain_us) {
      best = source;
      best_gain_us = gain;
    }
  };
  if (own && at(*own).key == request.key && pool_index(*own) == target) {
    consider(
        {Source::Kind::own, static_cast<HolderId>(*own), usable(at(*own).tokens, request.tokens, request.limit), 0.0});
  }
  if (best.tokens >= request.limit) {
    return best;  // nothing can be longer
  }
  consider(take_over_source(request, target));
  if (options_.can_roll_back) {
    consider(copy_source(request, target));
    consider(parked_source(request, target));
    consider(transfer_source(request, target));
  }
  return best;
}

// A leftover of nobody is continued in place if that keeps most of it; otherwise it is worth a copy at best.
KvStore::Source KvStore::take_over_source(const KvRequest& request, std::size_t target) const {
  const auto found = index_.longest(request.key, request.tokens, [this, target](HolderId holder) {
    const auto seq = static_cast<SeqId>(holder);
    return pool_index(seq) == target && at(seq).owner == kNoOwner && at(seq).user == 0;
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

// llama.cpp copies inside one context only.
KvStore::Source KvStore::copy_source(const KvRequest& request, std::size_t target) const {
  const auto found = index_.longest(request.key, request.tokens, [this, target](HolderId holder) {
    return pool_index(static_cast<SeqId>(holder)) == target;
  });
  if (!found) {
    return {};
  }
  const auto from = static_cast<SeqId>(found->holder);
  const Position tokens = std::min(found->tokens, request.limit);
  if (!context(from).holds(local(from), tokens)) {
    return {};
  }
  return {Source::Kind::copy, found->holder, tokens, pools_[target]->costs.copy_us.value_or(0.0)};
}

KvStore::Source KvStore::parked_source(const KvRequest& request, std::size_t target) const {
  const auto found = parked_index_.longest(request.key, request.tokens, [this, target](HolderId holder) {
    const Parked* parked = parking_.of_holder(holder);
    const bool fits = parked->state_tokens <= pools_[target]->context.capacity();
    return fits && (parked->pool == target || (options_.states_move && parked->state.portable()));
  });
  if (!found) {
    return {};
  }
  const Parked* parked = parking_.of_holder(found->holder);
  return {Source::Kind::parked, found->holder, std::min(found->tokens, request.limit),
          pools_[target]->costs.restore_us(parked->state.allocated_bytes())};
}

// The owner's own sequence in another class, or another owner's, by way of host memory. A sequence with a pending copy is
// not read.
KvStore::Source KvStore::transfer_source(const KvRequest& request, std::size_t target) const {
  if (!options_.states_move) {
    return {};
  }
  const auto found = index_.longest(request.key, request.tokens, [this, target](HolderId holder) {
    const auto seq = static_cast<SeqId>(holder);
    return pool_index(seq) != target && size(seq) <= pools_[target]->context.capacity() &&
           !context(seq).dirty(local(seq));
  });
  if (!found) {
    return {};
  }
  const auto from = static_cast<SeqId>(found->holder);
  const std::uint64_t bytes = context(from).state_bytes(local(from));
  if (bytes > parking_.cap_bytes()) {
    return {};
  }
  return {Source::Kind::transfer, found->holder, std::min(found->tokens, request.limit),
          pool(from).costs.park_us(bytes) + pools_[target]->costs.restore_us(bytes)};
}

// Brings the source's tokens into an empty sequence. False: it failed, the sequence is empty.
bool KvStore::fetch(const Source& source, SeqId seq, TimePoint now) {
  const auto from = static_cast<SeqId>(source.holder);
  if (source.kind == Source::Kind::parked) {
    const Parked* parked = parking_.of_holder(source.holder);
    return parked != nullptr && restore(*parked, seq, source.tokens);
  }
  if (from == seq || size(from) < source.tokens) {
    return false;
  }
  if (source.kind == Source::Kind::transfer) {
    return transfer(from, seq, source.tokens, now);
  }
  context(seq).copy(local(from), local(seq), source.tokens);
  const std::lock_guard lock(books_);
  ++counters_.copies;
  return true;
}

// A sequence with a pending copy takes no state; then the request prefills.
bool KvStore::restore(const Parked& parked, SeqId seq, Position tokens) {
  KvContext& to = context(seq);
  const auto begin = std::chrono::steady_clock::now();
  const bool whole = to.restore(local(seq), parking_.state_of(parked.holder)) &&
                     to.length(local(seq)) == parked.state_tokens && to.remove(local(seq), tokens);
  if (!whole) {
    static_cast<void>(to.remove(local(seq), 0));
    return false;
  }
  pool(seq).costs.restore_us_per_byte.add(us_since(begin) / static_cast<double>(parked.state.allocated_bytes()));
  const std::lock_guard lock(books_);
  ++counters_.restores;
  return true;
}

// The state passes through host memory, within the cap of parked states.
bool KvStore::transfer(SeqId from, SeqId to, Position tokens, TimePoint now) {
  const std::uint64_t bytes = context(from).state_bytes(local(from));
  if (!make_room(from, bytes, now, std::nullopt)) {
    return false;
  }
  KvState state = save(from, bytes);
  KvContext& context_to = context(to);
  const auto begin = std::chrono::steady_clock::now();
  const bool whole = context_to.restore(local(to), state) && context_to.length(local(to)) == size(from) &&
                     context_to.remove(local(to), tokens);
  if (!whole) {
    static_cast<void>(context_to.remove(local(to), 0));
    return false;
  }
  pool(to).costs.restore_us_per_byte.add(us_since(begin) / static_cast<double>(bytes));
  const std::lock_guard lock(books_);
  ++counters_.copies;
  return true;
}

}  // namespace poise::llama
