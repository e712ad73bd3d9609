#include "scan/mass_index.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace poise::scan_detail {
namespace {

/// Behind every id: the end of a prefix that leaves nothing out.
constexpr Candidate kWorst{-std::numeric_limits<float>::infinity(), std::numeric_limits<TokenId>::max()};

}  // namespace

MassIndex::MassIndex(const Row& row, float max, double temperature, Scratch& memory)
    : row_(row),
      memory_(memory),
      max_(max),
      weigh_{static_cast<double>(max), temperature},
      mass_(kBins, 0.0),
      counts_(kBins, 0) {
  memory_.indices.resize(std::max(memory_.indices.size(), row.size));
  kernels().histogram(row.values, row.size, max, static_cast<float>(1.0 / temperature), mass_.data(), counts_.data());
}

Candidate MassIndex::choose(const SamplingParams& params, double u) {
  Cut kept = params.top_k > 0 ? at_rank(static_cast<std::size_t>(params.top_k)) : everything();
  const auto narrow = [&kept](const Cut& cut) {
    if (better(cut.last, kept.last)) {
      kept = cut;
    }
  };
  if (params.top_p < 1.0F) {
    narrow(at_mass(static_cast<double>(params.top_p) * kept.mass, false));
  }
  if (params.min_p > 0.0F) {
    narrow(at_least(static_cast<double>(params.min_p)));
  }
  const Cut drawn = at_mass(u * kept.mass, true);
  return better(kept.last, drawn.last) ? kept.last : drawn.last;
}

void MassIndex::open(std::size_t bin) {
  const std::size_t found =
      kernels().gather_bin(row_.values, row_.size, max_, static_cast<float>(1.0 / weigh_.temperature),
                           static_cast<std::uint32_t>(bin), memory_.indices.data());
  memory_.list.resize(found);
  for (std::size_t i = 0; i < found; ++i) {
    memory_.list[i] = row_.candidate(memory_.indices[i]);
  }
}

MassIndex::Cut MassIndex::everything() const { return {kWorst, std::accumulate(mass_.begin(), mass_.end(), 0.0)}; }

MassIndex::Cut MassIndex::last(std::size_t bin) {
  while (bin > 0 && counts_[bin] == 0) {
    --bin;
  }
  open(bin);
  return {*std::max_element(memory_.list.begin(), memory_.list.end(), better), everything().mass};
}

MassIndex::Cut MassIndex::at_rank(std::size_t rank) {
  double before = 0.0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    if (rank > counts_[bin]) {
      rank -= counts_[bin];
      before += mass_[bin];
      continue;
    }
    open(bin);
    const auto last = memory_.list.begin() + static_cast<std::ptrdiff_t>(rank - 1);
    std::nth_element(memory_.list.begin(), last, memory_.list.end(), better);
    for (auto it = memory_.list.begin(); it <= last; ++it) {
      before += weigh_(*it);
    }
    return {*last, before};
  }
  return everything();
}

MassIndex::Cut MassIndex::at_mass(double mass, bool strictly) {
  const auto passed = [&](double sum) { return strictly ? sum > mass : sum >= mass; };
  double before = 0.0;
  std::size_t bin = 0;
  for (; bin < kBins && !passed(before + mass_[bin]); ++bin) {
    before += mass_[bin];
  }
  if (bin == kBins) {  // only by rounding
    return last(kBins - 1);
  }
  open(bin);
  auto first = memory_.list.begin();
  auto end = memory_.list.end();
  while (end - first > 64) {  // halve by rank, keep the half in which the mass is passed
    const auto middle = first + (end - first) / 2;
    std::nth_element(first, middle, end, better);
    double half = 0.0;
    for (auto it = first; it < middle; ++it) {
      half += weigh_(*it);
    }
    if (passed(before + half)) {
      end = middle;
    } else {
      before += half;
      first = middle;
    }
  }
  std::sort(first, end, better);
  for (; first + 1 < end && !passed(before + weigh_(*first)); ++first) {
    before += weigh_(*first);
  }
  return {*first, before + weigh_(*first)};
}

MassIndex::Cut MassIndex::at_least(double least) {
  // The bins before the one with the cut are kept whole. A bin's edge may round to either side, so look from one earlier.
  const double nats = -std::log(least) * static_cast<double>(kBinsPerNat);
  const auto bin = static_cast<std::size_t>(std::clamp(nats - 1.0, 0.0, static_cast<double>(kBins - 1)));
  Cut cut{{static_cast<float>(weigh_.max), kNoToken}, 0.0};
  for (std::size_t i = 0; i < bin; ++i) {
    cut.mass += mass_[i];
  }
  bool found = false;
  for (std::size_t i = bin; i < std::min(bin + 3, kBins); ++i) {
    open(i);
    for (const Candidate& c : memory_.list) {
      const double mass = weigh_(c);
      if (mass >= least) {
        cut.mass += mass;
        cut.last = !found || better(cut.last, c) ? c : cut.last;
        found = true;
      }
    }
  }
  if (!found) {  // the cut lies at the edge of the bins before
    cut.last = last(bin - 1).last;
  }
  return cut;
}

}  // namespace poise::scan_detail
