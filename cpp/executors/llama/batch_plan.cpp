#include "executors/llama/batch_plan.h"

#include <algorithm>

namespace poise::llama {
namespace {

std::size_t longest_waiting(std::span<const Lane> lanes) {
  const auto oldest = std::min_element(lanes.begin(), lanes.end(),
                                       [](const Lane& a, const Lane& b) { return a.last_pass < b.last_pass; });
  return static_cast<std::size_t>(oldest - lanes.begin());
}

bool bridges(const Lane& left, const Lane& right, const HoleCosts& costs) {
  const std::int32_t gap = right.seq - left.seq - 1;
  if (gap == 0) {
    return true;
  }
  if (!costs.can_fill || costs.hole_us * gap >= costs.pass_us) {
    return false;
  }
  for (SeqId seq = left.seq + 1; seq < right.seq; ++seq) {
    if (!costs.can_fill(seq)) {
      return false;
    }
  }
  return true;
}

// Unified KV: one pass takes any sequences with any counts. Shares the budget out evenly, small demands first.
std::vector<PassItem> share_out(std::span<const Lane> lanes, std::int32_t budget) {
  std::vector<const Lane*> by_need;
  for (const Lane& lane : lanes) {
    by_need.push_back(&lane);
  }
  // when there are more lanes than tokens, those served longest ago come first
  std::stable_sort(by_need.begin(), by_need.end(),
                   [](const Lane* a, const Lane* b) { return a->last_pass < b->last_pass; });
  if (by_need.size() > static_cast<std::size_t>(budget)) {
    by_need.resize(static_cast<std::size_t>(budget));
  }
  std::stable_sort(by_need.begin(), by_need.end(),
                   [](const Lane* a, const Lane* b) { return a->remaining < b->remaining; });
  std::vector<PassItem> items;
  auto left = static_cast<std::int32_t>(by_need.size());
  for (const Lane* lane : by_need) {
    const std::int32_t tokens = std::min(lane->remaining, std::max(1, budget / left));
    items.push_back({lane->seq, tokens, false});
    budget -= tokens;
    --left;
  }
  std::sort(items.begin(), items.end(), [](const PassItem& a, const PassItem& b) { return a.seq < b.seq; });
  return items;
}

}  // namespace

std::vector<PassItem> plan_single(std::span<const Lane> lanes, const PassLimits& limits, const HoleCosts& holes) {
  std::vector<PassItem> items;
  if (lanes.empty()) {
    return items;
  }
  if (!limits.streams) {
    items = share_out(lanes, limits.tokens);
    for (PassItem& item : items) {
      item.tokens = 1;
    }
    return items;
  }
  const std::size_t must = longest_waiting(lanes);
  std::size_t first = must;
  std::size_t last = must;
  // grow to both sides while the neighbour joins and the pass stays within its tokens
  const auto width = [&] { return lanes[last].seq - lanes[first].seq + 1; };
  while (first > 0 && bridges(lanes[first - 1], lanes[first], holes) &&
         width() + lanes[first].seq - lanes[first - 1].seq <= limits.tokens) {
    --first;
  }
  while (last + 1 < lanes.size() && bridges(lanes[last], lanes[last + 1], holes) &&
         width() + lanes[last + 1].seq - lanes[last].seq <= limits.tokens) {
    ++last;
  }
  for (std::size_t i = first; i <= last; ++i) {
    for (SeqId seq = i == first ? lanes[i].seq : lanes[i - 1].seq + 1; seq < lanes[i].seq; ++seq) {
      items.push_back({seq, 1, true});
    }
    items.push_back({lanes[i].seq, 1, false});
  }
  return items;
}

std::vector<PassItem> plan_prefill(std::span<const Lane> lanes, const PassLimits& limits) {
  std::vector<PassItem> items;
  if (lanes.empty()) {
    return items;
  }
  if (!limits.streams) {
    return share_out(lanes, limits.tokens);
  }
  const std::size_t must = longest_waiting(lanes);
  std::size_t best_first = must;
  std::size_t best_last = must;
  std::int32_t best_each = std::min(lanes[must].remaining, limits.tokens);
  // every run of consecutive ids around `must`; equal counts, so the smallest demand rules
  for (std::size_t first = must;; --first) {
    std::int32_t least = lanes[must].remaining;
    for (std::size_t i = first; i < must; ++i) {
      least = std::min(least, lanes[i].remaining);
    }
    for (std::size_t last = must; last < lanes.size(); ++last) {
      if (last > must && lanes[last].seq != lanes[last - 1].seq + 1) {
        break;
      }
      least = std::min(least, lanes[last].remaining);
      const auto count = static_cast<std::int32_t>(last - first + 1);
      const std::int32_t each = std::min(least, limits.tokens / count);
      const auto best_count = static_cast<std::int32_t>(best_last - best_first + 1);
      if (each > 0 && each * count > best_each * best_count) {
        best_first = first;
        best_last = last;
        best_each = each;
      }
    }
    if (first == 0 || lanes[first - 1].seq + 1 != lanes[first].seq) {
      break;
    }
  }
  for (std::size_t i = best_first; i <= best_last; ++i) {
    items.push_back({lanes[i].seq, best_each, false});
  }
  return items;
}

}  // namespace poise::llama
