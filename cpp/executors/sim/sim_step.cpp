// One step: a prefill pass or a decode pass, never both, as the embedded executor runs them.
#include <algorithm>

#include "executors/sim/sim_impl.h"
#include "poise/error.h"

namespace poise {

using sim::Job;

namespace {

double to_us(Duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

}  // namespace

void SimExecutor::Impl::compute() {
  const Batch batch = choose_batch();
  if (batch.empty()) {
    return;
  }
  const bool idle = batch.front()->idle_work();
  ++(idle ? stats_.idle_steps : stats_.steps);
  if (fail_next_) {
    fail_next_ = false;
    for (Job* const job : batch) {
      finish(*job, FinishReason::error, "the step failed because fail_next_step() asked for it");
    }
    return;
  }
  prefilled_last_ = !batch.front()->decodes();
  if (prefilled_last_) {
    prefill(batch, idle);
  } else {
    decode(batch, idle);
  }
}

/// All running requests (or, without any, all running idle work) of one phase. The phases take turns.
SimExecutor::Impl::Batch SimExecutor::Impl::choose_batch() {
  const bool idle = !requests_present();
  Batch prefilling;
  Batch decoding;
  for (const auto& job : jobs_) {
    if (job->running() && job->idle_work() == idle) {
      (job->decodes() ? decoding : prefilling).push_back(job.get());
    }
  }
  const bool prefills = !prefilling.empty() && (decoding.empty() || !prefilled_last_);
  return prefills ? prefilling : decoding;
}

/// Shares the step's tokens out in order of arrival.
void SimExecutor::Impl::prefill(const Batch& batch, bool idle) {
  std::int32_t budget = idle ? options_.idle_quantum_tokens : options_.step_tokens;
  std::vector<std::pair<Job*, std::int32_t>> shares;
  std::int32_t total = 0;
  std::int32_t context = 0;
  for (Job* const job : batch) {
    const std::int32_t tokens = std::min(budget, job->pending());
    if (tokens > 0 || job->pending() == 0) {
      shares.emplace_back(job, tokens);
      budget -= tokens;
      total += tokens;
      context += job->context_share(tokens);
    }
  }
  spend(options_.prefill_per_token * total, idle);
  (idle ? stats_.idle_prefilled_tokens : stats_.prefilled_tokens) += static_cast<std::uint64_t>(context);
  (idle ? stats_.idle_decoded_tokens : stats_.decoded_tokens) += static_cast<std::uint64_t>(total - context);
  if (total > 0) {
    stats_.prefill_us_per_token = to_us(options_.prefill_per_token);
  }
  for (const auto& [job, tokens] : shares) {
    const std::int32_t of_context = job->context_share(tokens);
    job->completion.prefill += options_.prefill_per_token * of_context;
    job->completion.decode += options_.prefill_per_token * (tokens - of_context);
    job->completion.prefilled_tokens += of_context;
    extend(*job, tokens);
    after_pass(*job);
  }
}

void SimExecutor::Impl::decode(const Batch& batch, bool idle) {
  spend(options_.decode_step, idle);
  (idle ? stats_.idle_decoded_tokens : stats_.decoded_tokens) += batch.size();
  stats_.decode_us_per_step = to_us(options_.decode_step);
  for (Job* const job : batch) {
    job->completion.decode += options_.decode_step / static_cast<Duration::rep>(batch.size());
    extend(*job, 1);
    after_pass(*job);
  }
}

void SimExecutor::Impl::spend(Duration cost, bool idle) {
  (idle ? stats_.idle_busy : stats_.busy) += cost;
  if (auto* const fake = dynamic_cast<FakeClock*>(clock_.get())) {
    fake->advance(cost);
  }
}

std::vector<float> SimExecutor::Impl::row(const Job& job) const {
  return model_.row(job.sequence->cells, job.request.key);
}

/// Computes the KV of the next `tokens` tokens, and the rows asked for among them.
void SimExecutor::Impl::extend(Job& job, std::int32_t tokens) {
  const auto& wanted = job.request.logits.context_positions;
  std::vector<sim::Cell>& cells = job.sequence->cells;
  for (std::int32_t i = 0; i < tokens; ++i) {
    const auto position = static_cast<Position>(cells.size());
    cells.push_back({job.tokens[cells.size()], position, job.request.key.tenant_salt});
    if (job.rows_returned < wanted.size() && wanted[job.rows_returned] == position) {
      ++job.rows_returned;
      emit_row(job, position + 1, row(job));
    }
  }
}

/// The next token, or the end, once all tokens have KV.
void SimExecutor::Impl::after_pass(Job& job) {
  if (job.pending() > 0) {
    return;
  }
  if (job.request.max_new_tokens == 0) {
    finish(job, FinishReason::prefilled);
    return;
  }
  try {
    if (const auto end = choose_token(job)) {
      finish(job, *end);
    }
  } catch (const std::exception& error) {  // a row without an answer, or the constraint's own
    finish(job, FinishReason::error, error.what());
  }
}

/// An answer whose first ids are forced begins at once, unless rows of the context come first. May destroy `job`.
void SimExecutor::Impl::begin_answer(Job& job) {
  if (job.request.max_new_tokens == 0 || !job.request.logits.context_positions.empty()) {
    return;
  }
  try {
    const auto end = job.sampler->finished() ? std::nullopt : add_forced(job);
    if (end) {
      finish(job, *end);
    }
  } catch (const std::exception& error) {
    finish(job, FinishReason::error, error.what());
  }
}

/// The next token, from the row behind the last one, and those that are forced behind it. Returns why the request ends
/// with them, if it does.
std::optional<FinishReason> SimExecutor::Impl::choose_token(Job& job) {
  if (job.sampler->finished()) {
    return FinishReason::constraint;
  }
  const Request& request = job.request;
  const auto position = static_cast<Position>(job.tokens.size());
  if (!job.sampler->forced(position)) {
    const std::vector<float> logits = row(job);
    // The row behind the last context token may have been returned as a context row already.
    const auto& wanted = request.logits.context_positions;
    const bool returned = job.completion.generated_tokens == 0 && !wanted.empty() && wanted.back() + 1 == position;
    if (request.logits.generated && !returned) {
      emit_row(job, position, logits);
    }
    if (const auto end = add_token(job, job.sampler->choose(logits, position))) {
      return end;
    }
  }
  return add_forced(job);
}

/// The ids that the constraint leaves no choice about. They get their KV in one pass with the next token that needs a row.
std::optional<FinishReason> SimExecutor::Impl::add_forced(Job& job) {
  while (auto token = job.sampler->forced(static_cast<Position>(job.tokens.size()))) {
    if (const auto end = add_token(job, std::move(*token))) {
      return end;
    }
  }
  return std::nullopt;
}

std::optional<FinishReason> SimExecutor::Impl::add_token(Job& job, GeneratedToken token) {
  const std::optional<FinishReason> end = job.sampler->accept(token.token);
  job.tokens.push_back(token.token);
  ++job.completion.generated_tokens;
  events_.emplace_back([sink = job.sink, id = job.id, token = std::move(token)] { sink->on_token(id, token); });
  if (end) {
    return end;
  }
  return job.completion.generated_tokens == job.request.max_new_tokens ? std::optional(FinishReason::length)
                                                                       : std::nullopt;
}

void SimExecutor::Impl::emit_row(Job& job, Position position, const std::vector<float>& logits) {
  events_.emplace_back([sink = job.sink, id = job.id, position, logits] {
    sink->on_logits(id, LogitsView{.position = position, .row = logits});
  });
}

}  // namespace poise
