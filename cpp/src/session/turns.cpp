// A turn: choosing its path, asking the executor, its end.
#include <algorithm>

#include "gate/gate.h"
#include "poise/error.h"
#include "session/manager_impl.h"

namespace poise {

/// Holds the turn, not the manager.
class SessionManager::Impl::TurnRequestSink final : public Sink {
 public:
  TurnRequestSink(std::shared_ptr<Lifeline> line, std::shared_ptr<Turn> turn)
      : line_(std::move(line)), turn_(std::move(turn)) {}

  void on_start(RequestId, std::int32_t reused_tokens) override {
    with_manager([&](Impl& manager) { manager.start_from_executor(*turn_, reused_tokens); });
  }

  void on_token(RequestId, const GeneratedToken& token) override {
    with_manager([&](Impl& manager) {
      TurnToken out;
      out.token = token.token;
      out.logprob = token.logprob;
      out.top_logprobs = token.top_logprobs;
      out.forced = token.forced;
      turn_->end.decoded_tokens += token.forced ? 0 : 1;
      manager.emit(turn_, std::move(out));
    });
  }

  void on_finish(RequestId, const Completion& done) override {
    with_manager([&](Impl& manager) {
      TurnEnd& end = turn_->end;
      if (turn_->follows_ready) {
        // Answer tokens that the entry had not decoded never had KV; whatever else was prefilled was computed before.
        end.reprefilled_tokens = std::max(0, done.prefilled_tokens - turn_->fresh_answer_tokens);
        end.reused_tokens = end.context_tokens - end.reprefilled_tokens;
      } else {
        end.reused_tokens = done.reused_tokens;
        end.prefilled_tokens = done.prefilled_tokens;
      }
      {
        const std::lock_guard lock(manager.mutex);
        if (turn_->owner != kNoOwner) manager.note_start(*turn_->session, turn_->context, done);
        // Forced tokens are no decodes.
        manager.scheduler.on_request_work(done.prefilled_tokens, done.prefill, end.decoded_tokens, done.decode);
        manager.counters.request_prefilled_tokens += static_cast<std::uint64_t>(done.prefilled_tokens);
        manager.counters.request_decoded_tokens += static_cast<std::uint64_t>(end.decoded_tokens);
      }
      manager.finish(turn_, done.reason, done.error);
    });
  }

 private:
  template <typename Call>
  void with_manager(Call call) {
    const std::shared_lock alive(line_->mutex);
    if (line_->manager == nullptr) return;
    const std::lock_guard hold(turn_->mutex);
    if (!turn_->ended) call(*line_->manager);
  }

  std::shared_ptr<Lifeline> line_;
  std::shared_ptr<Turn> turn_;
};

void SessionManager::Impl::validate_turn(const TurnRequest& request) const {
  check_tokens(request.tokens, "turn");
  check_tokens(request.stop_tokens, "turn: stop_tokens");
  check_messages(request.messages, request.tokens.size());
  request.sampling.validate(info.vocab_size);
  if (request.max_new_tokens < 1) {
    throw InvalidArgument("turn: max_new_tokens is " + std::to_string(request.max_new_tokens) +
                          "; a turn asks for at least 1 (use append for data that asks nothing)");
  }
  if (request.top_logprobs < 0 || request.top_logprobs > 20) {
    throw InvalidArgument("turn: top_logprobs is " + std::to_string(request.top_logprobs) + "; it must be in 0..20");
  }
  if (request.gate) validate(*request.gate, info.vocab_size);
}

/// Fixes what the turn stands on: base, context, owner, version. Throws before anything changes.
void SessionManager::Impl::place_turn(Session& session, const std::shared_ptr<Turn>& turn) {
  const TurnRequest& request = turn->request;
  turn->base = request.rebase_to.value_or(session.length());
  if (turn->base < 0 || turn->base > session.length()) {
    throw InvalidArgument("turn: rebase_to is " + std::to_string(turn->base) + ", outside the log [0, " +
                          std::to_string(session.length()) + "]");
  }
  turn->log_is_base = turn->base == session.length();
  const std::size_t context = static_cast<std::size_t>(turn->base) + request.tokens.size();
  if (context == 0) {
    throw InvalidArgument("turn: neither the log nor the request has a token; append something first");
  }
  const auto needed = context + static_cast<std::size_t>(request.max_new_tokens);
  const auto& window = session.options.window;
  if (window && request.durable && needed > static_cast<std::size_t>(window->max_tokens)) {
    throw ContextOverflow("turn: log " + std::to_string(turn->base) + " + request " +
                          std::to_string(request.tokens.size()) + " + max_new_tokens " +
                          std::to_string(request.max_new_tokens) + " = " + std::to_string(needed) +
                          " tokens exceed the window's max_tokens of " + std::to_string(window->max_tokens) + "; " +
                          (window->automatic ? "shorten the request or lower max_new_tokens"
                                             : "call slide(session, room) first, or shorten the request"));
  }
  if (needed > static_cast<std::size_t>(info.max_context_tokens)) {
    throw ContextOverflow("turn: log " + std::to_string(turn->base) + " + request " +
                          std::to_string(request.tokens.size()) + " + max_new_tokens " +
                          std::to_string(request.max_new_tokens) + " = " + std::to_string(needed) +
                          " tokens exceed the context of " + std::to_string(info.max_context_tokens) +
                          "; shorten the request or lower max_new_tokens");
  }
  if (request.durable && session.writer) {
    ++counters.conflicts;
    throw Conflict("session '" + session.id +
                   "' already runs a durable turn; wait for its end, or ask with durable = false");
  }
  turn->context.reserve(needed);
  turn->context.assign(session.log.begin(), session.log.begin() + turn->base);
  turn->context.insert(turn->context.end(), request.tokens.begin(), request.tokens.end());
  // Beside a running turn of the same session, an ephemeral one copies instead of waiting for it.
  turn->owner = session.active() && !request.durable ? kNoOwner : session.owner;
  turn->start.turn = turn->id;
  turn->start.data_version = session.version;
  turn->start.delta_tokens = static_cast<std::int32_t>(request.tokens.size());
  turn->end.context_tokens = static_cast<std::int32_t>(context);
  turn->end.data_version = session.version;
}

void SessionManager::Impl::describe_entry(const Session& session, const Entry& entry, Turn& turn) const {
  turn.start.source = entry.guess.source;
  turn.start.kind = entry.guess.kind;
  turn.start.label = entry.guess.label;
  turn.start.placement = entry.owner != kNoOwner              ? EntryPlacement::branch
                         : session.resident_entry == entry.id ? EntryPlacement::resident
                                                              : EntryPlacement::detached;
  turn.start.entry_age_ms = to_ms(turn.asked_at - entry.made_at);
}

TurnId SessionManager::Impl::turn(const SessionId& id, TurnRequest request, std::shared_ptr<TurnSink> sink) {
  if (!sink) throw InvalidArgument("turn: the sink is null; pass one that receives the answer");
  const TimePoint asked_at = clock->now();
  validate_turn(request);
  auto turn = std::make_shared<Turn>();
  turn->asked_at = asked_at;
  turn->request = std::move(request);
  turn->sink = std::move(sink);
  std::optional<ReadyPlan> ready;
  std::optional<GateVerdict> gate;
  {
    Lock lock(mutex);
    const auto session = find(id);
    await_commit(lock, *session);
    turn->session = session;
    slide_ahead_of(lock, *session, turn->request);
    place_turn(*session, turn);
    turn->id = next_turn++;
    turn->start.turn = turn->id;
    cancel_job_of(*session);
    scheduler.withdraw_session(session->key, false);
    if (turn->request.stop_tokens.empty()) turn->request.stop_tokens = info.end_tokens;
    SamplingParams expected = turn->request.sampling;
    expected.seed.reset();
    session->expected_sampling = std::move(expected);
    if (turn->request.use_entries && turn->log_is_base) {
      ready = plan_ready(*session, *turn);
      if (!ready && turn->request.gate && !turn->request.constraint) gate = plan_gate(*session, *turn);
      if (!ready && !gate) {
        turn->overlap = session->entries.find_overlap(turn->request.tokens, session->version);
        if (turn->overlap.entry) describe_entry(*session, *turn->overlap.entry, *turn);
      }
    }
    if (!turn->request.sampling.seed) turn->request.sampling.seed = random_seed();
    const auto& entry = turn->overlap.entry;
    if (entry && entry->owner != kNoOwner && turn->owner == session->owner) {
      // The branch becomes the session's own sequence; the old one goes when the turn ends.
      turn->released_owners.push_back(session->owner);
      session->owner = turn->owner = entry->owner;
      entry->owner = kNoOwner;
    }
    // The request will run behind the log in place: what the KV holds then is only known afterwards.
    if (turn->owner == session->owner) session->resident_entry = 0;
    turns.emplace(turn->id, turn);
    if (turn->request.durable) {
      session->writer = turn;
      ++counters.turns_durable;
    } else {
      session->readers.push_back(turn);
      ++counters.turns_ephemeral;
    }
  }
  if (ready) {
    answer_from_entry(turn, std::move(*ready));
  } else if (gate) {
    answer_from_gate(turn, *gate);
  } else {
    request_tokens(turn);
  }
  flush_releases();
  return turn->id;
}

void SessionManager::Impl::request_tokens(const std::shared_ptr<Turn>& turn) {
  const std::lock_guard hold(turn->mutex);
  if (turn->ended) return;
  Request request;
  const auto output_start = static_cast<Position>(turn->context.size());
  const auto answered = static_cast<std::int32_t>(turn->end.answer.size());
  request.context = turn->context;
  request.context.insert(request.context.end(), turn->end.answer.begin(), turn->end.answer.end());
  request.output_start = output_start;
  request.max_new_tokens = turn->request.max_new_tokens - answered;
  request.sampling = turn->request.sampling;
  request.stop_tokens = turn->request.stop_tokens;
  request.constraint = turn->request.constraint;
  request.top_logprobs = turn->request.top_logprobs;
  request.priority = kRequestPriority;
  request.key = turn->session->kv;
  request.owner = turn->owner;
  const OpenOptions& kept = turn->session->options;
  if (turn->owner != kNoOwner) {
    const Position durable_end = turn->request.durable ? -1 : turn->base;
    if (turn->request.durable || turn->base > 0) {
      request.retention.push_back({0, durable_end, kept.retention_priority, kept.time_to_live});
    }
    if (!turn->request.durable) {
      request.retention.push_back({turn->base, -1, kSpeculativePriority, kept.time_to_live});
    }
  }
  try {
    turn->request_id = executor->enqueue(std::move(request), std::make_shared<TurnRequestSink>(lifeline, turn));
  } catch (const std::exception& error) {
    finish(turn, FinishReason::error, error.what());
  }
}

void SessionManager::Impl::start_from_executor(Turn& turn, std::int32_t reused_tokens) {
  if (turn.follows_ready || turn.started) return;
  const auto overlap = static_cast<std::int32_t>(turn.overlap.tokens);
  const std::int32_t prepaid = std::min(reused_tokens - turn.base, overlap);
  if (prepaid > 0) {
    turn.start.path = Path::entry;
    turn.start.prepositioned_tokens = prepaid;
    turn.start.delta_tokens = static_cast<std::int32_t>(turn.request.tokens.size()) - prepaid;
    return;
  }
  turn.overlap = {};
  turn.start.path = reused_tokens > 0 ? Path::prefix : Path::cold;
  turn.start.source = AnticipationSource::none;
  turn.start.kind.reset();
  turn.start.label.clear();
  turn.start.placement = EntryPlacement::resident;
  turn.start.entry_age_ms = 0.0;
}

bool SessionManager::Impl::emit(const std::shared_ptr<Turn>& turn, TurnToken token, bool constraint_finished) {
  if (turn->ended) return false;
  token.index = static_cast<std::int32_t>(turn->end.answer.size());
  turn->end.answer.push_back(token.token);
  const TokenId id = token.token;
  if (!turn->started) {
    turn->started = true;
    turn->end.first_token = clock->now() - turn->asked_at;
    turn->sink->on_start(turn->start);
  }
  if (token.prepositioned) ++turn->prepaid_answer_tokens;
  turn->sink->on_token(token);
  if (turn->ended) return false;  // the sink stopped or cancelled it
  const bool from_executor = turn->request_id.has_value();
  if (from_executor) return true;  // the executor tells why it ends
  const Tokens& stops = turn->request.stop_tokens;
  if (std::find(stops.begin(), stops.end(), id) != stops.end()) {
    finish(turn, FinishReason::stop);
  } else if (constraint_finished) {
    finish(turn, FinishReason::constraint);
  } else if (static_cast<std::int32_t>(turn->end.answer.size()) >= turn->request.max_new_tokens) {
    finish(turn, FinishReason::length);
  }
  return !turn->ended;
}

void SessionManager::Impl::cancel(TurnId id) {
  std::shared_ptr<Turn> turn;
  {
    const std::lock_guard lock(mutex);
    const auto found = turns.find(id);
    if (found == turns.end()) return;
    turn = found->second;
  }
  const std::lock_guard hold(turn->mutex);
  if (turn->request_id) executor->cancel(*turn->request_id);
  finish(turn, FinishReason::cancelled);
}

void SessionManager::Impl::stop_at(TurnId id, std::int32_t answer_tokens) {
  std::shared_ptr<Turn> turn;
  {
    const std::lock_guard lock(mutex);
    const auto found = turns.find(id);
    if (found == turns.end()) return;
    turn = found->second;
  }
  const std::lock_guard hold(turn->mutex);
  if (turn->ended) return;
  const auto emitted = static_cast<std::int32_t>(turn->end.answer.size());
  if (answer_tokens < 1 || answer_tokens > emitted) {
    throw InvalidArgument("stop_at: " + std::to_string(answer_tokens) + " tokens; the turn has emitted " +
                          std::to_string(emitted) + ", so 1.." + std::to_string(emitted) + " can be kept");
  }
  if (turn->request_id) executor->cancel(*turn->request_id);
  turn->end.answer.resize(static_cast<std::size_t>(answer_tokens));
  finish(turn, FinishReason::stop);
}

void SessionManager::Impl::finish(const std::shared_ptr<Turn>& turn, FinishReason reason, std::string error) {
  if (turn->ended) return;
  turn->ended = true;
  TurnEnd& end = turn->end;
  end.reason = reason;
  end.error = std::move(error);
  const bool complete =
      reason == FinishReason::stop || reason == FinishReason::length || reason == FinishReason::constraint;
  const bool partial = reason == FinishReason::cancelled && turn->request.keep_partial && !end.answer.empty();
  if (turn->start.path == Path::ready || turn->start.path == Path::gate) {
    if (!turn->follows_ready) end.reused_tokens = end.context_tokens;
  }
  {
    Lock lock(mutex);
    Session& session = *turn->session;
    const std::shared_ptr<Entry> used = turn->overlap.entry;
    if (turn->started) {
      ++counters.turns_by_path[static_cast<std::size_t>(turn->start.path)];
      counters.used_prefilled_tokens += static_cast<std::uint64_t>(turn->start.prepositioned_tokens);
      counters.used_decoded_tokens += static_cast<std::uint64_t>(turn->prepaid_answer_tokens);
    }
    if (reason == FinishReason::cancelled) ++counters.turns_cancelled;
    if (turn->request.durable && (complete || partial) && !session.closed) {
      Commit change;
      change.kind = JournalRecord::Kind::turn;
      change.base = turn->base;
      change.tokens = turn->request.tokens;
      change.tokens.insert(change.tokens.end(), end.answer.begin(), end.answer.end());
      change.messages = turn->request.messages;
      const auto asked = static_cast<Position>(turn->request.tokens.size());
      if (!turn->request.answer_role.empty()) {
        change.messages.push_back({turn->request.answer_role, {}, asked, static_cast<Position>(change.tokens.size())});
      }
      move_messages(change.messages, turn->base);
      change.used = used;
      try {
        commit(lock, session, std::move(change));
      } catch (const std::exception& failure) {
        end.reason = FinishReason::error;
        end.error = std::string("the journal refused the turn, nothing was committed: ") + failure.what();
      }
    } else if (used && turn->started && !session.closed) {
      // Nothing was committed: the entry stands, and was of use.
      record_outcome(*used, EntryOutcome::used);
      scheduler.on_outcome(session.key, session.tenant_key, used->guess.kind, EntryOutcome::used);
      if (turn->owner == session.owner && used->owner == kNoOwner) session.resident_entry = used->id;
    }
    if (end.reason == FinishReason::error) ++counters.turns_failed;
    for (const OwnerId owner : turn->released_owners) releases.emplace_back(owner, 0);
    turns.erase(turn->id);
    if (session.writer == turn) session.writer.reset();
    std::erase(session.readers, turn);
    if (!session.writer && !session.closed) join_queued(lock, session);
    end.data_version = session.version;
    refresh_offers(session);
    wake_idle();
  }
  end.total = clock->now() - turn->asked_at;
  turn->sink->on_end(end);
}

}  // namespace poise
