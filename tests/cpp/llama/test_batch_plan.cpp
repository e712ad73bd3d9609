// Which sequences share a pass.
#include <doctest/doctest.h>

#include <numeric>
#include <random>
#include <set>

#include "executors/llama/batch_plan.h"

using namespace poise;
using namespace poise::llama;

namespace {

PassItem item(SeqId seq, std::int32_t tokens) { return {seq, tokens, false}; }
PassItem hole(SeqId seq) { return {seq, 1, true}; }

HoleCosts costs(double pass_us, double hole_us) {
  return {pass_us, hole_us, [](SeqId) { return true; }};
}

const PassLimits kStreams{64, true};
const PassLimits kUnified{64, false};

}  // namespace

TEST_CASE("streams: consecutive ids share a pass") {
  const std::vector<Lane> lanes{{2, 1, 5}, {3, 1, 4}, {4, 1, 6}};
  CHECK(plan_single(lanes, kStreams, {}) == std::vector{item(2, 1), item(3, 1), item(4, 1)});
}

TEST_CASE("streams: without hole filling the run with the longest waiting lane goes first") {
  const std::vector<Lane> lanes{{0, 1, 9}, {1, 1, 9}, {5, 1, 3}};
  CHECK(plan_single(lanes, kStreams, costs(1.0, 100.0)) == std::vector{item(5, 1)});
}

TEST_CASE("streams: holes are filled where that is cheaper than another pass") {
  const std::vector<Lane> lanes{{0, 1, 0}, {2, 1, 1}, {6, 1, 2}};
  CHECK(plan_single(lanes, kStreams, costs(100.0, 40.0)) == std::vector{item(0, 1), hole(1), item(2, 1)});
  CHECK(plan_single(lanes, kStreams, costs(100.0, 20.0)) ==
        std::vector{item(0, 1), hole(1), item(2, 1), hole(3), hole(4), hole(5), item(6, 1)});
  HoleCosts full = costs(100.0, 20.0);
  full.can_fill = [](SeqId seq) { return seq != 4; };
  CHECK(plan_single(lanes, kStreams, full) == std::vector{item(0, 1), hole(1), item(2, 1)});
}

TEST_CASE("a pass never has more tokens than its limit") {
  std::vector<Lane> lanes;
  for (SeqId seq = 0; seq < 10; ++seq) {
    lanes.push_back({seq, 1, static_cast<std::uint64_t>(10 - seq)});
  }
  const auto streams = plan_single(lanes, {4, true}, {});
  CHECK(streams.size() == 4);
  CHECK(streams.back().seq == 9);  // it has waited longest
  CHECK(plan_single(lanes, {4, false}, {}).size() == 4);
}

TEST_CASE("unified: any ids share a pass, prefill shares its tokens out fairly") {
  const std::vector<Lane> lanes{{0, 5, 0}, {4, 100, 1}, {9, 100, 2}};
  CHECK(plan_prefill(lanes, kUnified) == std::vector{item(0, 5), item(4, 29), item(9, 30)});
  CHECK(plan_single(lanes, kUnified, {}) == std::vector{item(0, 1), item(4, 1), item(9, 1)});
}

TEST_CASE("streams: prefill gives equal counts to a run, or everything to the one that must be served") {
  CHECK(plan_prefill(std::vector<Lane>{{0, 40, 0}, {1, 32, 1}}, kStreams) == std::vector{item(0, 32), item(1, 32)});
  // joining a neighbour with 3 tokens would compute 6 instead of 64
  CHECK(plan_prefill(std::vector<Lane>{{0, 200, 0}, {1, 3, 1}}, kStreams) == std::vector{item(0, 64)});
  CHECK(plan_prefill(std::vector<Lane>{{0, 200, 1}, {1, 3, 0}}, kStreams) == std::vector{item(0, 3), item(1, 3)});
}

TEST_CASE("every lane is served: random demands, both layouts") {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937 engine(seed);
    const bool streams = engine() % 2 == 0;
    const bool single = engine() % 2 == 0;
    std::set<SeqId> ids;
    while (ids.size() < 1 + engine() % 12) {
      ids.insert(static_cast<SeqId>(engine() % 24));
    }
    std::vector<Lane> lanes;
    for (const SeqId id : ids) {
      lanes.push_back({id, single ? 1 : static_cast<std::int32_t>(1 + engine() % 90), engine() % 5});
    }
    const PassLimits limits{static_cast<std::int32_t>(1 + engine() % 40), streams};
    const HoleCosts filling = costs(100.0, static_cast<double>(1 + engine() % 150));
    std::uint64_t pass = 10;
    for (int round = 0; round < 4000 && !lanes.empty(); ++round) {
      const auto items = single ? plan_single(lanes, limits, filling) : plan_prefill(lanes, limits);
      const std::int32_t total = std::accumulate(
          items.begin(), items.end(), 0, [](std::int32_t sum, const PassItem& next) { return sum + next.tokens; });
      REQUIRE(total >= 1);
      REQUIRE(total <= limits.tokens);
      const auto longest = std::min_element(lanes.begin(), lanes.end(), [](const Lane& a, const Lane& b) {
                             return a.last_pass < b.last_pass;
                           })->last_pass;
      bool served_longest = false;
      ++pass;
      for (std::size_t i = 0; i < items.size(); ++i) {
        REQUIRE((i == 0 || items[i].seq > items[i - 1].seq));
        if (streams) {  // one run of consecutive ids with equal counts, no hole at an end
          REQUIRE((i == 0 || items[i].seq == items[i - 1].seq + 1));
          REQUIRE(items[i].tokens == items[0].tokens);
        }
        const auto lane =
            std::find_if(lanes.begin(), lanes.end(), [&](const Lane& at) { return at.seq == items[i].seq; });
        REQUIRE((lane == lanes.end()) == items[i].hole);
        if (lane != lanes.end()) {
          REQUIRE(items[i].tokens <= lane->remaining);
          served_longest = served_longest || lane->last_pass == longest;
          lane->remaining -= items[i].tokens;
          lane->last_pass = pass;
        }
      }
      REQUIRE_FALSE(items.front().hole);
      REQUIRE_FALSE(items.back().hole);
      CHECK(served_longest);
      std::erase_if(lanes, [](const Lane& lane) { return lane.remaining == 0; });
    }
    CHECK(lanes.empty());
  }
}
