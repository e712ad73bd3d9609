// An anticipation that is being paid for, or has been.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "entry/thought.h"
#include "poise/scan.h"
#include "poise/session.h"

namespace poise {

/// One pre-decoded answer token, and the row it was drawn from (null when memory did not allow to keep it).
struct ContinuationToken {
  GeneratedToken token;
  std::shared_ptr<const ReadyRow> row;
};

/// State of one anticipation of one session behind one version of its log. Guarded by the manager's lock;
/// rows are immutable and may be read without it.
struct Entry {
  AnticipationId id = 0;
  Anticipation guess;  ///< as declared
  // what it stands for now
  DataVersion data_version = 0;  ///< the log version that `tokens` follow
  Tokens tokens;                 ///< behind the log: the guess, less what appends have confirmed, plus its completion
  bool completing = false;       ///< the model still writes the rest of the guess
  bool decides = false;          ///< ends at a decision point
  std::uint64_t generation = 0;  ///< changes whenever work in flight for this entry becomes void
  // what has been paid for
  std::shared_ptr<const ReadyRow> ready;
  std::vector<ContinuationToken> continuation;
  bool continuation_done = false;  ///< reached its length or a stop
  std::optional<Thought> thought;  ///< behind the continuation, if the session tells thoughts apart
  bool begun = false;              ///< some of its tokens were prefilled since the last reset
  bool worked = false;             ///< idle time has brought it to its end, or its decision point, since then
  bool evicted = false;            ///< its results had to go; not offered again before its session changes
  OwnerId owner = kNoOwner;        ///< a sequence of its own (branch), or none
  // randomness
  SamplingParams sampling;  ///< what the continuation was drawn with; its seed is set
  bool seed_used = false;
  TimePoint made_at{};
  std::uint64_t touched = 0;        ///< for eviction: order of the last use; 0 = never
  std::uint64_t charged_bytes = 0;  ///< memory of distribution and continuation, as charged

  /// Back to "declared, nothing paid" behind `version` of the log. Keeps a branch's sequence.
  void reset(DataVersion version);
  /// Drops distribution and continuation and voids work in flight; what it stands for stays.
  void drop_results();
  /// True if appended tokens confirm the beginning of the guess; advances it then.
  bool advance(TokenSpan appended, DataVersion version);
};

}  // namespace poise
