// Records under dense indices that are used again, found by an outside key.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace poise::idle {

/// `Record` has a `bool alive`. References are valid until the next add().
template <typename Record>
class Slab {
 public:
  static constexpr std::uint32_t kNone = static_cast<std::uint32_t>(-1);

  [[nodiscard]] std::uint32_t find(std::uint64_t key) const {
    const auto found = index_.find(key);
    return found == index_.end() ? kNone : found->second;
  }
  std::uint32_t add(std::uint64_t key, Record record) {
    std::uint32_t index = static_cast<std::uint32_t>(records_.size());
    if (free_.empty()) {
      records_.push_back(std::move(record));
    } else {
      index = free_.back();
      free_.pop_back();
      records_[index] = std::move(record);
    }
    records_[index].alive = true;
    index_.emplace(key, index);
    return index;
  }
  void remove(std::uint64_t key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    records_[found->second] = Record{};
    free_.push_back(found->second);
    index_.erase(found);
  }

  [[nodiscard]] Record& operator[](std::uint32_t index) { return records_[index]; }
  [[nodiscard]] const Record& operator[](std::uint32_t index) const { return records_[index]; }
  [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }
  /// Number of indices, those that are free included.
  [[nodiscard]] std::uint32_t index_count() const noexcept { return static_cast<std::uint32_t>(records_.size()); }

 private:
  std::vector<Record> records_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::uint64_t, std::uint32_t> index_;
};

}  // namespace poise::idle
