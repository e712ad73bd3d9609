// Where an answer stands with regard to a model's thoughts.
#pragma once

#include <cstdint>

#include "poise/session.h"

namespace poise {

/// Throws InvalidArgument unless both marks are there and tokens is at least 0.
void validate(const ThoughtOptions& options);

/// Follows an answer token by token. A mark may take several ids, and may begin before the answer does.
struct Thought {
  bool inside = false;
  std::int32_t tokens = 0;        ///< of the answer: inside a thought, its end mark included
  std::int32_t other_tokens = 0;  ///< of the answer: all others, begin marks included
  Tokens recent;                  ///< the newest ids, as many as a mark has

  /// At a decision point. `tail`: what stands before it since the last end of a message.
  static Thought behind(const ThoughtOptions& options, TokenSpan tail);
  /// One more id of the answer.
  void feed(const ThoughtOptions& options, TokenId token);

 private:
  void follow(const ThoughtOptions& options, TokenId token);
};

}  // namespace poise
