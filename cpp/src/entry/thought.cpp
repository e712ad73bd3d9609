#include "entry/thought.h"

#include <algorithm>
#include <string>

#include "poise/error.h"

namespace poise {

void validate(const ThoughtOptions& options) {
  if (options.begin.empty() || options.end.empty()) {
    throw InvalidArgument("thought: the " + std::string(options.begin.empty() ? "begin" : "end") +
                          " mark has no tokens; both marks need at least one");
  }
  if (options.tokens < 0) {
    throw InvalidArgument("thought: tokens is " + std::to_string(options.tokens) + "; it must be at least 0");
  }
}

Thought Thought::behind(const ThoughtOptions& options, TokenSpan tail) {
  Thought thought;
  for (const TokenId token : tail) thought.follow(options, token);
  return thought;
}

void Thought::feed(const ThoughtOptions& options, TokenId token) {
  ++(inside ? tokens : other_tokens);
  follow(options, token);
}

void Thought::follow(const ThoughtOptions& options, TokenId token) {
  recent.push_back(token);
  if (recent.size() > std::max(options.begin.size(), options.end.size())) recent.erase(recent.begin());
  const Tokens& awaited = inside ? options.end : options.begin;
  if (recent.size() < awaited.size() || !std::equal(awaited.rbegin(), awaited.rend(), recent.rbegin())) return;
  inside = !inside;
  recent.clear();  // an id belongs to one mark
}

}  // namespace poise
