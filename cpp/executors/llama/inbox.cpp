// Messages from any thread, and the thread that works them off between passes.
#include <algorithm>
#include <future>

#include "common/format.h"
#include "executors/llama/executor_impl.h"
#include "poise/error.h"

namespace poise {

using llama::Job;

namespace {

// splitmix64 (Vigna): every counter value gives an unrelated seed.
std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27U)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31U);
}

void check_adapter(std::int32_t id, const llama::Model& model) {
  if (id >= 0 && static_cast<std::size_t>(id) <= model.adapters.size()) {
    return;
  }
  std::string loaded = "0 (none)";
  for (const llama::Adapter& adapter : model.adapters) {
    loaded += text(", ", adapter.facts.id, " ('", adapter.facts.name, "')");
  }
  throw InvalidArgument(text("adapter ", id, " is not loaded; there are ", loaded, "; name more in `adapters`"));
}

}  // namespace

LlamaExecutor::Impl::~Impl() { shutdown(); }

RequestId LlamaExecutor::Impl::enqueue(Request request, std::shared_ptr<Sink> sink) {
  validate(request, info_);
  if (sink == nullptr) {
    throw InvalidArgument("the request has no sink");
  }
  check_adapter(request.key.adapter_id, *model_);
  const std::uint64_t fresh_seed = mixed(seed_state_.fetch_add(0x9E3779B97F4A7C15U));
  auto job = std::make_unique<Job>();
  job->sampler = std::make_unique<TokenSampler>(request, fresh_seed, info_.vocab_size);
  job->id = next_id_.fetch_add(1);
  job->tokens = std::move(request.context);
  job->context_tokens = static_cast<Position>(job->tokens.size());
  job->tokens.reserve(job->tokens.size() + static_cast<std::size_t>(request.max_new_tokens));
  job->request = std::move(request);
  job->sink = std::move(sink);
  job->enqueued_at = clock_.now();
  const RequestId id = job->id;
  const bool idle = job->idle();
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) {
      throw ExecutorError(failure_.empty() ? "the executor is shut down" : text("the executor has failed: ", failure_));
    }
    inbox_.emplace_back(Arrival{std::move(job)});
    if (!idle && pass_is_idle_) {
      pass_pool_->context.request_abort();
    }
  }
  work_.notify_one();
  return id;
}

void LlamaExecutor::Impl::cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) {
      return;
    }
    inbox_.emplace_back(Cancel{id});
    // a pass that nobody waits for any more need not be finished
    if (std::erase(pass_jobs_, id) > 0 && pass_jobs_.empty()) {
      pass_pool_->context.request_abort();
    }
  }
  work_.notify_one();
}

Position LlamaExecutor::Impl::resident_prefix(TokenSpan context, const KvKey& key, OwnerId owner) const {
  const std::lock_guard lock(mutex_);
  const Position resident = kv_->resident_prefix(context, key, owner);
  const auto pending = pending_releases_.find(owner);
  return pending == pending_releases_.end() ? resident : std::min(resident, pending->second);
}

void LlamaExecutor::Impl::release(OwnerId owner, Position keep_tokens) {
  const Position keep = std::max(keep_tokens, 0);
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || owner == kNoOwner) {
      return;
    }
    inbox_.emplace_back(Release{owner, keep});
    const auto [pending, fresh] = pending_releases_.emplace(owner, keep);
    pending->second = fresh ? keep : std::min(pending->second, keep);
  }
  work_.notify_one();
}

ExecutorStats LlamaExecutor::Impl::stats() const {
  const std::lock_guard lock(mutex_);
  ExecutorStats stats = stats_;
  for (const Message& message : inbox_) {
    if (const auto* arrival = std::get_if<Arrival>(&message)) {
      ++(arrival->job->idle() ? stats.waiting_idle : stats.waiting_requests);
    }
  }
  kv_->fill(stats, pending_releases_);
  return stats;
}

std::vector<LoadedAdapter> LlamaExecutor::Impl::adapters() const {
  std::vector<LoadedAdapter> loaded;
  for (const llama::Adapter& adapter : model_->adapters) {
    loaded.push_back(adapter.facts);
  }
  return loaded;
}

std::vector<SizeClassState> LlamaExecutor::Impl::classes() const {
  std::vector<SizeClassState> classes = kv_->classes();
  for (SizeClassState& state : classes) {
    state.kv_bytes = llama::kv_bytes(state.size, info_.kv_bytes_per_token);
  }
  return classes;
}

void LlamaExecutor::Impl::on_idle(std::function<void()> listener) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
}

void LlamaExecutor::Impl::check_integrity() const {
  on_executor_thread([this] { kv_->check_integrity(); });
}

// Runs the task between two passes and waits for it; its exception comes out here.
void LlamaExecutor::Impl::on_executor_thread(const std::function<void()>& task) const {
  if (std::this_thread::get_id() == thread_.get_id()) {
    task();
    return;
  }
  std::promise<void> done;
  std::unique_lock lock(mutex_);
  if (stopped_) {
    lock.unlock();
    task();
    return;
  }
  inbox_.emplace_back(Task([&task, &done] {
    try {
      task();
      done.set_value();
    } catch (...) {
      done.set_exception(std::current_exception());
    }
  }));
  lock.unlock();
  work_.notify_one();
  done.get_future().get();
}

void LlamaExecutor::Impl::shutdown() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    for (const auto& pool : pools_) {
      pool->context.request_abort();
    }
  }
  work_.notify_one();
  const std::lock_guard joining(join_mutex_);
  if (thread_.joinable()) {
    thread_.join();
  }
}

void LlamaExecutor::Impl::run() {
  std::string failure;
  try {
    work();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  end_all(failure);
}

// Until shutdown. An exception is a failed debug check or a bug: nothing can be trusted behind it.
void LlamaExecutor::Impl::work() {
  bool worked = false;
  while (true) {
    receive(!worked);
    {
      const std::lock_guard lock(mutex_);
      if (stopped_ && inbox_.empty()) {
        break;
      }
    }
    finish_cancelled();
    admit_all();
    worked = step();
    if (became_idle_) {
      became_idle_ = false;
      if (options_.debug_checks && !requests_present()) {
        kv_->check_integrity();
      }
      tell_listener();
    }
  }
}

// Takes in everything that has been posted; waits for something if asked to.
void LlamaExecutor::Impl::receive(bool may_wait) {
  std::vector<Message> messages;
  {
    std::unique_lock lock(mutex_);
    if (may_wait) {
      work_.wait(lock, [this] { return stopped_ || !inbox_.empty(); });
    }
    messages.swap(inbox_);
    for (const Message& message : messages) {
      if (const auto* arrival = std::get_if<Arrival>(&message)) {
        ++(arrival->job->idle() ? stats_.waiting_idle : stats_.waiting_requests);
      }
    }
  }
  for (Message& message : messages) {
    handle(std::move(message));
  }
}

void LlamaExecutor::Impl::handle(Message message) {
  if (auto* arrival = std::get_if<Arrival>(&message)) {
    arrive(std::move(arrival->job));
  } else if (const auto* cancel = std::get_if<Cancel>(&message)) {
    for (const JobPtr& job : jobs_) {
      job->cancelled = job->cancelled || job->id == cancel->id;
    }
  } else if (const auto* release = std::get_if<Release>(&message)) {
    release_now(*release);
  } else {
    std::get<Task>(message)();
  }
}

void LlamaExecutor::Impl::tell_listener() {
  std::function<void()> listener;
  {
    const std::lock_guard lock(mutex_);
    listener = listener_;
  }
  if (listener) {
    listener();
  }
}

// Ends everything, also what has arrived in the meantime; from now on nothing more does.
void LlamaExecutor::Impl::end_all(const std::string& failure) {
  while (true) {
    for (const JobPtr& job : jobs_) {
      job->cancelled = true;
      job->completion.error = failure;
    }
    finish_cancelled();
    {
      const std::lock_guard lock(mutex_);
      if (inbox_.empty()) {
        stopped_ = true;
        failure_ = failure;
        return;
      }
    }
    receive(false);
  }
}

}  // namespace poise
