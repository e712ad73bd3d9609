// Evicted sequences whose KV waits in host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "executors/common/prefix_index.h"
#include "executors/common/retention.h"
#include "executors/llama/kv_state.h"
#include "poise/executor.h"

namespace poise::llama {

struct Parked {
  HolderId holder = 0;  ///< its name in the prefix index
  OwnerId owner = kNoOwner;
  KvKey key;
  Tokens tokens;              ///< what of the state may be used
  Position state_tokens = 0;  ///< what the state holds, at least tokens.size()
  std::size_t pool = 0;       ///< where it was saved
  RetentionRanges retention;
  TimePoint last_use{};
  KvState state;
};

/// Not thread-safe. An owner has at most one parked sequence, which may be a copy of its resident one. The states never
/// take more than the cap; it is checked before they are allocated.
class Parking {
 public:
  explicit Parking(std::uint64_t cap_bytes) : cap_bytes_(cap_bytes) {}

  /// Whether `bytes` of priority `priority` may come in, giving up what is worth less (or as much, and is older), but
  /// never `kept`. Call before the bytes are allocated. What had to go is returned in `given_up`; with the answer no
  /// nothing goes. O(parked) when the cap is reached.
  [[nodiscard]] bool make_room(std::uint64_t bytes, std::int32_t priority, TimePoint now, std::optional<HolderId> kept,
                               std::vector<HolderId>& given_up);
  /// Takes in a state for which make_room said yes; replaces the owner's older one. Returns its holder id.
  HolderId put(Parked parked);

  [[nodiscard]] const Parked* of_owner(OwnerId owner) const;
  [[nodiscard]] const Parked* of_holder(HolderId holder) const;
  /// The state of a known holder. Restoring rewrites a part of it.
  [[nodiscard]] KvState& state_of(HolderId holder) { return parked_.at(holder).state; }
  /// Cuts what may be used of an owner's parked sequence to `keep` tokens, 0 forgets it.
  void truncate(OwnerId owner, Position keep);
  /// Forgets; unknown ones are ignored.
  void erase(HolderId holder);

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t cap_bytes() const noexcept { return cap_bytes_; }
  /// What may be used of all parked states.
  [[nodiscard]] std::int64_t tokens() const noexcept { return tokens_; }
  [[nodiscard]] const std::unordered_map<HolderId, Parked>& all() const noexcept { return parked_; }

 private:
  std::uint64_t cap_bytes_;
  std::uint64_t bytes_ = 0;
  std::int64_t tokens_ = 0;
  HolderId next_holder_ = 0;
  std::unordered_map<HolderId, Parked> parked_;
  std::unordered_map<OwnerId, HolderId> holders_;
};

}  // namespace poise::llama
