// Steps 6 to 9 on a best-first prefix of a row, where a bound on the rest proves the outcome.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "poise/sampling.h"
#include "scan/candidate.h"

namespace poise::scan_detail {

/// Closed interval of masses.
struct Interval {
  double lo = 0.0;
  double hi = 0.0;
};

/// Relative distance that bounds every way in which two correct sums of one row can differ: float lanes of at
/// most 64 terms (4e-6), the exponential (2e-7 + 6e-8 nats), double accumulation.
inline constexpr double kMassSlack = 1e-5;

/// Sizes of the sorted lists that a full scan without top-k tries, and the largest top-k that it answers from a list.
inline constexpr std::array<std::size_t, 2> kListSizes{64, 1024};
inline constexpr std::size_t kListLimit = 4096;
/// Before this rank every scan comes to cumulate masses one by one, best first: the same numbers, bit by bit.
inline constexpr std::size_t kSameRanks = kListSizes.back();

struct Prefix {
  std::span<const Candidate> best;  ///< the row's best ids, best first, none left out; at least one
  bool complete = false;            ///< the row has no other allowed id
  Weigher weigh;                    ///< relative to best[0]
  /// Mass of the whole row, or, if `rest_only`, of what is behind `best`. Not used if complete.
  Interval total;
  bool rest_only = false;
  /// Relative error of `total` and of cumulated masses against the numbers that decide: those of the full scan's last
  /// list, for which it is 0. Whatever is answered earlier must be safe from it.
  double slack = 0.0;
};

/// The token that scan.h's steps 6 to 9 choose at `u`, or nothing if the prefix does not prove it.
/// `cumulated` is scratch.
[[nodiscard]] std::optional<Candidate> choose(const Prefix& prefix, const SamplingParams& params, double u,
                                              std::vector<double>& cumulated);

}  // namespace poise::scan_detail
