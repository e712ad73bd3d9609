#include <algorithm>
#include <limits>

#include "poise/error.h"
#include "poise/scan.h"
#include "scan/adjust.h"
#include "scan/full_scan.h"
#include "scan/head_index.h"
#include "scan/row.h"
#include "scan/select.h"
#include "scan/statistics.h"

namespace poise {
namespace {

using scan_detail::Candidate;
using scan_detail::Scratch;

/// A mask that forbids no more ids than this is taken as that many edits.
constexpr std::size_t kMostForbidden = 4096;

}  // namespace

ReadyRow::ReadyRow(std::span<const float> logits, std::size_t head_size) : logits_(logits.begin(), logits.end()) {
  const SamplingParams neutral;
  ScanRequest request;
  request.params = &neutral;
  Scratch& memory = scan_detail::scratch();
  const scan_detail::Row row = scan_detail::adjusted_row(logits_, request, memory);
  const scan_detail::RowStatistics measured = scan_detail::measure(row, memory);
  stats_ = measured.stats;

  const auto index = std::make_shared<scan_detail::HeadIndex>();
  index->sums = measured.sums;
  scan_detail::select_best(row, std::max<std::size_t>(head_size, 1), memory);
  index->best = memory.list;
  memory.values.assign(logits_.begin(), logits_.end());
  head_.reserve(index->best.size());
  for (const Candidate& c : index->best) {
    head_.push_back({c.token, scan_detail::log_probability(c.logit, stats_.top1_logit, index->sums.mass)});
    memory.values[static_cast<std::size_t>(c.token)] = -std::numeric_limits<float>::infinity();
  }
  index->tail = scan_detail::measure_tail(memory.values.data(), memory.values.size(), index->best.back().logit);
  index_ = index;
}

ScanResult ReadyRow::scan(const ScanRequest& request) const {
  scan_detail::check(logits_, request);
  ScanResult out;
  const bool edits = scan_detail::has_edits(request);
  if (request.mask.empty() && !edits) {
    out.from_head = scan_detail::answer(*index_, stats_, request, out);
  } else {
    const std::size_t allowed =
        request.mask.empty() ? logits_.size() : scan_detail::count_allowed(request.mask, logits_.size());
    if (!request.mask.empty() && scan_detail::worth_gathering(allowed, logits_.size())) {
      out = poise::scan(logits_, request);  // looks at the allowed ids only
      out.from_head = true;
      return out;
    }
    if (logits_.size() - allowed <= kMostForbidden) {
      out.from_head = scan_detail::answer_edited(*index_, logits_, request, out);
    }
  }
  return out.from_head ? out : poise::scan(logits_, request);
}

std::size_t ReadyRow::size_bytes() const noexcept {
  return sizeof(*this) + logits_.capacity() * sizeof(float) + head_.capacity() * sizeof(TokenLogprob) +
         sizeof(scan_detail::HeadIndex) + index_->best.capacity() * sizeof(Candidate) +
         (index_->tail.levels.capacity() + index_->tail.counts.capacity()) * sizeof(float);
}

}  // namespace poise
