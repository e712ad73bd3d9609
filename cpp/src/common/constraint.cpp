#include "poise/constraint.h"

#include <algorithm>
#include <utility>

#include "format.h"
#include "poise/error.h"

namespace poise {

TokenSetConstraint::TokenSetConstraint(Tokens allowed, std::size_t steps)
    : allowed_(std::move(allowed)), steps_(steps) {
  if (allowed_.empty()) {
    throw InvalidArgument("the constraint allows no id; name at least one");
  }
  if (steps_ == 0) {
    throw InvalidArgument("the constraint covers 0 positions; use at least 1, or no constraint");
  }
  std::sort(allowed_.begin(), allowed_.end());
  allowed_.erase(std::unique(allowed_.begin(), allowed_.end()), allowed_.end());
  if (allowed_.front() < 0) {
    throw InvalidArgument(text("the constraint allows id ", allowed_.front(), "; ids start at 0"));
  }
}

void TokenSetConstraint::fill_mask(std::span<std::uint32_t> mask) const {
  std::fill(mask.begin(), mask.end(), 0U);
  if (finished()) {
    return;
  }
  for (const TokenId id : allowed_) {
    const auto bit = static_cast<std::size_t>(id);
    if (bit / 32U >= mask.size()) {
      break;  // ascending: all others lie outside the vocabulary too
    }
    mask[bit / 32U] |= 1U << (bit % 32U);
  }
}

void TokenSetConstraint::accept(TokenId token) {
  if (finished()) {
    throw InvalidArgument(text("the constraint ended after ", steps_, " ids and cannot accept id ", token));
  }
  if (!std::binary_search(allowed_.begin(), allowed_.end(), token)) {
    throw InvalidArgument(text("id ", token, " is not among the ", allowed_.size(), " ids that the constraint allows"));
  }
  ++accepted_;
}

void TokenSetConstraint::rollback(std::size_t count) {
  if (count > accepted_) {
    throw InvalidArgument(text("cannot take back ", count, " ids: the constraint has accepted ", accepted_));
  }
  accepted_ -= count;
}

std::unique_ptr<Constraint> TokenSetConstraint::clone() const { return std::make_unique<TokenSetConstraint>(*this); }

}  // namespace poise
