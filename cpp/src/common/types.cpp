#include "poise/types.h"

#include <algorithm>
#include <cstring>

namespace poise {

std::size_t common_prefix(TokenSpan a, TokenSpan b) noexcept {
  const std::size_t length = std::min(a.size(), b.size());
  // Whole blocks first: logs of thousands of equal ids are compared on every turn, and memcmp is the fast way to.
  constexpr std::size_t kBlock = 64;
  std::size_t same = 0;
  while (same + kBlock <= length && std::memcmp(&a[same], &b[same], kBlock * sizeof(TokenId)) == 0) {
    same += kBlock;
  }
  while (same < length && a[same] == b[same]) {
    ++same;
  }
  return same;
}

}  // namespace poise
