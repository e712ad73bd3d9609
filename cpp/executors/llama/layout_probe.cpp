#include "executors/llama/layout_probe.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "executors/llama/kv_context.h"

namespace poise::llama {
namespace {

constexpr std::int32_t kSequences = 8;     // resident in a probe at most
constexpr Position kDepth = 192;           // tokens of each; below 256, so that streams pay for one padded block
constexpr double kFillBudgetUs = 100'000;  // for computing that depth once
constexpr int kRepeats = 3;

class Probe {
 public:
  Probe(const std::shared_ptr<const Model>& model, const LlamaOptions& options, bool unified)
      : sequences_(std::min(options.max_sequences, kSequences)),
        kv_(model, {sequences_, 256, static_cast<std::int32_t>(kDepth), 2 * sequences_ + 2, options.threads, unified}),
        batch_(256) {}

  [[nodiscard]] std::int32_t sequences() const { return sequences_; }

  // Gives every sequence the same `depth` tokens: computed once, copied as state. False if that fails.
  bool fill(Position depth) {
    if (run({0}, depth) < 0.0) {
      return false;
    }
    KvState state = kv_.save(0);
    for (SeqId seq = 1; seq < sequences_; ++seq) {
      if (state.empty() || !kv_.restore(seq, state)) {
        return false;
      }
    }
    return true;
  }

  // The fastest of some passes of one token for each of `seqs`; they are taken back. Negative: a pass failed.
  double single_us(const std::vector<SeqId>& seqs) {
    double best = -1.0;
    for (int i = 0; i < kRepeats; ++i) {
      const Position depth = kv_.length(seqs.front());
      const double us = run(seqs, 1);
      if (us < 0.0) {
        return us;
      }
      best = best < 0.0 ? us : std::min(best, us);
      for (const SeqId seq : seqs) {
        static_cast<void>(kv_.remove(seq, depth));
      }
    }
    return best;
  }

 private:
  double run(const std::vector<SeqId>& seqs, Position tokens) {
    batch_.clear();
    for (const SeqId seq : seqs) {
      const Position begin = kv_.length(seq);
      for (Position at = 0; at < tokens; ++at) {
        batch_.add(0, begin + at, seq, at + 1 == tokens);
      }
    }
    const auto begin = std::chrono::steady_clock::now();
    if (kv_.decode(batch_) != PassResult::done) {
      return -1.0;
    }
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  }

  std::int32_t sequences_;
  KvContext kv_;
  PassBatch batch_;
};

std::vector<SeqId> every(std::int32_t sequences, SeqId step) {
  std::vector<SeqId> seqs;
  for (SeqId seq = 0; seq < sequences; seq += step) {
    seqs.push_back(seq);
  }
  return seqs;
}

Position affordable_depth(double one_us) {
  // a prefilled token costs at most a pass of its own
  return std::clamp(static_cast<Position>(kFillBudgetUs / std::max(one_us, 1.0)), 16, kDepth);
}

}  // namespace

LayoutChoice choose_layout(const std::shared_ptr<const Model>& model, const LlamaOptions& options) {
  LayoutChoice choice;
  if (options.max_sequences == 1 || model->recurrent || model->window_tokens > 0) {
    return choice;
  }
  Position depth = 0;
  {
    Probe streams(model, options, false);
    static_cast<void>(streams.single_us({0}));  // warm-up
    const double bare = streams.single_us({0});
    if (bare < 0.0 || bare > kTooSlowUs) {
      return choice;
    }
    depth = affordable_depth(bare);
    if (!streams.fill(depth)) {
      return choice;
    }
    choice.streams.one_us = streams.single_us({0});
    const auto running = every(streams.sequences(), 2);
    // as the executor would: a pass each, or one pass over them and the holes between
    const double apart = choice.streams.one_us;
    const double filled = streams.single_us(every(running.back() + 1, 1)) / static_cast<double>(running.size());
    choice.streams.many_us = filled < 0.0 ? apart : std::min(apart, filled);
  }
  Probe unified(model, options, true);
  static_cast<void>(unified.single_us({0}));
  const double alone = unified.single_us({0});
  if (alone < 0.0 || !unified.fill(depth)) {
    return choice;
  }
  const double among = unified.single_us({0});
  const auto running = every(unified.sequences(), 2);
  const double together = unified.single_us(running);
  if (among < 0.0 || together < 0.0) {
    return choice;
  }
  // every running token attends to every cell, its own or not
  const double probe_cells = static_cast<double>(unified.sequences()) * depth;
  const double us_per_cell = std::max(0.0, among - alone) / probe_cells;
  const double real_cells = static_cast<double>(options.max_sequences) * options.context_tokens / 2.0;
  const double extra_us = us_per_cell * std::max(0.0, real_cells - probe_cells);
  choice.unified.one_us = among + extra_us;
  choice.unified.many_us = together / static_cast<double>(running.size()) + extra_us;
  choice.measured = true;
  const double streams_cost = choice.streams.one_us * choice.streams.many_us;
  const double unified_cost = choice.unified.one_us * choice.unified.many_us;
  choice.layout = unified_cost < streams_cost ? KvLayout::unified : KvLayout::streams;
  return choice;
}

}  // namespace poise::llama
