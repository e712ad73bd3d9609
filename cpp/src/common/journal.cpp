#include "poise/journal.h"

#include <algorithm>

namespace poise {

void MemoryJournal::write(const JournalRecord& record) {
  const std::lock_guard lock(mutex_);
  records_.push_back(record);
}

std::vector<JournalRecord> MemoryJournal::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

std::optional<Tokens> MemoryJournal::replay(const SessionId& session) const {
  const std::lock_guard lock(mutex_);
  std::optional<Tokens> log;
  for (const JournalRecord& record : records_) {
    if (record.session != session) {
      continue;
    }
    if (record.kind == JournalRecord::Kind::close) {
      log.reset();
      continue;
    }
    if (!log) {
      log.emplace();
    }
    log->resize(std::min(log->size(), static_cast<std::size_t>(record.base)));
    log->insert(log->end(), record.tokens.begin(), record.tokens.end());
  }
  return log;
}

}  // namespace poise
