// DESIGN's row "rollback and resume bookkeeping, no copy": what the embedded executor's books cost when a request of
// an owner resumes its own sequence at a position before its end. No pass is in it: acquire() looks the prefix up,
// removes the tail from KV, and sets the books right; end_use() gives the sequence back.
#include <memory>
#include <vector>

#include "commands.h"
#include "executors/llama/kv_store.h"
#include "executors/llama/model.h"
#include "poise/error.h"
#include "timed_sink.h"
#include "world.h"

namespace poise::bench {
namespace {

using llama::SeqId;

/// Computes tokens[from..] on one sequence in passes of at most `pass_tokens`, as a request would.
void extend(llama::KvContext& kv, llama::KvStore& store, llama::PassBatch& batch, SeqId seq, TokenSpan tokens,
            std::size_t from, std::size_t pass_tokens) {
  for (std::size_t begin = from; begin < tokens.size(); begin += pass_tokens) {
    const std::size_t count = std::min(pass_tokens, tokens.size() - begin);
    batch.clear();
    for (std::size_t i = begin; i < begin + count; ++i) {
      batch.add(tokens[i], static_cast<Position>(i), seq, i + 1 == begin + count);
    }
    if (kv.decode(batch) != llama::PassResult::done) {
      throw ExecutorError("a pass of the benchmark failed: " + kv.error());
    }
    store.append(seq, tokens.subspan(begin, count));
  }
}

}  // namespace

int run_rollback(Arguments& arguments) {
  const std::string path = arguments.text("model", "");
  const Position capacity = arguments.integer("context", 8192);
  const std::int32_t tail = arguments.integer("tail", 32);
  const std::int32_t turns = arguments.integer("turns", 50);
  llama::ContextShape shape;
  shape.sequences = arguments.integer("sequences", 2);
  shape.tokens = capacity;
  shape.threads = arguments.integer("threads", 2);
  shape.unified = arguments.text("layout", "streams") == "unified";
  arguments.check_all_used();

  const auto model = llama::load_model(path, -1, {});
  llama::Pools pools;
  pools.push_back(std::make_unique<llama::Pool>(model, shape, nullptr, 0));
  llama::Pool& pool = *pools.front();
  llama::KvContext& kv = pool.context;
  pool.costs.prefill_us_per_token.add(100.0);  // as the executor measures at its start: reusing must be worth something
  llama::KvStore store(pools, {.park_bytes = 0, .can_roll_back = true});
  TokenSource ids(model->vocab_size, 23);
  const Tokens log = ids.draw(capacity - tail - 1);

  std::vector<double> rollback_us;
  std::vector<double> resume_us;
  std::vector<double>
      remove_us;  // llama_memory_seq_rm alone, which walks over all cells though nothing is behind the end
  RequestId next = 1;
  for (std::int32_t i = -2; i < turns; ++i) {
    Tokens tokens = log;
    const Tokens fresh = ids.draw(tail);
    tokens.insert(tokens.end(), fresh.begin(), fresh.end());
    llama::KvRequest request;
    request.id = next++;
    request.owner = 1;
    request.tokens = tokens;
    request.limit = static_cast<Position>(tokens.size()) - 1;
    request.length = static_cast<Position>(tokens.size()) + 1;
    const TimePoint begin = now();
    const auto acquired = store.acquire(request, begin);
    const TimePoint acquired_at = now();
    if (!acquired || acquired->copied + acquired->restored != 0) {
      throw ExecutorError("the sequence was not resumed in place");
    }
    const bool resumed = acquired->reused == static_cast<Position>(log.size());
    extend(kv, store, pool.batch, acquired->seq, tokens, static_cast<std::size_t>(acquired->reused),
           static_cast<std::size_t>(shape.batch_tokens));
    const TimePoint ending = now();
    store.end_use(acquired->seq, {}, ending);
    const TimePoint ended = now();
    static_cast<void>(kv.remove(acquired->seq, static_cast<Position>(tokens.size())));
    const TimePoint removed = now();
    if (i >= 0) {
      if (!resumed) {
        throw ExecutorError("the log was not resident");
      }
      rollback_us.push_back(to_us(acquired_at - begin));
      remove_us.push_back(to_us(removed - ended));
      resume_us.push_back(to_us(acquired_at - begin + ended - ending));
    }
  }
  ExecutorStats stats;
  store.fill(stats, {});
  JsonObject()
      .add("capacity_tokens", capacity)
      .add("log_tokens", static_cast<std::int64_t>(log.size()))
      .add("tail_tokens", tail)
      .add("layout", shape.unified ? "unified" : "streams")
      .add("sequences", shape.sequences)
      .add("rollbacks", stats.rollbacks)
      .add("copies", stats.copies)
      .add("remove_us", remove_us)
      .add("acquire_us", rollback_us)
      .add("acquire_and_end_us", resume_us)
      .print();
  return 0;
}

}  // namespace poise::bench
