// The sequences of one size class: a llama_context of their own over the shared weights.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "executors/llama/costs.h"
#include "executors/llama/kv_context.h"

namespace poise::llama {

/// Sequences are numbered across all pools; inside its context a sequence is `local`.
struct Pool {
  Pool(std::shared_ptr<const Model> model, const ContextShape& shape, Workers workers, SeqId first_sequence)
      : context(std::move(model), shape, std::move(workers)),
        batch(static_cast<std::size_t>(context.shape().batch_tokens)),
        first(first_sequence),
        sequences(shape.sequences),
        tokens(shape.tokens) {}

  [[nodiscard]] SeqId local(SeqId seq) const { return seq - first; }

  KvContext context;
  Costs costs;  ///< of its passes: they differ with the number of sequences
  PassBatch batch;
  SeqId first = 0;
  std::int32_t sequences = 1;
  Position tokens = 0;  ///< longest context of a sequence, as asked for; what is allocated is padded
  std::int32_t idle_quantum_tokens = 1;
  double us_under_adapter = 0.0;  ///< of passes since the last switch
};

/// Ascending by `tokens` and by `first`.
using Pools = std::vector<std::unique_ptr<Pool>>;

/// Whether a state saved in one pool answers right in another one: tried with a few tokens. Both must be empty, and are
/// empty afterwards. On success both save portable states.
[[nodiscard]] bool states_move(Pool& from, Pool& to, std::int32_t most_streams);

}  // namespace poise::llama
