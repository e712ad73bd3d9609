// Everything that a SessionManager counts. Monotonic unless it says "now".
#pragma once

#include <array>
#include <cstdint>

#include "poise/clock.h"
#include "poise/session.h"

namespace poise {

struct Counters {
  // now
  std::uint64_t sessions_open = 0;
  std::uint64_t base_prefixes = 0;
  std::uint64_t entries = 0;
  std::uint64_t entry_bytes = 0;
  // turns and commits
  std::array<std::uint64_t, kPathCount> turns_by_path{};
  std::uint64_t turns_durable = 0, turns_ephemeral = 0, turns_cancelled = 0, turns_failed = 0;
  std::uint64_t appends = 0, commits = 0, rebases = 0, forks = 0, conflicts = 0;
  std::uint64_t window_slides = 0, window_slides_unprepared = 0, window_dropped_tokens = 0;
  // entries; the second index is the kind
  std::array<std::array<std::uint64_t, kAnticipationKindCount>, kEntryOutcomeCount> entry_outcomes{};
  std::uint64_t entries_advanced = 0;
  // gate
  std::uint64_t gate_asked = 0, gate_fired = 0, gate_refused = 0;
  // vocabulary scans of ready distributions
  std::uint64_t scans_head = 0, scans_full = 0;
  // work: prepaid in idle time, used from it, wasted, and done while a client waited
  std::uint64_t idle_jobs = 0, idle_jobs_cancelled = 0, idle_jobs_failed = 0;
  std::uint64_t idle_prefilled_tokens = 0, idle_decoded_tokens = 0;
  std::uint64_t idle_thought_tokens = 0;  ///< of the decoded ones: inside a thought
  std::uint64_t used_prefilled_tokens = 0, used_decoded_tokens = 0;
  std::uint64_t request_prefilled_tokens = 0, request_decoded_tokens = 0;
  Duration idle_time{};
  // base prefixes
  std::uint64_t prefix_sessions_started = 0, prefix_tokens_saved = 0;

  [[nodiscard]] std::uint64_t turns(Path path) const { return turns_by_path[static_cast<std::size_t>(path)]; }
};

}  // namespace poise
