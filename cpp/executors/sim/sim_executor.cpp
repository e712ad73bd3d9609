#include "poise/sim_executor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/format.h"
#include "executors/sim/sim_impl.h"
#include "poise/error.h"

namespace poise {
namespace {

void require(bool holds, const char* option, std::int64_t value, const char* range) {
  if (!holds) {
    throw InvalidArgument(text("the SimExecutor's ", option, " is ", value, ", must be ", range));
  }
}

SimOptions checked(const SimOptions& options) {
  require(options.vocab_size >= 2, "vocab_size", options.vocab_size, "at least 2");
  require(options.max_sequences >= 1, "max_sequences", options.max_sequences, "at least 1");
  require(options.max_context_tokens >= 1, "max_context_tokens", options.max_context_tokens, "at least 1");
  require(options.step_tokens >= 1, "step_tokens", options.step_tokens, "at least 1");
  require(options.idle_quantum_tokens >= 1, "idle_quantum_tokens", options.idle_quantum_tokens, "at least 1");
  if (!std::isfinite(options.sharpness) || !std::isfinite(options.end_bias)) {
    throw InvalidArgument("the SimExecutor's sharpness and end_bias must be finite");
  }
  return options;
}

ExecutorInfo describe(const SimOptions& options, const sim::ToyModel& model) {
  ExecutorInfo info;
  info.name = "sim";
  info.model_name = text("toy-", options.model_seed);
  info.model_fingerprint = model.fingerprint();
  info.vocab_size = options.vocab_size;
  info.end_tokens = {0};
  info.max_sequences = options.max_sequences;
  info.max_context_tokens = options.max_context_tokens;
  info.idle_quantum_tokens = options.idle_quantum_tokens;
  info.split = {.greedy = true,
                .seeded_sampling = true,
                .penalties = true,
                .bias = true,
                .constraint = true,
                .stop_tokens = true,
                .logprobs = true};
  info.kv_bytes_per_token = sizeof(TokenId);
  info.kv_bytes = info.kv_bytes_per_token * static_cast<std::uint64_t>(options.max_sequences) *
                  static_cast<std::uint64_t>(options.max_context_tokens);
  info.memory_plan = text(options.max_sequences, " sequences x ", options.max_context_tokens, " tokens x ",
                          info.kv_bytes_per_token, " bytes = ", info.kv_bytes, " bytes (simulated)");
  return info;
}

}  // namespace

SimExecutor::Impl::Impl(const SimOptions& options, std::shared_ptr<Clock> clock)
    : options_(checked(options)),
      clock_(clock ? std::move(clock) : std::make_shared<SteadyClock>()),
      model_(options_),
      info_(describe(options_, model_)),
      kv_(options_) {
  if (options_.threaded) {
    thread_ = std::thread([this] { run(); });
  }
}

SimExecutor::Impl::~Impl() { shutdown(); }

void SimExecutor::Impl::run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [this] { return stopped_ || has_work(); });
      if (stopped_) {
        break;
      }
    }
    step();
  }
  end_all();
}

bool SimExecutor::Impl::step() {
  std::vector<Event> events;
  {
    const std::lock_guard lock(mutex_);
    if (!has_work()) {
      return false;
    }
    finish_cancelled();
    admit();
    compute();
    events.swap(events_);
    if (std::exchange(became_idle_, false) && listener_) {
      events.push_back(listener_);
    }
  }
  return deliver(std::move(events));
}

bool SimExecutor::Impl::deliver(std::vector<Event> events) {
  for (Event& event : events) {
    event();
    event = nullptr;  // drops the sink before the next one is told
  }
  return true;
}

RequestId SimExecutor::Impl::enqueue(Request request, std::shared_ptr<Sink> sink) {
  validate(request, info_);
  if (!sink) {
    throw InvalidArgument("a request needs a sink");
  }
  auto job = std::make_unique<sim::Job>();
  job->sampler = std::make_unique<TokenSampler>(request, fresh_seed_.fetch_add(1), info_.vocab_size);
  job->tokens = request.context;
  job->request = std::move(request);
  job->sink = std::move(sink);
  job->enqueued_at = clock_->now();

  const std::lock_guard lock(mutex_);
  if (stopped_) {
    throw ExecutorError("the executor is shut down and takes no requests; create another one");
  }
  const RequestId id = job->id = next_id_++;
  jobs_.push_back(std::move(job));
  work_.notify_one();
  return id;
}

void SimExecutor::Impl::cancel(RequestId id) {
  const std::lock_guard lock(mutex_);
  for (const auto& job : jobs_) {
    if (job->id == id) {
      job->cancelled = true;
    }
  }
}

Position SimExecutor::Impl::resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const {
  const std::lock_guard lock(mutex_);
  return kv_.resident_prefix(context, key, owner);
}

void SimExecutor::Impl::release(OwnerId owner, Position keep_tokens) {
  if (keep_tokens < 0) {
    throw InvalidArgument(text("keep_tokens is ", keep_tokens, ", must be at least 0; 0 forgets the owner"));
  }
  if (owner == kNoOwner) {
    return;  // nobody's KV is nobody's to give up
  }
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < jobs_.size();) {
    sim::Job& job = *jobs_[i];
    if (job.request.owner != owner) {
      ++i;
    } else if (keep_tokens == 0) {
      finish(job, FinishReason::cancelled);
    } else {
      if (job.running()) {
        leave_sequence(job);  // computes again what is cut, when it is admitted again
      }
      ++i;
    }
  }
  kv_.release(owner, keep_tokens);
  work_.notify_one();
}

ExecutorStats SimExecutor::Impl::stats() const {
  const std::lock_guard lock(mutex_);
  ExecutorStats stats = stats_;
  kv_.fill(stats);
  for (const auto& job : jobs_) {
    if (job->idle_work()) {
      ++(job->running() ? stats.running_idle : stats.waiting_idle);
    } else {
      ++(job->running() ? stats.running_requests : stats.waiting_requests);
    }
  }
  return stats;
}

void SimExecutor::Impl::on_idle(std::function<void()> listener) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
}

void SimExecutor::Impl::check_integrity() const {
  const std::lock_guard lock(mutex_);
  kv_.check_integrity();
  for (const auto& job : jobs_) {
    if (job->running() && job->sequence->user != job->id) {
      throw ExecutorError(
          text("request ", job->id, " runs on a sequence that request ", job->sequence->user, " holds"));
    }
  }
}

void SimExecutor::Impl::end_all() {
  std::vector<Event> events;
  {
    const std::lock_guard lock(mutex_);
    while (!jobs_.empty()) {
      finish(*jobs_.front(), FinishReason::cancelled);
    }
    events.swap(events_);
  }
  deliver(std::move(events));
}

void SimExecutor::Impl::shutdown() {
  const std::lock_guard one_at_a_time(shutdown_);
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    work_.notify_all();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
  end_all();
}

void SimExecutor::Impl::fail_next_step() {
  const std::lock_guard lock(mutex_);
  fail_next_ = true;
}

std::vector<float> SimExecutor::Impl::reference_logits(TokenSpan context) const {
  std::vector<sim::Cell> cells;
  cells.reserve(context.size());
  for (const TokenId token : context) {
    cells.push_back({token, static_cast<Position>(cells.size()), 0});
  }
  return model_.row(cells, KvKey{});
}

SimExecutor::SimExecutor(const SimOptions& options, std::shared_ptr<Clock> clock)
    : impl_(std::make_unique<Impl>(options, std::move(clock))) {}
SimExecutor::~SimExecutor() { impl_->shutdown(); }  // while sinks may still call the whole object

bool SimExecutor::step() {
  if (impl_->threaded()) {
    throw InvalidArgument("step() belongs to an executor without a thread; create it with threaded = false");
  }
  return impl_->step();
}

void SimExecutor::run_until_idle() {
  while (step()) {
  }
}

std::vector<float> SimExecutor::reference_logits(TokenSpan context) const { return impl_->reference_logits(context); }
void SimExecutor::fail_next_step() { impl_->fail_next_step(); }
RequestId SimExecutor::enqueue(Request request, std::shared_ptr<Sink> sink) {
  return impl_->enqueue(std::move(request), std::move(sink));
}
void SimExecutor::cancel(RequestId id) { impl_->cancel(id); }
Position SimExecutor::resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const {
  return impl_->resident_prefix(context, key, owner);
}
void SimExecutor::release(OwnerId owner, Position keep_tokens) { impl_->release(owner, keep_tokens); }
const ExecutorInfo& SimExecutor::info() const noexcept { return impl_->info(); }
ExecutorStats SimExecutor::stats() const { return impl_->stats(); }
void SimExecutor::on_idle(std::function<void()> listener) { impl_->on_idle(std::move(listener)); }
void SimExecutor::check_integrity() const { impl_->check_integrity(); }
void SimExecutor::shutdown() { impl_->shutdown(); }

}  // namespace poise
