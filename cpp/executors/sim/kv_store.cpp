#include "executors/sim/kv_store.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "common/format.h"
#include "poise/error.h"

namespace poise::sim {
namespace {

constexpr std::uint64_t kBytesPerToken = sizeof(TokenId);

Position length(const std::vector<Cell>& cells) { return static_cast<Position>(cells.size()); }

/// Orders what may go, the first to go first: by priority, then by last use.
template <typename Kept>  // Sequence or Parked
std::tuple<std::int32_t, std::uint64_t> value(const Kept& kept, TimePoint now) {
  return {kept.worth.retention.priority(0, length(kept.cells), now), kept.worth.last_use};
}

std::vector<Cell> first(const std::vector<Cell>& cells, Position count) {
  return {cells.begin(), cells.begin() + count};
}

}  // namespace

KvStore::KvStore(const SimOptions& options)
    : sequences_(static_cast<std::size_t>(options.max_sequences)), park_bytes_(options.park_bytes) {}

Position KvStore::match(const std::vector<Cell>& cells, TokenSpan context) {
  const std::size_t limit = std::min(cells.size(), context.size());
  std::size_t equal = 0;
  while (equal < limit && cells[equal].token == context[equal]) {
    ++equal;
  }
  return static_cast<Position>(equal);
}

/// The longest match among all sequences of the key; `in_place`: among those that anybody may take over.
KvStore::Match KvStore::best_match(TokenSpan context, const KvKey& key, bool in_place) {
  Match best;
  for (Sequence& sequence : sequences_) {
    if (sequence.key != key || (in_place && (sequence.owner != kNoOwner || sequence.user != 0))) {
      continue;
    }
    const Position tokens = match(sequence.cells, context);
    if (tokens > best.length) {
      best = {&sequence, tokens};
    }
  }
  return best;
}

Sequence* KvStore::find(OwnerId owner) {
  if (owner == kNoOwner) {
    return nullptr;
  }
  const auto found = std::find_if(sequences_.begin(), sequences_.end(),
                                  [owner](const Sequence& sequence) { return sequence.owner == owner; });
  return found == sequences_.end() ? nullptr : &*found;
}

Sequence* KvStore::vacant() {
  const auto found =
      std::find_if(sequences_.begin(), sequences_.end(), [](const Sequence& sequence) { return sequence.vacant(); });
  return found == sequences_.end() ? nullptr : &*found;
}

/// The least valuable sequence that no request holds: lowest priority, then longest unused.
Sequence* KvStore::victim(TimePoint now) {
  Sequence* least = nullptr;
  for (Sequence& sequence : sequences_) {
    if (sequence.user == 0 && (least == nullptr || value(sequence, now) < value(*least, now))) {
      least = &sequence;
    }
  }
  return least;
}

std::optional<Acquired> KvStore::acquire(RequestId user, OwnerId owner, const KvKey& key, TokenSpan context,
                                         Position limit, TimePoint now) {
  Sequence* const own = find(owner);
  if (own != nullptr && own->user != 0) {
    return std::nullopt;
  }
  const TokenSpan wanted = context.first(static_cast<std::size_t>(limit));
  const Position own_tokens = own != nullptr && own->key == key ? match(own->cells, wanted) : 0;
  const Match unowned = best_match(wanted, key, true);
  const Match any = best_match(wanted, key, false);
  const auto parked = parked_.find(owner);
  const Position parked_tokens =
      parked != parked_.end() && parked->second.key == key ? match(parked->second.cells, wanted) : 0;

  // On equal length the cheapest wins: own in place, unowned in place, copy, restore.
  Acquired result;
  result.reused = std::max({own_tokens, unowned.length, any.length, parked_tokens});
  Sequence* target = own;
  std::vector<Cell> cells;
  if (result.reused > own_tokens && result.reused == unowned.length) {
    target = unowned.sequence;
  } else {
    if (result.reused > own_tokens && result.reused == any.length) {
      cells = first(any.sequence->cells, any.length);
      result.copied = any.length;
    } else if (result.reused > own_tokens) {
      cells = first(parked->second.cells, parked_tokens);
      result.restored = parked_tokens;
    }
    if (target == nullptr) {
      target = vacant();
    }
    if (target == nullptr) {
      target = victim(now);
      if (target == nullptr) {
        return std::nullopt;
      }
      parked_.erase(owner);  // makes room before the victim is parked; `cells` holds what is needed of both
      vacate(*target, now);
    }
  }
  if (own != nullptr && own != target) {
    *own = Sequence{};
  }
  if (result.copied > 0 || result.restored > 0) {
    target->cells = std::move(cells);
  }
  cut(*target, result.reused);
  copies_ += result.copied > 0 ? 1 : 0;
  restores_ += result.restored > 0 ? 1 : 0;
  parked_.erase(owner);
  target->owner = owner;
  target->key = key;
  target->user = user;
  target->worth.last_use = ++tick_;
  result.sequence = target;
  return result;
}

void KvStore::end_use(Sequence& sequence, const std::vector<Retention>& retention, TimePoint now) {
  if (sequence.cells.empty()) {
    sequence = Sequence{};
    return;
  }
  sequence.user = 0;
  sequence.worth.retention.assign(retention, now);
  sequence.worth.last_use = ++tick_;
}

void KvStore::release(OwnerId owner, Position keep) {
  if (Sequence* const sequence = find(owner)) {
    cut(*sequence, std::min(keep, length(sequence->cells)));
    if (sequence->cells.empty()) {
      *sequence = Sequence{};
    }
  }
  if (const auto parked = parked_.find(owner); parked != parked_.end()) {
    parked->second.cells.resize(std::min(parked->second.cells.size(), static_cast<std::size_t>(keep)));
    if (parked->second.cells.empty()) {
      parked_.erase(parked);
    }
  }
}

void KvStore::cut(Sequence& sequence, Position tokens) {
  if (tokens < length(sequence.cells)) {
    sequence.cells.resize(static_cast<std::size_t>(tokens));
    ++rollbacks_;
  }
}

void KvStore::vacate(Sequence& sequence, TimePoint now) {
  if (sequence.owner != kNoOwner) {
    park(sequence, now);
  } else {
    ++evictions_;
  }
  sequence = Sequence{};
}

/// Moves an owned sequence to host memory, over less valuable parked ones; drops it if it does not fit even then.
void KvStore::park(Sequence& sequence, TimePoint now) {
  const std::uint64_t bytes = sequence.cells.size() * kBytesPerToken;
  while (parked_bytes() + bytes > park_bytes_) {
    const auto least = std::min_element(parked_.begin(), parked_.end(), [now](const auto& a, const auto& b) {
      return value(a.second, now) < value(b.second, now);
    });
    if (bytes > park_bytes_ || least == parked_.end() || value(sequence, now) < value(least->second, now)) {
      ++evictions_;
      return;
    }
    parked_.erase(least);
    ++evictions_;
  }
  parked_[sequence.owner] = {sequence.key, std::move(sequence.cells), std::move(sequence.worth)};
  ++parks_;
}

std::uint64_t KvStore::parked_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [owner, parked] : parked_) {
    bytes += parked.cells.size() * kBytesPerToken;
  }
  return bytes;
}

Position KvStore::resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const {
  Position best = 0;
  for (const Sequence& sequence : sequences_) {
    const bool own = owner != kNoOwner && sequence.owner == owner;
    const bool unowned = sequence.owner == kNoOwner && sequence.user == 0;
    if (sequence.key == key && (own || unowned)) {
      best = std::max(best, match(sequence.cells, context));
    }
  }
  return best;
}

void KvStore::fill(ExecutorStats& stats) const {
  for (const Sequence& sequence : sequences_) {
    stats.sequences_used += sequence.vacant() ? 0 : 1;
    stats.resident_tokens += length(sequence.cells);
  }
  stats.parked_bytes = parked_bytes();
  stats.parked_tokens = static_cast<std::int64_t>(stats.parked_bytes / kBytesPerToken);
  stats.copies = copies_;
  stats.parks = parks_;
  stats.restores = restores_;
  stats.evictions = evictions_;
  stats.rollbacks = rollbacks_;
}

void KvStore::check_integrity() const {
  const auto check_cells = [](const char* where, OwnerId owner, const KvKey& key, const std::vector<Cell>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (cells[i].position != static_cast<Position>(i) || cells[i].tenant_salt != key.tenant_salt) {
        throw ExecutorError(text(where, " of owner ", owner, ": cell ", i, " was computed for position ",
                                 cells[i].position, " and tenant salt ", cells[i].tenant_salt));
      }
    }
  };
  std::set<OwnerId> owners;
  for (const Sequence& sequence : sequences_) {
    if (sequence.owner != kNoOwner && !owners.insert(sequence.owner).second) {
      throw ExecutorError(text("owner ", sequence.owner, " has two sequences"));
    }
    if (sequence.vacant() && sequence.owner != kNoOwner) {
      throw ExecutorError(text("owner ", sequence.owner, " has a sequence without tokens"));
    }
    check_cells("sequence", sequence.owner, sequence.key, sequence.cells);
  }
  for (const auto& [owner, parked] : parked_) {
    if (owners.contains(owner)) {
      throw ExecutorError(text("owner ", owner, " is both resident and parked"));
    }
    check_cells("parked copy", owner, parked.key, parked.cells);
  }
  if (parked_bytes() > park_bytes_) {
    throw ExecutorError(text(parked_bytes(), " bytes are parked, the limit is ", park_bytes_));
  }
}

}  // namespace poise::sim
