#include "poise/types.h"

#include <algorithm>

namespace poise {

std::size_t common_prefix(TokenSpan a, TokenSpan b) noexcept {
  const std::size_t length = std::min(a.size(), b.size());
  const auto last = a.begin() + static_cast<std::ptrdiff_t>(length);
  return static_cast<std::size_t>(std::mismatch(a.begin(), last, b.begin()).first - a.begin());
}

}  // namespace poise
