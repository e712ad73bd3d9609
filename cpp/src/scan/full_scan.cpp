#include "scan/full_scan.h"

#include <cmath>

#include "scan/choose.h"
#include "scan/kernels.h"
#include "scan/mass_index.h"
#include "scan/select.h"
#include "scan/statistics.h"

namespace poise::scan_detail {
namespace {

Candidate draw(const Row& row, const RowSums& sums, const ScanRequest& request, Scratch& memory) {
  const SamplingParams& params = *request.params;
  const double u = uniform(request);
  const auto temperature = static_cast<double>(params.temperature);
  Prefix prefix;
  prefix.weigh = {static_cast<double>(sums.max), temperature};
  const auto k = static_cast<std::size_t>(params.top_k);
  if (k > 0 && k <= kListLimit) {
    select_best(row, k, memory);
    prefix.best = memory.list;
    prefix.complete = memory.list.size() < k;
    if (const auto chosen = choose(prefix, params, u, memory.cumulated)) {
      return *chosen;
    }
  } else {
    const double mass = temperature == 1.0
                            ? sums.mass
                            : kernels().mass(row.values, row.size, sums.max, static_cast<float>(1.0 / temperature));
    prefix.total = {mass, mass};
    for (const std::size_t size : kListSizes) {
      select_best(row, size, memory);
      prefix.best = memory.list;
      prefix.slack = size < kListSizes.back() ? kMassSlack : 0.0;
      prefix.complete = memory.list.size() < size || size >= row.size;
      if (const auto chosen = choose(prefix, params, u, memory.cumulated)) {
        return *chosen;
      }
    }
  }
  return MassIndex(row, sums.max, temperature, memory).choose(params, u);
}

}  // namespace

float log_probability(float logit, float max, double mass) noexcept {
  return static_cast<float>(static_cast<double>(logit) - static_cast<double>(max) - std::log(mass));
}

double uniform(const ScanRequest& request) noexcept {
  return scan_uniform(request.params->seed.value_or(0), request.params->choice_index, request.position);
}

ScanResult scan_row(const Row& row, const ScanRequest& request, Scratch& memory) {
  const RowStatistics measured = measure(row, memory);
  ScanResult out;
  out.stats = measured.stats;
  const Candidate best{measured.stats.top1_logit, measured.stats.top1};
  const Candidate chosen =
      request.params->greedy() || request.params->top_k == 1 ? best : draw(row, measured.sums, request, memory);
  out.token = chosen.token;
  out.logprob = log_probability(chosen.logit, best.logit, measured.sums.mass);
  return out;
}

}  // namespace poise::scan_detail
