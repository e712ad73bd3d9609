// Which sequence a newcomer gets, and what becomes of the one that had it.
#include <chrono>
#include <cstdlib>
#include <tuple>

#include "executors/llama/kv_store.h"

namespace poise::llama {

// A vacant sequence, or the least valuable one, emptied. `spare` is not touched: it is about to be copied from.
std::optional<SeqId> KvStore::free_sequence(TimePoint now, std::optional<SeqId> spare) {
  if (const auto vacant = vacant_near_recent()) {
    return vacant;
  }
  const auto chosen = victim(now, spare);
  if (!chosen) {
    return std::nullopt;
  }
  park_now(*chosen, now);
  empty(*chosen);
  count_eviction();
  return chosen;
}

void KvStore::count_eviction() {
  const std::lock_guard lock(books_);
  ++counters_.evictions;
}

// Owners that are active at the same time lie side by side: one pass covers consecutive ids.
std::optional<SeqId> KvStore::vacant_near_recent() const {
  SeqId recent = 0;
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    if (sequences_[i].last_use > at(recent).last_use) {
      recent = static_cast<SeqId>(i);
    }
  }
  std::optional<SeqId> best;
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    const auto seq = static_cast<SeqId>(i);
    if (sequences_[i].vacant() && (!best || std::abs(seq - recent) < std::abs(*best - recent))) {
      best = seq;
    }
  }
  return best;
}

// Lowest priority of what would be lost, then of the whole sequence, then least recently used; never one in use.
std::optional<SeqId> KvStore::victim(TimePoint now, std::optional<SeqId> spare) const {
  std::optional<SeqId> best;
  std::tuple<std::int32_t, std::int32_t, TimePoint> best_worth;
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    const auto seq = static_cast<SeqId>(i);
    if (sequences_[i].user != 0 || seq == spare) {
      continue;
    }
    // what another sequence also holds is not lost; its own saved copy does not count, it would have to come back first
    const Position from = has_copy(seq) ? 0 : index_.unshared_from(static_cast<HolderId>(i));
    const RetentionRanges& retention = sequences_[i].retention;
    const std::tuple worth(retention.priority(from, size(seq), now), retention.priority(0, size(seq), now),
                           sequences_[i].last_use);
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
  if (sequence.owner == kNoOwner || sequence.tokens.empty() || !options_.can_roll_back || context_.dirty(seq)) {
    return std::nullopt;
  }
  const std::uint64_t bytes = context_.state_bytes(seq);
  const double round_trip_us = costs_.park_us(bytes) + costs_.restore_us(bytes);
  return round_trip_us < costs_.prefill_us(size(seq)) ? std::optional(bytes) : std::nullopt;
}

// On the way of a request: only what fits an idle step, the request waits for it.
void KvStore::park_now(SeqId seq, TimePoint now) {
  if (has_copy(seq)) {
    return;
  }
  const auto bytes = worth_parking(seq);
  if (bytes && costs_.park_us(*bytes) <= options_.max_step_us) {
    static_cast<void>(park(seq, *bytes, now));
  }
}

// Saves the next victim ahead of its eviction, while nobody waits. Returns whether it did.
bool KvStore::prepare_eviction(TimePoint now) {
  if (vacant_near_recent()) {
    return false;
  }
  const auto next = victim(now, std::nullopt);
  if (!next || has_copy(*next)) {
    return false;
  }
  const auto bytes = worth_parking(*next);
  return bytes && park(*next, *bytes, now);
}

bool KvStore::park(SeqId seq, std::uint64_t bytes, TimePoint now) {
  const Sequence& sequence = at(seq);
  {
    const std::lock_guard lock(books_);
    std::vector<HolderId> given_up;
    const bool room = parking_.make_room(bytes, sequence.retention.priority(0, size(seq), now), now, given_up);
    for (const HolderId holder : given_up) {
      index_.erase(holder);
    }
    if (!room) {
      return false;
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::byte> state = context_.save(seq);
  if (state.size() != bytes) {
    return false;
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  costs_.park_us_per_byte.add(took.count() / static_cast<double>(bytes));
  const std::lock_guard lock(books_);
  if (const Parked* before = parking_.of_owner(sequence.owner)) {
    index_.erase(before->holder);
  }
  const HolderId holder = parking_.put(sequence.owner, {0, sequence.key, sequence.tokens, size(seq), sequence.retention,
                                                        sequence.last_use, std::move(state)});
  index_.insert(holder, sequence.key, sequence.tokens);
  ++counters_.parks;
  return true;
}

}  // namespace poise::llama
