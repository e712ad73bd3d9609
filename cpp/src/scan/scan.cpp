// The public functions of the full scan.
#include "poise/scan.h"

#include "scan/full_scan.h"
#include "scan/row.h"
#include "scan/select.h"
#include "scan/statistics.h"

namespace poise {

using scan_detail::adjusted_row;
using scan_detail::Candidate;
using scan_detail::Row;
using scan_detail::Scratch;

ScanResult scan(std::span<const float> logits, const ScanRequest& request) {
  Scratch& memory = scan_detail::scratch();
  return scan_detail::scan_row(adjusted_row(logits, request, memory), request, memory);
}

ScanStatistics scan_statistics(std::span<const float> logits, const ScanRequest& request) {
  Scratch& memory = scan_detail::scratch();
  return scan_detail::measure(adjusted_row(logits, request, memory), memory).stats;
}

std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, const ScanRequest& request, std::size_t n) {
  Scratch& memory = scan_detail::scratch();
  const Row row = adjusted_row(logits, request, memory);
  const scan_detail::RowStatistics measured = scan_detail::measure(row, memory);
  if (n == 0) {
    return {};
  }
  scan_detail::select_best(row, n, memory);
  std::vector<TokenLogprob> out;
  out.reserve(memory.list.size());
  for (const Candidate& c : memory.list) {
    out.push_back({c.token, scan_detail::log_probability(c.logit, measured.sums.max, measured.sums.mass)});
  }
  return out;
}

}  // namespace poise
