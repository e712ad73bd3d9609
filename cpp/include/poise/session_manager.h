// The SessionManager: tokens in, tokens out. Keeps sessions alive on an executor and spends its idle
// time so that the next request finds its first token already there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "poise/clock.h"
#include "poise/counters.h"
#include "poise/executor.h"
#include "poise/idle_scheduler.h"
#include "poise/journal.h"
#include "poise/session.h"

namespace poise {

struct ManagerOptions {
  std::size_t max_sessions = 100'000;
  std::size_t max_sessions_per_tenant = 100'000;
  std::size_t max_base_prefixes_per_tenant = 16;
  std::size_t max_entries_per_session = 64;
  std::uint64_t max_entry_bytes = 256U << 20U;  ///< distributions and continuations, all sessions
  bool preposition = true;                      ///< false: a plain prefix-caching session store
  bool idle_thread = true;                      ///< false: idle work starts only in run_idle(); for simulation
  IdleOptions idle;
  std::optional<std::uint64_t> seed;  ///< ids and fresh seeds; unset = the system's randomness
};

/// Thread-safe. A method given an unknown or closed session, or another tenant's, throws NotFound.
class SessionManager {
 public:
  /// `journal` may be null (nothing is written), `clock` null means SteadyClock.
  SessionManager(std::shared_ptr<Executor> executor, ManagerOptions options, std::shared_ptr<Journal> journal = nullptr,
                 std::shared_ptr<const Clock> clock = nullptr);
  /// Cancels what runs and waits for it.
  ~SessionManager();
  SessionManager(const SessionManager&) = delete;
  SessionManager& operator=(const SessionManager&) = delete;

  /// Opens a session. Throws ContextOverflow, ResourceExhausted, InvalidArgument.
  SessionId open(const OpenOptions& options);

  /// Adds data that asks nothing. Acknowledged when it returns. Throws InvalidArgument (empty append, ids out of range),
  /// ContextOverflow; the session is unchanged then.
  AppendResult append(const SessionId& session, TokenSpan tokens, std::vector<MessageSpan> messages = {});

  /// Replaces the log from `base` on: a rendering that rewrites history. What is new is prefilled in idle time; entries
  /// are dropped, persistent ones made anew. Throws InvalidArgument (base outside the log), ContextOverflow, Conflict
  /// (a durable turn runs); the session is unchanged then.
  AppendResult rebase(const SessionId& session, Position base, TokenSpan tokens,
                      std::vector<MessageSpan> messages = {});

  /// Drops a `window` session's oldest data if the shortened log is prepared, or if log + `room` tokens would exceed
  /// max_tokens. A commit, like a rebase. Nothing to do: nothing. Throws Conflict while a durable turn runs.
  std::optional<WindowDrop> slide(const SessionId& session, Position room = 0);

  /// Asks for tokens. Throws before anything is emitted (Conflict, ContextOverflow, InvalidArgument, NotFound);
  /// later failures arrive as TurnEnd with reason error.
  TurnId turn(const SessionId& session, TurnRequest request, std::shared_ptr<TurnSink> sink);
  /// Discards a running turn (a durable one too, unless keep_partial). Ended turns are ignored.
  void cancel(TurnId turn);
  /// Ends a running turn as stopped after its first `answer_tokens` tokens (a stop string, found by the text layer),
  /// and commits those. Throws InvalidArgument if fewer were emitted; ended turns are ignored.
  void stop_at(TurnId turn, std::int32_t answer_tokens);

  /// Declares a guess. Equal guesses share one id.
  AnticipationId anticipate(const SessionId& session, Anticipation anticipation);
  /// Takes a guess back; unknown ids are ignored.
  void retract(const SessionId& session, AnticipationId anticipation);

  /// A new session of the same tenant whose log starts as the first `tokens` ids of this one's (all if unset).
  SessionId fork(const SessionId& session, std::optional<Position> tokens = std::nullopt);
  /// Cancels its work, drops its entries, frees its KV.
  void close(const SessionId& session);

  [[nodiscard]] SessionState state(const SessionId& session) const;
  [[nodiscard]] std::vector<SessionId> sessions(const std::string& tenant) const;
  [[nodiscard]] Counters counters() const;
  [[nodiscard]] const std::shared_ptr<Executor>& executor() const noexcept;

  /// Starts at most one idle job now, if the executor is idle and a candidate is affordable. Returns false if none was.
  bool run_idle();
  /// Waits until no idle candidate that the budgets allow is left (entries are as ready as they get), or the timeout.
  /// Returns whether it got there. Needs the idle thread.
  bool wait_prepositioned(Duration timeout);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace poise
