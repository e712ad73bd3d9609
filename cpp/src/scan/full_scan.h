// Steps 4 to 9 on an adjusted row.
#pragma once

#include "poise/scan.h"
#include "scan/row.h"

namespace poise::scan_detail {

[[nodiscard]] ScanResult scan_row(const Row& row, const ScanRequest& request, Scratch& memory);

/// log-probability of a logit under a row's statistics; `mass` relative to the largest logit `max`.
[[nodiscard]] float log_probability(float logit, float max, double mass) noexcept;

/// The draw's uniform number for a request.
[[nodiscard]] double uniform(const ScanRequest& request) noexcept;

}  // namespace poise::scan_detail
