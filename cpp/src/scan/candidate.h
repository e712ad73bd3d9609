// One id in the running, and the order in which the scan walks ids.
#pragma once

#include <cmath>

#include "poise/types.h"

namespace poise::scan_detail {

struct Candidate {
  float logit = 0.0F;  ///< after penalties, bias and mask; finite
  TokenId token = kNoToken;
};

/// Best first: the larger logit, then the smaller id.
[[nodiscard]] inline bool better(const Candidate& a, const Candidate& b) noexcept {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

/// Masses relative to the row's largest logit, at one temperature.
struct Weigher {
  double max = 0.0;
  double temperature = 1.0;
  [[nodiscard]] double operator()(const Candidate& c) const noexcept {
    return std::exp((static_cast<double>(c.logit) - max) / temperature);
  }
};

}  // namespace poise::scan_detail
