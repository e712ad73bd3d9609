#include "executors/llama/parking.h"

#include <algorithm>
#include <queue>

namespace poise::llama {

bool Parking::make_room(std::uint64_t bytes, std::int32_t priority, TimePoint now, std::optional<HolderId> kept,
                        std::vector<HolderId>& given_up) {
  given_up.clear();
  if (bytes > cap_bytes_) {
    return false;
  }
  if (bytes_ + bytes <= cap_bytes_) {
    return true;
  }
  struct Candidate {
    std::int32_t priority;
    TimePoint last_use;
    HolderId holder;
    std::uint64_t bytes;
    bool operator<(const Candidate& other) const {  // the queue's top is worth least
      return priority != other.priority ? priority > other.priority : last_use > other.last_use;
    }
  };
  std::vector<Candidate> candidates;
  candidates.reserve(parked_.size());
  for (const auto& [holder, parked] : parked_) {
    const std::int32_t worth = parked.retention.priority(0, static_cast<Position>(parked.tokens.size()), now);
    if (worth <= priority && holder != kept) {
      candidates.push_back({worth, parked.last_use, holder, parked.state.allocated_bytes()});
    }
  }
  // a heap: usually only its first has to go
  std::priority_queue<Candidate> least(std::less<Candidate>{}, std::move(candidates));
  std::uint64_t would_hold = bytes_;
  while (would_hold + bytes > cap_bytes_ && !least.empty()) {
    would_hold -= least.top().bytes;
    given_up.push_back(least.top().holder);
    least.pop();
  }
  if (would_hold + bytes > cap_bytes_) {
    given_up.clear();
    return false;
  }
  for (const HolderId holder : given_up) {
    erase(holder);
  }
  return true;
}

HolderId Parking::put(Parked parked) {
  if (const Parked* before = of_owner(parked.owner)) {
    erase(before->holder);
  }
  parked.holder = next_holder_++;
  bytes_ += parked.state.allocated_bytes();
  tokens_ += static_cast<std::int64_t>(parked.tokens.size());
  const HolderId holder = parked.holder;
  holders_[parked.owner] = holder;
  parked_.emplace(holder, std::move(parked));
  return holder;
}

const Parked* Parking::of_owner(OwnerId owner) const {
  const auto found = holders_.find(owner);
  return found == holders_.end() ? nullptr : of_holder(found->second);
}

const Parked* Parking::of_holder(HolderId holder) const {
  const auto found = parked_.find(holder);
  return found == parked_.end() ? nullptr : &found->second;
}

void Parking::truncate(OwnerId owner, Position keep) {
  const auto found = holders_.find(owner);
  if (found == holders_.end()) {
    return;
  }
  Parked& parked = parked_.at(found->second);
  if (static_cast<Position>(parked.tokens.size()) <= keep) {
    return;
  }
  if (keep <= 0) {
    erase(parked.holder);
  } else {
    tokens_ -= static_cast<std::int64_t>(parked.tokens.size()) - keep;
    parked.tokens.resize(static_cast<std::size_t>(keep));
  }
}

void Parking::erase(HolderId holder) {
  const auto found = parked_.find(holder);
  if (found != parked_.end()) {
    bytes_ -= found->second.state.allocated_bytes();
    tokens_ -= static_cast<std::int64_t>(found->second.tokens.size());
    holders_.erase(found->second.owner);
    parked_.erase(found);
  }
}

}  // namespace poise::llama
