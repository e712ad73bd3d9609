#include "poise/session_manager.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "gate/gate.h"
#include "poise/error.h"
#include "session/manager_impl.h"

namespace poise {

namespace {

std::uint64_t first_seed(const ManagerOptions& options) {
  if (options.seed) return *options.seed;
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32U) | device();
}

}  // namespace

SessionManager::Impl::Impl(std::shared_ptr<Executor> executor_in, ManagerOptions options_in,
                           std::shared_ptr<Journal> journal_in, std::shared_ptr<const Clock> clock_in)
    : executor(std::move(executor_in)),
      info(executor->info()),
      options(std::move(options_in)),
      journal(std::move(journal_in)),
      clock(std::move(clock_in)),
      random(first_seed(options)),
      scheduler(options.idle, clock) {}

void SessionManager::Impl::start() {
  lifeline->manager = this;
  executor->on_idle([line = lifeline] {
    const std::shared_lock alive(line->mutex);
    if (line->manager != nullptr) {
      const std::lock_guard lock(line->manager->mutex);
      line->manager->wake_idle();
    }
  });
  if (options.preposition && options.idle_thread) idle_thread = std::thread([this] { idle_loop(); });
}

void SessionManager::Impl::stop() {
  std::vector<std::shared_ptr<Turn>> running;
  std::vector<OwnerId> owners;
  {
    const std::lock_guard lock(mutex);
    stopping = true;
    wake_idle();
    for (const auto& [id, turn] : turns) running.push_back(turn);
    if (job && job->request_id) executor->cancel(*job->request_id);
  }
  if (idle_thread.joinable()) idle_thread.join();
  for (const auto& turn : running) {
    const std::lock_guard hold(turn->mutex);
    if (turn->request_id) executor->cancel(*turn->request_id);
    finish(turn, FinishReason::cancelled);
  }
  executor->on_idle({});
  {
    const std::unique_lock gone(lifeline->mutex);  // waits for callbacks in progress
    lifeline->manager = nullptr;
  }
  for (const auto& [key, session] : sessions_by_key) {
    owners.push_back(session->owner);
    if (session->window) owners.push_back(session->window->owner);
    for (const auto& [id, entry] : session->entries.all()) owners.push_back(entry->owner);
  }
  for (const auto& [owner, keep] : releases) owners.push_back(owner);
  for (const OwnerId owner : owners) {
    if (owner != kNoOwner) executor->release(owner, 0);
  }
}

std::shared_ptr<Session> SessionManager::Impl::find(const SessionId& id) const {
  const auto found = sessions.find(id);
  if (found == sessions.end() || found->second->closed) {
    throw NotFound("no open session '" + id + "'; open one, or check that it was not closed");
  }
  return found->second;
}

TenantKey SessionManager::Impl::tenant_key(const std::string& tenant) {
  return tenants.try_emplace(tenant, tenants.size() + 1).first->second;
}

SessionId SessionManager::Impl::mint_id() {
  std::array<std::uint32_t, 4> words{};
  if (options.seed) {
    for (auto& word : words) word = static_cast<std::uint32_t>(random());
  } else {
    std::random_device device;  // the system's generator: ids must not be guessable
    for (auto& word : words) word = device();
  }
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%08x%08x%08x%08x", words[0], words[1], words[2], words[3]);
  return text.data();
}

void SessionManager::Impl::check_tokens(TokenSpan tokens, const char* what) const {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= info.vocab_size) {
      throw InvalidArgument(std::string(what) + ": token id " + std::to_string(tokens[i]) + " at index " +
                            std::to_string(i) + " is outside the vocabulary [0, " + std::to_string(info.vocab_size) +
                            ")");
    }
  }
}

std::shared_ptr<Session> SessionManager::Impl::add_session(Lock& lock, OpenOptions opened, Tokens log,
                                                           std::vector<MessageSpan> messages) {
  if (static_cast<Position>(log.size()) >= info.max_context_tokens) {
    throw ContextOverflow("open: " + std::to_string(log.size()) + " tokens leave no room in a context of " +
                          std::to_string(info.max_context_tokens) +
                          "; shorten the history or load the model with more context_tokens");
  }
  if (opened.window && static_cast<Position>(log.size()) > opened.window->max_tokens) {
    throw ContextOverflow("open: " + std::to_string(log.size()) + " tokens exceed the window's max_tokens of " +
                          std::to_string(opened.window->max_tokens) + "; shorten the history or widen the window");
  }
  const TenantKey tenant = tenant_key(opened.tenant);
  check_base_prefix(opened, log.size(), tenant);
  if (!opened.base_prefix && counters.sessions_open >= options.max_sessions) {
    throw ResourceExhausted("open: " + std::to_string(counters.sessions_open) +
                            " sessions are open, the limit (max_sessions); close one first");
  }
  if (!opened.base_prefix && tenant_sessions[tenant] >= options.max_sessions_per_tenant) {
    throw ResourceExhausted("open: tenant '" + opened.tenant + "' has " + std::to_string(tenant_sessions[tenant]) +
                            " sessions, the limit (max_sessions_per_tenant); close one first");
  }
  auto session = std::make_shared<Session>();
  session->key = next_session++;
  session->id = mint_id();
  session->tenant_key = tenant;
  session->kv = {tenant, opened.adapter_id, opened.adapter_scale, opened.text_salt};
  session->owner = next_owner++;
  session->expected_sampling = opened.sampling;
  session->options = std::move(opened);
  session->lengths.emplace_back(0, 0);
  sessions.emplace(session->id, session);
  sessions_by_key.emplace(session->key, session);
  enlist(session);
  try {
    commit(lock, *session, {JournalRecord::Kind::open, 0, std::move(log), std::move(messages), nullptr});
  } catch (...) {
    sessions.erase(session->id);
    sessions_by_key.erase(session->key);
    delist(session);
    throw;
  }
  return session;
}

SessionId SessionManager::Impl::open(const OpenOptions& asked) {
  check_tokens(asked.tokens, "open");
  asked.sampling.validate(info.vocab_size);
  if (asked.retention_priority < 36 || asked.retention_priority > 100) {
    throw InvalidArgument("open: retention_priority is " + std::to_string(asked.retention_priority) +
                          "; a session's log needs 36..100 (35 is what unowned KV has)");
  }
  if (asked.continuation_tokens < 0) {
    throw InvalidArgument("open: continuation_tokens is " + std::to_string(asked.continuation_tokens) +
                          "; it must be at least 0");
  }
  check_messages(asked.messages, asked.tokens.size());
  if (asked.window) validate(*asked.window, info.max_context_tokens);
  if (asked.thought) {
    check_tokens(asked.thought->begin, "open: thought.begin");
    check_tokens(asked.thought->end, "open: thought.end");
    validate(*asked.thought);
  }
  OpenOptions opened = asked;
  opened.tokens.clear();
  opened.messages.clear();
  Lock lock(mutex);
  const auto session = add_session(lock, std::move(opened), asked.tokens, asked.messages);
  refresh_offers(*session);
  wake_idle();
  return session->id;
}

SessionId SessionManager::Impl::fork(const SessionId& id, std::optional<Position> tokens) {
  Lock lock(mutex);
  const auto parent = find(id);
  await_commit(lock, *parent);
  const Position length = tokens.value_or(parent->length());
  if (length < 0 || length > parent->length()) {
    throw InvalidArgument("fork: position " + std::to_string(length) + " is outside the log [0, " +
                          std::to_string(parent->length()) + "]");
  }
  std::vector<MessageSpan> messages;
  for (const MessageSpan& message : parent->messages) {
    if (message.end <= length) messages.push_back(message);
  }
  OpenOptions opened = parent->options;
  opened.base_prefix = false;
  const auto child = add_session(lock, std::move(opened), Tokens(parent->log.begin(), parent->log.begin() + length),
                                 std::move(messages));
  child->kv_started = !parent->options.base_prefix;  // otherwise its KV is the parent's, whatever that began with
  for (const auto& [old_id, entry] : parent->entries.all()) {
    if (!entry->guess.persistent) continue;
    auto copy = std::make_shared<Entry>();  // declared again; nothing paid, nothing drawn is shared
    copy->id = next_anticipation++;
    copy->guess = entry->guess;
    copy->reset(child->version);
    child->entries.all().emplace(copy->id, copy);
    ++counters.entries;
  }
  ++counters.forks;
  refresh_offers(*child);
  wake_idle();
  return child->id;
}

void SessionManager::Impl::close(const SessionId& id) {
  std::vector<std::shared_ptr<Turn>> running;
  {
    Lock lock(mutex);
    const auto session = find(id);
    await_commit(lock, *session);
    session->closed = true;
    cancel_job_of(*session);
    scheduler.withdraw_session(session->key, true);
    if (session->writer) running.push_back(session->writer);
    running.insert(running.end(), session->readers.begin(), session->readers.end());
    while (!session->entries.all().empty()) {
      const auto entry = session->entries.all().begin()->second;
      if (entry->worked) record_outcome(*entry, EntryOutcome::cancelled);
      drop_entry(*session, entry);
    }
    drop_window(*session);
    releases.emplace_back(session->owner, 0);
    sessions.erase(session->id);
    sessions_by_key.erase(session->key);
    delist(session);
    if (journal && !session->options.base_prefix) {
      JournalRecord record;
      record.kind = JournalRecord::Kind::close;
      record.session = session->id;
      record.tenant = session->options.tenant;
      record.data_version = session->version;
      lock.unlock();
      journal->write(record);
    }
  }
  for (const auto& turn : running) {
    const std::lock_guard hold(turn->mutex);
    if (turn->request_id) executor->cancel(*turn->request_id);
    finish(turn, FinishReason::cancelled);
  }
  flush_releases();
}

void SessionManager::Impl::flush_releases() {
  std::vector<std::pair<OwnerId, Position>> due;
  {
    const std::lock_guard lock(mutex);
    due.swap(releases);
  }
  for (const auto& [owner, keep] : due) executor->release(owner, keep);
  if (!due.empty()) {
    const std::lock_guard lock(mutex);
    offer_again();
  }
}

void SessionManager::Impl::offer_again() {
  for (const SessionKey key : std::exchange(without_sequence, {})) {
    const auto found = sessions_by_key.find(key);
    if (found == sessions_by_key.end()) continue;
    found->second->idle_error.clear();
    refresh_offers(*found->second);
  }
  wake_idle();
}

void SessionManager::Impl::settle_versions(Session& session, Position resident) const {
  // A version is resident when its whole log is, but for the last id, whose KV its successor computes.
  while (session.lengths.size() > 1 && session.lengths[1].second - 1 <= resident) {
    session.lengths.pop_front();
  }
}

SessionState SessionManager::Impl::state(const SessionId& id) {
  Lock lock(mutex);
  const auto session = find(id);
  SessionState state;
  state.id = session->id;
  state.tenant = session->options.tenant;
  state.log = session->log;
  state.messages = session->messages;
  state.data_version = session->version;
  state.resident_tokens = executor->resident_prefix(session->log, session->kv, session->owner);
  settle_versions(*session, state.resident_tokens);
  const auto [oldest, length] = session->lengths.front();
  state.resident_version = length - 1 <= state.resident_tokens ? oldest : 0;
  state.window_dropped_tokens = session->window_dropped_tokens;
  state.window_prepared = window_prepared(*session);
  state.busy = session->writer != nullptr;
  state.idle_error = session->idle_error;
  state.base_prefix = session->options.base_prefix;
  state.prefix_use = session->prefix_use;
  for (const auto& [entry_id, entry] : session->entries.all()) {
    EntryState out;
    out.id = entry_id;
    out.kind = entry->guess.kind;
    out.source = entry->guess.source;
    out.placement = entry->owner != kNoOwner              ? EntryPlacement::branch
                    : session->resident_entry == entry_id ? EntryPlacement::resident
                                                          : EntryPlacement::detached;
    out.label = entry->guess.label;
    out.tokens = static_cast<std::int32_t>(entry->tokens.size());
    out.continuation_tokens = static_cast<std::int32_t>(entry->continuation.size());
    if (entry->thought) out.thought_tokens = entry->thought->tokens;
    out.decides = entry->decides;
    out.ready = entry->ready != nullptr;
    if (entry->ready) {
      out.gap = entry->ready->statistics().gap;
      out.top1 = entry->ready->statistics().top1;
    }
    out.data_version = entry->data_version;
    state.entries.push_back(std::move(out));
  }
  return state;
}

// ---- the public face ---------------------------------------------------------------------------

SessionManager::SessionManager(std::shared_ptr<Executor> executor, ManagerOptions options,
                               std::shared_ptr<Journal> journal, std::shared_ptr<const Clock> clock) {
  if (!executor) throw InvalidArgument("SessionManager: executor is null; pass a loaded executor");
  if (!clock) clock = std::make_shared<SteadyClock>();
  impl_ = std::make_unique<Impl>(std::move(executor), std::move(options), std::move(journal), std::move(clock));
  impl_->start();
}

SessionManager::~SessionManager() { impl_->stop(); }

SessionId SessionManager::open(const OpenOptions& options) { return impl_->open(options); }

AppendResult SessionManager::append(const SessionId& session, TokenSpan tokens, std::vector<MessageSpan> messages) {
  return impl_->append(session, tokens, std::move(messages));
}

AppendResult SessionManager::rebase(const SessionId& session, Position base, TokenSpan tokens,
                                    std::vector<MessageSpan> messages) {
  return impl_->rebase(session, base, tokens, std::move(messages));
}

std::optional<WindowDrop> SessionManager::slide(const SessionId& session, Position room) {
  return impl_->slide(session, room);
}

TurnId SessionManager::turn(const SessionId& session, TurnRequest request, std::shared_ptr<TurnSink> sink) {
  return impl_->turn(session, std::move(request), std::move(sink));
}

void SessionManager::cancel(TurnId turn) { impl_->cancel(turn); }

void SessionManager::stop_at(TurnId turn, std::int32_t answer_tokens) { impl_->stop_at(turn, answer_tokens); }

AnticipationId SessionManager::anticipate(const SessionId& session, Anticipation anticipation) {
  return impl_->anticipate(session, std::move(anticipation));
}

void SessionManager::retract(const SessionId& session, AnticipationId anticipation) {
  impl_->retract(session, anticipation);
}

SessionId SessionManager::fork(const SessionId& session, std::optional<Position> tokens) {
  return impl_->fork(session, tokens);
}

void SessionManager::close(const SessionId& session) { impl_->close(session); }

SessionState SessionManager::state(const SessionId& session) const { return impl_->state(session); }

std::vector<SessionId> SessionManager::sessions(const std::string& tenant) const {
  std::vector<SessionId> ids;
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [id, session] : impl_->sessions) {
    if (session->options.tenant == tenant && !session->options.base_prefix) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

Counters SessionManager::counters() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->counters;
}

const std::shared_ptr<Executor>& SessionManager::executor() const noexcept { return impl_->executor; }

bool SessionManager::run_idle() { return impl_->run_idle(); }

bool SessionManager::wait_prepositioned(Duration timeout) { return impl_->wait_prepositioned(timeout); }

}  // namespace poise
