#include "entry/entry_store.h"

#include <algorithm>

namespace poise {

std::shared_ptr<Entry> EntryStore::find(AnticipationId id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second;
}

std::shared_ptr<Entry> EntryStore::find_equal(const Anticipation& guess) const {
  for (const auto& [id, entry] : entries_) {
    const Anticipation& other = entry->guess;
    if (other.kind == guess.kind && other.decides == guess.decides &&
        other.completion_tokens == guess.completion_tokens && other.persistent == guess.persistent &&
        other.tokens == guess.tokens && other.completion_stops == guess.completion_stops &&
        other.suffix == guess.suffix && other.constraint == guess.constraint) {
      return entry;
    }
  }
  return nullptr;
}

std::shared_ptr<Entry> EntryStore::find_ready(TokenSpan request, DataVersion version) const {
  std::shared_ptr<Entry> best;
  for (const auto& [id, entry] : entries_) {
    if (entry->data_version != version || !entry->decides || !entry->ready) continue;
    if (!std::equal(entry->tokens.begin(), entry->tokens.end(), request.begin(), request.end())) {
      continue;
    }
    if (!best || entry->continuation.size() > best->continuation.size()) best = entry;
  }
  return best;
}

std::shared_ptr<Entry> EntryStore::find_gate(TokenSpan request, DataVersion version) const {
  std::shared_ptr<Entry> best;
  for (const auto& [id, entry] : entries_) {
    if (entry->data_version != version || !entry->decides || !entry->ready) continue;
    if (entry->tokens.empty() || common_prefix(entry->tokens, request) < entry->tokens.size()) {
      continue;
    }
    if (!best || entry->tokens.size() > best->tokens.size()) best = entry;
  }
  return best;
}

EntryStore::Overlap EntryStore::find_overlap(TokenSpan request, DataVersion version) const {
  Overlap best;
  for (const auto& [id, entry] : entries_) {
    if (entry->data_version != version || !(entry->worked || entry->begun)) continue;
    const std::size_t tokens = common_prefix(entry->tokens, request);
    if (tokens == 0) continue;
    const bool branch_wins =
        tokens == best.tokens && best.entry && best.entry->owner == kNoOwner && entry->owner != kNoOwner;
    if (tokens > best.tokens || branch_wins) best = {entry, tokens};
  }
  return best;
}

}  // namespace poise
