// Text for error messages: every message names the value, the limit and the remedy.
#pragma once

#include <sstream>
#include <string>

namespace poise {

/// The arguments, written one after the other with operator<<.
template <typename... Parts>
[[nodiscard]] std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace poise
