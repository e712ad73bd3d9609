// What the measurements run on: an executor, and ids to feed it.
#pragma once

#include <memory>
#include <random>

#include "arguments.h"
#include "json.h"
#include "poise/executor.h"
#include "poise/session_manager.h"

namespace poise::bench {

/// Seeded sources of token ids and of which ids may not be used.
class TokenSource {
 public:
  TokenSource(std::int32_t vocab_size, std::uint64_t seed);

  /// Ids that no model treats as an end or as framing: drawn from the upper three quarters of the vocabulary.
  [[nodiscard]] Tokens draw(std::int32_t count);
  [[nodiscard]] std::mt19937_64& random() noexcept { return random_; }

 private:
  std::mt19937_64 random_;
  std::uniform_int_distribution<TokenId> ids_;
};

/// A stop token that generation meets as good as never, so that every answer has its full length: whether it was met
/// is checked.
[[nodiscard]] TokenId unlikely_stop(const ExecutorInfo& info);

/// The embedded executor on --model, with --sequences, --context, --threads, --batch and --layout.
/// `context_tokens` and `sequences` are what the measurement needs unless the arguments say more.
[[nodiscard]] std::shared_ptr<Executor> load_llama(Arguments& arguments, std::int32_t sequences,
                                                   Position context_tokens);

/// Greedy, to exactly `answer_tokens` tokens.
[[nodiscard]] TurnRequest plain_turn(const ExecutorInfo& info, Tokens tokens, std::int32_t answer_tokens);

/// Waits until no idle work is left. Throws ExecutorError after a minute.
void settle(SessionManager& manager);

/// Waits until the executor runs nothing: idle work of a closed session still ends its step. Throws ExecutorError
/// after a minute.
void wait_until_quiet(const Executor& executor);

/// What the executor says about itself, for the report.
[[nodiscard]] JsonObject describe(const Executor& executor);

}  // namespace poise::bench
