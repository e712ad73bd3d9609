// Anticipations, and what of them is still worth paying for.
#include <algorithm>
#include <utility>

#include "poise/error.h"
#include "session/manager_impl.h"

namespace poise {

AnticipationId SessionManager::Impl::anticipate(const SessionId& id, Anticipation guess) {
  check_tokens(guess.tokens, "anticipate");
  check_tokens(guess.suffix, "anticipate: suffix");
  check_tokens(guess.completion_stops, "anticipate: completion_stops");
  if (guess.tokens.empty()) {
    throw InvalidArgument("anticipate: no tokens; a guess adds at least one behind the log");
  }
  if (!(guess.weight >= 0.0 && guess.weight <= 1.0)) {
    throw InvalidArgument("anticipate: weight is " + std::to_string(guess.weight) + "; it is a probability in [0, 1]");
  }
  if (guess.completion_tokens < 0 || (guess.completion_tokens > 0 && guess.completion_stops.empty())) {
    throw InvalidArgument("anticipate: completion_tokens is " + std::to_string(guess.completion_tokens) + " with " +
                          std::to_string(guess.completion_stops.size()) +
                          " completion_stops; a completion needs a length and a stop");
  }
  Lock lock(mutex);
  const auto session = find(id);
  await_commit(lock, *session);
  // What it replaces may be gone by now, with a commit for example: then there is nothing to replace.
  const auto replaced = session->entries.find(std::exchange(guess.replaces, 0));
  if (const auto equal = session->entries.find_equal(guess)) {
    equal->guess.weight = guess.weight;
    equal->guess.label = guess.label;
    equal->guess.source = guess.source;
    if (replaced && replaced != equal) hand_over(*session, replaced, equal);
    refresh_offers(*session);
    wake_idle();
    return equal->id;
  }
  if (!replaced && session->entries.all().size() >= options.max_entries_per_session) {
    throw ResourceExhausted("anticipate: session '" + session->id + "' has " +
                            std::to_string(session->entries.all().size()) +
                            " anticipations, the limit (max_entries_per_session); retract one first");
  }
  auto entry = std::make_shared<Entry>();
  entry->id = next_anticipation++;
  entry->guess = std::move(guess);
  entry->reset(session->version);
  session->entries.all().emplace(entry->id, entry);
  ++counters.entries;
  if (replaced) hand_over(*session, replaced, entry);
  refresh_offers(*session);
  wake_idle();
  return entry->id;
}

void SessionManager::Impl::hand_over(Session& session, const std::shared_ptr<Entry>& replaced,
                                     const std::shared_ptr<Entry>& entry) {
  const bool behind_log = session.resident_entry == replaced->id || session.begun_entry == replaced->id;
  if (entry->owner == kNoOwner && !entry->worked) std::swap(entry->owner, replaced->owner);
  if (replaced->worked) record_outcome(*replaced, EntryOutcome::cancelled);
  drop_entry(session, replaced);
  if (job && job->session.get() == &session && !job->valid()) cancel_job_of(session);
  if (!behind_log || entry->owner != kNoOwner) return;
  session.begun_entry = entry->id;
  const std::size_t begun = begun_tokens(session, *entry);
  entry->begun = entry->begun || begun > 0;
  if (begun == entry->tokens.size() && !entry->decides && !entry->completing) {
    // Cut back: the KV behind it stays, for text that is typed again.
    entry->worked = true;
    entry->made_at = clock->now();
    session.resident_entry = entry->id;
  }
}

void SessionManager::Impl::retract(const SessionId& id, AnticipationId anticipation) {
  {
    Lock lock(mutex);
    const auto session = find(id);
    const auto entry = session->entries.find(anticipation);
    if (!entry) return;
    if (entry->worked) record_outcome(*entry, EntryOutcome::cancelled);
    drop_entry(*session, entry);
    if (job && job->session == session && !job->valid()) cancel_job_of(*session);
    refresh_offers(*session);
  }
  flush_releases();
}

IdleCandidate SessionManager::Impl::candidate_of(const Session& session, const Entry* entry) {
  IdleCandidate work;
  work.session = session.key;
  work.tenant = session.tenant_key;
  work.decides = false;
  if (entry != nullptr) {
    work.anticipation = entry->id;
    work.kind = entry->guess.kind;
    work.weight = entry->guess.weight;
  }
  return work;
}

IdleCandidate SessionManager::Impl::remaining_work(const Session& session, Entry& entry, Position log_missing) const {
  IdleCandidate work = candidate_of(session, &entry);
  work.decides = entry.decides;
  const auto tokens = static_cast<std::int32_t>(entry.tokens.size());
  const auto room = info.max_context_tokens - session.length() - tokens;
  if (room < 1 || entry.evicted) return work;  // could not be asked either; would push others out again
  if (entry.completing) {
    work.prefill_tokens = std::max(1, log_missing + tokens);
    const auto written = tokens - static_cast<std::int32_t>(entry.guess.tokens.size());
    work.completion_tokens = std::clamp(entry.guess.completion_tokens - written, 1, std::max(1, room - 1));
  } else if (!entry.decides) {
    if (!entry.worked) work.prefill_tokens = std::max(1, log_missing + tokens);
  } else if (!entry.ready) {
    work.prefill_tokens = std::max(1, log_missing + tokens);
    work.decode_tokens = continuation_left(session, entry, room - 1);
  } else if (!entry.continuation_done) {
    work.decoded_tokens = static_cast<std::int32_t>(entry.continuation.size());
    work.decode_tokens = continuation_left(session, entry, room - 1);
  }
  return work;
}

std::int32_t SessionManager::Impl::continuation_left(const Session& session, Entry& entry, std::int32_t room) const {
  const auto known = static_cast<std::int32_t>(entry.continuation.size());
  std::int32_t left = session.options.continuation_tokens - known;
  if (const Thought* thought = thought_of(session, entry)) {
    const std::int32_t thinking = thought->inside ? session.options.thought->tokens - thought->tokens : 0;
    left = thought->inside && thinking <= 0
               ? 0  // at the cap: the end mark may be far
               : thinking + std::max(0, session.options.continuation_tokens - thought->other_tokens);
  }
  return std::clamp(left, 0, std::max(0, room - known));
}

Thought* SessionManager::Impl::thought_of(const Session& session, Entry& entry) const {
  if (!session.options.thought) return nullptr;
  if (!entry.thought) {
    // Only what the current message says counts: a thought that an earlier one left open is over.
    const Tokens& stops = stop_tokens_of(session);
    const auto since_stop = [&](const Tokens& tokens) {
      const auto last = std::find_first_of(tokens.rbegin(), tokens.rend(), stops.begin(), stops.end());
      return TokenSpan(tokens).subspan(static_cast<std::size_t>(tokens.rend() - last));
    };
    const TokenSpan behind = since_stop(entry.tokens);
    Tokens tail;
    if (behind.size() == entry.tokens.size()) {
      const TokenSpan before = since_stop(session.log);
      tail.assign(before.begin(), before.end());
    }
    tail.insert(tail.end(), behind.begin(), behind.end());
    entry.thought = Thought::behind(*session.options.thought, tail);
  }
  return &*entry.thought;
}

const Tokens& SessionManager::Impl::stop_tokens_of(const Session& session) const {
  return session.options.stop_tokens.empty() ? info.end_tokens : session.options.stop_tokens;
}

std::size_t SessionManager::Impl::begun_tokens(Session& session, const Entry& entry) const {
  if (entry.owner != kNoOwner) return 0;
  const Position length = session.length();
  // One context for the question; the lock is held, and the log is itself again behind it.
  session.log.insert(session.log.end(), entry.tokens.begin(), entry.tokens.end());
  const Position resident = executor->resident_prefix(session.log, session.kv, session.owner);
  session.log.resize(static_cast<std::size_t>(length));
  return static_cast<std::size_t>(std::max(0, resident - length));
}

void SessionManager::Impl::refresh_offers(Session& session) {
  if (session.closed || session.active() || !session.idle_error.empty() || !options.preposition ||
      !session.options.preposition) {
    scheduler.withdraw_session(session.key, session.closed);
    return;
  }
  const Position resident = executor->resident_prefix(session.log, session.kv, session.owner);
  settle_versions(session, resident);
  const Position log_missing = session.length() - resident;
  const auto begun = session.entries.find(session.begun_entry);
  const TokenSpan behind = begun ? TokenSpan(begun->tokens).first(begun_tokens(session, *begun)) : TokenSpan{};
  const auto missing = [&](const Entry& entry) {
    const bool own_sequence = entry.owner != kNoOwner;
    return log_missing - (own_sequence ? 0 : static_cast<Position>(common_prefix(entry.tokens, behind)));
  };
  // Guesses share the place behind the log. Unless another one is worth more, what was begun there is finished first:
  // equal ones that took turns would push each other out for ever.
  const double begun_value = behind.empty() ? 0.0 : scheduler.value(remaining_work(session, *begun, missing(*begun)));
  bool anything = false;
  for (const auto& [id, entry] : session.entries.all()) {
    const IdleCandidate work = remaining_work(session, *entry, missing(*entry));
    if (work.prefill_tokens == 0 && work.completion_tokens == 0 && work.decode_tokens == 0) {
      scheduler.withdraw(session.key, id);
      continue;
    }
    anything = true;
    const bool pushes_out = work.prefill_tokens > 0 && entry != begun && entry->owner == kNoOwner;
    if (pushes_out && begun_value > 0.0 && scheduler.value(work) <= begun_value) {
      scheduler.withdraw(session.key, id);
    } else {
      scheduler.offer(work);
    }
  }
  // The last id of an answer has no KV yet; alone it is not worth a step.
  session.log_first = !anything && log_missing > 1;
  if (session.log_first) {
    IdleCandidate work = candidate_of(session, nullptr);
    work.prefill_tokens = log_missing;
    scheduler.offer(work);
    return;
  }
  if (!offer_window(session)) scheduler.withdraw(session.key, 0);
  if (!anything) offer_placement(session);
}

void SessionManager::Impl::offer_placement(Session& session) {
  Entry* best = nullptr;
  double best_value = 0.0;
  for (const auto& [id, entry] : session.entries.all()) {
    if (!entry->worked || entry->tokens.empty() || entry->owner != kNoOwner) continue;
    const double value = scheduler.probability(session.key, entry->guess.kind) * entry->guess.weight *
                         static_cast<double>(entry->tokens.size());
    if (value > best_value) {
      best = entry.get();
      best_value = value;
    }
  }
  if (best == nullptr || best->id == session.resident_entry) return;
  // The beginning of what stands there (framing, while a message is typed) is in its place.
  if (best->continuation.empty() && begun_tokens(session, *best) == best->tokens.size()) return;
  IdleCandidate work = candidate_of(session, best);
  work.prefill_tokens = static_cast<std::int32_t>(best->tokens.size());
  scheduler.offer(work);
}

}  // namespace poise
