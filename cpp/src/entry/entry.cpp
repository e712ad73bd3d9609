#include "entry/entry.h"

#include <algorithm>

namespace poise {

void Entry::drop_results() {
  ready.reset();
  continuation.clear();
  continuation_done = false;
  thought.reset();
  begun = false;
  worked = false;
  seed_used = false;
  sampling.seed.reset();
  ++generation;
}

void Entry::reset(DataVersion version) {
  drop_results();
  evicted = false;
  data_version = version;
  tokens = guess.tokens;
  completing = guess.completion_tokens > 0;
  decides = guess.decides && !completing;
}

bool Entry::advance(TokenSpan appended, DataVersion version) {
  if (appended.size() > tokens.size()) return false;
  if (!std::equal(appended.begin(), appended.end(), tokens.begin())) return false;
  // A guess of which nothing is left is worth keeping only for its distribution.
  if (appended.size() == tokens.size() && !decides) return false;
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(appended.size()));
  data_version = version;
  evicted = false;
  return true;
}

}  // namespace poise
