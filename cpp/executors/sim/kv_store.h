// The simulated KV of the SimExecutor: sequences, who owns them, what is parked, what goes first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "executors/common/retention.h"
#include "executors/sim/toy_model.h"
#include "poise/clock.h"
#include "poise/executor.h"

namespace poise::sim {

/// What decides which KV goes first.
struct Worth {
  RetentionRanges retention;
  std::uint64_t last_use = 0;  ///< larger = later
};

struct Sequence {
  OwnerId owner = kNoOwner;
  KvKey key;
  std::vector<Cell> cells;
  Worth worth;
  RequestId user = 0;  ///< the running request that holds it; 0 = none

  [[nodiscard]] bool vacant() const noexcept { return cells.empty() && user == 0; }
};

struct Parked {
  KvKey key;
  std::vector<Cell> cells;
  Worth worth;
};

/// What admission found for a request. `sequence` holds exactly `reused` cells of its context.
struct Acquired {
  Sequence* sequence = nullptr;
  Position reused = 0;
  Position copied = 0;
  Position restored = 0;
};

/// An owner has either one sequence or one parked copy. Not thread-safe.
class KvStore {
 public:
  explicit KvStore(const SimOptions& options);

  /// Finds the longest reusable prefix of `context`, at most `limit` tokens, and a sequence for it: the owner's own
  /// or an unowned one in place, or a copy. Evicts or parks the least valuable sequence if none is vacant.
  /// Nothing changes and nothing is returned if the owner's sequence or all sequences are in use.
  std::optional<Acquired> acquire(RequestId user, OwnerId owner, const KvKey& key, TokenSpan context, Position limit,
                                  TimePoint now);
  /// The request that holds the sequence has ended (or is displaced); its cells stay.
  void end_use(Sequence& sequence, const std::vector<Retention>& retention, TimePoint now);
  /// Cuts the owner's sequence and parked copy to `keep` tokens; 0 frees both. The sequence must not be in use.
  void release(OwnerId owner, Position keep);

  [[nodiscard]] Position resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const;
  [[nodiscard]] Sequence* find(OwnerId owner);
  /// Fills the current values and the counters that belong to the KV.
  void fill(ExecutorStats& stats) const;
  /// Throws ExecutorError naming the first mismatch.
  void check_integrity() const;

 private:
  struct Match {
    Sequence* sequence = nullptr;
    Position length = 0;
  };

  [[nodiscard]] static Position match(const std::vector<Cell>& cells, TokenSpan context);
  [[nodiscard]] Match best_match(TokenSpan context, const KvKey& key, bool in_place);
  [[nodiscard]] Sequence* vacant();
  [[nodiscard]] Sequence* victim(TimePoint now);
  void vacate(Sequence& sequence, TimePoint now);
  void park(Sequence& sequence, TimePoint now);
  void cut(Sequence& sequence, Position length);
  [[nodiscard]] std::uint64_t parked_bytes() const;

  std::vector<Sequence> sequences_;
  std::map<OwnerId, Parked> parked_;
  std::uint64_t park_bytes_;
  std::uint64_t tick_ = 0;
  std::uint64_t copies_ = 0, parks_ = 0, restores_ = 0, evictions_ = 0, rollbacks_ = 0;
};

}  // namespace poise::sim
