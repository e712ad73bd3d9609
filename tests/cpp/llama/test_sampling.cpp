// Sampling through the executor: a split continuation equals the unsplit one, option by option.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "llama/harness.h"
#include "poise/error.h"

using namespace poise;
using namespace poise::test;

namespace {

struct Case {
  const char* name;
  void (*apply)(Request&);
};

const Case kCases[] = {
    {"greedy", [](Request& request) { request.sampling.temperature = 0.0F; }},
    {"seeded sampling", [](Request& request) { request.sampling.seed = 5; }},
    {"penalties",
     [](Request& request) {
       request.sampling.temperature = 0.0F;
       request.sampling.repetition_penalty = 1.4F;
       request.sampling.presence_penalty = 0.5F;
       request.sampling.frequency_penalty = 0.3F;
     }},
    {"bias",
     [](Request& request) {
       request.sampling.seed = 6;
       request.sampling.bias = {{.token = 40, .bias = 4.0F}, {.token = 41, .bias = -INFINITY}};
     }},
    {"constraint",
     [](Request& request) {
       request.sampling.seed = 7;
       request.constraint = std::make_shared<TokenSetConstraint>(Tokens{10, 11, 12, 13, 14}, 100);
     }},
    {"log-probabilities",
     [](Request& request) {
       request.sampling.seed = 8;
       request.top_logprobs = 5;
     }},
};

}  // namespace

TEST_CASE("n tokens, then m, equal n + m, for every option") {
  LlamaExecutor executor(tiny_options());
  const Tokens context = some_tokens(50);
  for (const Case& option : kCases) {
    CAPTURE(option.name);
    Request whole;
    whole.context = context;
    whole.output_start = 50;
    whole.max_new_tokens = 16;
    whole.owner = 1;
    option.apply(whole);
    const auto unsplit = run(executor, whole);
    Request first = whole;
    first.owner = 2;
    first.max_new_tokens = 7;
    const auto head = run(executor, first);
    Request second = first;
    second.context = joined(context, head->tokens);
    second.max_new_tokens = 9;
    const auto tail = run(executor, second);
    CHECK(tail->completion.prefilled_tokens == 1);
    CHECK(joined(head->tokens, tail->tokens) == unsplit->tokens);
    CHECK(std::abs(tail->generated.back().logprob - unsplit->generated.back().logprob) < 1e-3F);
    CHECK(tail->generated.back().top_logprobs.size() == static_cast<std::size_t>(whole.top_logprobs));
  }
}

TEST_CASE("stop tokens end the answer and are part of it, also behind a split") {
  LlamaExecutor executor(tiny_options());
  const Tokens context = some_tokens(50);
  const Tokens free = run(executor, greedy(context, 12, 1))->tokens;
  Request stopped = greedy(context, 12, 1);
  stopped.stop_tokens = {free[6]};
  const auto answer = run(executor, stopped);
  const auto end = std::find(free.begin(), free.end(), free[6]) + 1;
  CHECK(answer->tokens == Tokens(free.begin(), end));
  CHECK(answer->completion.reason == FinishReason::stop);
}

TEST_CASE("a finished constraint ends the request, a finished one from the start generates nothing") {
  LlamaExecutor executor(tiny_options());
  Request request = greedy(some_tokens(20), 10, 1);
  request.constraint = std::make_shared<TokenSetConstraint>(Tokens{4, 5}, 3);
  const auto answer = run(executor, request);
  CHECK(answer->tokens.size() == 3);
  CHECK(answer->completion.reason == FinishReason::constraint);
  CHECK(std::all_of(answer->tokens.begin(), answer->tokens.end(), [](TokenId id) { return id == 4 || id == 5; }));
  Request done = request;
  done.context = joined(request.context, answer->tokens);
  done.output_start = 20;
  const auto nothing = run(executor, done);
  CHECK(nothing->tokens.empty());
  CHECK(nothing->completion.reason == FinishReason::constraint);
  done.context.back() = 9;  // not allowed there
  CHECK_THROWS_AS(executor.enqueue(done, std::make_shared<Recorder>()), InvalidArgument);
}

TEST_CASE("a request without a seed draws fresh numbers") {
  LlamaExecutor executor(tiny_options());
  Request request;
  request.context = some_tokens(50);
  request.max_new_tokens = 24;
  request.owner = 1;
  request.sampling.temperature = 2.0F;
  const auto one = run(executor, request);
  const auto two = run(executor, request);
  CHECK(one->tokens != two->tokens);
}
