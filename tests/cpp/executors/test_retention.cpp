#include <doctest/doctest.h>

#include "executors/common/retention.h"

using namespace poise;
using namespace std::chrono_literals;

namespace {

Retention range(Position begin, Position end, std::int32_t priority,
                std::optional<std::chrono::milliseconds> time_to_live = std::nullopt) {
  return {begin, end, priority, time_to_live};
}

}  // namespace

TEST_CASE("tokens that no range names are worth 35") {
  RetentionRanges ranges;
  CHECK(ranges.priority(0, 10, TimePoint{}) == 35);
  CHECK(ranges.priority(4, 4, TimePoint{}) == 0);
  ranges.assign({range(0, 8, 10)}, TimePoint{});
  CHECK(ranges.priority(0, 8, TimePoint{}) == 10);
  CHECK(ranges.priority(0, 9, TimePoint{}) == 35);
}

TEST_CASE("what would be lost decides: the largest priority inside the span") {
  RetentionRanges ranges;
  ranges.assign({range(0, 100, 80), range(100, -1, 10)}, TimePoint{});
  CHECK(ranges.priority(0, 150, TimePoint{}) == 80);
  CHECK(ranges.priority(99, 150, TimePoint{}) == 80);
  CHECK(ranges.priority(100, 150, TimePoint{}) == 10);
}

TEST_CASE("ranges may come in any order and leave gaps") {
  RetentionRanges ranges;
  ranges.assign({range(50, 60, 5), range(0, 10, 5)}, TimePoint{});
  CHECK(ranges.priority(0, 10, TimePoint{}) == 5);
  CHECK(ranges.priority(0, 11, TimePoint{}) == 35);
  CHECK(ranges.priority(50, 60, TimePoint{}) == 5);
  CHECK(ranges.priority(5, 55, TimePoint{}) == 35);
}

TEST_CASE("an expired range falls to 35, or stays lower") {
  RetentionRanges ranges;
  ranges.assign({range(0, 10, 90, 5ms), range(10, -1, 20, 5ms)}, TimePoint{1ms});
  CHECK(ranges.priority(0, 10, 5ms) == 90);
  CHECK(ranges.priority(0, 10, 6ms) == 35);
  CHECK(ranges.priority(10, 20, 6ms) == 20);
}
