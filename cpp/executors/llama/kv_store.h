// Who has which KV: sequences, their owners, the prefix index over them, parked copies, and what goes first.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "executors/llama/costs.h"
#include "executors/llama/kv_context.h"
#include "executors/llama/parking.h"

namespace poise::llama {

/// What the store needs to know about a request.
struct KvRequest {
  RequestId id = 0;
  OwnerId owner = kNoOwner;
  KvKey key;
  TokenSpan tokens;    ///< everything that must become resident
  Position limit = 0;  ///< use at most this many resident tokens; what lies behind must be computed again
};

/// A sequence that holds exactly the first `reused` tokens of the request.
struct Acquired {
  SeqId seq = 0;
  Position reused = 0;
  Position copied = 0;    ///< of those: from another sequence
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
    std::int32_t sequences = 1;
    std::uint64_t park_bytes = 0;
    bool can_roll_back = true;
    double max_step_us = 10'000.0;  ///< a save on the way of a request takes no longer
  };
  KvStore(KvContext& context, Costs& costs, const Options& options);

  /// Finds a sequence for a request and the longest prefix that is cheaper to reuse than to compute. Nothing changes and nothing is
  /// returned if the owner's sequence, or every sequence, is in use.
  std::optional<Acquired> acquire(const KvRequest& request, TimePoint now);
  /// The tokens got KV in a pass.
  void append(SeqId seq, TokenSpan tokens);
  /// The request ended or was displaced; its KV stays under `retention`.
  void end_use(SeqId seq, const std::vector<Retention>& retention, TimePoint now);
  /// Empties a sequence whose content cannot be trusted; its user keeps it.
  void discard(SeqId seq);
  /// See Executor::release. The owner's sequence must not be in use.
  void release(OwnerId owner, Position keep);
  /// With all sequences taken: saves the next victim to host memory, so that its eviction need not. An idle step.
  /// Returns whether there was anything to do.
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

  /// Any thread. See Executor::resident_prefix.
  [[nodiscard]] Position resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const;
  /// Any thread. Fills what is there now, as if `releases` (owner -> tokens kept) were carried out, and the counters.
  void fill(ExecutorStats& stats, const std::map<OwnerId, Position>& releases) const;

  /// Throws ExecutorError naming the first mismatch between index, sequences, parked copies and llama.cpp's memory.
  void check_integrity() const;

 private:
  struct Sequence {
    OwnerId owner = kNoOwner;
    KvKey key;
    Tokens tokens;  // whose KV is valid, from position 0
    RetentionRanges retention;
    TimePoint last_use{};
    RequestId user = 0;
    [[nodiscard]] bool vacant() const noexcept { return tokens.empty() && user == 0 && owner == kNoOwner; }
  };
  struct Source {  // how a request could get its prefix
    enum class Kind { fresh, own, take_over, copy, parked } kind = Kind::fresh;
    HolderId holder = 0;
    Position tokens = 0;
    double cost_us = 0.0;  // of reusing it, against prefilling `tokens`
  };

  [[nodiscard]] const Sequence& at(SeqId seq) const { return sequences_[static_cast<std::size_t>(seq)]; }
  Sequence& at(SeqId seq) { return sequences_[static_cast<std::size_t>(seq)]; }
  [[nodiscard]] bool is_parked(HolderId holder) const { return holder >= sequences_.size(); }
  [[nodiscard]] Position usable(const Tokens& resident, TokenSpan context, Position limit) const;

  // kv_reuse.cpp: which source
  [[nodiscard]] Source choose_source(const KvRequest& request, std::optional<SeqId> own) const;
  [[nodiscard]] Source take_over_source(const KvRequest& request) const;
  [[nodiscard]] Source copy_source(const KvRequest& request) const;
  [[nodiscard]] Source parked_source(const KvRequest& request) const;

  // kv_evict.cpp: which sequence
  std::optional<SeqId> free_sequence(TimePoint now, std::optional<SeqId> spare);
  [[nodiscard]] std::optional<SeqId> vacant_near_recent() const;
  [[nodiscard]] std::optional<SeqId> victim(TimePoint now, std::optional<SeqId> spare) const;
  [[nodiscard]] bool has_copy(SeqId seq) const;
  [[nodiscard]] std::optional<std::uint64_t> worth_parking(SeqId seq);
  void park_now(SeqId seq, TimePoint now);
  bool park(SeqId seq, std::uint64_t bytes, TimePoint now);
  void empty(SeqId seq);
  void count_eviction();

  void take(SeqId seq, const KvRequest& request, TokenSpan tokens, TimePoint now);
  bool roll_back(SeqId seq, Position keep);
  [[nodiscard]] bool fetch(const Source& source, SeqId seq);

  KvContext& context_;
  Costs& costs_;
  const Options options_;
  mutable std::mutex books_;
  std::vector<Sequence> sequences_;
  PrefixIndex index_;
  Parking parking_;
  KvCounters counters_;
};

}  // namespace poise::llama
