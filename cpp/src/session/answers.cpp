// Answers without the executor: from an entry's ready distribution and continuation, and from the gate.
#include <algorithm>

#include "common/guide.h"
#include "gate/gate.h"
#include "poise/error.h"
#include "session/manager_impl.h"

namespace poise {

std::optional<ReadyPlan> SessionManager::Impl::plan_ready(Session& session, Turn& turn) {
  const auto entry = session.entries.find_ready(turn.request.tokens, session.version);
  if (!entry) return std::nullopt;
  SamplingParams& sampling = turn.request.sampling;
  bool adopts = false;
  if (!sampling.seed) {
    adopts = !sampling.greedy() && !entry->seed_used && entry->sampling.seed.has_value();
    sampling.seed = adopts ? *entry->sampling.seed : random_seed();
  }
  if (adopts) entry->seed_used = true;  // an entry's randomness is consumed at most once
  ReadyPlan plan{entry->ready, entry->continuation, false};
  turn.start.continuation_tokens = std::max(1, static_cast<std::int32_t>(entry->continuation.size()));
  if (entry->thought) turn.start.thought_tokens = entry->thought->tokens;
  plan.continuation_proven = sampling.same_distribution(entry->sampling) &&
                             (sampling.greedy() || sampling.seed == entry->sampling.seed) && !turn.request.constraint &&
                             !entry->guess.constraint && turn.request.top_logprobs == 0;
  describe_entry(session, *entry, turn);
  turn.start.path = Path::ready;
  turn.start.gap = entry->ready->statistics().gap;
  turn.start.prepositioned_tokens = static_cast<std::int32_t>(entry->tokens.size());
  turn.start.delta_tokens -= turn.start.prepositioned_tokens;
  turn.overlap = {entry, entry->tokens.size()};
  touch(session, entry);
  return plan;
}

std::optional<GateVerdict> SessionManager::Impl::plan_gate(Session& session, Turn& turn) {
  ++counters.gate_asked;
  const auto entry = session.entries.find_gate(turn.request.tokens, session.version);
  if (!entry) {
    ++counters.gate_refused;
    return std::nullopt;
  }
  GateVerdict verdict = judge(*entry->ready, *turn.request.gate);
  if (!verdict.fires) {
    ++counters.gate_refused;
    return std::nullopt;
  }
  ++counters.gate_fired;
  describe_entry(session, *entry, turn);
  turn.start.path = Path::gate;
  turn.start.gap = verdict.gap;
  turn.start.gap_threshold = turn.request.gate->gap_threshold;
  turn.start.prepositioned_tokens = static_cast<std::int32_t>(entry->tokens.size());
  turn.start.delta_tokens -= turn.start.prepositioned_tokens;
  turn.overlap = {entry, entry->tokens.size()};
  touch(session, entry);
  return verdict;
}

void SessionManager::Impl::answer_from_entry(const std::shared_ptr<Turn>& turn, ReadyPlan plan) {
  const std::lock_guard hold(turn->mutex);
  const TurnRequest& request = turn->request;
  const auto decision = static_cast<Position>(turn->context.size());
  Guide guide;

  std::uint64_t head = 0;
  std::uint64_t full = 0;
  const auto draw = [&](const ReadyRow& row) {
    ScanRequest scan_request;
    scan_request.params = &request.sampling;
    scan_request.position = decision + static_cast<Position>(turn->end.answer.size());
    std::vector<TokenCount> counts;
    if (request.sampling.has_penalties()) {
      Tokens context = turn->context;
      context.insert(context.end(), turn->end.answer.begin(), turn->end.answer.end());
      counts = count_tokens(context, decision);
      scan_request.counts = counts;
    }
    scan_request.mask = guide.mask();
    const ScanResult result = row.scan(scan_request);
    ++(result.from_head ? head : full);
    TurnToken token;
    token.token = result.token;
    token.logprob = result.logprob;
    if (request.top_logprobs > 0) {
      token.top_logprobs =
          poise::top_logprobs(row.logits(), scan_request, static_cast<std::size_t>(request.top_logprobs));
    }
    return token;
  };

  // Answer tokens that are also the entry's: behind them its rows say what comes next, and they have KV (but for its last).
  std::size_t agreed = 0;
  try {
    guide = Guide(request.constraint.get(), info.vocab_size);
    bool going = true;
    if (guide.finished()) {
      finish(turn, FinishReason::constraint);
      going = false;
    }
    while (going) {
      const std::size_t index = turn->end.answer.size();
      const bool along = agreed == index;
      const ContinuationToken* known = along && index < plan.continuation.size() ? &plan.continuation[index] : nullptr;
      TurnToken token;
      if (const auto forced = guide.forced()) {
        token.token = *forced;
        token.forced = true;
      } else if (index == 0) {
        token = draw(*plan.row);
        token.prepositioned = true;
      } else if (known != nullptr && plan.continuation_proven) {
        token.token = known->token.token;
        token.logprob = known->token.logprob;
        token.prepositioned = true;
      } else if (known != nullptr && known->row) {
        token = draw(*known->row);
        token.prepositioned = true;
      } else {
        break;
      }
      guide.accept(token.token);
      if (known != nullptr && known->token.token == token.token) ++agreed;
      going = emit(turn, std::move(token), guide.finished());
    }
  } catch (const std::exception& error) {
    finish(turn, FinishReason::error, error.what());
  }
  {
    const std::lock_guard lock(mutex);
    counters.scans_head += head;
    counters.scans_full += full;
  }
  if (turn->ended) return;
  turn->follows_ready = true;
  // The entry's last chosen token never had KV, nor what was forced behind it.
  std::size_t with_kv = plan.continuation.size();
  while (with_kv > 0 && plan.continuation[--with_kv].token.forced) {
  }
  turn->fresh_answer_tokens = static_cast<std::int32_t>(turn->end.answer.size() - std::min(agreed, with_kv));
  request_tokens(turn);
}

void SessionManager::Impl::answer_from_gate(const std::shared_ptr<Turn>& turn, const GateVerdict& verdict) {
  const std::lock_guard hold(turn->mutex);
  {
    const std::lock_guard lock(mutex);
    ++counters.scans_head;  // the answers alone were looked at
  }
  TurnToken token;
  token.token = verdict.token;
  token.logprob = verdict.logprob;
  token.prepositioned = true;
  turn->start.continuation_tokens = 1;
  if (emit(turn, std::move(token))) finish(turn, FinishReason::length);
}

}  // namespace poise
