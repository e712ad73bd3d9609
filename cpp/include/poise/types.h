// The vocabulary types that every other header uses.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace poise {

/// A token id of the model's vocabulary, in [0, vocab_size).
using TokenId = std::int32_t;

/// A token position inside one sequence, counted from 0. Ranges are half open: [begin, end).
using Position = std::int32_t;

using Tokens = std::vector<TokenId>;
using TokenSpan = std::span<const TokenId>;

/// "No such token": for example the second-best id of a row in which only one id is allowed.
inline constexpr TokenId kNoToken = -1;

/// Length of the longest common prefix of two token sequences. O(min length).
[[nodiscard]] std::size_t common_prefix(TokenSpan a, TokenSpan b) noexcept;

}  // namespace poise
