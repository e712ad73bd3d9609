// Where a window session's log is cut. Positions and message spans only: no KV, no lock.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "poise/session.h"

namespace poise {

/// Tokens [head, cut) leave the log; what stood at `cut` follows the head.
struct WindowCut {
  Position head = 0;
  Position cut = 0;

  /// Length of the log that is left of `length` tokens.
  [[nodiscard]] Position shortened(Position length) const noexcept { return length - (cut - head); }
};

/// Throws InvalidArgument unless 0 <= head < keep < max <= context_tokens.
void validate(const WindowOptions& window, Position context_tokens);

/// Length of a log from which on its window is prepared.
[[nodiscard]] inline Position window_trigger(const WindowOptions& window) noexcept {
  return window.keep_tokens + (window.max_tokens - window.keep_tokens) / 2;
}

/// What to drop so that at most `target` tokens are left; nothing if that takes no drop, or the head alone is longer.
/// The head is widened to the end of its last message if that leaves room. The tail begins with a user's message if it
/// has one (templates want to see it first), else with any message, else (one alone is too large) inside it.
[[nodiscard]] std::optional<WindowCut> choose_cut(const WindowOptions& window, const std::vector<MessageSpan>& messages,
                                                  Position length, Position target);

/// The messages behind the head as they stand after the cut; fills the message fields of `drop`.
[[nodiscard]] std::vector<MessageSpan> cut_messages(const std::vector<MessageSpan>& messages, const WindowCut& cut,
                                                    WindowDrop& drop);

}  // namespace poise
