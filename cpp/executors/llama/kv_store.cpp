#include "executors/llama/kv_store.h"

#include <algorithm>

#include "common/format.h"
#include "poise/error.h"

namespace poise::llama {

KvStore::KvStore(Pools& pools, const Options& options)
    : pools_(pools),
      options_(options),
      parking_(options.can_roll_back ? options.park_bytes : 0),
      promotions_(pools.size()) {
  for (std::size_t i = 0; i < pools.size(); ++i) {
    pool_of_.insert(pool_of_.end(), static_cast<std::size_t>(pools[i]->sequences), i);
  }
  sequences_.resize(pool_of_.size());
}

std::optional<SeqId> KvStore::find(OwnerId owner) const {
  if (owner != kNoOwner) {
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
      if (sequences_[i].owner == owner) {
        return static_cast<SeqId>(i);
      }
    }
  }
  return std::nullopt;
}

std::size_t KvStore::smallest_pool(Position length) const {
  std::size_t pool = 0;
  while (pool + 1 < pools_.size() && pools_[pool]->tokens < length) {
    ++pool;
  }
  return pool;
}

// An owner stays in its class while it fits. Idle work goes ahead when the class is nearly full, if there is room, so that
// no request has to wait for the move.
std::size_t KvStore::target_pool(const KvRequest& request, TimePoint now) const {
  constexpr double kNearlyFull = 0.8;
  const std::optional<SeqId> own = find(request.owner);
  const bool stays = own && pool(*own).tokens >= request.length;
  const std::size_t base = stays ? pool_index(*own) : smallest_pool(request.length);
  const bool nearly_full = static_cast<double>(request.length) > kNearlyFull * pools_[base]->tokens;
  if (request.idle && !request.displaced && options_.states_move && nearly_full && base + 1 < pools_.size()) {
    const Newcomer newcomer{true, request.owner, std::nullopt, std::nullopt};
    if (vacant_near_recent(base + 1) || victim(now, base + 1, newcomer)) {
      return base + 1;
    }
  }
  return base;
}

std::optional<Acquired> KvStore::acquire(const KvRequest& request, TimePoint now) {
  const std::optional<SeqId> own = find(request.owner);
  if (own && at(*own).user != 0) {
    return std::nullopt;
  }
  touch(request, now);
  const std::size_t target = target_pool(request, now);
  const bool stays = own && pool_index(*own) == target;
  Source source = choose_source(request, target, own);
  std::optional<SeqId> seq;
  if (source.kind == Source::Kind::own || source.kind == Source::Kind::take_over) {
    seq = static_cast<SeqId>(source.holder);
  } else if (stays) {
    seq = own;  // its content is of no use, its place is
  } else {
    const bool yields = request.idle && !request.displaced;
    Newcomer newcomer{yields, request.owner, std::nullopt, std::nullopt};
    if (source.kind == Source::Kind::copy) {
      newcomer.spare = static_cast<SeqId>(source.holder);
    } else if (source.kind == Source::Kind::parked) {
      newcomer.parked = source.holder;
    }
    seq = free_sequence(now, target, newcomer);
    if (!seq && newcomer.spare && may_evict(newcomer, at(*newcomer.spare))) {
      seq = newcomer.spare;  // only the source itself can go: it is parked, then continued in place
      park_now(*seq, now, std::nullopt);
      source.kind = Source::Kind::take_over;
      count_eviction();
    }
  }
  if (!seq) {
    return std::nullopt;
  }
  const bool in_place = source.kind == Source::Kind::own || source.kind == Source::Kind::take_over;
  if (!in_place && size(*seq) > 0) {
    empty(*seq);
  }
  Acquired acquired{*seq, 0, 0, 0};
  if (in_place) {
    acquired.reused = roll_back(*seq, source.tokens) ? source.tokens : 0;
  } else if (source.kind != Source::Kind::fresh && fetch(source, *seq, now)) {
    acquired.reused = source.tokens;
    (source.kind == Source::Kind::parked ? acquired.restored : acquired.copied) = source.tokens;
  }
  if (own && *own != *seq) {
    empty(*own);
    const std::lock_guard lock(books_);
    promotions_[target] += pool_index(*own) < target ? 1U : 0U;
  }
  take(*seq, request, request.tokens.first(static_cast<std::size_t>(acquired.reused)), now);
  return acquired;
}

// Idle work does not make an owner younger: what it may evict then would depend on what it has evicted.
void KvStore::touch(const KvRequest& request, TimePoint now) {
  if (request.owner == kNoOwner) {
    return;
  }
  const auto [known, fresh] = touched_.emplace(request.owner, now);
  if (!fresh && !request.idle) {
    known->second = now;
  }
}

// From now on the request uses the sequence, which holds `tokens`.
void KvStore::take(SeqId seq, const KvRequest& request, TokenSpan tokens, TimePoint now) {
  const std::lock_guard lock(books_);
  Sequence& sequence = at(seq);
  // Continued in place: it holds these very tokens, and the index knows.
  const bool in_place = !tokens.empty() && sequence.key == request.key && sequence.tokens.size() == tokens.size();
  sequence.owner = request.owner;
  sequence.last_use = request.idle && request.owner != kNoOwner ? touched_.at(request.owner) : now;
  sequence.user = request.id;
  sequence.idle_user = request.idle;
  if (!in_place) {
    sequence.key = request.key;
    sequence.tokens.assign(tokens.begin(), tokens.end());
    enter(seq);
  }
  // what was parked of this owner is resident again, or has been overtaken
  if (const Parked* parked = parking_.of_owner(request.owner)) {
    forget_parked(*parked);
  }
}

// Has the index know what the sequence holds now: O(tokens), so only where that has changed.
void KvStore::enter(SeqId seq) {
  Sequence& sequence = at(seq);
  index_.insert(static_cast<HolderId>(seq), sequence.key, sequence.tokens);
  sequence.indexed = sequence.tokens.size();
}

void KvStore::append(SeqId seq, TokenSpan tokens) {
  const std::lock_guard lock(books_);
  Tokens& resident = at(seq).tokens;
  resident.insert(resident.end(), tokens.begin(), tokens.end());
}

void KvStore::end_use(SeqId seq, const std::vector<Retention>& retention, TimePoint now) {
  const std::lock_guard lock(books_);
  Sequence& sequence = at(seq);
  sequence.user = 0;
  if (!sequence.idle_user) {
    sequence.last_use = now;
    if (sequence.owner != kNoOwner) {
      touched_[sequence.owner] = now;
    }
  }
  sequence.retention.assign(retention, now);
  if (sequence.tokens.empty()) {
    index_.erase(static_cast<HolderId>(seq));
    sequence = {};
  } else if (sequence.indexed != sequence.tokens.size()) {
    enter(seq);
  }
}

// Cuts a sequence to its first `keep` tokens. False: it had to be emptied, because its memory takes nothing back.
bool KvStore::roll_back(SeqId seq, Position keep) {
  if (size(seq) == keep) {
    return true;
  }
  const bool done = context(seq).remove(local(seq), keep);
  if (!done) {
    static_cast<void>(context(seq).remove(local(seq), 0));
  }
  const std::lock_guard lock(books_);
  Sequence& sequence = at(seq);
  sequence.tokens.resize(done ? static_cast<std::size_t>(keep) : 0);
  if (sequence.tokens.empty()) {
    sequence.indexed = 0;
    index_.erase(static_cast<HolderId>(seq));
  } else {
    enter(seq);
  }
  ++counters_.rollbacks;
  return done;
}

void KvStore::discard(SeqId seq) {
  static_cast<void>(context(seq).remove(local(seq), 0));
  const std::lock_guard lock(books_);
  at(seq).tokens.clear();
  at(seq).indexed = 0;
  index_.erase(static_cast<HolderId>(seq));
}

// Makes a sequence vacant.
void KvStore::empty(SeqId seq) {
  discard(seq);
  const std::lock_guard lock(books_);
  at(seq) = {};
}

void KvStore::release(OwnerId owner, Position keep) {
  if (owner == kNoOwner) {
    return;
  }
  if (keep <= 0) {
    touched_.erase(owner);
  }
  if (const auto seq = find(owner)) {
    if (keep <= 0) {
      empty(*seq);
    } else if (size(*seq) > keep && !roll_back(*seq, keep)) {
      empty(*seq);
    }
  }
  const std::lock_guard lock(books_);
  const Parked* parked = parking_.of_owner(owner);
  if (parked == nullptr || static_cast<Position>(parked->tokens.size()) <= keep) {
    return;
  }
  if (keep <= 0) {
    forget_parked(*parked);
  } else {
    parking_.truncate(owner, keep);
    parked_index_.insert(parked->holder, parked->key, parked->tokens);
  }
}

bool KvStore::can_take_hole(SeqId seq) const { return options_.can_roll_back && size(seq) < context(seq).capacity(); }

void KvStore::undo_hole(SeqId seq) {
  if (!context(seq).remove(local(seq), size(seq))) {
    discard(seq);
  }
}

Position KvStore::resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const {
  const std::lock_guard lock(books_);
  const auto limit = static_cast<Position>(context.size());
  if (const auto own = find(owner)) {
    return at(*own).key == key ? usable(at(*own).tokens, context, limit) : 0;
  }
  const std::size_t target = smallest_pool(limit);
  const auto leftover = index_.longest(key, context, [this, target](HolderId holder) {
    const auto seq = static_cast<SeqId>(holder);
    return pool_index(seq) == target && at(seq).owner == kNoOwner && at(seq).user == 0;
  });
  return leftover ? usable(at(static_cast<SeqId>(leftover->holder)).tokens, context, limit) : 0;
}

void KvStore::fill(ExecutorStats& stats, const std::map<OwnerId, Position>& releases) const {
  const std::lock_guard lock(books_);
  const auto kept = [&releases](OwnerId owner, const Tokens& tokens) {
    const auto release = releases.find(owner);
    const auto all = static_cast<std::int64_t>(tokens.size());
    return release == releases.end() ? all : std::min<std::int64_t>(all, release->second);
  };
  stats.sequences_used = 0;
  stats.resident_tokens = 0;
  for (const Sequence& sequence : sequences_) {
    const std::int64_t tokens = kept(sequence.owner, sequence.tokens);
    stats.sequences_used += sequence.vacant() || (tokens == 0 && sequence.user == 0) ? 0 : 1;
    stats.resident_tokens += tokens;
  }
  stats.parked_tokens = parking_.tokens();
  stats.parked_bytes = parking_.bytes();
  for (const auto& [owner, keep] : releases) {
    if (const Parked* parked = parking_.of_owner(owner)) {
      const std::int64_t tokens = kept(owner, parked->tokens);
      stats.parked_tokens -= static_cast<std::int64_t>(parked->tokens.size()) - tokens;
      stats.parked_bytes -= tokens > 0 ? 0 : parked->state.allocated_bytes();
    }
  }
  stats.copies = counters_.copies;
  stats.parks = counters_.parks;
  stats.restores = counters_.restores;
  stats.evictions = counters_.evictions;
  stats.rollbacks = counters_.rollbacks;
}

std::vector<SizeClassState> KvStore::classes() const {
  const std::lock_guard lock(books_);
  std::vector<SizeClassState> classes(pools_.size());
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    classes[i].size = {pools_[i]->tokens, pools_[i]->sequences};
    classes[i].promotions = promotions_[i];
  }
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    SizeClassState& state = classes[pool_of_[i]];
    state.sequences_used += sequences_[i].vacant() ? 0 : 1;
    state.resident_tokens += static_cast<std::int64_t>(sequences_[i].tokens.size());
  }
  return classes;
}

}  // namespace poise::llama
