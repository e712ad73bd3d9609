// The SessionManager's insides. One lock (`mutex`) guards sessions, entries, scheduler and counters; it is
// never held while a sink runs, a journal writes, or an executor waits.
//
//   session_manager.cpp   the public face, sessions: open, fork, close, state
//   base_prefixes.cpp     declared beginnings, and what they save
//   commits.cpp           appends, rebases, durable turns' commits, what becomes of the entries
//   windows.cpp           slides: a log's oldest data leaves it, its shortened form is prefilled ahead
//   turns.cpp             choosing a path, requests to the executor, how turns end
//   answers.cpp           answers from an entry: its distribution and continuation, or the gate
//   offers.cpp            anticipations, and what to offer to the scheduler
//   idle_jobs.cpp         idle requests and their results
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <thread>
#include <unordered_map>

#include "gate/gate.h"
#include "poise/session_manager.h"
#include "session/session.h"
#include "session/turn.h"

namespace poise {

/// Retention priority of KV behind the log: entries and ephemeral answers. Below the executor's default.
inline constexpr std::int32_t kSpeculativePriority = 20;

/// What idle time is spent on right now. Guarded by the manager's lock.
struct IdleJob {
  enum class Stage {
    prefill,   ///< a slice of the context
    frame,     ///< the last slice of a guess that does not decide
    decide,    ///< the last slice, the distribution and the continuation
    extend,    ///< more of a continuation
    complete,  ///< the model writes the rest of the guess
    place,     ///< KV of a paid entry back behind the log
  };
  Stage stage = Stage::prefill;
  std::shared_ptr<Session> session;
  std::shared_ptr<Entry> entry;    ///< null: the log itself, or its window
  bool window = false;             ///< the shortened log of the next slide
  std::uint64_t generation = 0;    ///< the entry's when the job began
  Position decision_position = 0;  ///< length of the context up to the decision point
  OwnerId owner = kNoOwner;
  std::optional<RequestId> request_id;
  bool cancel_requested = false;
  std::shared_ptr<const ReadyRow> pending_row;  ///< row of the token that comes next

  [[nodiscard]] bool valid() const noexcept;
};

/// `messages` of a commit, moved to where its tokens stand in the log.
void move_messages(std::vector<MessageSpan>& messages, Position base);
/// Throws InvalidArgument unless every span lies inside [0, tokens) and they ascend without overlap.
void check_messages(const std::vector<MessageSpan>& messages, std::size_t tokens);

class SessionManager::Impl {
 public:
  Impl(std::shared_ptr<Executor> executor, ManagerOptions options, std::shared_ptr<Journal> journal,
       std::shared_ptr<const Clock> clock);
  void start();
  void stop();

  // session_manager.cpp
  SessionId open(const OpenOptions& options);
  SessionId fork(const SessionId& id, std::optional<Position> tokens);
  void close(const SessionId& id);
  SessionState state(const SessionId& id);

  // commits.cpp
  AppendResult append(const SessionId& id, TokenSpan tokens, std::vector<MessageSpan> messages);
  AppendResult rebase(const SessionId& id, Position base, TokenSpan tokens, std::vector<MessageSpan> messages);

  // windows.cpp
  std::optional<WindowDrop> slide(const SessionId& id, Position room);

  // turns.cpp
  TurnId turn(const SessionId& id, TurnRequest request, std::shared_ptr<TurnSink> sink);
  void cancel(TurnId id);
  void stop_at(TurnId id, std::int32_t answer_tokens);

  // offers.cpp
  AnticipationId anticipate(const SessionId& id, Anticipation guess);
  void retract(const SessionId& id, AnticipationId anticipation);

  // idle_jobs.cpp
  bool run_idle();
  bool wait_prepositioned(Duration timeout);

  std::shared_ptr<Executor> executor;
  const ExecutorInfo info;
  ManagerOptions options;
  std::shared_ptr<Journal> journal;
  std::shared_ptr<const Clock> clock;

  mutable std::mutex mutex;
  Counters counters;
  std::unordered_map<SessionId, std::shared_ptr<Session>> sessions;
  std::unordered_map<SessionKey, std::shared_ptr<Session>> sessions_by_key;

 private:
  class TurnRequestSink;  ///< the executor's side of a turn (turns.cpp)
  class IdleJobSink;      ///< the executor's side of an idle job (idle_jobs.cpp)
  using Lock = std::unique_lock<std::mutex>;

  /// Keeps callbacks of the executor from reaching a manager that is gone.
  struct Lifeline {
    std::shared_mutex mutex;
    Impl* manager = nullptr;
  };

  // session_manager.cpp; all of these need the lock
  std::shared_ptr<Session> find(const SessionId& id) const;
  std::shared_ptr<Session> add_session(Lock& lock, OpenOptions opened, Tokens log, std::vector<MessageSpan> messages);
  TenantKey tenant_key(const std::string& tenant);
  SessionId mint_id();
  std::uint64_t random_seed() { return random(); }
  void check_tokens(TokenSpan tokens, const char* what) const;
  void settle_versions(Session& session, Position resident) const;
  void offer_again();     ///< the work of the sessions that wait for a sequence
  void flush_releases();  ///< without the lock, never on the executor's thread

  // base_prefixes.cpp; all of these need the lock
  /// Throws InvalidArgument or ResourceExhausted if it may not be declared.
  void check_base_prefix(const OpenOptions& opened, std::size_t tokens, TenantKey tenant) const;
  /// Into the lists and counts of its kind, and out of them.
  void enlist(const std::shared_ptr<Session>& session);
  void delist(const std::shared_ptr<Session>& session);
  std::shared_ptr<Session> base_of(const Session& session, TokenSpan context) const;
  /// How many of the context's tokens a base prefix has resident.
  Position base_tokens(const Session& session, TokenSpan context) const;
  /// A request or idle job of the session has ended: if it was the first, what a base prefix saved it.
  void note_start(Session& session, TokenSpan context, const Completion& done);

  // commits.cpp
  struct Commit {
    JournalRecord::Kind kind = JournalRecord::Kind::append;
    Position base = 0;
    Tokens tokens;
    std::vector<MessageSpan> messages;  ///< absolute
    std::shared_ptr<Entry> used;        ///< the entry that this commit consumed
    bool slides = false;                ///< a window drops its oldest data: says nothing about the client
  };
  /// Throws ContextOverflow unless a log of this length leaves room to ask, and its window allows it.
  void check_length(const char* what, const Session& session, std::size_t length) const;
  /// Length that the log would have with an append of `tokens`, everything before it included.
  std::size_t length_with(const Session& session, std::size_t tokens) const;
  void await_commit(Lock& lock, const Session& session);
  /// Journals (without the lock) and applies. If the journal throws, nothing has changed.
  std::int32_t commit(Lock& lock, Session& session, Commit change);
  std::int32_t settle_entries(Session& session, const Commit& change);
  void join_queued(Lock& lock, Session& session);
  void record_outcome(const Entry& entry, EntryOutcome outcome);
  void drop_entry(Session& session, const std::shared_ptr<Entry>& entry);
  void refund_bytes(Entry& entry);
  /// Makes room by dropping the results of entries that were not touched for longest. False if there is none.
  bool claim_bytes(Session& session, const std::shared_ptr<Entry>& entry, std::uint64_t bytes);
  void touch(Session& session, const std::shared_ptr<Entry>& entry);

  // windows.cpp
  /// A slide if it is prepared or needed. If the journal throws, nothing has changed.
  std::optional<WindowDrop> slide_now(Lock& lock, Session& session, Position room);
  /// The same ahead of a request that adds `tokens`, where the window is automatic.
  void slide_ahead(Lock& lock, Session& session, TokenSpan tokens, Position room);
  void slide_ahead_of(Lock& lock, Session& session, const TurnRequest& request);
  bool window_needs_slide(const Session& session, Position room) const;
  bool window_prepared(const Session& session) const;
  Position window_resident(const Session& session) const;
  /// After a slide: the sequence that holds more of the log becomes the session's own, the other one goes.
  void take_window_kv(Session& session);
  void drop_window(Session& session);
  /// Plans the next slide once the log is long enough, and offers what its KV lacks. False if nothing is left to do.
  bool offer_window(Session& session);
  void plan_window_job(IdleJob& planned, Request& request) const;

  // turns.cpp
  void validate_turn(const TurnRequest& request) const;
  void place_turn(Session& session, const std::shared_ptr<Turn>& turn);
  void describe_entry(const Session& session, const Entry& entry, Turn& turn) const;
  void request_tokens(const std::shared_ptr<Turn>& turn);
  void start_from_executor(Turn& turn, std::int32_t reused_tokens);
  /// `constraint_finished`: nothing may follow the token. Returns whether the turn goes on.
  bool emit(const std::shared_ptr<Turn>& turn, TurnToken token, bool constraint_finished = false);
  void finish(const std::shared_ptr<Turn>& turn, FinishReason reason, std::string error = {});

  // answers.cpp
  std::optional<ReadyPlan> plan_ready(Session& session, Turn& turn);
  std::optional<GateVerdict> plan_gate(Session& session, Turn& turn);
  void answer_from_entry(const std::shared_ptr<Turn>& turn, ReadyPlan plan);
  void answer_from_gate(const std::shared_ptr<Turn>& turn, const GateVerdict& verdict);

  // offers.cpp
  /// `replaced` makes room for `entry`, which gets its place behind the log, or its branch.
  void hand_over(Session& session, const std::shared_ptr<Entry>& replaced, const std::shared_ptr<Entry>& entry);
  void refresh_offers(Session& session);
  /// The scheduler's name for an entry's work, or (null) the log's; nothing to do yet.
  static IdleCandidate candidate_of(const Session& session, const Entry* entry);
  /// What is left to pay for an entry; `prefill_tokens` and `decode_tokens` 0 if nothing is.
  /// `log_missing`: tokens of the log without KV; less than 0: tokens of the entry with KV.
  IdleCandidate remaining_work(const Session& session, Entry& entry, Position log_missing) const;
  /// How many more tokens to decode behind the entry's decision point, at most `room` in all.
  std::int32_t continuation_left(const Session& session, Entry& entry, std::int32_t room) const;
  /// Where the entry's answer stands with regard to thoughts; null if the session does not tell them apart.
  Thought* thought_of(const Session& session, Entry& entry) const;
  const Tokens& stop_tokens_of(const Session& session) const;
  /// How many of the entry's tokens have KV behind the log.
  std::size_t begun_tokens(Session& session, const Entry& entry) const;
  void offer_placement(Session& session);

  // idle_jobs.cpp
  void cancel_job_of(const Session& session);
  std::shared_ptr<IdleJob> plan_job(const IdleCandidate& candidate, Request& request);
  void plan_entry_job(IdleJob& planned, Request& request);
  void on_job_row(IdleJob& done, const LogitsView& logits);
  void on_job_token(IdleJob& done, const GeneratedToken& token);
  void finish_job(const std::shared_ptr<IdleJob>& done, const Completion& completion);
  void finish_stage(IdleJob& done, const Completion& completion);
  bool affordable() const;
  bool work_is_left() const;
  void wake_idle();
  void idle_loop();

  std::mt19937_64 random;
  std::unordered_map<std::string, TenantKey> tenants;
  std::unordered_map<TenantKey, std::size_t> tenant_sessions;
  std::unordered_map<TenantKey, std::vector<std::shared_ptr<Session>>> base_prefixes;
  SessionKey next_session = 1;
  OwnerId next_owner = 1;
  TurnId next_turn = 1;
  AnticipationId next_anticipation = 1;
  std::uint64_t next_touch = 1;
  std::unordered_map<TurnId, std::shared_ptr<Turn>> turns;
  std::map<std::uint64_t, std::pair<SessionKey, std::shared_ptr<Entry>>> entries_by_touch;
  std::vector<std::pair<OwnerId, Position>> releases;
  std::vector<SessionKey> without_sequence;  ///< sessions whose idle work waits until a sequence is given up
  IdleScheduler scheduler;
  std::shared_ptr<IdleJob> job;
  std::condition_variable commit_done;
  std::condition_variable idle_wake, idle_settled;
  bool woken = false;
  bool stopping = false;
  std::shared_ptr<Lifeline> lifeline = std::make_shared<Lifeline>();
  std::thread idle_thread;
};

}  // namespace poise
