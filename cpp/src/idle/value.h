// What a candidate is worth: milliseconds saved over milliseconds spent.
#pragma once

#include "poise/idle_scheduler.h"

namespace poise::idle {

/// Milliseconds saved over milliseconds spent if the candidate is consumed for certain; 0 if it asks for no work.
/// With c = prefill cost a token, D = cost of a decode step, p, m, d = tokens to prefill, to complete, to pre-decode:
///
///   to the decision point   spent  max(p c, D) + m D        a pass costs at least as much as a decode step
///                           saved  max((p + m) c, D) + D    what the request would pay, and the wait for its step
///                                  (p + m) c                if the candidate only frames: a pass remains
///   i-th continuation token spent  D
///                           saved  D a^i                    a = agreement, i counts from the decision point
///
/// The work can be stopped after any step, so the value is that of its best beginning (the Gittins index
/// of a job whose stages are known). It grows as the decision point comes nearer: what was begun is finished first.
[[nodiscard]] double saved_over_spent(const IdleCandidate& candidate, const CostModel& costs,
                                      double agreement) noexcept;

}  // namespace poise::idle
