#include "scan/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/format.h"
#include "poise/error.h"

namespace poise::scan_detail {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

[[noreturn]] void reject(const Row& row) {
  for (std::size_t i = 0; i < row.size; ++i) {
    const float logit = row.values[i];
    if (std::isnan(logit) || logit == -kMinusInfinity) {
      throw ScanError(text("the logit of id ", row.token(i), " is ", logit,
                           " after penalties, bias and mask; a row must be finite or -infinity"));
    }
  }
  throw ScanError(text("none of ", row.size, " allowed ids has a finite logit; allow at least one"));
}

/// The best entry that is not `except`, within one block; index row.size if there is none above -infinity.
std::size_t best_in_block(const Row& row, std::size_t block, std::size_t except) {
  const std::size_t end = std::min(row.size, (block + 1) * kBlock);
  std::size_t best = row.size;
  float logit = kMinusInfinity;
  for (std::size_t i = block * kBlock; i < end; ++i) {
    if (i != except && row.values[i] > logit) {
      best = i;
      logit = row.values[i];
    }
  }
  return best;
}

/// The second-best entry, given the best one. Candidate{-infinity, kNoToken} if there is none.
Candidate second(const Row& row, const std::vector<float>& block_max, std::size_t top1) {
  const std::size_t home = top1 / kBlock;
  std::size_t at = best_in_block(row, home, top1);
  float logit = at < row.size ? row.values[at] : kMinusInfinity;
  std::size_t block = home;
  for (std::size_t other = 0; other < block_count(row.size); ++other) {
    // Equal logits: the smaller id, so an earlier block wins and a later one does not.
    if (other != home && (block_max[other] > logit || (block_max[other] == logit && other < block))) {
      logit = block_max[other];
      block = other;
    }
  }
  if (logit == kMinusInfinity) {
    return {kMinusInfinity, kNoToken};
  }
  if (block != home) {
    at = kernels().find_equal(row.values, block * kBlock, std::min(row.size, (block + 1) * kBlock), logit);
  }
  return row.candidate(at);
}

}  // namespace

ScanStatistics statistics_of(Candidate top1, Candidate top2, double mass, double weighted) noexcept {
  ScanStatistics out;
  out.top1 = top1.token;
  out.top1_logit = top1.logit;
  out.top2 = top2.token;
  out.top2_logit = top2.token == kNoToken ? kMinusInfinity : top2.logit;
  out.gap = out.top1_logit - out.top2_logit;
  const double log_mass = std::log(mass);
  out.log_sum_exp = static_cast<float>(static_cast<double>(top1.logit) + log_mass);
  // The sums hold a trace (2^-125) of every forbidden id, so a lone id's entropy is said, not summed.
  out.entropy = top2.token == kNoToken ? 0.0F : static_cast<float>(std::max(0.0, log_mass - weighted / mass));
  return out;
}

RowStatistics measure(const Row& row, Scratch& memory) {
  const Kernels& run = kernels();
  memory.block_max.resize(block_count(row.size));
  memory.lane_max.resize(block_count(row.size) * kLanes);
  RowStatistics out;
  out.sums = run.row_sums(row.values, row.size, memory.block_max.data(), memory.lane_max.data());
  if (out.sums.has_nan || out.sums.max == kMinusInfinity) {
    reject(row);
  }
  const auto home = static_cast<std::size_t>(std::find(memory.block_max.begin(), memory.block_max.end(), out.sums.max) -
                                             memory.block_max.begin());
  const std::size_t top1 =
      run.find_equal(row.values, home * kBlock, std::min(row.size, (home + 1) * kBlock), out.sums.max);
  out.stats = statistics_of(row.candidate(top1), second(row, memory.block_max, top1), out.sums.mass, out.sums.weighted);
  return out;
}

}  // namespace poise::scan_detail
