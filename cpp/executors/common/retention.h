// How much resident tokens are worth: the arithmetic of Retention (executor.h), for any executor.
#pragma once

#include <cstdint>
#include <vector>

#include "poise/clock.h"
#include "poise/executor.h"

namespace poise {

/// What a token is worth that no range names, and what an expired range falls back to.
inline constexpr std::int32_t kDefaultRetentionPriority = 35;

/// The retention of one sequence, as its last request stated it.
class RetentionRanges {
 public:
  /// Takes over a request's ranges; their times to live start at `request_end`.
  void assign(const std::vector<Retention>& ranges, TimePoint request_end);

  /// The largest effective priority in [begin, end): what giving up those tokens would lose. Where ranges overlap, the
  /// largest counts. 0 for an empty span.
  [[nodiscard]] std::int32_t priority(Position begin, Position end, TimePoint now) const;

 private:
  struct Range {
    Position begin, end;  // end: -1 was replaced by the largest position
    std::int32_t priority;
    TimePoint expires;  // TimePoint::max(): never
  };
  std::vector<Range> ranges_;
};

}  // namespace poise
