// Who runs: cancellation, admission, displacement of idle work, and the end of a request.
#include <algorithm>

#include "executors/sim/sim_impl.h"

namespace poise {

using sim::Job;

bool SimExecutor::Impl::requests_present() const {
  return std::any_of(jobs_.begin(), jobs_.end(), [](const auto& job) { return !job->idle_work(); });
}

void SimExecutor::Impl::finish_cancelled() {
  for (std::size_t i = 0; i < jobs_.size();) {
    if (jobs_[i]->cancelled) {
      finish(*jobs_[i], FinishReason::cancelled);
    } else {
      ++i;
    }
  }
}

/// Waiting requests by priority, then by age; idle work only when there is no request.
void SimExecutor::Impl::admit() {
  const bool idle = !requests_present();
  Batch waiting;
  for (const auto& job : jobs_) {
    if (!job->running() && job->idle_work() == idle) {
      waiting.push_back(job.get());
    }
  }
  std::stable_sort(waiting.begin(), waiting.end(),
                   [](const Job* a, const Job* b) { return a->request.priority > b->request.priority; });
  for (Job* const job : waiting) {
    while (!admit(*job) && !idle && displace_idle(job->request.owner)) {
    }
  }
}

bool SimExecutor::Impl::admit(Job& job) {
  const auto found =
      kv_.acquire(job.id, job.request.owner, job.request.key, job.tokens, job.reuse_limit(), clock_->now());
  if (!found) {
    return false;
  }
  job.sequence = found->sequence;
  if (!job.started) {
    job.started = true;
    job.completion.reused_tokens = found->reused;
    job.completion.copied_tokens = found->copied;
    job.completion.restored_tokens = found->restored;
    job.completion.queued = clock_->now() - job.enqueued_at;
    events_.emplace_back([sink = job.sink, id = job.id, reused = found->reused] { sink->on_start(id, reused); });
    begin_answer(job);  // may be its end
  }
  return true;
}

/// Sends one piece of paused idle work back to the queue: the one that holds the owner's sequence, else, if no
/// sequence is free, the least important and youngest. Returns false if there is none.
bool SimExecutor::Impl::displace_idle(OwnerId owner) {
  const sim::Sequence* const own = kv_.find(owner);
  Job* chosen = nullptr;
  for (const auto& job : jobs_) {
    if (!job->running() || !job->idle_work() || (own != nullptr && job->sequence != own)) {
      continue;
    }
    if (chosen == nullptr || job->request.priority <= chosen->request.priority) {
      chosen = job.get();
    }
  }
  if (chosen == nullptr) {
    return false;
  }
  leave_sequence(*chosen);
  return true;
}

void SimExecutor::Impl::leave_sequence(Job& job) {
  kv_.end_use(*job.sequence, job.request.retention, clock_->now());
  job.sequence = nullptr;
}

/// Destroys `job`.
void SimExecutor::Impl::finish(Job& job, FinishReason reason, std::string error) {
  Completion& completion = job.completion;
  completion.reason = reason;
  completion.error = std::move(error);
  if (job.running()) {
    completion.resident_tokens = static_cast<Position>(job.sequence->cells.size());
    leave_sequence(job);
  } else if (const sim::Sequence* const own = kv_.find(job.request.owner)) {
    completion.resident_tokens = static_cast<Position>(own->cells.size());
  }
  events_.emplace_back([sink = job.sink, id = job.id, completion] { sink->on_finish(id, completion); });
  const bool idle = job.idle_work();
  std::erase_if(jobs_, [&job](const auto& other) { return other.get() == &job; });
  became_idle_ = became_idle_ || idle || !requests_present();
}

}  // namespace poise
