#include "scan/head_index.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "scan/adjust.h"
#include "scan/full_scan.h"
#include "scan/statistics.h"

namespace poise::scan_detail {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Edits take mass away from the tail's sums; what is left must not drown in their error.
constexpr double kMostCancelled = 10.0;

std::optional<Candidate> draw(std::span<const Candidate> best, bool complete, Interval rest,
                              const ScanRequest& request) {
  thread_local std::vector<double> cumulated;
  Prefix prefix;
  prefix.best = best;
  prefix.complete = complete;
  prefix.weigh = {static_cast<double>(best[0].logit), static_cast<double>(request.params->temperature)};
  prefix.slack = kMassSlack;
  prefix.total = rest;
  prefix.rest_only = true;
  return choose(prefix, *request.params, uniform(request), cumulated);
}

bool wants_best(const SamplingParams& params) { return params.greedy() || params.top_k == 1; }

/// exp((from - to) / t), the factor between masses relative to `from` and to `to`.
double rescale(float from, float to, double temperature) {
  return std::exp((static_cast<double>(from) - static_cast<double>(to)) / temperature);
}

/// Splits edits into the new head and the changes to the tail.
void apply(const HeadIndex& index, std::span<const Edit> edits, EditedHead& out) {
  thread_local std::vector<bool> replaced;
  thread_local std::vector<Candidate> moved;
  const Candidate last = index.best.back();
  replaced.assign(index.best.size(), false);
  moved.clear();
  out.best.clear();
  out.removed.clear();
  out.added.clear();
  std::size_t left_tail = 0;
  for (const Edit& edit : edits) {
    const Candidate before{edit.raw, edit.token};
    const Candidate after{edit.now, edit.token};
    if (edit.raw > kMinusInfinity) {
      if (better(last, before)) {
        out.removed.push_back(edit.raw);
        ++left_tail;
      } else {
        const auto at = std::lower_bound(index.best.begin(), index.best.end(), before, better);
        replaced[static_cast<std::size_t>(at - index.best.begin())] = true;
      }
    }
    if (edit.now > kMinusInfinity) {
      if (better(last, after)) {
        out.added.push_back(edit.now);
      } else {
        moved.push_back(after);
      }
    }
  }
  std::sort(moved.begin(), moved.end(), better);
  auto next = moved.begin();
  for (std::size_t i = 0; i < index.best.size(); ++i) {
    if (replaced[i]) {
      continue;
    }
    for (; next != moved.end() && better(*next, index.best[i]); ++next) {
      out.best.push_back(*next);
    }
    out.best.push_back(index.best[i]);
  }
  out.best.insert(out.best.end(), next, moved.end());
  out.complete = index.tail.size == left_tail && out.added.empty();
}

}  // namespace

bool answer(const HeadIndex& index, const ScanStatistics& stats, const ScanRequest& request, ScanResult& out) {
  out.stats = stats;
  if (wants_best(*request.params)) {
    out.token = stats.top1;
    out.logprob = log_probability(stats.top1_logit, stats.top1_logit, index.sums.mass);
    return true;
  }
  const auto temperature = static_cast<double>(request.params->temperature);
  Interval rest = index.tail.mass(temperature);
  const double factor = rescale(index.tail.reference, index.best[0].logit, temperature);
  rest = {rest.lo * factor, rest.hi * factor};
  const auto chosen = draw(index.best, index.complete(), rest, request);
  if (chosen) {
    out.token = chosen->token;
    out.logprob = log_probability(chosen->logit, index.best[0].logit, index.sums.mass);
  }
  return chosen.has_value();
}

bool answer_edited(const HeadIndex& index, std::span<const float> logits, const ScanRequest& request, ScanResult& out) {
  thread_local std::vector<Edit> edits;
  thread_local EditedHead head;
  thread_local std::vector<float> listed_logits;
  list_edits(logits, request, edits);
  for (const Edit& edit : edits) {
    if (!(edit.now < std::numeric_limits<float>::infinity())) {
      return false;  // the full scan says what is wrong
    }
  }
  apply(index, edits, head);
  if (head.best.empty() || (head.best.size() == 1 && !head.complete)) {
    return false;  // the second best is not known
  }

  // Statistics at temperature 1: the listed ids, plus the tail as it is now.
  const float max = head.best[0].logit;
  listed_logits.clear();
  for (const Candidate& c : head.best) {
    listed_logits.push_back(c.logit);
  }
  const RowSums listed = sums_at(listed_logits.data(), listed_logits.size(), max);
  const float reference = index.tail.reference;
  const RowSums removed = sums_at(head.removed.data(), head.removed.size(), reference);
  const RowSums added = sums_at(head.added.data(), head.added.size(), reference);
  const double factor = rescale(reference, max, 1.0);
  const double shift = static_cast<double>(reference) - static_cast<double>(max);
  const double tail_mass = std::max(0.0, index.tail.sums.mass - removed.mass) + added.mass;
  const double tail_weighted = index.tail.sums.weighted - removed.weighted + added.weighted;
  const double mass = listed.mass + factor * tail_mass;
  const double weighted = listed.weighted + factor * (tail_weighted + tail_mass * shift);
  if (!head.removed.empty() && factor * index.tail.sums.mass > kMostCancelled * mass) {
    return false;
  }
  const Candidate second = head.best.size() > 1 ? head.best[1] : Candidate{kMinusInfinity, kNoToken};
  out.stats = statistics_of(head.best[0], second, mass, weighted);

  Candidate chosen = head.best[0];
  if (!wants_best(*request.params)) {
    const auto temperature = static_cast<double>(request.params->temperature);
    const auto a = static_cast<float>(1.0 / temperature);
    const double scale = rescale(reference, max, temperature);
    Interval rest = index.tail.mass(temperature);
    const double gone = kernels().mass(head.removed.data(), head.removed.size(), reference, a);
    const double come = kernels().mass(head.added.data(), head.added.size(), reference, a);
    // Each sum is right to kMassSlack of itself, so the difference to that much of what it came from.
    const double error = head.removed.empty() ? 0.0 : kMassSlack * rest.hi;
    rest = {scale * (std::max(0.0, rest.lo - gone - error) + come),
            scale * (std::max(0.0, rest.hi - gone + error) + come)};
    if (head.complete) {
      rest = {};
    }
    const auto drawn = draw(head.best, head.complete, rest, request);
    if (!drawn) {
      return false;
    }
    chosen = *drawn;
  }
  out.token = chosen.token;
  out.logprob = log_probability(chosen.logit, max, mass);
  return true;
}

}  // namespace poise::scan_detail
