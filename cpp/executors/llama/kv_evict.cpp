// Which sequence a newcomer gets, and what becomes of the one that had it.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <tuple>

#include "executors/llama/kv_store.h"

namespace poise::llama {

// Idle work may take what nobody owns, and the KV of owners whose last request is older than its own owner's. That order
// does not change by idle work: however many sessions share a few sequences, their idle work comes to an end.
bool KvStore::may_evict(const Newcomer& newcomer, const Sequence& sequence) const {
  if (sequence.user != 0) {
    return false;
  }
  if (!newcomer.yields || newcomer.owner == kNoOwner || sequence.owner == kNoOwner) {
    return true;
  }
  const auto known = touched_.find(newcomer.owner);
  return known == touched_.end() || sequence.last_use < known->second;
}

bool KvStore::refuses(const KvRequest& request) const {
  if (!request.idle || request.displaced) {
    return false;
  }
  const std::size_t target = smallest_pool(request.length);
  const auto own = find(request.owner);
  if (vacant_near_recent(target) || (own && pool(*own).tokens >= request.length)) {
    return false;
  }
  const Newcomer newcomer{true, request.owner, std::nullopt, std::nullopt};
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    // one in use may be had later
    if (pool_of_[i] == target && (sequences_[i].user != 0 || may_evict(newcomer, sequences_[i]))) {
      return false;
    }
  }
  return true;
}

// A vacant sequence, or the least valuable one, emptied.
std::optional<SeqId> KvStore::free_sequence(TimePoint now, std::size_t target, const Newcomer& newcomer) {
  if (const auto vacant = vacant_near_recent(target)) {
    return vacant;
  }
  const auto chosen = victim(now, target, newcomer);
  if (!chosen) {
    return std::nullopt;
  }
  park_now(*chosen, now, newcomer.parked);
  empty(*chosen);
  count_eviction();
  return chosen;
}

void KvStore::count_eviction() {
  const std::lock_guard lock(books_);
  ++counters_.evictions;
}

// Owners that are active at the same time lie side by side: one pass covers consecutive ids.
std::optional<SeqId> KvStore::vacant_near_recent(std::size_t target) const {
  const SeqId first = pools_[target]->first;
  const SeqId end = first + pools_[target]->sequences;
  SeqId recent = first;
  for (SeqId seq = first; seq < end; ++seq) {
    if (at(seq).last_use > at(recent).last_use) {
      recent = seq;
    }
  }
  std::optional<SeqId> best;
  for (SeqId seq = first; seq < end; ++seq) {
    if (at(seq).vacant() && (!best || std::abs(seq - recent) < std::abs(*best - recent))) {
      best = seq;
    }
  }
  return best;
}

// Lowest priority of what would be lost, then of the whole sequence, then least recently used; never one in use, and
// never the newcomer's spare one.
std::optional<SeqId> KvStore::victim(TimePoint now, std::size_t target, const Newcomer& newcomer) const {
  std::optional<SeqId> best;
  std::tuple<std::int32_t, std::int32_t, TimePoint> best_worth;
  const SeqId first = pools_[target]->first;
  for (SeqId seq = first; seq < first + pools_[target]->sequences; ++seq) {
    if (seq == newcomer.spare || !may_evict(newcomer, at(seq))) {
      continue;
    }
    // what another sequence also holds is not lost; what is parked does not count, it would have to come back first
    const Position from = index_.unshared_from(static_cast<HolderId>(seq));
    const RetentionRanges& retention = at(seq).retention;
    const std::tuple worth(retention.priority(from, size(seq), now), retention.priority(0, size(seq), now),
                           at(seq).last_use);
    if (!best || worth < best_worth) {
      best = seq;
      best_worth = worth;
    }
  }
  return best;
}

bool KvStore::has_copy(SeqId seq) const {
  const Parked* parked = parking_.of_owner(at(seq).owner);
  return parked != nullptr && parked->tokens == at(seq).tokens;
}

// Bytes to save so that the sequence's owner can come back; nothing if it is not worth it: nobody owns it, or computing
// it again is cheaper. A sequence with a pending copy is not read: its buffer is not its own yet.
std::optional<std::uint64_t> KvStore::worth_parking(SeqId seq) {
  const Sequence& sequence = at(seq);
  if (sequence.owner == kNoOwner || sequence.tokens.empty() || !options_.can_roll_back ||
      context(seq).dirty(local(seq))) {
    return std::nullopt;
  }
  const std::uint64_t bytes = context(seq).state_bytes(local(seq));
  const Costs& costs = pool(seq).costs;
  const double round_trip_us = costs.park_us(bytes) + costs.restore_us(bytes);
  return round_trip_us < costs.prefill_us(size(seq)) ? std::optional(bytes) : std::nullopt;
}

// On the way of a request: only what fits an idle step, the request waits for it.
void KvStore::park_now(SeqId seq, TimePoint now, std::optional<HolderId> kept) {
  if (has_copy(seq)) {
    return;
  }
  const auto bytes = worth_parking(seq);
  if (bytes && pool(seq).costs.park_us(*bytes) <= options_.max_step_us) {
    static_cast<void>(park(seq, *bytes, now, kept));
  }
}

// Saves the next victim ahead of its eviction, while nobody waits. Returns whether it did.
bool KvStore::prepare_eviction(TimePoint now) {
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    if (vacant_near_recent(i)) {
      continue;
    }
    const auto next = victim(now, i, {});
    if (!next || has_copy(*next)) {
      continue;
    }
    const auto bytes = worth_parking(*next);
    if (bytes && park(*next, *bytes, now, std::nullopt)) {
      return true;
    }
  }
  return false;
}

void KvStore::forget_parked(const Parked& parked) {
  const HolderId holder = parked.holder;
  parked_index_.erase(holder);
  parking_.erase(holder);
}

// Whether host memory has room for the sequence's state, next to what is parked.
bool KvStore::make_room(SeqId seq, std::uint64_t bytes, TimePoint now, std::optional<HolderId> kept) {
  const std::lock_guard lock(books_);
  std::vector<HolderId> given_up;
  const std::int32_t priority = at(seq).retention.priority(0, size(seq), now);
  const bool room = parking_.make_room(bytes, priority, now, kept, given_up);
  for (const HolderId holder : given_up) {
    parked_index_.erase(holder);
  }
  return room;
}

// The sequence's state, which takes at most `bytes`; empty if that fails.
KvState KvStore::save(SeqId seq, std::uint64_t bytes) {
  const auto begin = std::chrono::steady_clock::now();
  KvState state = context(seq).save(local(seq));
  if (state.empty() || state.allocated_bytes() > bytes) {
    return {};
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  pool(seq).costs.park_us_per_byte.add(took.count() / static_cast<double>(bytes));
  return state;
}

bool KvStore::park(SeqId seq, std::uint64_t bytes, TimePoint now, std::optional<HolderId> kept) {
  if (!make_room(seq, bytes, now, kept)) {
    return false;
  }
  KvState state = save(seq, bytes);
  if (state.empty()) {
    return false;
  }
  const std::lock_guard lock(books_);
  const Sequence& sequence = at(seq);
  if (const Parked* before = parking_.of_owner(sequence.owner)) {
    parked_index_.erase(before->holder);
  }
  const HolderId holder = parking_.put({0, sequence.owner, sequence.key, sequence.tokens, size(seq), pool_index(seq),
                                        sequence.retention, sequence.last_use, std::move(state)});
  parked_index_.insert(holder, sequence.key, sequence.tokens);
  ++counters_.parks;
  return true;
}

}  // namespace poise::llama
