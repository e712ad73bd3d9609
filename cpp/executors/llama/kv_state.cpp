#include "executors/llama/kv_state.h"

#include <algorithm>
#include <cstring>

namespace poise::llama {
namespace {

constexpr std::size_t kWord = sizeof(std::uint32_t);
constexpr std::size_t kStreamsAt = 2 * kWord;    // behind magic and sequence
constexpr std::size_t kHeaderBytes = 3 * kWord;  // up to the first stream

}  // namespace

KvState::KvState(std::vector<std::byte> bytes, std::size_t written)
    : bytes_(std::move(bytes)), end_(std::min(written, bytes_.size())) {}

std::uint32_t KvState::word(std::size_t at) const {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes_.data() + at, kWord);
  return value;
}

void KvState::put_word(std::size_t at, std::uint32_t value) { std::memcpy(bytes_.data() + at, &value, kWord); }

void KvState::make_portable(std::int32_t streams, std::int32_t stream) {
  const auto all = static_cast<std::size_t>(streams);
  const auto own = static_cast<std::size_t>(stream);
  if (end_ < kHeaderBytes + (all + 1) * kWord || own >= all ||
      word(kStreamsAt) != static_cast<std::uint32_t>(streams)) {
    return;
  }
  const std::size_t own_at = kHeaderBytes + own * kWord;
  const std::size_t own_end = end_ - (all - 1 - own) * kWord;
  bool others_empty = word(own_at) > 0;
  for (std::size_t i = 0; i < own; ++i) {
    others_empty = others_empty && word(kHeaderBytes + i * kWord) == 0;
  }
  for (std::size_t at = own_end; at < end_; at += kWord) {
    others_empty = others_empty && word(at) == 0;
  }
  if (!others_empty) {
    return;
  }
  // the header moves up to the own stream, over the empty ones before it
  begin_ = own_at - kHeaderBytes;
  std::memmove(bytes_.data() + begin_, bytes_.data(), kHeaderBytes);
  end_ = own_end;
  put_word(begin_ + kStreamsAt, 1);
  portable_ = true;
}

std::span<const std::byte> KvState::for_streams(std::int32_t streams) {
  if (!portable_) {
    return {bytes_.data() + begin_, end_ - begin_};
  }
  // the own stream first, then the empty ones; which stream it is restored to does not depend on the order
  const std::size_t empty_bytes = static_cast<std::size_t>(streams - 1) * kWord;
  if (end_ + empty_bytes > bytes_.size()) {
    return {};
  }
  put_word(begin_ + kStreamsAt, static_cast<std::uint32_t>(streams));
  std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(end_), empty_bytes, std::byte{0});
  return {bytes_.data() + begin_, end_ - begin_ + empty_bytes};
}

}  // namespace poise::llama
