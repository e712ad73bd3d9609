// Idle work: the requests that pay for what was offered, and how their results become entries.
#include <algorithm>
#include <chrono>

#include "poise/error.h"
#include "session/manager_impl.h"

namespace poise {

namespace {

/// A thought is decoded ahead in pieces, so that worthier candidates need not wait for its end.
constexpr std::int32_t kThoughtPieceTokens = 32;

}  // namespace

bool IdleJob::valid() const noexcept {
  if (session->closed || (entry && entry->generation != generation)) return false;
  return !window || (session->window && session->window->owner == owner);
}

class SessionManager::Impl::IdleJobSink final : public Sink {
 public:
  IdleJobSink(std::shared_ptr<Lifeline> line, std::shared_ptr<IdleJob> job)
      : line_(std::move(line)), job_(std::move(job)) {}

  void on_logits(RequestId, const LogitsView& logits) override {
    with_manager([&](Impl& manager) { manager.on_job_row(*job_, logits); });
  }
  void on_token(RequestId, const GeneratedToken& token) override {
    with_manager([&](Impl& manager) {
      const std::lock_guard lock(manager.mutex);
      manager.on_job_token(*job_, token);
    });
  }
  void on_finish(RequestId, const Completion& completion) override {
    with_manager([&](Impl& manager) {
      const std::lock_guard lock(manager.mutex);
      manager.finish_job(job_, completion);
    });
  }

 private:
  template <typename Call>
  void with_manager(Call call) {
    const std::shared_lock alive(line_->mutex);
    if (line_->manager != nullptr) call(*line_->manager);
  }

  std::shared_ptr<Lifeline> line_;
  std::shared_ptr<IdleJob> job_;
};

// ---- jobs --------------------------------------------------------------------------------------

void SessionManager::Impl::cancel_job_of(const Session& session) {
  if (!job || job->session.get() != &session) return;
  job->cancel_requested = true;
  if (job->request_id) executor->cancel(*job->request_id);
}

std::shared_ptr<IdleJob> SessionManager::Impl::plan_job(const IdleCandidate& candidate, Request& request) {
  const auto found = sessions_by_key.find(candidate.session);
  if (found == sessions_by_key.end()) return nullptr;
  const auto& session = found->second;
  auto planned = std::make_shared<IdleJob>();
  planned->session = session;
  planned->owner = session->owner;
  request.context = session->log;
  request.priority = 0.25F;
  request.key = session->kv;
  if (candidate.anticipation != 0) {
    planned->entry = session->entries.find(candidate.anticipation);
    if (!planned->entry) return nullptr;
    plan_entry_job(*planned, request);
  } else if (!session->log_first) {
    if (!session->window) return nullptr;
    plan_window_job(*planned, request);
  }
  request.owner = planned->owner;
  if (!planned->window) {
    const OpenOptions& kept = session->options;
    if (session->length() > 0) {
      request.retention.push_back({0, session->length(), kept.retention_priority, kept.time_to_live});
    }
    request.retention.push_back({session->length(), -1, kSpeculativePriority, kept.time_to_live});
  }

  // Slices: an idle step may not compute more than the executor's quantum.
  const Position resident = executor->resident_prefix(request.context, request.key, request.owner);
  const auto length = static_cast<Position>(request.context.size());
  // A new session's first slice begins behind its base prefix, so that the executor weighs the copy against all of it.
  const Position begin = resident > 0 ? resident : base_tokens(*session, request.context);
  if (info.idle_quantum_tokens > 0 && length - begin > info.idle_quantum_tokens) {
    planned->stage = IdleJob::Stage::prefill;
    request.context.resize(static_cast<std::size_t>(begin + info.idle_quantum_tokens));
    request.max_new_tokens = 0;
    request.output_start = -1;  // it would lie behind the slice
    request.logits = {};
    std::erase_if(request.retention,
                  [&](const Retention& range) { return range.begin >= static_cast<Position>(request.context.size()); });
    for (Retention& range : request.retention) {
      range.end = std::min(range.end, static_cast<Position>(request.context.size()));
    }
  }
  return planned;
}

void SessionManager::Impl::plan_entry_job(IdleJob& planned, Request& request) {
  Session& session = *planned.session;
  Entry& entry = *planned.entry;
  planned.generation = entry.generation;
  request.context.insert(request.context.end(), entry.tokens.begin(), entry.tokens.end());
  planned.decision_position = static_cast<Position>(request.context.size());
  const IdleCandidate work = remaining_work(session, entry, 0);
  if (entry.completing) {
    planned.stage = IdleJob::Stage::complete;
    request.max_new_tokens = work.completion_tokens;
    request.stop_tokens = entry.guess.completion_stops;
    request.sampling.temperature = 0.0F;
  } else if (!entry.decides) {
    planned.stage = entry.worked ? IdleJob::Stage::place : IdleJob::Stage::frame;
  } else if (!entry.ready || !entry.continuation_done) {
    // Another entry holds the place behind the log: a long one may earn a sequence of its own.
    constexpr std::size_t kBranchTokens = 32;
    const ExecutorStats stats = executor->stats();
    if (!entry.ready && entry.owner == kNoOwner && entry.guess.may_branch && session.resident_entry != 0 &&
        session.resident_entry != entry.id && entry.tokens.size() >= kBranchTokens &&
        info.max_sequences - stats.sequences_used > 1) {
      entry.owner = next_owner++;
    }
    if (entry.owner != kNoOwner) planned.owner = entry.owner;
    planned.stage = entry.ready ? IdleJob::Stage::extend : IdleJob::Stage::decide;
    if (!entry.sampling.seed) {
      entry.sampling = session.expected_sampling;
      entry.sampling.seed = random_seed();
      entry.made_at = clock->now();
    }
    request.output_start = planned.decision_position;
    for (const ContinuationToken& known : entry.continuation) {
      request.context.push_back(known.token.token);
    }
    request.sampling = entry.sampling;
    request.stop_tokens = stop_tokens_of(session);
    request.max_new_tokens = work.decode_tokens;
    if (const Thought* thought = thought_of(session, entry); thought != nullptr && thought->inside) {
      const std::int32_t thinking = session.options.thought->tokens - thought->tokens;
      request.max_new_tokens = std::min({work.decode_tokens, thinking, kThoughtPieceTokens});
      request.stop_tokens.push_back(session.options.thought->end.back());  // what follows it counts otherwise
    } else if (thought != nullptr) {
      request.stop_tokens.push_back(session.options.thought->begin.back());
    }
    request.logits.generated = request.max_new_tokens > 0;
    request.constraint = entry.guess.constraint;
    // Asked for as a row of the context where no first token is chosen from it: none is wanted, or it is forced.
    if (!entry.ready && (request.max_new_tokens == 0 || request.constraint)) {
      request.logits.context_positions = {planned.decision_position - 1};
    }
  } else {
    planned.stage = IdleJob::Stage::place;
    for (const ContinuationToken& known : entry.continuation) {
      request.context.push_back(known.token.token);
    }
    // The last drawn token has no KV after a decode either.
    if (!entry.continuation.empty()) request.context.pop_back();
  }
}

bool SessionManager::Impl::run_idle() {
  flush_releases();
  std::shared_ptr<IdleJob> started;
  Request request;
  {
    const std::lock_guard lock(mutex);
    if (stopping || job || !turns.empty() || !options.preposition) return false;
    const ExecutorStats stats = executor->stats();
    if (stats.running_requests + stats.waiting_requests > 0) return false;
    while (!started) {
      const auto candidate = scheduler.next();
      if (!candidate) return false;
      request = {};
      started = plan_job(*candidate, request);
      if (!started) scheduler.withdraw(candidate->session, candidate->anticipation);
    }
    job = started;
    ++counters.idle_jobs;
  }
  const auto withdraw = [&](const std::string& why) {
    Completion failed;
    failed.reason = FinishReason::error;
    failed.error = why;
    const std::lock_guard lock(mutex);
    finish_job(started, failed);
  };
  try {
    const RequestId id = executor->enqueue(std::move(request), std::make_shared<IdleJobSink>(lifeline, started));
    const std::lock_guard lock(mutex);
    started->request_id = id;
    if (started->cancel_requested) executor->cancel(id);
  } catch (const std::exception& error) {
    withdraw(error.what());
    return false;
  }
  return true;
}

void SessionManager::Impl::on_job_row(IdleJob& done, const LogitsView& logits) {
  // Sorting the head takes a while and needs no lock; nobody else reads pending_row.
  auto row = std::make_shared<const ReadyRow>(logits.row);
  const std::lock_guard lock(mutex);
  if (!done.valid() || !done.entry) return;
  const auto& entry = done.entry;
  done.pending_row.reset();
  if (logits.position == done.decision_position && !entry->ready) {
    if (!claim_bytes(*done.session, entry, row->size_bytes())) return;
    entry->ready = row;
    entry->worked = true;
  } else {
    // Later rows serve requests with other sampling than expected; they may fill half of the memory.
    const std::uint64_t after = counters.entry_bytes + row->size_bytes();
    if (after > options.max_entry_bytes / 2) return;
    if (!claim_bytes(*done.session, entry, row->size_bytes())) return;
  }
  done.pending_row = std::move(row);
}

void SessionManager::Impl::on_job_token(IdleJob& done, const GeneratedToken& token) {
  if (!done.valid() || !done.entry) return;
  Entry& entry = *done.entry;
  if (done.stage == IdleJob::Stage::complete) {
    entry.tokens.push_back(token.token);
    entry.worked = true;
    const Tokens& stops = entry.guess.completion_stops;
    if (std::find(stops.begin(), stops.end(), token.token) != stops.end()) {
      entry.tokens.insert(entry.tokens.end(), entry.guess.suffix.begin(), entry.guess.suffix.end());
      entry.completing = false;
      entry.decides = true;
    }
  } else if (entry.ready) {
    entry.continuation.push_back({token, std::move(done.pending_row)});
    if (Thought* thought = thought_of(*done.session, entry)) {
      if (thought->inside) ++counters.idle_thought_tokens;
      thought->feed(*done.session->options.thought, token.token);
    }
  }
  done.pending_row.reset();
}

void SessionManager::Impl::finish_job(const std::shared_ptr<IdleJob>& done, const Completion& completion) {
  if (job == done) job.reset();
  Session& session = *done->session;
  scheduler.on_work(session.tenant_key, completion.prefilled_tokens, completion.prefill, completion.generated_tokens,
                    completion.decode);
  counters.idle_prefilled_tokens += static_cast<std::uint64_t>(completion.prefilled_tokens);
  counters.idle_decoded_tokens += static_cast<std::uint64_t>(completion.generated_tokens);
  counters.idle_time += completion.prefill + completion.decode;
  note_start(session, session.log, completion);
  if (completion.reason == FinishReason::cancelled) {
    ++counters.idle_jobs_cancelled;
    if (!completion.error.empty()) {  // no sequence is to be had: not asked for again before one is given up
      session.idle_error = completion.error;
      without_sequence.push_back(session.key);
    }
  } else if (completion.reason == FinishReason::error) {
    session.idle_error = completion.error;  // until the session changes: never a hot loop of failures
    ++counters.idle_jobs_failed;
  } else if (done->valid()) {
    finish_stage(*done, completion);
  }
  refresh_offers(session);
  wake_idle();
}

void SessionManager::Impl::finish_stage(IdleJob& done, const Completion& completion) {
  Session& session = *done.session;
  const bool in_place = done.owner == session.owner;
  if (done.stage == IdleJob::Stage::prefill || !done.entry) {
    if (in_place && done.stage == IdleJob::Stage::prefill && done.entry) {
      if (session.resident_entry != done.entry->id) {
        session.resident_entry = 0;  // the place behind the log is being rewritten
      }
      session.begun_entry = done.entry->id;
      done.entry->begun = true;
    }
    return;
  }
  Entry& entry = *done.entry;
  if (in_place) session.resident_entry = entry.id;
  switch (done.stage) {
    case IdleJob::Stage::frame:
      entry.worked = true;
      entry.made_at = clock->now();
      break;
    case IdleJob::Stage::complete:
      entry.completing = false;  // cut off by its length, the guess is no more than framing
      entry.made_at = clock->now();
      break;
    case IdleJob::Stage::decide:
    case IdleJob::Stage::extend:
      if (entry.ready) {
        const auto room = info.max_context_tokens - session.length() - static_cast<Position>(entry.tokens.size()) - 1;
        const Tokens& stops = stop_tokens_of(session);
        entry.continuation_done =
            !entry.thought || completion.generated_tokens == 0 || continuation_left(session, entry, room) == 0 ||
            std::find(stops.begin(), stops.end(), entry.continuation.back().token.token) != stops.end();
      } else {
        // No memory for the distribution: what remains is its KV.
        entry.decides = false;
        entry.worked = true;
      }
      break;
    case IdleJob::Stage::prefill:
    case IdleJob::Stage::place:
      break;
  }
}

// ---- the idle thread ---------------------------------------------------------------------------

void SessionManager::Impl::wake_idle() {
  woken = true;
  idle_wake.notify_all();
  idle_settled.notify_all();
}

void SessionManager::Impl::idle_loop() {
  while (true) {
    {
      Lock lock(mutex);
      // Affordable work that could not start waits for the executor, which wakes us.
      const auto due = affordable() ? std::nullopt : scheduler.retry_at();
      const auto ready = [this] { return woken || stopping; };
      if (due) {
        const auto wait =
            std::clamp<Duration>(*due - clock->now(), std::chrono::milliseconds(1), std::chrono::seconds(1));
        idle_wake.wait_for(lock, wait, ready);
      } else {
        idle_wake.wait(lock, ready);
      }
      if (stopping) return;
      woken = false;
    }
    run_idle();
  }
}

bool SessionManager::Impl::affordable() const {
  const auto due = scheduler.retry_at();
  return due && *due <= clock->now();
}

bool SessionManager::Impl::work_is_left() const {
  return job != nullptr || !turns.empty() || !releases.empty() || affordable();
}

bool SessionManager::Impl::wait_prepositioned(Duration timeout) {
  Lock lock(mutex);
  return idle_settled.wait_for(lock, timeout, [this] { return stopping || !work_is_left(); });
}

}  // namespace poise
