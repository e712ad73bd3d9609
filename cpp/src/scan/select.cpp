#include "scan/select.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "scan/kernels.h"

namespace poise::scan_detail {
namespace {

/// A logit that at least `count` entries of the row reach.
float threshold(std::size_t count, Scratch& memory) {
  constexpr float kAllFinite = std::numeric_limits<float>::lowest();
  std::vector<float>& pool = memory.pool;
  pool.assign(memory.lane_max.begin(), memory.lane_max.end());  // each entry stands for one distinct logit
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
  const auto nth = pool.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::nth_element(pool.begin(), nth, pool.end(), std::greater<>());
  return std::max(*nth, kAllFinite);
}

}  // namespace

void select_best(const Row& row, std::size_t count, Scratch& memory) {
  count = std::min(count, row.size);
  memory.indices.resize(std::max(memory.indices.size(), row.size));
  const std::size_t found = kernels().gather_at_least(row.values, row.size, memory.block_max.data(),
                                                      threshold(count, memory), memory.indices.data());
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
