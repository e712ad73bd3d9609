// The candidates of one session, and what is learned about it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "idle/rate.h"
#include "poise/idle_scheduler.h"

namespace poise::idle {

/// A lane is a tenant's log work or its guesses: a pause holds back only the latter.
enum Lane : std::uint32_t { kLogLane = 0, kGuessLane = 1 };
inline constexpr std::uint32_t kLaneCount = 2;

[[nodiscard]] inline Lane lane_of(const IdleCandidate& candidate) noexcept {
  return candidate.anticipation == 0 ? kLogLane : kGuessLane;
}

struct Item {
  IdleCandidate candidate;
  double value = 0.0;
  std::uint64_t served = 0;  ///< tick of the last next() that returned it; 0 = never
};

/// Small (a session has at most some dozens of guesses), so it is searched linearly.
struct SessionQueue {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  SessionKey key = 0;
  std::uint32_t tenant = 0;  ///< index
  bool alive = false;
  std::uint64_t order = 0;  ///< of creation
  std::uint64_t served = 0;
  std::array<Rate, kAnticipationKindCount> rates;
  std::vector<Item> items;

  [[nodiscard]] std::size_t find(AnticipationId anticipation) const noexcept {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].candidate.anticipation == anticipation) return i;
    }
    return kNone;
  }

  /// The most valuable item of a lane; among equals the one served longest ago, then offered first.
  [[nodiscard]] std::size_t best(Lane lane) const noexcept {
    std::size_t best = kNone;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (lane_of(items[i].candidate) != lane) continue;
      if (best == kNone || items[i].value > items[best].value ||
          (items[i].value == items[best].value && items[i].served < items[best].served)) {
        best = i;
      }
    }
    return best;
  }
};

}  // namespace poise::idle
