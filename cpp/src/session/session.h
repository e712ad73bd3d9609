// Internal state of one session. Guarded by the manager's lock.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "entry/entry_store.h"
#include "poise/idle_scheduler.h"
#include "poise/session.h"
#include "session/window.h"

namespace poise {

struct Turn;

/// The shortened log that idle time prefills ahead of a slide.
struct WindowPlan {
  WindowCut cut;
  OwnerId owner = kNoOwner;  ///< of its sequence; the session's own after the slide
};

struct PendingAppend {
  Tokens tokens;
  std::vector<MessageSpan> messages;  ///< spans relative to `tokens`
};

struct Session {
  SessionKey key = 0;
  SessionId id;
  TenantKey tenant_key = 0;
  KvKey kv;
  OwnerId owner = kNoOwner;  ///< who keeps its KV; a consumed branch hands over its own
  OpenOptions options;       ///< as opened, without tokens and messages

  Tokens log;
  std::vector<MessageSpan> messages;
  DataVersion version = 0;
  /// Log lengths of the versions that may not be resident yet, oldest first; the last one is current.
  std::deque<std::pair<DataVersion, Position>> lengths;

  EntryStore entries;
  AnticipationId resident_entry = 0;  ///< whose tokens follow the log in the owner's KV; 0 = none's
  AnticipationId begun_entry = 0;     ///< whose slices were prefilled behind the log last; 0 = none's
  bool log_first = false;             ///< work on the log itself means its own KV, not its window's
  std::optional<WindowPlan> window;   ///< the next slide, once the log is long enough
  Position window_dropped_tokens = 0;
  SamplingParams expected_sampling;  ///< what entries are drawn with: the last turn's, or the options'

  std::shared_ptr<Turn> writer;                ///< the durable turn that runs
  std::vector<std::shared_ptr<Turn>> readers;  ///< ephemeral turns that run
  std::deque<PendingAppend> queued;            ///< appends that wait for the writer
  bool committing = false;                     ///< a journal write is under way; the log must not change
  std::string idle_error;                      ///< why idle work failed; nothing more until the session changes
  bool closed = false;
  bool kv_started = false;  ///< its first tokens have got their KV, computed or reused
  PrefixUse prefix_use;     ///< of a base prefix

  [[nodiscard]] bool active() const noexcept { return writer || !readers.empty(); }
  [[nodiscard]] Position length() const noexcept { return static_cast<Position>(log.size()); }
};

}  // namespace poise
