// Which sequences start with which tokens: a radix tree over token ids.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "poise/types.h"

namespace poise {

/// Somebody who holds a token sequence: a resident or a parked one. Minted by the user of the tree.
using HolderId = std::uint32_t;

/// Not thread-safe. A holder holds one token sequence; several holders may hold equal ones.
class RadixTree {
 public:
  RadixTree();
  ~RadixTree();
  RadixTree(RadixTree&&) noexcept;
  RadixTree& operator=(RadixTree&&) noexcept;

  /// From now on `holder` holds `tokens` (and no longer what it held before). O(tokens).
  void insert(HolderId holder, TokenSpan tokens);
  /// Forgets a holder; unknown ones are ignored.
  void erase(HolderId holder);

  struct Match {
    HolderId holder = 0;
    Position tokens = 0;  ///< length of the common prefix with the context
  };
  /// The accepted holder with the longest common prefix (at least 1 token); among equals any. O(context + holders).
  [[nodiscard]] std::optional<Match> longest(TokenSpan context, const std::function<bool(HolderId)>& accept) const;

  /// The first position of `holder`'s tokens that no other holder shares: what losing it would lose.
  [[nodiscard]] Position unshared_from(HolderId holder) const;

  [[nodiscard]] bool empty() const noexcept { return ends_.empty(); }
  [[nodiscard]] std::vector<HolderId> holders() const;
  /// The tokens of a known holder, read back from the tree.
  [[nodiscard]] Tokens tokens(HolderId holder) const;
  /// Checks the tree's own invariants. Throws ExecutorError naming the first mismatch.
  void check() const;

 private:
  struct Node;
  Node* child(const Node& node, TokenId first) const;
  Node* split(Node* node, std::size_t at);
  void shrink(Node* node);

  std::unique_ptr<Node> root_;
  std::unordered_map<HolderId, Node*> ends_;  // where each holder's tokens end
};

}  // namespace poise
