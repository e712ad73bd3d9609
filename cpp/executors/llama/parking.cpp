#include "executors/llama/parking.h"

#include <algorithm>

namespace poise::llama {
namespace {

std::int32_t worth(const Parked& parked, TimePoint now) {
  return parked.retention.priority(0, static_cast<Position>(parked.tokens.size()), now);
}

}  // namespace

bool Parking::make_room(std::uint64_t bytes, std::int32_t priority, TimePoint now, std::vector<HolderId>& given_up) {
  given_up.clear();
  if (bytes > cap_bytes_) {
    return false;
  }
  struct Candidate {
    std::int32_t priority;
    TimePoint last_use;
    HolderId holder;
    std::uint64_t bytes;
  };
  std::vector<Candidate> candidates;
  for (const auto& [owner, parked] : parked_) {
    candidates.push_back({worth(parked, now), parked.last_use, parked.holder, parked.state.size()});
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.priority != b.priority ? a.priority < b.priority : a.last_use < b.last_use;
  });
  std::uint64_t would_hold = bytes_;
  for (const Candidate& candidate : candidates) {
    if (would_hold + bytes <= cap_bytes_ || candidate.priority > priority) {
      break;
    }
    would_hold -= candidate.bytes;
    given_up.push_back(candidate.holder);
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

HolderId Parking::put(OwnerId owner, Parked parked) {
  if (const Parked* before = of_owner(owner)) {
    erase(before->holder);
  }
  parked.holder = next_holder_++;
  bytes_ += parked.state.size();
  const HolderId holder = parked.holder;
  parked_.emplace(owner, std::move(parked));
  return holder;
}

const Parked* Parking::of_owner(OwnerId owner) const {
  const auto found = parked_.find(owner);
  return found == parked_.end() ? nullptr : &found->second;
}

const Parked* Parking::of_holder(HolderId holder) const {
  const auto found = std::find_if(parked_.begin(), parked_.end(),
                                  [holder](const auto& entry) { return entry.second.holder == holder; });
  return found == parked_.end() ? nullptr : &found->second;
}

void Parking::truncate(OwnerId owner, Position keep) {
  const auto found = parked_.find(owner);
  if (found == parked_.end() || static_cast<Position>(found->second.tokens.size()) <= keep) {
    return;
  }
  if (keep <= 0) {
    erase(found->second.holder);
  } else {
    found->second.tokens.resize(static_cast<std::size_t>(keep));
  }
}

void Parking::erase(HolderId holder) {
  const auto found = std::find_if(parked_.begin(), parked_.end(),
                                  [holder](const auto& entry) { return entry.second.holder == holder; });
  if (found != parked_.end()) {
    bytes_ -= found->second.state.size();
    parked_.erase(found);
  }
}

}  // namespace poise::llama
