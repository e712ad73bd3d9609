// Commits to a session's log, and what becomes of its entries then.
#include <algorithm>

#include "poise/error.h"
#include "session/manager_impl.h"

namespace poise {

void check_messages(const std::vector<MessageSpan>& messages, std::size_t tokens) {
  Position last = 0;
  for (const MessageSpan& message : messages) {
    if (message.begin < last || message.end < message.begin || static_cast<std::size_t>(message.end) > tokens) {
      throw InvalidArgument("message span [" + std::to_string(message.begin) + ", " + std::to_string(message.end) +
                            ") of role '" + message.role + "' overlaps its predecessor or lies outside the " +
                            std::to_string(tokens) + " tokens; spans ascend inside the tokens");
    }
    last = message.end;
  }
}

void move_messages(std::vector<MessageSpan>& messages, Position base) {
  for (MessageSpan& message : messages) {
    message.begin += base;
    message.end += base;
  }
}

AppendResult SessionManager::Impl::append(const SessionId& id, TokenSpan tokens, std::vector<MessageSpan> messages) {
  if (tokens.empty()) throw InvalidArgument("append: no tokens; an append adds at least one");
  check_tokens(tokens, "append");
  check_messages(messages, tokens.size());
  AppendResult result;
  {
    Lock lock(mutex);
    const auto session = find(id);
    await_commit(lock, *session);
    slide_ahead(lock, *session, tokens, static_cast<Position>(tokens.size()) + 1);  // a request needs one more
    check_length("append", *session, length_with(*session, tokens.size()));
    ++counters.appends;
    if (session->writer) {
      session->queued.push_back({Tokens(tokens.begin(), tokens.end()), std::move(messages)});
      result.queued = true;
    } else {
      move_messages(messages, session->length());
      result.advanced_entries = commit(lock, *session,
                                       {JournalRecord::Kind::append, session->length(),
                                        Tokens(tokens.begin(), tokens.end()), std::move(messages), nullptr});
      refresh_offers(*session);
      wake_idle();
    }
    result.data_version = session->version;
  }
  flush_releases();
  return result;
}

std::size_t SessionManager::Impl::length_with(const Session& session, std::size_t tokens) const {
  const auto& window = session.options.window;
  if (!session.writer) return session.log.size() + tokens;
  // Queued; an automatic window makes room for each one when it joins.
  if (window && window->automatic) return static_cast<std::size_t>(window->head_tokens) + tokens;
  std::size_t length = session.log.size() + tokens + session.writer->request.tokens.size();
  if (window) length += static_cast<std::size_t>(session.writer->request.max_new_tokens);
  for (const PendingAppend& waiting : session.queued) length += waiting.tokens.size();
  return length;
}

AppendResult SessionManager::Impl::rebase(const SessionId& id, Position base, TokenSpan tokens,
                                          std::vector<MessageSpan> messages) {
  check_tokens(tokens, "rebase");
  check_messages(messages, tokens.size());
  AppendResult result;
  {
    Lock lock(mutex);
    const auto session = find(id);
    await_commit(lock, *session);
    if (base < 0 || base > session->length()) {
      throw InvalidArgument("rebase: base is " + std::to_string(base) + ", outside the log [0, " +
                            std::to_string(session->length()) + "]");
    }
    if (base == session->length() && tokens.empty()) {
      throw InvalidArgument("rebase: base is the log's end, " + std::to_string(base) +
                            ", and there are no tokens; a rebase replaces or adds at least one");
    }
    if (session->writer) {
      ++counters.conflicts;
      throw Conflict("session '" + session->id +
                     "' runs a durable turn, which a rebase would pull the log away from; wait for its end");
    }
    check_length("rebase", *session, static_cast<std::size_t>(base) + tokens.size());
    move_messages(messages, base);
    // What replaces nothing is data like any other: it may confirm a guess.
    const auto kind = base < session->length() ? JournalRecord::Kind::rebase : JournalRecord::Kind::append;
    result.advanced_entries =
        commit(lock, *session, {kind, base, Tokens(tokens.begin(), tokens.end()), std::move(messages), nullptr});
    refresh_offers(*session);
    wake_idle();
    result.data_version = session->version;
  }
  flush_releases();
  return result;
}

void SessionManager::Impl::check_length(const char* what, const Session& session, std::size_t length) const {
  const auto& window = session.options.window;
  if (window && length > static_cast<std::size_t>(window->max_tokens)) {
    throw ContextOverflow(std::string(what) + ": the log of session '" + session.id + "' would be " +
                          std::to_string(length) + " tokens long, its window's max_tokens is " +
                          std::to_string(window->max_tokens) + "; " +
                          (window->automatic ? "add less at once, or open the session with a larger window"
                                             : "call slide(session, room) first, or add less at once"));
  }
  if (length < static_cast<std::size_t>(info.max_context_tokens)) return;
  throw ContextOverflow(std::string(what) + ": the log of session '" + session.id + "' would be " +
                        std::to_string(length) + " tokens long, and nothing could be asked in a context of " +
                        std::to_string(info.max_context_tokens) +
                        "; open a new session, or load the model with more context_tokens");
}

void SessionManager::Impl::await_commit(Lock& lock, const Session& session) {
  commit_done.wait(lock, [&] { return !session.committing; });
  if (session.closed) throw NotFound("no open session '" + session.id + "'; it was closed meanwhile");
}

std::int32_t SessionManager::Impl::commit(Lock& lock, Session& session, Commit change) {
  const bool first = change.kind == JournalRecord::Kind::open;
  const DataVersion version = session.version + (first && change.tokens.empty() ? 0 : 1);
  if (journal && !session.options.base_prefix) {  // declared anew at every start
    JournalRecord record;
    record.kind = change.kind;
    record.session = session.id;
    record.tenant = session.options.tenant;
    record.data_version = version;
    record.base = change.base;
    record.tokens = change.tokens;
    record.messages = change.messages;
    session.committing = true;
    lock.unlock();
    try {
      journal->write(record);
    } catch (...) {
      lock.lock();
      session.committing = false;
      commit_done.notify_all();
      throw;
    }
    lock.lock();
    session.committing = false;
    commit_done.notify_all();
  }
  const bool rebased = change.base < session.length();
  if (rebased) {
    session.log.resize(static_cast<std::size_t>(change.base));
    std::erase_if(session.messages, [&](const auto& m) { return m.end > change.base; });
    std::erase_if(session.lengths, [&](const auto& known) { return known.second > change.base; });
    if (!change.slides) {
      ++counters.rebases;
      if (session.window && change.base < session.window->cut.cut) drop_window(session);
    }
  }
  session.log.insert(session.log.end(), change.tokens.begin(), change.tokens.end());
  session.messages.insert(session.messages.end(), change.messages.begin(), change.messages.end());
  session.idle_error.clear();
  if (version != session.version) {
    session.version = version;
    session.lengths.emplace_back(version, session.length());
    constexpr std::size_t kRememberedVersions = 64;
    if (session.lengths.size() > kRememberedVersions) session.lengths.pop_front();
  }
  if (!first) ++counters.commits;
  // Only what extends the whole old log can confirm a guess.
  return settle_entries(session, change);
}

std::int32_t SessionManager::Impl::settle_entries(Session& session, const Commit& change) {
  const bool is_append = change.kind == JournalRecord::Kind::append &&
                         change.base + static_cast<Position>(change.tokens.size()) == session.length();
  std::array<bool, kAnticipationKindCount> worked{};
  std::array<bool, kAnticipationKindCount> used{};
  std::int32_t advanced = 0;
  const auto entries = session.entries.all();  // a copy: the loop drops
  for (const auto& [id, entry] : entries) {
    const auto kind = static_cast<std::size_t>(entry->guess.kind);
    // A persistent guess stands behind every version anew; data never belongs to it.
    const bool may_advance = is_append && !entry->guess.persistent && !entry->completing;
    if (may_advance && entry->advance(change.tokens, session.version)) {
      ++advanced;
      ++counters.entries_advanced;
      continue;
    }
    if (change.slides) {
      if (entry->worked) record_outcome(*entry, EntryOutcome::cancelled);
    } else if (entry->worked || entry == change.used) {
      worked[kind] = true;
      const bool was_used = entry == change.used;
      used[kind] = used[kind] || was_used;
      record_outcome(*entry, was_used ? EntryOutcome::used : EntryOutcome::stale);
    }
    if (entry->guess.persistent) {
      refund_bytes(*entry);
      entry->reset(session.version);
    } else {
      drop_entry(session, entry);
    }
  }
  // One outcome a kind: several guesses of one kind share its probability by their weights.
  for (std::size_t kind = 0; kind < kAnticipationKindCount; ++kind) {
    if (!worked[kind]) continue;
    scheduler.on_outcome(session.key, session.tenant_key, static_cast<AnticipationKind>(kind),
                         used[kind] ? EntryOutcome::used : EntryOutcome::stale);
  }
  if (job && job->session.get() == &session && !job->valid()) cancel_job_of(session);
  return advanced;
}

void SessionManager::Impl::join_queued(Lock& lock, Session& session) {
  while (!session.queued.empty()) {
    PendingAppend next = std::move(session.queued.front());
    session.queued.pop_front();
    try {
      slide_ahead(lock, session, next.tokens, static_cast<Position>(next.tokens.size()) + 1);
      move_messages(next.messages, session.length());
      commit(
          lock, session,
          {JournalRecord::Kind::append, session.length(), std::move(next.tokens), std::move(next.messages), nullptr});
    } catch (const std::exception&) {
      // The journal refused an append that was acknowledged as queued, not as joined. It is lost with
      // the journal; the version that the client sees tells it so.
      ++counters.turns_failed;
    }
  }
}

void SessionManager::Impl::record_outcome(const Entry& entry, EntryOutcome outcome) {
  ++counters.entry_outcomes[static_cast<std::size_t>(outcome)][static_cast<std::size_t>(entry.guess.kind)];
}

void SessionManager::Impl::drop_entry(Session& session, const std::shared_ptr<Entry>& entry) {
  refund_bytes(*entry);
  entry->drop_results();
  if (entry->owner != kNoOwner) releases.emplace_back(entry->owner, 0);
  entry->owner = kNoOwner;
  if (session.resident_entry == entry->id) session.resident_entry = 0;
  scheduler.withdraw(session.key, entry->id);
  session.entries.all().erase(entry->id);
  --counters.entries;
}

void SessionManager::Impl::refund_bytes(Entry& entry) {
  const auto found = entries_by_touch.find(entry.touched);
  if (found == entries_by_touch.end() || found->second.second.get() != &entry) return;
  counters.entry_bytes -= entry.charged_bytes;
  entry.charged_bytes = 0;
  entries_by_touch.erase(found);
}

bool SessionManager::Impl::claim_bytes(Session& session, const std::shared_ptr<Entry>& entry, std::uint64_t bytes) {
  while (counters.entry_bytes + bytes > options.max_entry_bytes) {
    auto oldest = entries_by_touch.begin();
    while (oldest != entries_by_touch.end() && oldest->second.second == entry) ++oldest;
    if (oldest == entries_by_touch.end()) return false;
    const auto [key, victim] = oldest->second;
    record_outcome(*victim, EntryOutcome::evicted);
    refund_bytes(*victim);
    victim->drop_results();
    victim->evicted = true;
    scheduler.withdraw(key, victim->id);
  }
  counters.entry_bytes += bytes;
  entry->charged_bytes += bytes;
  touch(session, entry);
  return true;
}

void SessionManager::Impl::touch(Session& session, const std::shared_ptr<Entry>& entry) {
  if (entry->touched != 0) entries_by_touch.erase(entry->touched);
  entry->touched = next_touch++;
  entries_by_touch.emplace(entry->touched, std::pair{session.key, entry});
}

}  // namespace poise
