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

// What runs next: of the pool with the job served longest ago, the jobs under one adapter. A pool stays with its adapter
// until the switch to it has paid off: llama.cpp plans its buffers anew at every switch.
std::vector<LlamaExecutor::Impl::RunningLane> LlamaExecutor::Impl::next_group(bool idle) const {
  constexpr double kStayPerSwitch = 4.0;  // at most a fifth of the time goes to switching
  std::vector<RunningLane> lanes;
  for (const JobPtr& job : jobs_) {
    if (job->seq && job->idle() == idle && !job->cancelled) {
      lanes.push_back({job.get(), &pool_of(*job->seq), model_->adapter(job->request.key)});
    }
  }
  if (lanes.empty()) {
    return lanes;
  }
  const auto oldest = std::min_element(lanes.begin(), lanes.end(), [](const RunningLane& a, const RunningLane& b) {
    return a.job->last_pass < b.job->last_pass;
  });
  const llama::Pool* pool = oldest->pool;
  llama::AdapterUse adapter = oldest->adapter;
  const llama::AdapterUse current = pool->context.adapter();
  const bool stays = pool->us_under_adapter < kStayPerSwitch * pool->costs.adapter_switch_us.value_or(0.0);
  const bool current_runs = std::any_of(lanes.begin(), lanes.end(), [&](const RunningLane& lane) {
    return lane.pool == pool && lane.adapter == current;
  });
  if (stays && current_runs) {
    adapter = current;
  }
  std::erase_if(lanes, [&](const RunningLane& lane) { return lane.pool != pool || !(lane.adapter == adapter); });
  return lanes;
}

// All running requests, or without any all idle work, of one group. Single tokens and prefill take turns and never share
// a pass.
LlamaExecutor::Impl::Pass LlamaExecutor::Impl::plan(bool idle) {
  const std::vector<RunningLane> group = next_group(idle);
  if (group.empty()) {
    prefilled_last_.clear();
    return {};
  }
  Pass pass;
  pass.pool = group.front().pool;
  pass.adapter = group.front().adapter;
  llama::Pool& pool = *pass.pool;
  std::vector<Lane> single;
  std::vector<Lane> prefill;
  const std::int32_t rows = std::max(1, pool.context.shape().outputs / static_cast<std::int32_t>(group.size()));
  for (const RunningLane& lane : group) {
    const Job& job = *lane.job;
    const auto remaining = static_cast<std::int32_t>(job.tokens.size()) - kv_->size(*job.seq);
    // the last token's row needs a place beside the wanted ones
    (remaining == 1 ? single : prefill).push_back({*job.seq, chunk_limit(job, std::max(1, rows - 1)), job.last_pass});
  }
  const auto by_seq = [](const Lane& a, const Lane& b) { return a.seq < b.seq; };
  llama::PassLimits limits{pool.context.shape().batch_tokens, options_.layout == KvLayout::streams};
  if (idle) {
    // what a token costs may have grown with the contexts since the start
    const double per_token = std::max(1e-3, pool.costs.prefill_us_per_token.value_or(1.0));
    const double fits = options_.max_idle_step_ms * 1000.0 / per_token;
    limits.tokens = std::clamp(static_cast<std::int32_t>(std::min(fits, 1e6)),
                               std::min(interruptible_tokens(), pool.idle_quantum_tokens), pool.idle_quantum_tokens);
  }
  bool& prefilled_last = prefilled_last_[{&pool, pass.adapter.handle, pass.adapter.scale}];
  if (!prefill.empty() && (single.empty() || !prefilled_last)) {
    prefilled_last = true;
    std::sort(prefill.begin(), prefill.end(), by_seq);
    pass.items = llama::plan_prefill(prefill, limits);
    return pass;
  }
  prefilled_last = false;
  std::sort(single.begin(), single.end(), by_seq);
  const double hole_us = pool.costs.single_pass_us.slope() + pool.costs.rollback_us.value_or(0.0);
  pass.items = llama::plan_single(single, limits, {pool.costs.single_pass_us.base(), hole_us, [this](SeqId seq) {
                                                     return kv_->can_take_hole(seq);
                                                   }});
  return pass;
}

void LlamaExecutor::Impl::fill_batch(const Pass& pass) {
  llama::PassBatch& batch = pass.pool->batch;
  batch.clear();
  rows_.assign(pass.items.size(), {});
  for (std::size_t i = 0; i < pass.items.size(); ++i) {
    const PassItem& item = pass.items[i];
    const SeqId local = pass.pool->local(item.seq);
    const Position begin = kv_->size(item.seq);
    if (item.hole) {
      batch.add(0, begin, local, false);
      continue;
    }
    const Job& job = *job_of(item.seq);
    std::size_t rows_before = job.rows_returned;
    for (Position at = begin; at < begin + item.tokens; ++at) {
      const bool row = job.wants_row(at, rows_before);
      const std::int32_t index = batch.add(job.tokens[static_cast<std::size_t>(at)], at, local, row);
      if (row) {
        rows_[i].push_back({at, index});
        const auto& wanted = job.request.logits.context_positions;
        rows_before += rows_before < wanted.size() && wanted[rows_before] == at ? 1U : 0U;
      }
    }
  }
}

// False: something has arrived that comes first.
bool LlamaExecutor::Impl::begin_pass(const Pass& pass, bool idle) {
  const std::lock_guard lock(mutex_);
  const bool overtaken = idle && std::any_of(inbox_.begin(), inbox_.end(), [](const Message& message) {
                           const auto* arrival = std::get_if<Arrival>(&message);
                           return arrival != nullptr && !arrival->job->idle();
                         });
  if (stopped_ || overtaken) {
    return false;
  }
  pass_jobs_.clear();
  for (const PassItem& item : pass.items) {
    if (!item.hole) {
      pass_jobs_.push_back(job_of(item.seq)->id);
    }
  }
  pass_is_idle_ = idle;
  pass_pool_ = pass.pool;
  pass.pool->context.allow_passes();
  return true;
}

void LlamaExecutor::Impl::end_pass() {
  const std::lock_guard lock(mutex_);
  pass_jobs_.clear();
  pass_is_idle_ = false;
  pass_pool_ = nullptr;
}

// One pass, if there is anything to compute. Returns whether there was.
bool LlamaExecutor::Impl::step() {
  const bool idle = !requests_present();
  const Pass pass = plan(idle);
  if (pass.items.empty()) {
    return idle && jobs_.empty() && (flush_copies() || save_ahead());
  }
  fill_batch(pass);
  if (!begin_pass(pass, idle)) {
    return true;
  }
  ++pass_number_;
  llama::KvContext& context = pass.pool->context;
  const TimePoint begin = clock_.now();
  const bool switched = context.use_adapter(pass.adapter);
  const PassResult result = context.decode(pass.pool->batch);
  const Duration took = clock_.now() - begin;
  end_pass();
  pass.pool->us_under_adapter = (switched ? 0.0 : pass.pool->us_under_adapter) + to_us(took);
  {
    const std::lock_guard lock(mutex_);
    ++(idle ? stats_.idle_steps : stats_.steps);
    (idle ? stats_.idle_busy : stats_.busy) += took;
    stats_.interrupted_steps += result == PassResult::aborted ? 1U : 0U;
  }
  if (result == PassResult::done) {
    settle(pass, idle, switched, took);
  } else if (result == PassResult::failed) {
    fail(pass.items, context.error());
  } else {
    repair(pass.items);
  }
  return true;
}

// After an interruption: a sequence that is not as it was before the pass is computed anew.
void LlamaExecutor::Impl::repair(const std::vector<PassItem>& items) {
  for (const PassItem& item : items) {
    const llama::Pool& pool = pool_of(item.seq);
    if (pool.context.length(pool.local(item.seq)) != kv_->size(item.seq)) {
      kv_->discard(item.seq);
    }
  }
}

// Carries out pending copies while nobody waits, by a throwaway token. Returns whether there were any.
bool LlamaExecutor::Impl::flush_copies() {
  for (const auto& pool : pools_) {
    if (!pool->context.any_dirty()) {
      continue;
    }
    for (SeqId seq = pool->first; seq < pool->first + pool->sequences; ++seq) {
      if (!kv_->can_take_hole(seq)) {
        continue;
      }
      const Pass pass{pool.get(), pool->context.adapter(), {{seq, 1, true}}};
      fill_batch(pass);
      if (!begin_pass(pass, true)) {
        return true;
      }
      const TimePoint begin = clock_.now();
      const PassResult result = pool->context.decode(pool->batch);
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

void LlamaExecutor::Impl::measure(const Pass& pass, bool switched, Duration took) {
  llama::Costs& costs = pass.pool->costs;
  const std::int32_t tokens = pass.pool->batch.size();
  const bool single = tokens == static_cast<std::int32_t>(pass.items.size());
  if (switched) {
    const double expected =
        single ? costs.single_pass_us.base() + costs.single_pass_us.slope() * tokens : costs.prefill_us(tokens);
    costs.adapter_switch_us.add(std::max(0.0, to_us(took) - expected));
  } else if (single) {
    costs.single_pass_us.add(tokens, to_us(took));
    costs.decode_us.add(to_us(took));
  } else if (tokens >= kPrefillSampleTokens) {
    costs.prefill_us_per_token.add(to_us(took) / tokens);
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

void LlamaExecutor::Impl::settle(const Pass& pass, bool idle, bool switched, Duration took) {
  measure(pass, switched, took);
  std::vector<Job*> served(pass.items.size(), nullptr);
  for (std::size_t i = 0; i < pass.items.size(); ++i) {
    const PassItem& item = pass.items[i];
    if (item.hole) {
      kv_->undo_hole(item.seq);
      const std::lock_guard lock(mutex_);
      ++stats_.hole_tokens;
      continue;
    }
    Job& job = *job_of(item.seq);
    served[i] = &job;
    job.last_pass = pass_number_;
    account(job, item.tokens, idle, took * item.tokens / pass.pool->batch.size());
    const auto begin = static_cast<std::size_t>(kv_->size(item.seq));
    kv_->append(item.seq, TokenSpan(job.tokens).subspan(begin, static_cast<std::size_t>(item.tokens)));
  }
  {
    const std::lock_guard lock(mutex_);
    stats_.prefill_us_per_token = pass.pool->costs.prefill_us_per_token.value_or(0.0);
    stats_.decode_us_per_step = pass.pool->costs.decode_us.value_or(0.0);
    stats_.copy_us = pass.pool->costs.copy_us.value_or(0.0);
  }
  for (std::size_t i = 0; i < pass.items.size(); ++i) {
    if (served[i] != nullptr) {
      deliver(*served[i], pass.pool->context, rows_[i]);
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
void LlamaExecutor::Impl::deliver(Job& job, llama::KvContext& context, const std::vector<Row>& rows) {
  std::optional<FinishReason> end;
  try {
    for (const Row& row : rows) {
      const std::span<const float> logits = context.row(row.index);
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
