#include "executors/llama/pool.h"

#include <algorithm>
#include <cmath>

namespace poise::llama {
namespace {

constexpr Position kTokens = 8;

// The row behind one more token.
std::vector<float> row_behind(Pool& pool, SeqId local) {
  pool.batch.clear();
  const std::int32_t index = pool.batch.add(1, pool.context.length(local), local, true);
  if (pool.context.decode(pool.batch) != PassResult::done) {
    return {};
  }
  const auto row = pool.context.row(index);
  return {row.begin(), row.end()};
}

bool equal_rows(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.empty() || a.size() != b.size()) {
    return false;
  }
  float largest = 0.0F;
  float apart = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i]));
    apart = std::max(apart, std::abs(a[i] - b[i]));
  }
  return apart <= 0.01F * largest;  // kernels may differ with the capacity; other KV is further away by far
}

bool moves(Pool& from, Pool& to) {
  const SeqId source = from.sequences - 1;  // behind the streams of all others
  from.batch.clear();
  const Position count = std::min({kTokens, from.context.shape().batch_tokens, from.context.capacity() - 1});
  for (Position at = 0; at < count; ++at) {
    from.batch.add(at, at, source, false);
  }
  if (from.context.decode(from.batch) != PassResult::done) {
    return false;
  }
  KvState state = from.context.save(source);
  if (!state.portable() || !to.context.restore(0, state) || to.context.length(0) != count) {
    return false;
  }
  return equal_rows(row_behind(from, source), row_behind(to, 0));
}

}  // namespace

bool states_move(Pool& from, Pool& to, std::int32_t most_streams) {
  from.context.make_states_portable(most_streams);
  to.context.make_states_portable(most_streams);
  const bool whole = moves(from, to);
  if (!whole) {
    from.context.make_states_portable(0);
    to.context.make_states_portable(0);
  }
  from.context.clear();
  to.context.clear();
  return whole;
}

}  // namespace poise::llama
