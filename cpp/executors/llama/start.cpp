// From options to a running executor: checks, loading, memory plan, layout, measurements, facts.
#include <algorithm>
#include <cmath>
#include <iomanip>
#include <random>
#include <sstream>

#include "common/format.h"
#include "executors/llama/cpu_cores.h"
#include "executors/llama/executor_impl.h"
#include "executors/llama/layout_probe.h"
#include "executors/llama/log_sink.h"
#include "executors/llama/memory_plan.h"
#include "executors/llama/startup_probe.h"
#include "poise/error.h"

namespace poise {
namespace {

constexpr std::int32_t kMaxSequences = 256;  // LLAMA_MAX_SEQ
constexpr Position kDefaultContextCap = 8192;
constexpr std::int32_t kRowsOfAPass = 32;  // logits rows that a pass returns, beyond two a sequence

void check(const LlamaOptions& options) {
  const auto at_least = [](const char* name, auto value, auto least) {
    if (!(value >= least)) {
      throw InvalidArgument(text(name, " is ", value, ", must be at least ", least));
    }
  };
  if (options.max_sequences < 1 || options.max_sequences > kMaxSequences) {
    throw InvalidArgument(text("max_sequences is ", options.max_sequences, ", must be in 1..", kMaxSequences,
                               "; more sessions than sequences are parked"));
  }
  at_least("context_tokens", options.context_tokens, 0);
  at_least("threads", options.threads, 0);
  at_least("batch_tokens", options.batch_tokens, 1);
  at_least("gpu_layers", options.gpu_layers, -1);
  if (!std::isfinite(options.max_idle_step_ms) || options.max_idle_step_ms <= 0.0) {
    throw InvalidArgument(text("max_idle_step_ms is ", options.max_idle_step_ms, ", must be a number above 0"));
  }
}

}  // namespace

LlamaExecutor::Impl::Impl(LlamaOptions options) : options_(std::move(options)) {
  check(options_);
  std::random_device entropy;
  seed_state_ = (static_cast<std::uint64_t>(entropy()) << 32U) | entropy();
  load();
  thread_ = std::thread([this] { run(); });
}

void LlamaExecutor::Impl::load() {
  model_ = llama::load_model(options_.model_path, options_.gpu_layers, options_.progress);
  vocab_ = std::make_shared<llama::Vocab>(model_);
  if (options_.context_tokens == 0) {
    options_.context_tokens =
        std::min(std::max<Position>(model_->trained_context_tokens, llama::kCellPadding), kDefaultContextCap);
  }
  if (options_.threads == 0) {
    options_.threads = llama::physical_cores();
  }
  const llama::MemoryPlan plan = llama::plan_memory(*model_, options_);
  choose_layout();

  llama::ContextShape shape;
  shape.sequences = options_.max_sequences;
  shape.tokens = options_.context_tokens;
  shape.batch_tokens = options_.batch_tokens;
  shape.outputs = 2 * options_.max_sequences + kRowsOfAPass;
  shape.threads = options_.threads;
  shape.unified = options_.layout == KvLayout::unified;
  context_ = std::make_unique<llama::KvContext>(model_, shape);
  options_.batch_tokens = context_->shape().batch_tokens;
  batch_ = llama::PassBatch(static_cast<std::size_t>(options_.batch_tokens));

  const llama::ProbeResult probe = llama::probe_costs(*context_, costs_, options_.max_idle_step_ms);
  info_.idle_quantum_tokens =
      std::max(probe.idle_quantum_tokens, std::min(interruptible_tokens(), options_.batch_tokens));
  // unified KV reuses cells that have left a sliding window, whoever's they are
  const bool loses_cells = shape.unified && model_->window_tokens > 0;
  info_.can_roll_back = probe.can_roll_back && !model_->recurrent && !loses_cells;
  kv_ = std::make_unique<llama::KvStore>(
      *context_, costs_,
      llama::KvStore::Options{options_.max_sequences, options_.park_bytes, info_.can_roll_back,
                              options_.max_idle_step_ms * 1000.0});
  info_.memory_plan = plan.text();
  info_.kv_bytes = plan.kv_bytes();
  info_.kv_bytes_per_token = plan.bytes_per_token;
  describe(probe.one_pass_fits);
}

// On a CPU a request interrupts an idle pass, so a slow machine need not creep ahead token by token.
std::int32_t LlamaExecutor::Impl::interruptible_tokens() const {
  constexpr std::int32_t kInterruptibleTokens = 16;
  return model_->on_gpu ? 1 : kInterruptibleTokens;
}

void LlamaExecutor::Impl::choose_layout() {
  if (options_.layout != KvLayout::automatic) {
    return;
  }
  const llama::LayoutChoice choice = llama::choose_layout(model_, options_);
  options_.layout = choice.layout;
  if (choice.measured) {
    std::ostringstream note;
    note << std::fixed << std::setprecision(2) << "; measured ms a token, one running / half of them: streams "
         << choice.streams.one_us / 1000.0 << " / " << choice.streams.many_us / 1000.0 << ", unified "
         << choice.unified.one_us / 1000.0 << " / " << choice.unified.many_us / 1000.0;
    layout_note_ = note.str();
  }
}

void LlamaExecutor::Impl::describe(bool one_pass_fits) {
  info_.name = "llama";
  info_.model_name = model_->file.name;
  info_.model_fingerprint = model_->file.fingerprint;
  info_.vocab_size = model_->vocab_size;
  info_.end_tokens = model_->end_tokens;
  info_.block_tokens = 1;
  info_.max_sequences = options_.max_sequences;
  info_.max_context_tokens = options_.context_tokens;
  info_.reuse = Reuse::exact;
  info_.logits_device = Device::host;
  // Draws are keyed by absolute position and counts follow from output_start, so a split changes nothing. Memory that
  // cannot roll back computes the last token of a resident context anew with everything before it: still the same rows.
  info_.split = {.greedy = true,
                 .seeded_sampling = true,
                 .penalties = true,
                 .bias = true,
                 .constraint = true,
                 .stop_tokens = true,
                 .logprobs = true};
  info_.memory_plan +=
      text("; ", options_.layout == KvLayout::unified ? "unified" : "one stream a sequence", ", ", options_.threads,
           options_.threads == 1 ? " thread" : " threads", ", one pass ", one_pass_fits ? "fits" : "exceeds",
           " an idle step of ", options_.max_idle_step_ms, " ms", layout_note_);
  stats_.prefill_us_per_token = costs_.prefill_us_per_token.value_or(0.0);
  stats_.decode_us_per_step = costs_.decode_us.value_or(0.0);
}

}  // namespace poise
