// The radix tree against a plain map of sequences.
#include <doctest/doctest.h>

#include <map>
#include <random>

#include "executors/common/radix_tree.h"

using namespace poise;

namespace {

const auto kAnybody = [](HolderId) { return true; };

// Short sequences over three tokens, so that prefixes meet often.
Tokens random_tokens(std::mt19937& engine) {
  Tokens tokens(engine() % 9);
  for (TokenId& token : tokens) {
    token = static_cast<TokenId>(engine() % 3);
  }
  return tokens;
}

}  // namespace

TEST_CASE("the longest common prefix decides") {
  RadixTree tree;
  tree.insert(1, Tokens{5, 6, 7, 8});
  tree.insert(2, Tokens{5, 6, 9});
  const auto match = tree.longest(Tokens{5, 6, 7, 1}, kAnybody);
  REQUIRE(match.has_value());
  CHECK(match->holder == 1);
  CHECK(match->tokens == 3);
  CHECK_FALSE(tree.longest(Tokens{4}, kAnybody).has_value());
  const auto other = tree.longest(Tokens{5, 6, 7, 1}, [](HolderId holder) { return holder == 2; });
  REQUIRE(other.has_value());
  CHECK(other->tokens == 2);
}

TEST_CASE("what another holder also has is not lost with a holder") {
  RadixTree tree;
  tree.insert(1, Tokens{1, 2, 3, 4});
  CHECK(tree.unshared_from(1) == 0);
  tree.insert(2, Tokens{1, 2, 9});
  CHECK(tree.unshared_from(1) == 2);
  tree.insert(3, Tokens{1, 2, 3, 4, 5});
  CHECK(tree.unshared_from(1) == 4);
  tree.erase(2);
  tree.erase(3);
  CHECK(tree.unshared_from(1) == 0);
}

TEST_CASE("random inserts, replacements and erasures agree with a map") {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 engine(seed);
    RadixTree tree;
    std::map<HolderId, Tokens> model;
    for (int step = 0; step < 60; ++step) {
      const HolderId holder = engine() % 8;
      if (engine() % 3 == 0) {
        tree.erase(holder);
        model.erase(holder);
      } else {
        const Tokens tokens = random_tokens(engine);
        tree.insert(holder, tokens);
        model[holder] = tokens;
      }
      tree.check();
      CHECK(tree.holders().size() == model.size());

      const Tokens context = random_tokens(engine);
      const HolderId banned = engine() % 8;
      std::size_t expected = 0;
      for (const auto& [other, tokens] : model) {
        CHECK(tree.tokens(other) == tokens);
        if (other != banned) {
          expected = std::max(expected, common_prefix(tokens, context));
        }
        std::size_t shared = 0;
        for (const auto& [third, theirs] : model) {
          shared = third == other ? shared : std::max(shared, common_prefix(tokens, theirs));
        }
        CHECK(tree.unshared_from(other) == static_cast<Position>(shared));
      }
      const auto match = tree.longest(context, [banned](HolderId other) { return other != banned; });
      CHECK((match ? match->tokens : 0) == static_cast<Position>(expected));
      if (match) {
        CHECK(common_prefix(model.at(match->holder), context) == expected);
      }
    }
  }
}
