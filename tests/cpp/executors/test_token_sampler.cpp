// A split request chooses what the unsplit one would, given equal rows; and what ends a request.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "executors/common/token_sampler.h"
#include "poise/error.h"

using namespace poise;

namespace {

constexpr std::int32_t kVocab = 50;

// The row behind a context is a function of its length alone: enough for a sampler.
std::vector<float> row_at(Position position) {
  std::mt19937 engine(static_cast<std::uint32_t>(position));
  std::normal_distribution<float> normal(0.0F, 2.0F);
  std::vector<float> row(kVocab);
  for (float& logit : row) {
    logit = normal(engine);
  }
  return row;
}

Tokens generate(Request request, std::size_t count) {
  TokenSampler sampler(request, 1, kVocab);
  Tokens made;
  while (made.size() < count && !sampler.finished()) {
    const auto position = static_cast<Position>(request.context.size() + made.size());
    made.push_back(sampler.choose(row_at(position), position).token);
    if (sampler.accept(made.back())) {
      break;
    }
  }
  return made;
}

Request full_request() {
  Request request;
  request.context = {1, 2, 3, 4, 1, 2};
  request.output_start = 6;
  request.sampling.temperature = 0.9F;
  request.sampling.top_k = 30;
  request.sampling.repetition_penalty = 1.3F;
  request.sampling.presence_penalty = 0.4F;
  request.sampling.frequency_penalty = 0.2F;
  request.sampling.bias = {{.token = 5, .bias = 2.0F}};
  request.sampling.seed = 11;
  return request;
}

}  // namespace

TEST_CASE("n + m tokens in two requests equal n + m in one, for every split") {
  Request request = full_request();
  Tokens all(kVocab);
  for (TokenId token = 0; token < kVocab; ++token) {
    all[static_cast<std::size_t>(token)] = token;
  }
  request.constraint = std::make_shared<TokenSetConstraint>(all, 12);
  const Tokens whole = generate(request, 20);
  REQUIRE(whole.size() == 12);  // the constraint is finished then
  for (std::size_t split = 1; split < whole.size(); ++split) {
    CAPTURE(split);
    Tokens first = generate(request, split);
    Request rest = request;
    rest.context.insert(rest.context.end(), first.begin(), first.end());
    const Tokens second = generate(rest, 20);
    first.insert(first.end(), second.begin(), second.end());
    CHECK(first == whole);
  }
}

TEST_CASE("a seed decides the draws; without one the fresh seed does") {
  Request request = full_request();
  CHECK(generate(request, 12) == generate(request, 12));
  request.sampling.seed = 12;
  CHECK(generate(request, 12) != generate(full_request(), 12));
  request.sampling.seed.reset();
  TokenSampler one(request, 100, kVocab);
  TokenSampler two(request, 101, kVocab);
  int differences = 0;
  for (Position position = 6; position < 60; ++position) {
    differences += one.choose(row_at(position), position).token != two.choose(row_at(position), position).token ? 1 : 0;
  }
  CHECK(differences > 0);
}

TEST_CASE("a stop token ends with itself, a constraint when it is finished") {
  Request request;
  request.context = {1};
  request.sampling.temperature = 0.0F;
  TokenSampler free(request, 0, kVocab);
  const TokenId best = free.choose(row_at(1), 1).token;
  request.stop_tokens = {best};
  TokenSampler stops(request, 0, kVocab);
  CHECK(stops.accept(best) == FinishReason::stop);
  request.stop_tokens.clear();
  request.constraint = std::make_shared<TokenSetConstraint>(Tokens{7}, 1);
  TokenSampler bound(request, 0, kVocab);
  CHECK(bound.choose(row_at(1), 1).token == 7);
  CHECK(bound.accept(7) == FinishReason::constraint);
}

TEST_CASE("a context that the constraint does not accept is refused") {
  Request request;
  request.context = {1, 2};
  request.output_start = 1;
  request.constraint = std::make_shared<TokenSetConstraint>(Tokens{7}, 3);
  CHECK_THROWS_AS(TokenSampler(request, 0, kVocab), InvalidArgument);
}

TEST_CASE("a row that is not a number is an error, never a token") {
  Request request;
  request.context = {1};
  TokenSampler sampler(request, 0, kVocab);
  std::vector<float> row = row_at(1);
  row[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(static_cast<void>(sampler.choose(row, 1)), ScanError);
}

namespace {

// Forces 4, 5, 6, 7 in pieces of two; counts how often it is asked.
class Pieces final : public Constraint {
 public:
  void fill_mask(std::span<std::uint32_t> mask) const override { std::fill(mask.begin(), mask.end(), ~0U); }
  [[nodiscard]] Tokens forced() const override {
    ++asked;
    Tokens piece;
    for (std::size_t at = accepted; at < std::min<std::size_t>(accepted + 2, 4); ++at) {
      piece.push_back(static_cast<TokenId>(4 + at));
    }
    return piece;
  }
  void accept(TokenId /*token*/) override { ++accepted; }
  void rollback(std::size_t count) override { accepted -= count; }
  [[nodiscard]] bool finished() const override { return false; }
  [[nodiscard]] std::unique_ptr<Constraint> clone() const override { return std::make_unique<Pieces>(*this); }

  std::size_t accepted = 0;
  static inline int asked = 0;
};

}  // namespace

TEST_CASE("a forced run is asked for piece by piece, and a free position once") {
  Request request;
  request.context = {1};
  request.constraint = std::make_shared<Pieces>();
  TokenSampler sampler(request, 1, kVocab);
  Pieces::asked = 0;
  Tokens made;
  while (const auto token = sampler.forced(static_cast<Position>(1 + made.size()))) {
    CHECK(token->forced);
    CHECK(token->logprob == 0.0F);
    CHECK(token->position == static_cast<Position>(1 + made.size()));
    made.push_back(token->token);
    CHECK(!sampler.accept(token->token));
  }
  CHECK(made == Tokens{4, 5, 6, 7});
  CHECK(Pieces::asked == 3);
  CHECK(!sampler.forced(5));
  CHECK(Pieces::asked == 3);
  // another id than the forced one ends the run
  TokenSampler stray(request, 1, kVocab);
  CHECK(stray.forced(1)->token == 4);
  CHECK(!stray.accept(30));
  CHECK(stray.forced(2)->token == 5);
}

TEST_CASE("what was generated before a split counts as accepted") {
  Request request;
  request.context = {1, 4, 5, 6};
  request.output_start = 1;
  request.constraint = std::make_shared<Pieces>();
  TokenSampler sampler(request, 1, kVocab);
  CHECK(sampler.forced(4)->token == 7);
}
