#include "executors/llama/kv_store.h"

#include <algorithm>

#include "common/format.h"
#include "poise/error.h"

namespace poise::llama {

KvStore::KvStore(KvContext& context, Costs& costs, const Options& options)
    : context_(context),
      costs_(costs),
      options_(options),
      sequences_(static_cast<std::size_t>(options.sequences)),
      parking_(options.can_roll_back ? options.park_bytes : 0, static_cast<HolderId>(options.sequences)) {}

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

std::optional<Acquired> KvStore::acquire(const KvRequest& request, TimePoint now) {
  const std::optional<SeqId> own = find(request.owner);
  if (own && at(*own).user != 0) {
    return std::nullopt;
  }
  Source source = choose_source(request, own);
  std::optional<SeqId> seq;
  if (source.kind == Source::Kind::own || source.kind == Source::Kind::take_over) {
    seq = static_cast<SeqId>(source.holder);
  } else if (own) {
    seq = own;  // its content is of no use, its place is
  } else {
    const bool copies = source.kind == Source::Kind::copy;
    seq = free_sequence(now, copies ? std::optional(static_cast<SeqId>(source.holder)) : std::nullopt);
    if (!seq && copies && at(static_cast<SeqId>(source.holder)).user == 0) {
      seq = static_cast<SeqId>(source.holder);  // only the source itself can go: it is parked, then continued in place
      park_now(*seq, now);
      source.kind = Source::Kind::take_over;
      count_eviction();
    }
  }
  if (!seq) {
    return std::nullopt;
  }
  if (own && *own != *seq) {
    empty(*own);
  }

  Acquired acquired{*seq, 0, 0, 0};
  if (source.kind == Source::Kind::own || source.kind == Source::Kind::take_over) {
    acquired.reused = roll_back(*seq, source.tokens) ? source.tokens : 0;
  } else {
    if (size(*seq) > 0) {
      empty(*seq);
    }
    if (source.kind != Source::Kind::fresh && fetch(source, *seq)) {
      acquired.reused = source.tokens;
      (source.kind == Source::Kind::copy ? acquired.copied : acquired.restored) = source.tokens;
    }
  }
  take(*seq, request, request.tokens.first(static_cast<std::size_t>(acquired.reused)), now);
  return acquired;
}

// From now on the request uses the sequence, which holds `tokens`.
void KvStore::take(SeqId seq, const KvRequest& request, TokenSpan tokens, TimePoint now) {
  const std::lock_guard lock(books_);
  Sequence& sequence = at(seq);
  // Continued in place: it holds these very tokens, and the index knows.
  const bool in_place = !tokens.empty() && sequence.key == request.key && sequence.tokens.size() == tokens.size();
  sequence.owner = request.owner;
  sequence.last_use = now;
  sequence.user = request.id;
  if (!in_place) {
    sequence.key = request.key;
    sequence.tokens.assign(tokens.begin(), tokens.end());
    index_.insert(static_cast<HolderId>(seq), request.key, sequence.tokens);
  }
  // what was parked of this owner is resident again, or has been overtaken
  if (const Parked* parked = parking_.of_owner(request.owner)) {
    index_.erase(parked->holder);
    parking_.erase(parked->holder);
  }
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
  sequence.last_use = now;
  sequence.retention.assign(retention, now);
  if (sequence.tokens.empty()) {
    index_.erase(static_cast<HolderId>(seq));
    sequence = {};
  } else {
    index_.insert(static_cast<HolderId>(seq), sequence.key, sequence.tokens);
  }
}

// Cuts a sequence to its first `keep` tokens. False: it had to be emptied, because its memory takes nothing back.
bool KvStore::roll_back(SeqId seq, Position keep) {
  if (size(seq) == keep) {
    return true;
  }
  const bool done = context_.remove(seq, keep);
  if (!done) {
    static_cast<void>(context_.remove(seq, 0));
  }
  const std::lock_guard lock(books_);
  Sequence& sequence = at(seq);
  sequence.tokens.resize(done ? static_cast<std::size_t>(keep) : 0);
  if (sequence.tokens.empty()) {
    index_.erase(static_cast<HolderId>(seq));
  } else {
    index_.insert(static_cast<HolderId>(seq), sequence.key, sequence.tokens);
  }
  ++counters_.rollbacks;
  return done;
}

void KvStore::discard(SeqId seq) {
  static_cast<void>(context_.remove(seq, 0));
  const std::lock_guard lock(books_);
  at(seq).tokens.clear();
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
  if (const auto seq = find(owner)) {
    if (keep <= 0) {
      empty(*seq);
    } else if (size(*seq) > keep && !roll_back(*seq, keep)) {
      empty(*seq);
    }
  }
  const std::lock_guard lock(books_);
  if (const Parked* parked = parking_.of_owner(owner)) {
    index_.erase(parked->holder);
    parking_.truncate(owner, keep);
  }
  if (const Parked* parked = parking_.of_owner(owner)) {
    index_.insert(parked->holder, parked->key, parked->tokens);
  }
}

bool KvStore::can_take_hole(SeqId seq) const { return options_.can_roll_back && size(seq) < context_.capacity(); }

void KvStore::undo_hole(SeqId seq) {
  if (!context_.remove(seq, size(seq))) {
    discard(seq);
  }
}

Position KvStore::resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const {
  const std::lock_guard lock(books_);
  const auto limit = static_cast<Position>(context.size());
  Position best = 0;
  if (const auto own = find(owner)) {
    return at(*own).key == key ? usable(at(*own).tokens, context, limit) : 0;
  }
  const auto leftover = index_.longest(key, context, [this](HolderId holder) {
    return !is_parked(holder) && at(static_cast<SeqId>(holder)).owner == kNoOwner &&
           at(static_cast<SeqId>(holder)).user == 0;
  });
  if (leftover) {
    best = usable(at(static_cast<SeqId>(leftover->holder)).tokens, context, limit);
  }
  return best;
}

void KvStore::fill(ExecutorStats& stats, const std::map<OwnerId, Position>& releases) const {
  const std::lock_guard lock(books_);
  const auto kept = [&releases](OwnerId owner, const Tokens& tokens) {
    const auto release = releases.find(owner);
    const auto all = static_cast<std::int64_t>(tokens.size());
    return release == releases.end() ? all : std::min<std::int64_t>(all, release->second);
  };
  stats.sequences_used = 0;
  stats.resident_tokens = stats.parked_tokens = 0;
  stats.parked_bytes = 0;
  for (const Sequence& sequence : sequences_) {
    const std::int64_t tokens = kept(sequence.owner, sequence.tokens);
    stats.sequences_used += sequence.vacant() || (tokens == 0 && sequence.user == 0) ? 0 : 1;
    stats.resident_tokens += tokens;
  }
  for (const auto& [owner, parked] : parking_.all()) {
    const std::int64_t tokens = kept(owner, parked.tokens);
    stats.parked_tokens += tokens;
    stats.parked_bytes += tokens > 0 ? parked.state.size() : 0;
  }
  stats.copies = counters_.copies;
  stats.parks = counters_.parks;
  stats.restores = counters_.restores;
  stats.evictions = counters_.evictions;
  stats.rollbacks = counters_.rollbacks;
}

void KvStore::check_integrity() const {
  index_.check();
  std::size_t holders = 0;
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    const Sequence& sequence = sequences_[i];
    const auto seq = static_cast<SeqId>(i);
    const auto name = [&] { return text("sequence ", i, " (owner ", sequence.owner, ")"); };
    const auto expected = static_cast<Position>(sequence.tokens.size());
    if (context_.length(seq) != expected) {
      throw ExecutorError(text(name(), " has ", expected, " tokens in the books and ", context_.length(seq),
                               " positions in llama.cpp's memory"));
    }
    const KvKey* key = index_.key_of(static_cast<HolderId>(i));
    if ((key != nullptr) != (expected > 0 || sequence.user != 0)) {
      throw ExecutorError(
          text(name(), " has ", expected, " tokens, but is ", key == nullptr ? "not " : "", "in the index"));
    }
    if (key != nullptr) {
      ++holders;
      const Tokens indexed = index_.tokens(static_cast<HolderId>(i));
      const bool whole = indexed.size() == sequence.tokens.size() || sequence.user != 0;
      if (!(*key == sequence.key) || !whole || common_prefix(indexed, sequence.tokens) != indexed.size()) {
        throw ExecutorError(text(name(), " is in the index under another key or with other tokens"));
      }
    }
    if (sequence.owner != kNoOwner && find(sequence.owner) != seq) {
      throw ExecutorError(text("owner ", sequence.owner, " has two sequences"));
    }
  }
  std::uint64_t bytes = 0;
  for (const auto& [owner, parked] : parking_.all()) {
    ++holders;
    bytes += parked.state.size();
    if (index_.tokens(parked.holder) != parked.tokens) {
      throw ExecutorError(text("the parked sequence of owner ", owner, " is in the index with other tokens"));
    }
    const auto seq = find(owner);  // saved ahead of an eviction
    if (seq && common_prefix(at(*seq).tokens, parked.tokens) != parked.tokens.size()) {
      throw ExecutorError(text("owner ", owner, " has a sequence and a parked one with other tokens"));
    }
  }
  if (bytes != parking_.bytes() || bytes > options_.park_bytes) {
    throw ExecutorError(text("parked sequences hold ", bytes, " bytes, the books say ", parking_.bytes(),
                             ", the cap is ", options_.park_bytes));
  }
  if (holders != index_.size()) {
    throw ExecutorError(text("the index has ", index_.size(), " holders, ", holders, " are known"));
  }
}

}  // namespace poise::llama
