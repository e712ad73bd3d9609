// One request's constraint at work: which id is forced, which ids are allowed, what was accepted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "poise/constraint.h"

namespace poise {

/// Executors and sessions ask in the same order, so that an answer does not depend on who gives which part of it:
/// finished(), then forced(), and only without a forced id the mask. What a constraint throws comes out of every method.
/// Used by one thread at a time.
class Guide {
 public:
  /// No constraint: nothing is forced, everything is allowed.
  Guide() = default;
  /// Clones `initial`, which may be null.
  Guide(const Constraint* initial, std::int32_t vocab_size);

  [[nodiscard]] bool finished();
  /// The id that must come next; nothing if there is a choice. Asks the constraint once a run.
  [[nodiscard]] std::optional<TokenId> forced();
  /// The ids allowed next; empty without a constraint. Valid until the next call.
  [[nodiscard]] std::span<const std::uint32_t> mask();
  /// Takes one id of the answer.
  void accept(TokenId token);

 private:
  std::unique_ptr<Constraint> constraint_;
  std::int32_t vocab_size_ = 0;
  std::vector<std::uint32_t> mask_;
  Tokens run_;  // what the constraint forces from run_[next_] on
  std::size_t next_ = 0;
  bool run_known_ = false;        // false: the constraint has not been asked since the last accepted id
  std::optional<bool> finished_;  // likewise
};

}  // namespace poise
