#include "executors/llama/startup_probe.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "common/format.h"
#include "poise/error.h"

namespace poise::llama {
namespace {

constexpr int kRepeats = 5;  // the fastest counts: what else runs on the machine is not the pass's cost

class Probe {
 public:
  Probe(KvContext& context, std::chrono::milliseconds budget)
      : context_(context), batch_(static_cast<std::size_t>(context.shape().batch_tokens)), budget_(budget) {}

  // Microseconds of a pass of `tokens` tokens on each of the first `sequences` sequences; they are removed again.
  double pass_us(std::int32_t tokens, std::int32_t sequences) {
    const double us = run(tokens, sequences);
    for (SeqId seq = 0; seq < sequences; ++seq) {
      static_cast<void>(context_.remove(seq, 0));
    }
    return us;
  }

  // Gives the first sequence `tokens` tokens.
  void fill(std::int32_t tokens) {
    for (std::int32_t i = 0; i < tokens; ++i) {
      run(1, 1);  // a batch may have room for one token only
    }
  }

  double best_us(std::int32_t tokens, std::int32_t sequences) {
    double best = pass_us(tokens, sequences);
    for (int i = 1; i < kRepeats && !late(); ++i) {
      best = std::min(best, pass_us(tokens, sequences));
    }
    return best;
  }

  /// The budget for repeats is spent; every pass that is needed runs at least once.
  [[nodiscard]] bool late() const { return std::chrono::steady_clock::now() - begin_ > budget_; }

 private:
  double run(std::int32_t tokens, std::int32_t sequences) {
    batch_.clear();
    for (SeqId seq = 0; seq < sequences; ++seq) {
      const Position begin = context_.length(seq);
      for (Position at = 0; at < tokens; ++at) {
        batch_.add(0, begin + at, seq, at + 1 == tokens);
      }
    }
    const auto begin = std::chrono::steady_clock::now();
    if (context_.decode(batch_) != PassResult::done) {
      throw ExecutorError(text("the first pass of the model failed: ", context_.error()));
    }
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  }

  KvContext& context_;
  PassBatch batch_;
  std::chrono::milliseconds budget_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

void probe_widths(Probe& probe, const KvContext& context, Costs& costs) {
  for (std::int32_t width = 1; width <= std::min(context.shape().sequences, 8); width *= 2) {
    const double us = probe.best_us(1, width);
    costs.single_pass_us.add(width, us);
    if (width == 1) {
      costs.decode_us.add(us);
    }
  }
}

// A copy's price shows in the pass that carries it out.
void probe_copy(Probe& probe, KvContext& context, Costs& costs) {
  if (context.shape().sequences < 2) {
    return;
  }
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i == 0 || (i < kRepeats && !probe.late()); ++i) {
    const auto begin = std::chrono::steady_clock::now();
    context.copy(0, 1, 1);
    const std::chrono::duration<double, std::micro> call = std::chrono::steady_clock::now() - begin;
    const double carried_out = context.any_dirty() ? probe.pass_us(1, 1) - costs.decode_us.value_or(0.0) : 0.0;
    best = std::min(best, call.count() + std::max(0.0, carried_out));
    static_cast<void>(context.remove(1, 0));
  }
  costs.copy_us.add(best);
}

// A pass of two tokens on an empty sequence, then the removal of the second: what a rollback does and costs.
bool probe_rollback(Probe& probe, KvContext& context, Costs& costs) {
  probe.fill(2);
  const auto begin = std::chrono::steady_clock::now();
  const bool taken_back = context.remove(0, 1) && context.length(0) == 1;
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  costs.rollback_us.add(took.count());
  return taken_back;
}

}  // namespace

ProbeResult probe_costs(KvContext& context, Costs& costs, double max_idle_step_ms, std::chrono::milliseconds budget) {
  Probe probe(context, budget);
  probe.pass_us(1, 1);  // pages the weights in, builds the first graph
  probe_widths(probe, context, costs);

  ProbeResult result;
  const double limit_us = max_idle_step_ms * 1000.0;
  result.one_pass_fits = costs.decode_us.value_or(0.0) <= limit_us;
  costs.prefill_us_per_token.add(costs.decode_us.value_or(0.0));
  for (std::int32_t tokens = 2; tokens <= std::min(context.shape().batch_tokens, context.capacity()); tokens *= 2) {
    const double us = probe.best_us(tokens, 1);
    costs.prefill_us_per_token = Average();
    costs.prefill_us_per_token.add(us / tokens);
    if (us > limit_us) {
      break;
    }
    result.idle_quantum_tokens = tokens;
    if (probe.late()) {
      break;
    }
  }
  result.can_roll_back = probe_rollback(probe, context, costs);
  if (result.can_roll_back) {
    probe_copy(probe, context, costs);
  }
  context.clear();
  return result;
}

}  // namespace poise::llama
