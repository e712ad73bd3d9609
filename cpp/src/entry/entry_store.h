// The entries of one session: what a request may find.
#pragma once

#include <map>
#include <optional>

#include "entry/entry.h"

namespace poise {

/// Not thread-safe; the manager's lock guards it.
class EntryStore {
 public:
  using Map = std::map<AnticipationId, std::shared_ptr<Entry>>;

  [[nodiscard]] Map& all() noexcept { return entries_; }
  [[nodiscard]] const Map& all() const noexcept { return entries_; }
  [[nodiscard]] std::shared_ptr<Entry> find(AnticipationId id) const;
  /// The entry of an equal guess, if there is one.
  [[nodiscard]] std::shared_ptr<Entry> find_equal(const Anticipation& guess) const;

  /// The entry that the request *equals*: its distribution answers without any loss. Prefers the
  /// longest continuation. Null if none.
  [[nodiscard]] std::shared_ptr<Entry> find_ready(TokenSpan request, DataVersion version) const;
  /// The deciding entry with a distribution that is the longest prefix of the request. Null if none.
  [[nodiscard]] std::shared_ptr<Entry> find_gate(TokenSpan request, DataVersion version) const;

  /// How far the request runs along an entry.
  struct Overlap {
    std::shared_ptr<Entry> entry;
    std::size_t tokens = 0;  ///< longest common token prefix, > 0 if there is an entry
  };
  /// The entry with KV to resume from: the longest common prefix with the request; branches win ties.
  [[nodiscard]] Overlap find_overlap(TokenSpan request, DataVersion version) const;

 private:
  Map entries_;
};

}  // namespace poise
