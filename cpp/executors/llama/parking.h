// Evicted sequences whose KV waits in host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "executors/common/prefix_index.h"
#include "executors/common/retention.h"
#include "poise/executor.h"

namespace poise::llama {

struct Parked {
  HolderId holder = 0;  ///< its name in the prefix index
  KvKey key;
  Tokens tokens;              ///< what of the state may be used
  Position state_tokens = 0;  ///< what the state holds, at least tokens.size()
  RetentionRanges retention;
  TimePoint last_use{};
  std::vector<std::byte> state;
};

/// Not thread-safe. An owner has at most one parked sequence, which may be a copy of its resident one. Never holds more
/// than its cap.
class Parking {
 public:
  /// `first_holder` and above are the holder ids that it mints.
  Parking(std::uint64_t cap_bytes, HolderId first_holder) : cap_bytes_(cap_bytes), next_holder_(first_holder) {}

  /// Whether `bytes` of priority `priority` may come in, giving up what is worth less (or as much, and is older).
  /// Call before the bytes are allocated. What had to go is returned in `given_up`, also when the answer is no
  /// (then it is empty).
  [[nodiscard]] bool make_room(std::uint64_t bytes, std::int32_t priority, TimePoint now,
                               std::vector<HolderId>& given_up);
  /// Takes in a state for which make_room said yes; replaces the owner's older one. Returns its holder id.
  HolderId put(OwnerId owner, Parked parked);

  [[nodiscard]] const Parked* of_owner(OwnerId owner) const;
  [[nodiscard]] const Parked* of_holder(HolderId holder) const;
  /// Cuts what may be used of an owner's parked sequence to `keep` tokens, 0 forgets it.
  void truncate(OwnerId owner, Position keep);
  /// Forgets; unknown ones are ignored.
  void erase(HolderId holder);

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] const std::map<OwnerId, Parked>& all() const noexcept { return parked_; }

 private:
  std::uint64_t cap_bytes_;
  std::uint64_t bytes_ = 0;
  HolderId next_holder_;
  std::map<OwnerId, Parked> parked_;
};

}  // namespace poise::llama
