// A constraint says which ids may come next. Grammars and JSON schemas implement it; the token set
// below is the simplest one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "poise/types.h"

namespace poise {

/// Number of 32-bit words of a bit mask over `vocab_size` ids. Bit i % 32 of word i / 32 is id i.
[[nodiscard]] constexpr std::size_t mask_words(std::int32_t vocab_size) noexcept {
  return (static_cast<std::size_t>(vocab_size) + 31U) / 32U;
}

/// A state machine over generated ids. One object belongs to one request; not thread-safe.
class Constraint {
 public:
  virtual ~Constraint() = default;

  /// Sets the bits of the ids allowed next and clears all others. `mask` has mask_words(vocab_size) words.
  virtual void fill_mask(std::span<std::uint32_t> mask) const = 0;
  /// Ids that must come next, whatever the logits say; empty if there is a choice. Executors and sessions emit
  /// them without a decode. fill_mask allows the first of them. The same state always gives the same ids, so that a
  /// request split anywhere, also inside them, ends the same.
  [[nodiscard]] virtual Tokens forced() const { return {}; }
  /// Moves on by one generated id. Throws InvalidArgument, state unchanged, if the id is not allowed.
  virtual void accept(TokenId token) = 0;
  /// Takes back the last `count` accepted ids. Throws InvalidArgument if fewer were accepted.
  virtual void rollback(std::size_t count) = 0;
  /// True when nothing more may be generated: the request then ends with FinishReason::constraint.
  [[nodiscard]] virtual bool finished() const = 0;
  /// An independent copy in the same state.
  [[nodiscard]] virtual std::unique_ptr<Constraint> clone() const = 0;
};

/// Allows one fixed set of ids at each of the next `steps` positions, then is finished.
class TokenSetConstraint final : public Constraint {
 public:
  /// Throws InvalidArgument for an empty set, a negative id or no steps.
  TokenSetConstraint(Tokens allowed, std::size_t steps);

  void fill_mask(std::span<std::uint32_t> mask) const override;
  void accept(TokenId token) override;
  void rollback(std::size_t count) override;
  [[nodiscard]] bool finished() const override { return accepted_ >= steps_; }
  [[nodiscard]] std::unique_ptr<Constraint> clone() const override;

 private:
  Tokens allowed_;
  std::size_t steps_;
  std::size_t accepted_ = 0;
};

}  // namespace poise
