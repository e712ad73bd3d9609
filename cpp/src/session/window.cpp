#include "session/window.h"

#include <algorithm>

#include "common/format.h"
#include "poise/error.h"

namespace poise {

void validate(const WindowOptions& window, Position context_tokens) {
  if (window.head_tokens < 0) {
    throw InvalidArgument(text("window: head_tokens is ", window.head_tokens, "; it must be at least 0"));
  }
  if (window.keep_tokens <= window.head_tokens) {
    throw InvalidArgument(text("window: keep_tokens is ", window.keep_tokens, ", head_tokens ", window.head_tokens,
                               "; what is kept includes the head and must be longer"));
  }
  if (window.max_tokens <= window.keep_tokens) {
    throw InvalidArgument(text("window: max_tokens is ", window.max_tokens, ", keep_tokens ", window.keep_tokens,
                               "; a window that drops nothing keeps no log short: raise max_tokens"));
  }
  if (window.max_tokens > context_tokens) {
    throw InvalidArgument(text("window: max_tokens is ", window.max_tokens, ", the context holds ", context_tokens,
                               "; lower max_tokens, or load the model with more context_tokens"));
  }
}

std::optional<WindowCut> choose_cut(const WindowOptions& window, const std::vector<MessageSpan>& messages,
                                    Position length, Position target) {
  WindowCut chosen;
  chosen.head = window.head_tokens;
  if (target < chosen.head) return std::nullopt;
  for (const MessageSpan& message : messages) {
    const bool ends_inside = message.begin < chosen.head && chosen.head < message.end;
    if (ends_inside && message.end < target) chosen.head = message.end;
  }
  chosen.cut = length - (target - chosen.head);
  if (chosen.cut <= chosen.head) return std::nullopt;
  for (const MessageSpan& message : messages) {
    if (message.begin >= chosen.cut || message.end <= chosen.cut) continue;
    if (message.end >= length) return chosen;  // the newest message alone is too large
    chosen.cut = message.end;
    break;
  }
  const auto asks = std::find_if(messages.begin(), messages.end(), [&](const MessageSpan& message) {
    return message.begin >= chosen.cut && message.begin < length && message.role == "user";
  });
  if (asks != messages.end()) chosen.cut = asks->begin;
  return chosen;
}

std::vector<MessageSpan> cut_messages(const std::vector<MessageSpan>& messages, const WindowCut& cut,
                                      WindowDrop& drop) {
  const auto moved = [&](Position position) {
    if (position <= cut.head) return position;
    return position <= cut.cut ? cut.head : position - (cut.cut - cut.head);
  };
  std::vector<MessageSpan> kept;
  drop.first_message = drop.message_count = 0;
  for (const MessageSpan& message : messages) {
    if (message.begin < cut.head || message.end <= cut.head) ++drop.first_message;
    if (message.end <= cut.head) continue;
    if (message.begin >= cut.head && message.end <= cut.cut && message.begin < cut.cut) {
      ++drop.message_count;
      continue;
    }
    kept.push_back({message.role, message.digest, moved(message.begin), moved(message.end)});
  }
  return kept;
}

}  // namespace poise
