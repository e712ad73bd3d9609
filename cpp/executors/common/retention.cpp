#include "executors/common/retention.h"

#include <algorithm>
#include <limits>

namespace poise {

void RetentionRanges::assign(const std::vector<Retention>& ranges, TimePoint request_end) {
  ranges_.clear();
  for (const Retention& range : ranges) {
    ranges_.push_back({range.begin, range.end < 0 ? std::numeric_limits<Position>::max() : range.end, range.priority,
                       range.time_to_live ? request_end + *range.time_to_live : TimePoint::max()});
  }
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
}

std::int32_t RetentionRanges::priority(Position begin, Position end, TimePoint now) const {
  if (begin >= end) {
    return 0;
  }
  std::int32_t best = 0;
  Position named_to = begin;  // [begin, named_to) lies inside ranges
  bool gap = false;
  for (const Range& range : ranges_) {
    if (range.end <= begin || range.begin >= end) {
      continue;
    }
    gap = gap || range.begin > named_to;
    named_to = std::max(named_to, range.end);
    const bool expired = now >= range.expires;
    best = std::max(best, expired ? std::min(range.priority, kDefaultRetentionPriority) : range.priority);
  }
  if (gap || named_to < end) {
    best = std::max(best, kDefaultRetentionPriority);
  }
  return best;
}

}  // namespace poise
