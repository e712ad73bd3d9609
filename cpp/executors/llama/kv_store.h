// Who has which KV: sequences, their owners, the prefix indexes over them, parked copies, and what goes first.
//
// With several size classes (pools) an owner has one sequence at a time, in the smallest class that it fits when it
// comes, and moves to a larger one when it outgrows that.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "executors/llama/parking.h"
#include "executors/llama/pool.h"

namespace poise::llama {

/// What the store needs to know about a request.
struct KvRequest {
  RequestId id = 0;
  OwnerId owner = kNoOwner;
  KvKey key;
  TokenSpan tokens;     ///< everything that must become resident
  Position limit = 0;   ///< use at most this many resident tokens; what lies behind must be computed again
  Position length = 0;  ///< what the sequence may have to hold, generated tokens included; decides the size class
  bool idle = false;
  bool displaced = false;  ///< idle work that had a sequence until a request took it: it may go on where it can
};

/// A sequence that holds exactly the first `reused` tokens of the request.
struct Acquired {
  SeqId seq = 0;
  Position reused = 0;
  Position copied = 0;    ///< of those: from another sequence, perhaps of another size class
  Position restored = 0;  ///< of those: from a parked copy
};

struct KvCounters {
  std::uint64_t copies = 0, parks = 0, restores = 0, evictions = 0, rollbacks = 0;
};

/// All non-const methods belong to the executor's thread. The const ones marked "any thread" may run beside them: the
/// books change under a mutex that is never held across a pass, a save or a restore.
class KvStore {
 public:
  struct Options {
    std::uint64_t park_bytes = 0;
    bool can_roll_back = true;
    bool states_move = false;       ///< a state saved in one pool can be restored in any other
    double max_step_us = 10'000.0;  ///< a save on the way of a request takes no longer
  };
  KvStore(Pools& pools, const Options& options);

  /// Finds a sequence for a request and the longest prefix that is cheaper to reuse than to compute. Nothing changes and
  /// nothing is returned if the owner's sequence, or every sequence that it may get, is in use.
  std::optional<Acquired> acquire(const KvRequest& request, TimePoint now);
  /// Whether idle work may not run at all: it needs a sequence, and all of them hold KV of owners whose last request is
  /// newer. Two sessions' idle work can therefore never push each other out in turns.
  [[nodiscard]] bool refuses(const KvRequest& request) const;
  /// The pool that a request would go to.
  [[nodiscard]] std::size_t target_pool(const KvRequest& request, TimePoint now) const;
  /// The tokens got KV in a pass.
  void append(SeqId seq, TokenSpan tokens);
  /// The request ended or was displaced; its KV stays under `retention`.
  void end_use(SeqId seq, const std::vector<Retention>& retention, TimePoint now);
  /// Empties a sequence whose content cannot be trusted; its user keeps it.
  void discard(SeqId seq);
  /// See Executor::release. The owner's sequence must not be in use.
  void release(OwnerId owner, Position keep);
  /// Where all sequences of a pool are taken: saves the next victim to host memory, so that its eviction need not. An
  /// idle step. Returns whether there was anything to do.
  bool prepare_eviction(TimePoint now);
  /// Removes the throwaway token that a pass put behind the sequence.
  void undo_hole(SeqId seq);
  /// Whether a pass may put a throwaway token behind the sequence.
  [[nodiscard]] bool can_take_hole(SeqId seq) const;

  [[nodiscard]] Position size(SeqId seq) const { return static_cast<Position>(at(seq).tokens.size()); }
  /// The owner's sequence; nothing if it has none.
  [[nodiscard]] std::optional<SeqId> find(OwnerId owner) const;
  /// The request that uses a sequence; 0 = none.
  [[nodiscard]] RequestId user(SeqId seq) const { return at(seq).user; }
  [[nodiscard]] std::size_t pool_index(SeqId seq) const { return pool_of_[static_cast<std::size_t>(seq)]; }

  /// Any thread. See Executor::resident_prefix.
  [[nodiscard]] Position resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const;
  /// Any thread. Fills what is there now, as if `releases` (owner -> tokens kept) were carried out, and the counters.
  void fill(ExecutorStats& stats, const std::map<OwnerId, Position>& releases) const;
  /// Any thread. By pool.
  [[nodiscard]] std::vector<SizeClassState> classes() const;

  /// Throws ExecutorError naming the first mismatch between indexes, sequences, parked copies and llama.cpp's memory.
  void check_integrity() const;

 private:
  struct Sequence {
    OwnerId owner = kNoOwner;
    KvKey key;
    Tokens tokens;            // whose KV is valid, from position 0
    std::size_t indexed = 0;  // of these: known to the index; what a running request appends joins at its end
    RetentionRanges retention;
    TimePoint last_use{};  // by a request; idle work leaves it as it is
    RequestId user = 0;
    bool idle_user = false;
    [[nodiscard]] bool vacant() const noexcept { return tokens.empty() && user == 0 && owner == kNoOwner; }
  };
  struct Source {  // how a request could get its prefix
    enum class Kind {
      fresh,
      own,        // the owner's sequence, in place
      take_over,  // a sequence of nobody, in place
      copy,       // another sequence of the same pool
      parked,     // a parked state
      transfer,   // a sequence of another pool, the owner's or another's
    } kind = Kind::fresh;
    HolderId holder = 0;  // a sequence, or for `parked` a parked state
    Position tokens = 0;
    double cost_us = 0.0;  // of reusing it, against prefilling `tokens`
  };

  [[nodiscard]] const Sequence& at(SeqId seq) const { return sequences_[static_cast<std::size_t>(seq)]; }
  Sequence& at(SeqId seq) { return sequences_[static_cast<std::size_t>(seq)]; }
  [[nodiscard]] Pool& pool(SeqId seq) const { return *pools_[pool_index(seq)]; }
  [[nodiscard]] KvContext& context(SeqId seq) const { return pool(seq).context; }
  [[nodiscard]] SeqId local(SeqId seq) const { return pool(seq).local(seq); }
  [[nodiscard]] Position usable(const Tokens& resident, TokenSpan context, Position limit) const;
  [[nodiscard]] std::size_t smallest_pool(Position length) const;

  // kv_reuse.cpp: which source
  [[nodiscard]] Source choose_source(const KvRequest& request, std::size_t target, std::optional<SeqId> own) const;
  [[nodiscard]] Source take_over_source(const KvRequest& request, std::size_t target) const;
  [[nodiscard]] Source copy_source(const KvRequest& request, std::size_t target) const;
  [[nodiscard]] Source parked_source(const KvRequest& request, std::size_t target) const;
  [[nodiscard]] Source transfer_source(const KvRequest& request, std::size_t target) const;
  [[nodiscard]] bool fetch(const Source& source, SeqId seq, TimePoint now);
  [[nodiscard]] bool restore(const Parked& parked, SeqId seq, Position tokens);
  [[nodiscard]] bool transfer(SeqId from, SeqId to, Position tokens, TimePoint now);

  // kv_evict.cpp: which sequence
  struct Newcomer {       // what may be evicted for it
    bool yields = false;  // to owners that were asked later
    OwnerId owner = kNoOwner;
    std::optional<SeqId> spare;      // about to be copied from
    std::optional<HolderId> parked;  // about to be restored
  };
  [[nodiscard]] bool may_evict(const Newcomer& newcomer, const Sequence& sequence) const;
  std::optional<SeqId> free_sequence(TimePoint now, std::size_t target, const Newcomer& newcomer);
  [[nodiscard]] std::optional<SeqId> vacant_near_recent(std::size_t target) const;
  [[nodiscard]] std::optional<SeqId> victim(TimePoint now, std::size_t target, const Newcomer& newcomer) const;
  [[nodiscard]] bool has_copy(SeqId seq) const;
  [[nodiscard]] std::optional<std::uint64_t> worth_parking(SeqId seq);
  void park_now(SeqId seq, TimePoint now, std::optional<HolderId> kept);
  bool park(SeqId seq, std::uint64_t bytes, TimePoint now, std::optional<HolderId> kept);
  [[nodiscard]] bool make_room(SeqId seq, std::uint64_t bytes, TimePoint now, std::optional<HolderId> kept);
  [[nodiscard]] KvState save(SeqId seq, std::uint64_t bytes);
  void forget_parked(const Parked& parked);
  void empty(SeqId seq);
  void count_eviction();

  void touch(const KvRequest& request, TimePoint now);
  void take(SeqId seq, const KvRequest& request, TokenSpan tokens, TimePoint now);
  void enter(SeqId seq);
  bool roll_back(SeqId seq, Position keep);

  Pools& pools_;
  const Options options_;
  mutable std::mutex books_;
  std::vector<Sequence> sequences_;
  std::vector<std::size_t> pool_of_;
  PrefixIndex index_;         // of sequences, by id
  PrefixIndex parked_index_;  // of parked states: thousands of them must not slow down a look at a few sequences
  Parking parking_;
  std::unordered_map<OwnerId, TimePoint>
      touched_;                            // last request of an owner, until it is released; or its first idle work
  std::vector<std::uint64_t> promotions_;  // by pool
  KvCounters counters_;
};

}  // namespace poise::llama
