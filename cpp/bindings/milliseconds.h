// Times cross into Python as float milliseconds; their names end in _ms.
#pragma once

#include <chrono>
#include <cmath>
#include <string>

#include "poise/clock.h"
#include "poise/error.h"

namespace poise::bindings {

/// Throws InvalidArgument for a value that is not finite or beyond 30 years. `what` names it.
[[nodiscard]] inline Duration from_ms(double milliseconds, const char* what) {
  constexpr double kLimit_ms = 1e12;
  if (!(std::abs(milliseconds) <= kLimit_ms)) {
    throw InvalidArgument(std::string(what) + " is " + std::to_string(milliseconds) +
                          " ms, must be finite and within 1e12");
  }
  return Duration(static_cast<Duration::rep>(std::llround(milliseconds * 1e6)));
}

}  // namespace poise::bindings
