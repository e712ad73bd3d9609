// From options to a running executor: checks, loading, memory plan, layout, measurements, facts.
#include <algorithm>
#include <cmath>
#include <iomanip>
#include <random>
#include <set>
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

void check_classes(const std::vector<SizeClass>& classes) {
  Position before = 0;
  for (const SizeClass& size : classes) {
    if (size.sequences < 1 || size.sequences > kMaxSequences) {
      throw InvalidArgument(text("size_classes: the class of ", size.context_tokens, " tokens has ", size.sequences,
                                 " sequences, must have 1 to ", kMaxSequences));
    }
    if (size.context_tokens <= before) {
      throw InvalidArgument(text("size_classes: a class of ", size.context_tokens, " tokens follows one of ", before,
                                 "; lengths are above 0 and ascend"));
    }
    before = size.context_tokens;
  }
}

void check_names(const std::vector<AdapterFile>& adapters) {
  std::set<std::string> names;
  for (const AdapterFile& adapter : adapters) {
    if (adapter.name.empty()) {
      throw InvalidArgument(text("adapters: '", adapter.path, "' has no name"));
    }
    if (!names.insert(adapter.name).second) {
      throw InvalidArgument(text("adapters: two are called '", adapter.name, "'; give each a name of its own"));
    }
  }
}

void check(const LlamaOptions& options) {
  const auto at_least = [](const char* name, auto value, auto least) {
    if (!(value >= least)) {
      throw InvalidArgument(text(name, " is ", value, ", must be at least ", least));
    }
  };
  if (options.size_classes.empty() && (options.max_sequences < 1 || options.max_sequences > kMaxSequences)) {
    throw InvalidArgument(text("max_sequences is ", options.max_sequences, ", must be in 1..", kMaxSequences,
                               "; more sessions than sequences are parked"));
  }
  at_least("context_tokens", options.context_tokens, 0);
  at_least("threads", options.threads, 0);
  at_least("batch_tokens", options.batch_tokens, 1);
  at_least("gpu_layers", options.gpu_layers, -1);
  check_classes(options.size_classes);
  check_names(options.adapters);
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
  model_ = llama::load_model(options_.model_path, options_.gpu_layers, options_.progress, options_.adapters);
  vocab_ = std::make_shared<llama::Vocab>(model_);
  if (options_.threads == 0) {
    options_.threads = llama::physical_cores();
  }
  if (options_.context_tokens == 0) {
    options_.context_tokens =
        std::min(std::max<Position>(model_->trained_context_tokens, llama::kCellPadding), kDefaultContextCap);
  }
  classes_ = options_.size_classes;
  if (classes_.empty()) {
    classes_ = {{options_.context_tokens, options_.max_sequences}};
  }
  options_.context_tokens = classes_.back().context_tokens;
  options_.max_sequences = 0;
  for (const SizeClass& size : classes_) {
    options_.max_sequences += size.sequences;
  }
  const llama::MemoryPlan plan = llama::plan_memory(*model_, options_, classes_);
  choose_layout();
  make_pools();
  const bool one_pass_fits = probe_pools();
  // unified KV reuses cells that have left a sliding window, whoever's they are
  const bool loses_cells = options_.layout == KvLayout::unified && model_->window_tokens > 0;
  info_.can_roll_back = info_.can_roll_back && !model_->recurrent && !loses_cells;
  // states of sliding windows and recurrent memories are laid out in another way
  states_move_ = pools_.size() > 1 && info_.can_roll_back && model_->window_tokens == 0;
  for (std::size_t i = 1; i < pools_.size() && states_move_; ++i) {
    states_move_ = llama::states_move(*pools_[i - 1], *pools_[i], options_.max_sequences);
  }
  kv_ = std::make_unique<llama::KvStore>(pools_,
                                         llama::KvStore::Options{options_.park_bytes, info_.can_roll_back, states_move_,
                                                                 options_.max_idle_step_ms * 1000.0});
  describe(plan, one_pass_fits);
}

void LlamaExecutor::Impl::make_pools() {
  const llama::Workers workers = llama::start_workers(options_.threads);
  llama::SeqId first = 0;
  for (const SizeClass& size : classes_) {
    llama::ContextShape shape;
    shape.sequences = size.sequences;
    shape.tokens = size.context_tokens;
    shape.batch_tokens = options_.batch_tokens;
    shape.outputs = 2 * size.sequences + kRowsOfAPass;
    shape.threads = options_.threads;
    shape.unified = options_.layout == KvLayout::unified;
    pools_.push_back(std::make_unique<llama::Pool>(model_, shape, workers, first));
    first += size.sequences;
  }
  options_.batch_tokens = pools_.front()->context.shape().batch_tokens;
}

bool LlamaExecutor::Impl::probe_pools() {
  constexpr std::chrono::milliseconds kBudget{800};  // for repeating measurements, all pools together
  bool one_pass_fits = true;
  info_.can_roll_back = true;
  info_.idle_quantum_tokens = options_.batch_tokens;
  for (const auto& pool : pools_) {
    const llama::ProbeResult probe = llama::probe_costs(pool->context, pool->costs, options_.max_idle_step_ms,
                                                        kBudget / static_cast<int>(pools_.size()));
    const std::int32_t batch_tokens = pool->context.shape().batch_tokens;
    pool->idle_quantum_tokens = std::max(probe.idle_quantum_tokens, std::min(interruptible_tokens(), batch_tokens));
    info_.idle_quantum_tokens = std::min(info_.idle_quantum_tokens, pool->idle_quantum_tokens);
    info_.can_roll_back = info_.can_roll_back && probe.can_roll_back;
    one_pass_fits = one_pass_fits && probe.one_pass_fits;
  }
  return one_pass_fits;
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
  // all classes have the same layout, so that KV can move between them: that of the class with the most sequences
  LlamaOptions widest = options_;
  const auto size = std::max_element(classes_.begin(), classes_.end(),
                                     [](const SizeClass& a, const SizeClass& b) { return a.sequences < b.sequences; });
  widest.max_sequences = size->sequences;
  widest.context_tokens = size->context_tokens;
  const llama::LayoutChoice choice = llama::choose_layout(model_, widest);
  options_.layout = choice.layout;
  if (choice.measured) {
    std::ostringstream note;
    note << std::fixed << std::setprecision(2) << "; measured ms a token, one running / half of them: streams "
         << choice.streams.one_us / 1000.0 << " / " << choice.streams.many_us / 1000.0 << ", unified "
         << choice.unified.one_us / 1000.0 << " / " << choice.unified.many_us / 1000.0;
    layout_note_ = note.str();
  }
}

void LlamaExecutor::Impl::describe(const llama::MemoryPlan& plan, bool one_pass_fits) {
  info_.memory_plan = plan.text();
  info_.kv_bytes = plan.kv_bytes();
  info_.kv_bytes_per_token = plan.bytes_per_token;
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
  if (pools_.size() > 1) {
    info_.memory_plan += states_move_ ? "; KV moves between classes" : "; a larger class is prefilled anew";
  }
  stats_.prefill_us_per_token = pools_.front()->costs.prefill_us_per_token.value_or(0.0);
  stats_.decode_us_per_step = pools_.front()->costs.decode_us.value_or(0.0);
}

}  // namespace poise
