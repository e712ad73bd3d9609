// Windows: the shortened log is prefilled into a sequence of its own in idle time; a slide swaps the two.
#include <algorithm>

#include "poise/error.h"
#include "session/manager_impl.h"

namespace poise {

namespace {

/// Retention priority of a window in preparation: worth more than speculation, less than any session's log.
constexpr std::int32_t kWindowPriority = 35;

Tokens shortened_log(const Session& session, const WindowCut& cut) {
  Tokens log(session.log.begin(), session.log.begin() + cut.head);
  log.insert(log.end(), session.log.begin() + cut.cut, session.log.end());
  return log;
}

}  // namespace

std::optional<WindowDrop> SessionManager::Impl::slide(const SessionId& id, Position room) {
  if (room < 0) throw InvalidArgument("slide: room is " + std::to_string(room) + "; it must be at least 0");
  std::optional<WindowDrop> drop;
  {
    Lock lock(mutex);
    const auto session = find(id);
    await_commit(lock, *session);
    if (!session->options.window) {
      throw InvalidArgument("slide: session '" + id + "' has no window; open it with OpenOptions.window");
    }
    if (session->writer) {
      ++counters.conflicts;
      throw Conflict("session '" + id +
                     "' runs a durable turn, which a slide would pull the log away from; wait for its end");
    }
    drop = slide_now(lock, *session, room);
    refresh_offers(*session);
    wake_idle();
  }
  flush_releases();
  return drop;
}

std::optional<WindowDrop> SessionManager::Impl::slide_now(Lock& lock, Session& session, Position room) {
  const WindowOptions& window = *session.options.window;
  const bool needed = window_needs_slide(session, room);
  if (!needed && session.active()) return std::nullopt;  // never in the middle of an ephemeral turn, unless it must be
  const bool prepared = window_prepared(session);
  std::optional<WindowCut> cut;
  bool as_planned = false;
  const auto room_left = [&](const WindowCut& made) {
    return std::int64_t{made.shortened(session.length())} + room <= window.max_tokens;
  };
  if (session.window && (prepared || needed) && room_left(session.window->cut)) {
    cut = session.window->cut;
    as_planned = true;
  } else if (needed && room <= window.max_tokens) {
    cut =
        choose_cut(window, session.messages, session.length(), std::min(window.keep_tokens, window.max_tokens - room));
  }
  if (!cut) return std::nullopt;

  WindowDrop drop;
  drop.begin = cut->head;
  drop.end = cut->cut;
  drop.prepared = prepared && as_planned;
  Commit change;
  change.kind = JournalRecord::Kind::rebase;
  change.slides = true;
  change.base = cut->head;
  change.tokens.assign(session.log.begin() + cut->cut, session.log.end());
  change.messages = cut_messages(session.messages, *cut, drop);
  commit(lock, session, std::move(change));
  ++counters.window_slides;
  if (!drop.prepared) ++counters.window_slides_unprepared;
  counters.window_dropped_tokens += static_cast<std::uint64_t>(drop.end - drop.begin);
  session.window_dropped_tokens += drop.end - drop.begin;
  cancel_job_of(session);
  take_window_kv(session);
  return drop;
}

void SessionManager::Impl::slide_ahead(Lock& lock, Session& session, TokenSpan tokens, Position room) {
  if (!session.options.window || !session.options.window->automatic || session.writer) return;
  if (!window_needs_slide(session, room)) {
    if (!session.window) return;
    // A prepared slide can wait for a request that an entry would answer: the slide would void it.
    for (const auto& [id, entry] : session.entries.all()) {
      const std::size_t shorter = std::min(entry->tokens.size(), tokens.size());
      const bool serves = entry->ready && entry->data_version == session.version;
      if (serves && common_prefix(entry->tokens, tokens) == shorter) return;
    }
  }
  static_cast<void>(slide_now(lock, session, room));
}

void SessionManager::Impl::slide_ahead_of(Lock& lock, Session& session, const TurnRequest& request) {
  if (!session.options.window || request.rebase_to) return;  // the position that was named would move
  const auto wanted = static_cast<std::int64_t>(request.tokens.size()) + request.max_new_tokens;
  auto room = static_cast<Position>(std::min<std::int64_t>(wanted, 2 * std::int64_t{info.max_context_tokens}));
  // What commits nothing needs room in the context only.
  if (!request.durable) room = std::max(0, room - (info.max_context_tokens - session.options.window->max_tokens));
  slide_ahead(lock, session, request.tokens, room);
}

bool SessionManager::Impl::window_needs_slide(const Session& session, Position room) const {
  return std::int64_t{session.length()} + room > session.options.window->max_tokens;
}

bool SessionManager::Impl::window_prepared(const Session& session) const {
  return session.window && window_resident(session) >= session.window->cut.shortened(session.length());
}

Position SessionManager::Impl::window_resident(const Session& session) const {
  return executor->resident_prefix(shortened_log(session, session.window->cut), session.kv, session.window->owner);
}

void SessionManager::Impl::take_window_kv(Session& session) {
  session.resident_entry = session.begun_entry = 0;
  if (!session.window) return;
  OwnerId given_up = session.window->owner;
  session.window.reset();
  const Position prepared = executor->resident_prefix(session.log, session.kv, given_up);
  if (prepared > executor->resident_prefix(session.log, session.kv, session.owner)) {
    std::swap(given_up, session.owner);
  }
  // An ephemeral turn may still run in the old sequence.
  for (const auto& reader : session.readers) {
    if (reader->owner == given_up) {
      reader->released_owners.push_back(given_up);
      return;
    }
  }
  releases.emplace_back(given_up, 0);
}

void SessionManager::Impl::drop_window(Session& session) {
  if (!session.window) return;
  releases.emplace_back(session.window->owner, 0);
  session.window.reset();
}

bool SessionManager::Impl::offer_window(Session& session) {
  if (!session.options.window) return false;
  if (!session.window) {
    const WindowOptions& window = *session.options.window;
    if (session.length() <= window_trigger(window)) return false;
    const auto cut = choose_cut(window, session.messages, session.length(), window.keep_tokens);
    if (!cut) return false;
    session.window = WindowPlan{*cut, next_owner++};
  }
  const Position resident = window_resident(session);
  const Position missing = session.window->cut.shortened(session.length()) - resident;
  if (missing <= 0) return false;
  // A second sequence is worth less than another session's first one.
  if (resident == 0 && executor->stats().sequences_used >= info.max_sequences) return false;
  IdleCandidate work = candidate_of(session, nullptr);
  work.prefill_tokens = missing;
  scheduler.offer(work);
  return true;
}

void SessionManager::Impl::plan_window_job(IdleJob& planned, Request& request) const {
  const Session& session = *planned.session;
  planned.window = true;
  planned.owner = session.window->owner;
  request.context = shortened_log(session, session.window->cut);
  request.retention = {{0, -1, kWindowPriority, session.options.time_to_live}};
}

}  // namespace poise
