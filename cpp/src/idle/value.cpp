#include "idle/value.h"

#include <algorithm>
#include <cmath>

namespace poise::idle {

double saved_over_spent(const IdleCandidate& candidate, const CostModel& costs, double agreement) noexcept {
  const double prefill_us = costs.prefill_us_per_token;
  const double decode_us = costs.decode_us_per_step;
  const double prefill = candidate.prefill_tokens;
  const double completion = candidate.completion_tokens;

  double spent = completion * decode_us;
  if (prefill > 0.0) spent += std::max(prefill * prefill_us, decode_us);
  double saved = 0.0;
  if (prefill + completion > 0.0) {
    saved = (prefill + completion) * prefill_us;
    if (candidate.decides) saved = std::max(saved, decode_us) + decode_us;
  }

  double step_saved = decode_us * std::pow(agreement, candidate.decoded_tokens + 1);
  for (std::int32_t i = 0; i < candidate.decode_tokens; ++i) {
    if (step_saved * spent <= saved * decode_us && spent > 0.0) break;  // this step and all later ones lower the ratio
    saved += step_saved;
    spent += decode_us;
    step_saved *= agreement;
  }
  return spent > 0.0 ? saved / spent : 0.0;
}

}  // namespace poise::idle
