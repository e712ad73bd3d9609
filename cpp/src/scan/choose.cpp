#include "scan/choose.h"

#include <algorithm>
#include <limits>

namespace poise::scan_detail {
namespace {

/// A rank behind the listed ids.
constexpr std::size_t kBeyond = std::numeric_limits<std::size_t>::max();

/// What is known of the candidates left after a step: the `ranks` best ids, `mass` in all.
struct Kept {
  std::size_t rank_lo = 0;
  std::size_t rank_hi = 0;
  Interval mass;
};

class Walk {
 public:
  Walk(const Prefix& prefix, std::vector<double>& cumulated) : prefix_(prefix), cumulated_(cumulated) {
    cumulated_.resize(prefix.best.size());
    double sum = 0.0;
    for (std::size_t i = 0; i < prefix.best.size(); ++i) {
      sum += prefix.weigh(prefix.best[i]);
      cumulated_[i] = sum;
    }
  }

  [[nodiscard]] std::size_t size() const { return cumulated_.size(); }
  [[nodiscard]] double listed() const { return cumulated_.back(); }
  /// Mass of the `rank` best, rank in [1, size].
  [[nodiscard]] double at(std::size_t rank) const { return cumulated_[rank - 1]; }

  /// The smallest rank whose mass reaches `mass`.
  [[nodiscard]] std::size_t reaching(double mass) const {
    return rank(std::lower_bound(cumulated_.begin(), cumulated_.end(), mass));
  }
  /// The smallest rank whose mass exceeds `mass`.
  [[nodiscard]] std::size_t exceeding(double mass) const {
    return rank(std::upper_bound(cumulated_.begin(), cumulated_.end(), mass));
  }

  [[nodiscard]] Kept top_k(std::int32_t k) const {
    const std::size_t wanted = k > 0 ? static_cast<std::size_t>(k) : kBeyond;
    if (wanted <= size()) {
      return {wanted, wanted, {at(wanted), at(wanted)}};
    }
    if (prefix_.complete) {
      return {size(), size(), {listed(), listed()}};
    }
    const double listed_too = prefix_.rest_only ? listed() : 0.0;
    return {kBeyond,
            kBeyond,
            {wanted == kBeyond ? prefix_.total.lo + listed_too : listed(), prefix_.total.hi + listed_too}};
  }

  [[nodiscard]] Kept top_p(Kept kept, double p, double slack) const {
    if (p >= 1.0) {
      return kept;
    }
    const double lo = p * kept.mass.lo * (1.0 - slack);
    const double hi = p * kept.mass.hi * (1.0 + slack);
    const std::size_t rank_lo = reaching(lo);
    const std::size_t rank_hi = reaching(hi);
    const double last = prefix_.weigh(prefix_.best.back());
    if (rank_lo < kept.rank_lo) {
      kept.rank_lo = rank_lo;
    }
    kept.mass.lo = rank_lo != kBeyond ? std::min(kept.mass.lo, at(rank_lo)) : std::max(lo, listed());
    if (rank_hi < kept.rank_hi) {
      kept.rank_hi = rank_hi;
    }
    kept.mass.hi = std::min(kept.mass.hi, rank_hi != kBeyond ? at(rank_hi) : hi + last);
    return kept;
  }

  [[nodiscard]] Kept min_p(Kept kept, double p) const {
    const auto& best = prefix_.best;
    const auto end =
        std::partition_point(best.begin(), best.end(), [&](const Candidate& c) { return prefix_.weigh(c) >= p; });
    if (p <= 0.0 || (end == best.end() && prefix_.complete)) {
      return kept;
    }
    if (end == best.end()) {  // the cut lies behind the list
      kept.rank_lo = std::min(kept.rank_lo, size());
      kept.mass.lo = std::min(kept.mass.lo, listed());
      return kept;
    }
    const auto cut = static_cast<std::size_t>(end - best.begin());
    if (cut <= kept.rank_lo) {
      kept.rank_lo = cut;
      kept.mass.lo = at(cut);
    }
    if (cut <= kept.rank_hi) {
      kept.rank_hi = cut;
      kept.mass.hi = at(cut);
    }
    return kept;
  }

 private:
  [[nodiscard]] std::size_t rank(std::vector<double>::const_iterator at) const {
    return at == cumulated_.end() ? kBeyond : static_cast<std::size_t>(at - cumulated_.begin()) + 1;
  }

  const Prefix& prefix_;
  std::vector<double>& cumulated_;
};

}  // namespace

std::optional<Candidate> choose(const Prefix& prefix, const SamplingParams& params, double u,
                                std::vector<double>& cumulated) {
  const Walk walk(prefix, cumulated);
  Kept kept = walk.top_k(params.top_k);
  // A list that holds all of top-k is the full scan's list too: the same numbers, nothing to allow for.
  const bool same_list =
      params.top_k > 0 && static_cast<std::size_t>(params.top_k) <= std::min(walk.size(), kListLimit);
  const double slack = same_list ? 0.0 : prefix.slack;
  kept = walk.top_p(kept, static_cast<double>(params.top_p), slack);
  kept = walk.min_p(kept, static_cast<double>(params.min_p));

  // Behind a very large top-k the full scan may have come by its masses in another way.
  const bool known = params.top_k <= static_cast<std::int32_t>(kListLimit) && kept.rank_lo == kept.rank_hi &&
                     kept.rank_lo < kSameRanks;
  const double last_slack = known ? 0.0 : slack;
  std::size_t lo = walk.exceeding(u * kept.mass.lo * (1.0 - last_slack));
  std::size_t hi = walk.exceeding(u * kept.mass.hi * (1.0 + last_slack));
  if (known) {  // rounding in u * mass must not lead behind the last candidate
    lo = std::min(lo, kept.rank_lo);
    hi = std::min(hi, kept.rank_lo);
  }
  if (lo != hi || hi > kept.rank_lo || hi == kBeyond) {
    return std::nullopt;
  }
  return prefix.best[hi - 1];
}

}  // namespace poise::scan_detail
