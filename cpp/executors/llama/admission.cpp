// Who runs: arrivals, cancellation, sequences, displacement of idle work, and the end of a request.
#include <algorithm>

#include "common/format.h"
#include "executors/llama/executor_impl.h"

namespace poise {

using llama::Job;

bool LlamaExecutor::Impl::requests_present() const {
  return std::any_of(jobs_.begin(), jobs_.end(), [](const JobPtr& job) { return !job->idle(); });
}

// Idle work of an owner is over when a request of that owner arrives.
void LlamaExecutor::Impl::arrive(JobPtr job) {
  if (!job->idle() && job->request.owner != kNoOwner) {
    for (const JobPtr& other : jobs_) {
      if (other->idle() && other->request.owner == job->request.owner) {
        other->cancelled = true;
      }
    }
    // now, so that the request meets its owner's sequence free
    finish_cancelled();
  }
  jobs_.push_back(std::move(job));
}

// An owner's KV is given up between two of its requests: one that is about to be cancelled ends first, one that goes on
// keeps its sequence, cut when it ends.
void LlamaExecutor::Impl::release_now(const Release& release) {
  for (const JobPtr& job : jobs_) {
    if (job->request.owner == release.owner && release.keep == 0) {
      job->cancelled = true;
    }
  }
  finish_cancelled();
  const auto running = std::find_if(jobs_.begin(), jobs_.end(), [&release](const JobPtr& job) {
    return job->request.owner == release.owner && job->seq.has_value();
  });
  if (running != jobs_.end()) {
    (*running)->keep_tokens = std::min((*running)->keep_tokens.value_or(release.keep), release.keep);
  } else {
    kv_->release(release.owner, release.keep);
  }
  const std::lock_guard lock(mutex_);
  const bool more = std::any_of(inbox_.begin(), inbox_.end(), [&release](const Message& message) {
    const auto* other = std::get_if<Release>(&message);
    return other != nullptr && other->owner == release.owner;
  });
  if (!more) {
    pending_releases_.erase(release.owner);
  }
}

void LlamaExecutor::Impl::finish_cancelled() {
  for (std::size_t i = 0; i < jobs_.size();) {
    if (jobs_[i]->cancelled) {
      Job& job = *jobs_[i];
      std::string error = std::move(job.completion.error);
      const FinishReason reason = error.empty() ? FinishReason::cancelled : FinishReason::error;
      finish(job, reason, std::move(error));
    } else {
      ++i;
    }
  }
}

// Requests of one owner run one after another.
bool LlamaExecutor::Impl::may_start(const Job& job) const {
  return job.request.owner == kNoOwner || std::none_of(jobs_.begin(), jobs_.end(), [&job](const JobPtr& other) {
           return other->request.owner == job.request.owner && other->id < job.id;
         });
}

// Waiting requests by priority, then by age; idle work only when there is no request.
void LlamaExecutor::Impl::admit_all() {
  const bool idle = !requests_present();
  std::vector<Job*> waiting;
  for (const JobPtr& job : jobs_) {
    if (!job->seq && job->idle() == idle && may_start(*job)) {
      waiting.push_back(job.get());
    }
  }
  if (waiting.empty()) {
    return;
  }
  std::stable_sort(waiting.begin(), waiting.end(),
                   [](const Job* a, const Job* b) { return a->request.priority > b->request.priority; });
  for (Job* job : waiting) {
    while (!admit(*job) && !idle && displace_idle(kv_->target_pool(kv_request(*job), clock_.now()))) {
    }
  }
  count_jobs();
}

llama::KvRequest LlamaExecutor::Impl::kv_request(const Job& job) const {
  const Position left = job.request.max_new_tokens - job.completion.generated_tokens;  // displaced work has some
  return {job.id,     job.request.owner,        job.request.key,
          job.tokens, job.reuse_limit(),        static_cast<Position>(job.tokens.size()) + left,
          job.idle(), job.idle() && job.started};
}

// False if no sequence can be had now. The job may be finished (and gone) when this returns true.
bool LlamaExecutor::Impl::admit(Job& job) {
  const llama::KvRequest wanted = kv_request(job);
  if (kv_->refuses(wanted)) {
    finish(
        job, FinishReason::cancelled,
        text("idle work of owner ", wanted.owner,
             " was not done: every sequence of its size holds the KV of a session ",
             "that was asked later; raise max_sequences (", info_.max_sequences, ") to prepare more sessions at once"));
    return true;
  }
  const auto acquired = kv_->acquire(wanted, clock_.now());
  if (!acquired) {
    return false;
  }
  job.seq = acquired->seq;
  job.last_pass = pass_number_;
  if (!job.started) {
    job.started = true;
    job.completion.reused_tokens = acquired->reused;
    job.completion.copied_tokens = acquired->copied;
    job.completion.restored_tokens = acquired->restored;
    job.completion.queued = clock_.now() - job.enqueued_at;
    count_jobs();
    job.tell([&](Sink& sink) { sink.on_start(job.id, acquired->reused); });
    if (!begin_answer(job)) {
      return true;
    }
  }
  if (!job.cancelled && acquired->reused == static_cast<Position>(job.tokens.size())) {
    finish(job, FinishReason::prefilled);  // only a prefill needs nothing more
  }
  return true;
}

// An answer whose first ids are forced begins at once, unless rows of the context come first. False: it has ended with
// them, and the job is gone.
bool LlamaExecutor::Impl::begin_answer(Job& job) {
  if (!job.generates() || job.cancelled || !job.request.logits.context_positions.empty()) {
    return true;
  }
  try {
    const auto end = job.sampler->finished() ? std::nullopt : add_forced(job);
    if (!end || job.cancelled) {
      return true;
    }
    finish(job, *end);
  } catch (const std::exception& error) {
    finish(job, FinishReason::error, error.what());
  }
  return false;
}

// Sends the least important, youngest paused idle work of a pool back to the queue. False if there is none.
bool LlamaExecutor::Impl::displace_idle(std::size_t pool) {
  Job* chosen = nullptr;
  for (const JobPtr& job : jobs_) {
    if (job->idle() && job->seq && kv_->pool_index(*job->seq) == pool &&
        (chosen == nullptr || job->request.priority <= chosen->request.priority)) {
      chosen = job.get();
    }
  }
  if (chosen == nullptr) {
    return false;
  }
  kv_->end_use(*chosen->seq, chosen->request.retention, clock_.now());
  chosen->seq.reset();
  return true;
}

// Destroys `job`.
void LlamaExecutor::Impl::finish(Job& job, FinishReason reason, std::string error) {
  const auto found =
      std::find_if(jobs_.begin(), jobs_.end(), [&job](const JobPtr& other) { return other.get() == &job; });
  const JobPtr ended = std::move(*found);
  jobs_.erase(found);
  if (ended->seq) {
    kv_->end_use(*ended->seq, ended->request.retention, clock_.now());
  }
  if (ended->keep_tokens) {
    kv_->release(ended->request.owner, *ended->keep_tokens);
  }
  Completion& completion = ended->completion;
  completion.reason = reason;
  completion.error = std::move(error);
  if (const auto seq = ended->request.owner != kNoOwner ? kv_->find(ended->request.owner) : ended->seq) {
    completion.resident_tokens = kv_->size(*seq);
  }
  became_idle_ = became_idle_ || ended->idle() || !requests_present();
  count_jobs();
  ended->tell([&](Sink& sink) { sink.on_finish(ended->id, completion); });
}

void LlamaExecutor::Impl::count_jobs() {
  const std::lock_guard lock(mutex_);
  stats_.running_requests = stats_.waiting_requests = stats_.running_idle = stats_.waiting_idle = 0;
  for (const JobPtr& job : jobs_) {
    ++(job->idle() ? (job->seq ? stats_.running_idle : stats_.waiting_idle)
                   : (job->seq ? stats_.running_requests : stats_.waiting_requests));
  }
}

}  // namespace poise
