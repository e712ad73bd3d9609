#include "common/guide.h"

#include "common/format.h"
#include "poise/error.h"

namespace poise {

Guide::Guide(const Constraint* initial, std::int32_t vocab_size)
    : constraint_(initial != nullptr ? initial->clone() : nullptr), vocab_size_(vocab_size) {
  if (constraint_) {
    mask_.resize(mask_words(vocab_size));
  }
}

bool Guide::finished() {
  if (!constraint_) {
    return false;
  }
  if (!finished_) {
    finished_ = constraint_->finished();
  }
  return *finished_;
}

std::optional<TokenId> Guide::forced() {
  if (!constraint_) {
    return std::nullopt;
  }
  if (!run_known_) {
    run_ = constraint_->forced();
    next_ = 0;
    run_known_ = true;
    for (const TokenId token : run_) {
      if (token < 0 || token >= vocab_size_) {
        throw InvalidArgument(text("the constraint forces id ", token, ", the vocabulary has ids 0 to ",
                                   vocab_size_ - 1, "; build it on this model's vocabulary"));
      }
    }
  }
  return next_ < run_.size() ? std::optional(run_[next_]) : std::nullopt;
}

std::span<const std::uint32_t> Guide::mask() {
  if (!constraint_) {
    return {};
  }
  constraint_->fill_mask(mask_);
  if (const auto used = static_cast<std::uint32_t>(vocab_size_) % 32U; used != 0) {
    mask_.back() &= (1U << used) - 1U;  // ids behind the vocabulary's end do not exist
  }
  return mask_;
}

void Guide::accept(TokenId token) {
  if (!constraint_) {
    return;
  }
  finished_.reset();
  constraint_->accept(token);
  const bool follows_run = run_known_ && next_ < run_.size() && run_[next_] == token;
  next_ += follows_run ? 1U : 0U;
  // a run's end says nothing about what comes behind it: constraints may tell long runs piece by piece
  run_known_ = follows_run && next_ < run_.size();
}

}  // namespace poise
