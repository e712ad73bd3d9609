#include "scan/select.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "scan/kernels.h"

namespace poise::scan_detail {
namespace {

constexpr float kAllFinite = std::numeric_limits<float>::lowest();

/// The `rank`-th largest of the pool, rank in [1, pool.size()].
float ranked(std::vector<float>& pool, std::size_t rank) {
  const auto nth = pool.begin() + static_cast<std::ptrdiff_t>(rank - 1);
  std::nth_element(pool.begin(), nth, pool.end(), std::greater<>());
  return std::max(*nth, kAllFinite);
}

/// A logit that at least `count` entries of the row reach: the largest of every 64 stand for distinct entries.
float sure_threshold(std::size_t count, Scratch& memory) {
  std::vector<float>& pool = memory.pool;
  pool.assign(memory.lane_max.begin(), memory.lane_max.end());
  if (pool.size() < count) {
    return kAllFinite;
  }
  while (pool.size() >= 512 && pool.size() >= 16 * count) {  // fold: fewer entries, each the best of two
    const std::size_t half = (pool.size() + 1) / 2;
    for (std::size_t i = half; i < pool.size(); ++i) {
      pool[i - half] = std::max(pool[i - half], pool[i]);
    }
    pool.resize(half);
  }
  return ranked(pool, count);
}

/// A logit that `count` entries of the row reach in all likelihood, read off every few of them.
float likely_threshold(const Row& row, std::size_t count, Scratch& memory) {
  constexpr std::size_t kSample = 2048;
  const std::size_t stride = std::max<std::size_t>(row.size / kSample, 1) | 1U;  // odd: no pattern of the lanes
  std::vector<float>& pool = memory.pool;
  pool.clear();
  for (std::size_t i = stride / 2; i < row.size; i += stride) {
    pool.push_back(row.values[i]);
  }
  const double expected = static_cast<double>(count) / static_cast<double>(stride);
  const auto rank = static_cast<std::size_t>(expected + 4.0 * std::sqrt(expected)) + 4;
  return rank < pool.size() ? ranked(pool, rank) : kAllFinite;
}

std::size_t gather(const Row& row, float threshold, Scratch& memory) {
  return kernels().gather_at_least(row.values, row.size, memory.block_max.data(), threshold, memory.indices.data());
}

}  // namespace

void select_best(const Row& row, std::size_t count, Scratch& memory) {
  count = std::min(count, row.size);
  memory.indices.resize(std::max(memory.indices.size(), row.size));
  // Many of few: the largest of every 64 would let nearly the whole row through.
  const bool crowded = 2 * count > memory.lane_max.size() && 4 * count < row.size;
  std::size_t found =
      gather(row, crowded ? likely_threshold(row, count, memory) : sure_threshold(count, memory), memory);
  if (crowded && found < count) {
    found = gather(row, kAllFinite, memory);
  }
  std::vector<Candidate>& list = memory.list;
  list.resize(found);
  for (std::size_t i = 0; i < found; ++i) {
    list[i] = row.candidate(memory.indices[i]);
  }
  if (found > count) {
    std::nth_element(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count), list.end(), better);
    list.resize(count);
  }
  std::sort(list.begin(), list.end(), better);
}

}  // namespace poise::scan_detail
