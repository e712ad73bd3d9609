#include <algorithm>

#include "poise/scan.h"

namespace poise {

std::vector<TokenCount> count_tokens(TokenSpan context, Position output_start) {
  struct Seen {
    TokenId token;
    std::int32_t generated;
  };
  std::vector<Seen> seen;
  seen.reserve(context.size());
  for (std::size_t i = 0; i < context.size(); ++i) {
    seen.push_back({context[i], static_cast<std::int64_t>(i) >= output_start ? 1 : 0});
  }
  std::sort(seen.begin(), seen.end(), [](const Seen& a, const Seen& b) { return a.token < b.token; });
  std::vector<TokenCount> out;
  for (const Seen& s : seen) {
    if (out.empty() || out.back().token != s.token) {
      out.push_back({s.token, 0, true});
    }
    out.back().generated += s.generated;
  }
  return out;
}

}  // namespace poise
