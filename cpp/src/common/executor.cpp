#include "poise/executor.h"

#include <cmath>

#include "format.h"
#include "poise/error.h"

namespace poise {
namespace {

constexpr std::int32_t kMaxTopLogprobs = 20;

void check_ids(const char* what, TokenSpan ids, std::int32_t vocab_size) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size) {
      throw InvalidArgument(text(what, "[", i, "] is id ", ids[i], ", the vocabulary has ids 0 to ", vocab_size - 1,
                                 "; tokenize with this model's tokenizer"));
    }
  }
}

void check_length(const Request& request, const ExecutorInfo& info) {
  if (request.max_new_tokens < 0) {
    throw InvalidArgument(text("max_new_tokens is ", request.max_new_tokens, ", must be at least 0; 0 only prefills"));
  }
  const auto context = static_cast<std::int64_t>(request.context.size());
  const std::int64_t needed = context + request.max_new_tokens;
  if (needed > info.max_context_tokens) {
    throw ContextOverflow(text("the context of ", context, " tokens and ", request.max_new_tokens, " new tokens need ",
                               needed, ", a sequence holds ", info.max_context_tokens,
                               "; shorten the context, lower max_new_tokens, or start the executor with "
                               "longer sequences"));
  }
  if (request.output_start < -1 || request.output_start > context) {
    throw InvalidArgument(text("output_start is ", request.output_start, ", must be in [0, ", context,
                               "], or -1 for the end of the context"));
  }
}

void check_retention(const std::vector<Retention>& retention) {
  for (const Retention& range : retention) {
    if (range.begin < 0 || (range.end != -1 && range.end <= range.begin)) {
      throw InvalidArgument(text("the retention range [", range.begin, ", ", range.end,
                                 ") is empty or starts below 0; an end of -1 is the end of the sequence"));
    }
    if (range.priority < 0 || range.priority > 100) {
      throw InvalidArgument(text("the retention priority is ", range.priority, ", must be in 0..100"));
    }
    if (range.time_to_live && range.time_to_live->count() < 0) {
      throw InvalidArgument(text("the retention time to live is ", range.time_to_live->count(),
                                 " ms, must be at least 0; leave it unset to keep the priority for ever"));
    }
  }
}

void check_positions(const std::vector<Position>& positions, std::size_t context_tokens) {
  Position previous = -1;
  for (const Position position : positions) {
    if (position <= previous) {
      throw InvalidArgument(
          text("logits.context_positions has ", position, " behind ", previous, "; positions ascend and start at 0"));
    }
    previous = position;
  }
  if (previous >= 0 && static_cast<std::size_t>(previous) >= context_tokens) {
    throw InvalidArgument(text("logits.context_positions asks for ", previous, ", the context has positions 0 to ",
                               context_tokens - 1, "; logits.generated returns the rows behind it"));
  }
}

}  // namespace

void Sink::on_start(RequestId /*id*/, std::int32_t /*reused_tokens*/) {}
void Sink::on_logits(RequestId /*id*/, const LogitsView& /*logits*/) {}
void Sink::on_token(RequestId /*id*/, const GeneratedToken& /*token*/) {}

void validate(const Request& request, const ExecutorInfo& info) {
  if (request.context.empty()) {
    throw InvalidArgument("the context is empty; a request needs at least one id");
  }
  check_length(request, info);
  check_ids("context", request.context, info.vocab_size);
  check_ids("stop_tokens", request.stop_tokens, info.vocab_size);
  request.sampling.validate(info.vocab_size);
  if (!(request.priority >= 0.0F && request.priority <= 1.0F)) {
    throw InvalidArgument(text("priority is ", request.priority, ", must be in [0, 1]; requests start at ",
                               kRequestPriority, ", idle work lies below"));
  }
  if (!std::isfinite(request.key.adapter_scale)) {
    throw InvalidArgument(text("key.adapter_scale is ", request.key.adapter_scale, ", must be finite"));
  }
  check_retention(request.retention);
  check_positions(request.logits.context_positions, request.context.size());
  if (request.top_logprobs < 0 || request.top_logprobs > kMaxTopLogprobs) {
    throw InvalidArgument(text("top_logprobs is ", request.top_logprobs, ", must be in 0..", kMaxTopLogprobs));
  }
}

}  // namespace poise
