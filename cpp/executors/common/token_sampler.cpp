#include "executors/common/token_sampler.h"

#include <algorithm>

namespace poise {

TokenSampler::TokenSampler(const Request& request, std::uint64_t fresh_seed, std::int32_t vocab_size)
    : params_(request.sampling),
      stop_tokens_(request.stop_tokens),
      top_logprobs_(static_cast<std::size_t>(request.top_logprobs)),
      guide_(request.constraint.get(), vocab_size) {
  if (!params_.seed) {
    params_.seed = fresh_seed;
  }
  const auto context = static_cast<Position>(request.context.size());
  const Position output_start = request.output_start < 0 ? context : request.output_start;
  if (request.constraint) {
    for (Position at = output_start; at < context; ++at) {
      guide_.accept(request.context[static_cast<std::size_t>(at)]);
    }
  }
  if (params_.has_penalties()) {
    counts_ = count_tokens(request.context, output_start);
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      count_of_.emplace(counts_[i].token, i);
    }
  }
}

std::optional<GeneratedToken> TokenSampler::forced(Position position) {
  const std::optional<TokenId> token = guide_.forced();
  if (!token) {
    return std::nullopt;
  }
  GeneratedToken forced;
  forced.token = *token;
  forced.position = position;
  forced.forced = true;
  return forced;
}

GeneratedToken TokenSampler::choose(std::span<const float> row, Position position) {
  ScanRequest request;
  request.params = &params_;
  request.position = position;
  request.counts = counts_;
  request.mask = guide_.mask();
  const ScanResult result = scan(row, request);
  GeneratedToken chosen;
  chosen.token = result.token;
  chosen.position = position;
  chosen.logprob = result.logprob;
  chosen.stats = result.stats;
  if (top_logprobs_ > 0) {
    chosen.top_logprobs = top_logprobs(row, request, top_logprobs_);
  }
  return chosen;
}

void TokenSampler::count(TokenId token) {
  const auto [known, fresh] = count_of_.emplace(token, counts_.size());
  if (fresh) {
    counts_.push_back({token, 0, true});
  }
  ++counts_[known->second].generated;
}

std::optional<FinishReason> TokenSampler::accept(TokenId token) {
  if (params_.has_penalties()) {
    count(token);
  }
  guide_.accept(token);
  if (std::find(stop_tokens_.begin(), stop_tokens_.end(), token) != stop_tokens_.end()) {
    return FinishReason::stop;
  }
  if (finished()) {
    return FinishReason::constraint;
  }
  return std::nullopt;
}

}  // namespace poise
