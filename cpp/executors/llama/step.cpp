// One pass: plan, compute, account, deliver.
#include <algorithm>

#include "executors/llama/executor_impl.h"
#include "poise/error.h"

namespace poise {

using llama::Job;
using llama::Lane;
using llama::PassItem;
using llama::PassResult;
using llama::SeqId;

namespace {

constexpr std::int32_t kPrefillSampleTokens = 16;  // shorter passes say little about the cost of a token

double to_us(Duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

}  // namespace

Job* LlamaExecutor::Impl::job_of(SeqId seq) const {
  const auto found = std::find_if(jobs_.begin(), jobs_.end(), [seq](const JobPtr& job) { return job->seq == seq; });
  return found == jobs_.end() ? nullptr : found->get();
}

// How many tokens a job may compute at most with `rows` rows.
std::int32_t LlamaExecutor::Impl::chunk_limit(const Job& job, std::int32_t rows) const {
  const Position begin = kv_->size(*job.seq);
  auto tokens = static_cast<Position>(job.tokens.size()) - begin;
  const auto& wanted = job.request.logits.context_positions;
  const std::size_t last = job.rows_returned + static_cast<std::size_t>(rows);
  if (last < wanted.size()) {
    tokens = std::min(tokens, wanted[last] - begin);  // up to the first row too many
  }
  return tokens;
}

// All running requests, or without any all idle work. Single tokens and prefill take turns and never share a pass.
std::vector<PassItem> LlamaExecutor::Impl::plan(bool idle) {
  std::vector<Lane> single;
  std::vector<Lane> prefill;
  std::size_t running = 0;
  for (const JobPtr& job : jobs_) {
    running += job->seq && job->idle() == idle ? 1U : 0U;
  }
  for (const JobPtr& job : jobs_) {
    if (job->seq && job->idle() == idle && !job->cancelled) {
      const auto remaining = static_cast<std::int32_t>(job->tokens.size()) - kv_->size(*job->seq);
      const std::int32_t rows = std::max(1, context_->shape().outputs / static_cast<std::int32_t>(running));
      auto& lanes = remaining == 1 ? single : prefill;
      // the last token's row needs a place beside the wanted ones
      lanes.push_back({*job->seq, chunk_limit(*job, std::max(1, rows - 1)), job->last_pass});
    }
  }
  const auto by_seq = [](const Lane& a, const Lane& b) { return a.seq < b.seq; };
  llama::PassLimits limits{options_.batch_tokens, options_.layout == KvLayout::streams};
  if (idle) {
    // what a token costs may have grown with the contexts since the start
    const double per_token = std::max(1e-3, costs_.prefill_us_per_token.value_or(1.0));
    const double fits = options_.max_idle_step_ms * 1000.0 / per_token;
    limits.tokens = std::clamp(static_cast<std::int32_t>(std::min(fits, 1e6)),
                               std::min(interruptible_tokens(), info_.idle_quantum_tokens), info_.idle_quantum_tokens);
  }
  if (!prefill.empty() && (single.empty() || !prefilled_last_)) {
    prefilled_last_ = true;
    std::sort(prefill.begin(), prefill.end(), by_seq);
    return llama::plan_prefill(prefill, limits);
  }
  prefilled_last_ = false;
  std::sort(single.begin(), single.end(), by_seq);
  const double hole_us = costs_.single_pass_us.slope() + costs_.rollback_us.value_or(0.0);
  return llama::plan_single(
      single, limits, {costs_.single_pass_us.base(), hole_us, [this](SeqId seq) { return kv_->can_take_hole(seq); }});
}

void LlamaExecutor::Impl::fill_batch(const std::vector<PassItem>& items) {
  batch_.clear();
  rows_.assign(items.size(), {});
  for (std::size_t i = 0; i < items.size(); ++i) {
    const PassItem& item = items[i];
    const Position begin = kv_->size(item.seq);
    if (item.hole) {
      batch_.add(0, begin, item.seq, false);
      continue;
    }
    const Job& job = *job_of(item.seq);
    std::size_t rows_before = job.rows_returned;
    for (Position at = begin; at < begin + item.tokens; ++at) {
      const bool row = job.wants_row(at, rows_before);
      const std::int32_t index = batch_.add(job.tokens[static_cast<std::size_t>(at)], at, item.seq, row);
      if (row) {
        rows_[i].push_back({at, index});
        const auto& wanted = job.request.logits.context_positions;
        rows_before += rows_before < wanted.size() && wanted[rows_before] == at ? 1U : 0U;
      }
    }
  }
}

// False: something has arrived that comes first.
bool LlamaExecutor::Impl::begin_pass(const std::vector<PassItem>& items, bool idle) {
  const std::lock_guard lock(mutex_);
  const bool overtaken = idle && std::any_of(inbox_.begin(), inbox_.end(), [](const Message& message) {
                           const auto* arrival = std::get_if<Arrival>(&message);
                           return arrival != nullptr && !arrival->job->idle();
                         });
  if (stopped_ || overtaken) {
    return false;
  }
  pass_jobs_.clear();
  for (const PassItem& item : items) {
    if (!item.hole) {
      pass_jobs_.push_back(job_of(item.seq)->id);
    }
  }
  pass_is_idle_ = idle;
  context_->allow_passes();
  return true;
}

void LlamaExecutor::Impl::end_pass() {
  const std::lock_guard lock(mutex_);
  pass_jobs_.clear();
  pass_is_idle_ = false;
}

// One pass, if there is anything to compute. Returns whether there was.
bool LlamaExecutor::Impl::step() {
  const bool idle = !requests_present();
  const std::vector<PassItem> items = plan(idle);
  if (items.empty()) {
    return idle && jobs_.empty() && (flush_copies() || save_ahead());
  }
  fill_batch(items);
  if (!begin_pass(items, idle)) {
    return true;
  }
  ++pass_number_;
  const TimePoint begin = clock_.now();
  const PassResult result = context_->decode(batch_);
  const Duration took = clock_.now() - begin;
  end_pass();
  {
    const std::lock_guard lock(mutex_);
    ++(idle ? stats_.idle_steps : stats_.steps);
    (idle ? stats_.idle_busy : stats_.busy) += took;
    stats_.interrupted_steps += result == PassResult::aborted ? 1U : 0U;
  }
  if (result == PassResult::done) {
    settle(items, idle, took);
  } else if (result == PassResult::failed) {
    fail(items, context_->error());
  } else {
    repair(items);
  }
  return true;
}

// After an interruption: a sequence that is not as it was before the pass is computed anew.
void LlamaExecutor::Impl::repair(const std::vector<PassItem>& items) {
  for (const PassItem& item : items) {
    if (context_->length(item.seq) != kv_->size(item.seq)) {
      kv_->discard(item.seq);
    }
  }
}

// Carries out pending copies while nobody waits, by a throwaway token. Returns whether there were any.
bool LlamaExecutor::Impl::flush_copies() {
  if (!context_->any_dirty()) {
    return false;
  }
  for (SeqId seq = 0; seq < options_.max_sequences; ++seq) {
    const std::vector<PassItem> items{{seq, 1, true}};
    if (!kv_->can_take_hole(seq)) {
      continue;
    }
    fill_batch(items);
    if (!begin_pass(items, true)) {
      return true;
    }
    const TimePoint begin = clock_.now();
    const PassResult result = context_->decode(batch_);
    const Duration took = clock_.now() - begin;
    end_pass();
    if (result == PassResult::done) {
      kv_->undo_hole(seq);
    }
    const std::lock_guard lock(mutex_);
    ++stats_.idle_steps;
    ++stats_.hole_tokens;
    stats_.idle_busy += took;
    return result == PassResult::done;
  }
  return false;
}

// Saves the next victim while nobody waits. Returns whether there was one to save.
bool LlamaExecutor::Impl::save_ahead() {
  const TimePoint begin = clock_.now();
  const bool saved = kv_->prepare_eviction(begin);
  if (saved) {
    const std::lock_guard lock(mutex_);
    ++stats_.idle_steps;
    stats_.idle_busy += clock_.now() - begin;
  }
  return saved;
}

void LlamaExecutor::Impl::measure(const std::vector<PassItem>& items, Duration took) {
  const std::int32_t tokens = batch_.size();
  if (tokens == static_cast<std::int32_t>(items.size())) {
    costs_.single_pass_us.add(tokens, to_us(took));
    costs_.decode_us.add(to_us(took));
  } else if (tokens >= kPrefillSampleTokens) {
    costs_.prefill_us_per_token.add(to_us(took) / tokens);
  }
}

void LlamaExecutor::Impl::account(Job& job, std::int32_t tokens, bool idle, Duration share) {
  // Behind the context lie generated tokens: one of them in a decode, several where the constraint forced them.
  const Position begin = kv_->size(*job.seq);  // before the pass's tokens are appended
  const std::int32_t context = std::clamp(job.context_tokens - begin, 0, tokens);
  Completion& completion = job.completion;
  completion.prefill += share * context / tokens;
  completion.decode += share * (tokens - context) / tokens;
  completion.prefilled_tokens += context;
  const std::lock_guard lock(mutex_);
  (idle ? stats_.idle_prefilled_tokens : stats_.prefilled_tokens) += static_cast<std::uint64_t>(context);
  (idle ? stats_.idle_decoded_tokens : stats_.decoded_tokens) += static_cast<std::uint64_t>(tokens - context);
}

void LlamaExecutor::Impl::settle(const std::vector<PassItem>& items, bool idle, Duration took) {
  measure(items, took);
  std::vector<Job*> served(items.size(), nullptr);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const PassItem& item = items[i];
    if (item.hole) {
      kv_->undo_hole(item.seq);
      const std::lock_guard lock(mutex_);
      ++stats_.hole_tokens;
      continue;
    }
    Job& job = *job_of(item.seq);
    served[i] = &job;
    job.last_pass = pass_number_;
    account(job, item.tokens, idle, took * item.tokens / batch_.size());
    const auto begin = static_cast<std::size_t>(kv_->size(item.seq));
    kv_->append(item.seq, TokenSpan(job.tokens).subspan(begin, static_cast<std::size_t>(item.tokens)));
  }
  {
    const std::lock_guard lock(mutex_);
    stats_.prefill_us_per_token = costs_.prefill_us_per_token.value_or(0.0);
    stats_.decode_us_per_step = costs_.decode_us.value_or(0.0);
    stats_.copy_us = costs_.copy_us.value_or(0.0);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (served[i] != nullptr) {
      deliver(*served[i], rows_[i]);
    }
  }
}

void LlamaExecutor::Impl::fail(const std::vector<PassItem>& items, const std::string& error) {
  for (const PassItem& item : items) {
    // nothing of a failed pass is trusted; the sequence is computed anew
    kv_->discard(item.seq);
    if (Job* job = item.hole ? nullptr : job_of(item.seq)) {
      finish(*job, FinishReason::error, error);
    }
  }
}

// Hands out the rows of a pass, and the next token or the end. May destroy `job`.
void LlamaExecutor::Impl::deliver(Job& job, const std::vector<Row>& rows) {
  std::optional<FinishReason> end;
  try {
    for (const Row& row : rows) {
      const std::span<const float> logits = context_->row(row.index);
      const auto& wanted = job.request.logits.context_positions;
      const bool returned = job.rows_returned < wanted.size() && wanted[job.rows_returned] == row.position;
      if (returned) {
        ++job.rows_returned;
        job.tell([&](Sink& sink) { sink.on_logits(job.id, {row.position + 1, logits}); });
      }
      if (job.generates() && row.position + 1 == static_cast<Position>(job.tokens.size()) && !job.cancelled) {
        end = choose_token(job, logits, returned);
      }
    }
  } catch (const ScanError& error) {
    kv_->discard(*job.seq);  // a row without an answer comes from KV that cannot be trusted
    finish(job, FinishReason::error, error.what());
    return;
  } catch (const std::exception& error) {  // the constraint's: it may be anybody's code
    finish(job, FinishReason::error, error.what());
    return;
  }
  if (!job.generates() && kv_->size(*job.seq) == static_cast<Position>(job.tokens.size())) {
    end = FinishReason::prefilled;
  }
  if (end && !job.cancelled) {
    finish(job, *end);
  }
}

// The token behind the last one, from its row, and those that are forced behind it. Returns why the request ends with
// them, if it does.
std::optional<FinishReason> LlamaExecutor::Impl::choose_token(Job& job, std::span<const float> row, bool returned) {
  if (job.sampler->finished()) {
    return FinishReason::constraint;
  }
  const auto position = static_cast<Position>(job.tokens.size());
  if (!job.sampler->forced(position)) {
    if (job.request.logits.generated && !returned) {
      job.tell([&](Sink& sink) { sink.on_logits(job.id, {position, row}); });
    }
    if (const auto end = add_token(job, job.sampler->choose(row, position))) {
      return end;
    }
  }
  return add_forced(job);
}

// The ids that the constraint leaves no choice about: they need no row, and get their KV in one pass with the next token
// that does.
std::optional<FinishReason> LlamaExecutor::Impl::add_forced(Job& job) {
  while (!job.cancelled) {
    const auto token = job.sampler->forced(static_cast<Position>(job.tokens.size()));
    if (!token) {
      break;
    }
    if (const auto end = add_token(job, *token)) {
      return end;
    }
  }
  return std::nullopt;
}

std::optional<FinishReason> LlamaExecutor::Impl::add_token(Job& job, const GeneratedToken& token) {
  const std::optional<FinishReason> end = job.sampler->accept(token.token);
  job.tokens.push_back(token.token);
  ++job.completion.generated_tokens;
  job.tell([&](Sink& sink) { sink.on_token(job.id, token); });
  if (end) {
    return end;
  }
  return job.completion.generated_tokens == job.request.max_new_tokens ? std::optional(FinishReason::length)
                                                                       : std::nullopt;
}

}  // namespace poise
