// One running turn.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "entry/entry_store.h"
#include "poise/session.h"

namespace poise {

struct Session;

/// What an entry gives a turn: a snapshot, so that nothing is locked while it is scanned and emitted.
struct ReadyPlan {
  std::shared_ptr<const ReadyRow> row;
  std::vector<ContinuationToken> continuation;
  bool continuation_proven = false;  ///< drawn with this request's own sampling: needs no scan
};

/// `mutex` guards every field behind it and is held while the sink runs, which keeps the order of
/// events when the caller's and the executor's thread both have some. Recursive, because a sink may
/// call cancel and stop_at. Lock order: Turn::mutex, then the manager's.
struct Turn {
  // fixed when the turn begins
  TurnId id = 0;
  std::shared_ptr<Session> session;
  TurnRequest request;
  std::shared_ptr<TurnSink> sink;
  TimePoint asked_at{};
  Position base = 0;  ///< length of the log that the request's tokens follow
  Tokens context;     ///< log[0, base) + request
  OwnerId owner = kNoOwner;
  std::vector<OwnerId> released_owners;  ///< given up when the turn ends: what a branch or a slide replaced
  EntryStore::Overlap overlap;           ///< the entry whose KV the request may resume from
  bool log_is_base = true;               ///< false: the turn rebases

  std::recursive_mutex mutex;
  TurnStart start;
  TurnEnd end;
  bool started = false;  ///< on_start was sent
  bool ended = false;
  std::int32_t prepaid_answer_tokens = 0;
  bool follows_ready = false;            ///< the executor request continues an answer that began from an entry
  std::int32_t fresh_answer_tokens = 0;  ///< then: answer tokens before it that never had KV
  std::optional<RequestId> request_id;
};

}  // namespace poise
