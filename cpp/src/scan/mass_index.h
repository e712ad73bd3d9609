// A row's ids in best-first order by mass, for cuts and draws that lie deep in the row: a histogram over
// logits finds the bin, then only that bin's ids are looked at.
#pragma once

#include <cstdint>
#include <vector>

#include "poise/sampling.h"
#include "scan/kernels.h"
#include "scan/row.h"

namespace poise::scan_detail {

class MassIndex {
 public:
  /// `max` is the row's largest logit.
  MassIndex(const Row& row, float max, double temperature, Scratch& memory);

  /// Steps 6 to 9.
  [[nodiscard]] Candidate choose(const SamplingParams& params, double u);

 private:
  /// The best-first prefix that ends with `last`, inclusive.
  struct Cut {
    Candidate last;
    double mass = 0.0;
  };

  [[nodiscard]] Cut everything() const;
  /// The worst id in the last non-empty bin at or before `bin`, and the whole mass.
  [[nodiscard]] Cut last(std::size_t bin);
  [[nodiscard]] Cut at_rank(std::size_t rank);
  /// The shortest prefix whose mass reaches (or, if `strictly`, exceeds) `mass`; the whole row if none does.
  [[nodiscard]] Cut at_mass(double mass, bool strictly);
  /// The prefix of ids whose mass is >= `least`, least in (0, 1].
  [[nodiscard]] Cut at_least(double least);
  /// The ids of one bin, in memory_.list, in no order.
  void open(std::size_t bin);

  const Row& row_;
  Scratch& memory_;
  float max_;
  Weigher weigh_;
  std::vector<double> mass_;           ///< of each bin
  std::vector<std::uint32_t> counts_;  ///< ids in each bin
};

}  // namespace poise::scan_detail
