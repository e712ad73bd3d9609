// The saved KV of one sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace poise::llama {

/// llama.cpp's state names the number of streams of its context, and a context with another number refuses it (read in
/// llama_kv_cache::state_read). A portable state has that part rewritten for the context that it goes to:
///
///     magic (4 bytes), sequence (4), streams n (4), then for each stream its number of cells (4) and their data
///
/// Only the saved sequence's own stream has cells. Memories of several caches (sliding windows, recurrent states) are
/// laid out otherwise and are never made portable.
class KvState {
 public:
  KvState() = default;
  /// The first `written` bytes are the state; what lies behind is room for make_portable.
  KvState(std::vector<std::byte> bytes, std::size_t written);

  /// Bytes to allocate behind a state so that contexts of up to `streams` streams can take it.
  [[nodiscard]] static std::size_t slack(std::int32_t streams) {
    return static_cast<std::size_t>(streams) * sizeof(std::uint32_t);
  }
  /// Cuts out the sequence's own stream. `streams`: of the context that saved it; `stream`: the sequence's own. Nothing
  /// changes if the bytes are not laid out as described above.
  void make_portable(std::int32_t streams, std::int32_t stream);

  /// The state as a context of so many streams takes it; empty if it cannot. Valid until the next call.
  [[nodiscard]] std::span<const std::byte> for_streams(std::int32_t streams);

  [[nodiscard]] bool empty() const noexcept { return end_ == begin_; }
  [[nodiscard]] bool portable() const noexcept { return portable_; }
  [[nodiscard]] std::size_t allocated_bytes() const noexcept { return bytes_.size(); }

 private:
  [[nodiscard]] std::uint32_t word(std::size_t at) const;
  void put_word(std::size_t at, std::uint32_t value);

  std::vector<std::byte> bytes_;
  std::size_t begin_ = 0, end_ = 0;  // of the state; of a portable one: header, and the own stream
  bool portable_ = false;
};

}  // namespace poise::llama
