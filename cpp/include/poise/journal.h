// The Journal seam: what must be written before it is acknowledged. Durable implementations come
// later; the in-memory one is the double.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "poise/session.h"

namespace poise {

/// One commit to one session's log.
struct JournalRecord {
  enum class Kind { open, append, turn, rebase, close };  ///< rebase: of a rendering, or a window that slides
  Kind kind = Kind::append;
  SessionId session;
  std::string tenant;
  DataVersion data_version = 0;  ///< after this record
  Position base = 0;             ///< the log is cut to this length, then `tokens` follow
  Tokens tokens;
  std::vector<MessageSpan> messages;  ///< absolute spans inside the log
};

/// Thread-safe. write() returns when the record is as durable as the implementation promises; if it
/// throws, the commit does not happen. Speculative tokens never reach a journal.
class Journal {
 public:
  virtual ~Journal() = default;
  virtual void write(const JournalRecord& record) = 0;
};

class MemoryJournal final : public Journal {
 public:
  void write(const JournalRecord& record) override;
  [[nodiscard]] std::vector<JournalRecord> records() const;
  /// The log of a session as its records rebuild it; nothing if unknown or closed.
  [[nodiscard]] std::optional<Tokens> replay(const SessionId& session) const;

 private:
  mutable std::mutex mutex_;
  std::vector<JournalRecord> records_;
};

}  // namespace poise
