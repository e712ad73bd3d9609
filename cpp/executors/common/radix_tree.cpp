#include "executors/common/radix_tree.h"

#include <algorithm>

#include "common/format.h"
#include "poise/error.h"

namespace poise {

// An edge is stored with the node it leads to. No two children start with the same token; every node but the root has
// an edge, and either ends a holder or has at least two children.
struct RadixTree::Node {
  Node* parent = nullptr;
  Tokens edge;
  std::vector<std::unique_ptr<Node>> children;
  std::vector<HolderId> ends;
  std::size_t holders = 0;  // that end here or below
};

RadixTree::RadixTree() : root_(std::make_unique<Node>()) {}
RadixTree::~RadixTree() = default;
RadixTree::RadixTree(RadixTree&&) noexcept = default;
RadixTree& RadixTree::operator=(RadixTree&&) noexcept = default;

RadixTree::Node* RadixTree::child(const Node& node, TokenId first) const {
  const auto found = std::find_if(node.children.begin(), node.children.end(),
                                  [first](const auto& next) { return next->edge.front() == first; });
  return found == node.children.end() ? nullptr : found->get();
}

// Cuts `node`'s edge before its token `at`; returns the new upper node.
RadixTree::Node* RadixTree::split(Node* node, std::size_t at) {
  Node* parent = node->parent;
  const auto slot = std::find_if(parent->children.begin(), parent->children.end(),
                                 [node](const auto& next) { return next.get() == node; });
  auto upper = std::make_unique<Node>();
  upper->parent = parent;
  upper->holders = node->holders;
  const auto cut = node->edge.begin() + static_cast<std::ptrdiff_t>(at);
  upper->edge.assign(node->edge.begin(), cut);
  node->edge.erase(node->edge.begin(), cut);
  node->parent = upper.get();
  upper->children.push_back(std::move(*slot));
  *slot = std::move(upper);
  return slot->get();
}

void RadixTree::insert(HolderId holder, TokenSpan tokens) {
  erase(holder);
  Node* node = root_.get();
  std::size_t done = 0;
  ++node->holders;
  while (done < tokens.size()) {
    Node* next = child(*node, tokens[done]);
    if (next == nullptr) {
      auto leaf = std::make_unique<Node>();
      leaf->parent = node;
      leaf->edge.assign(tokens.begin() + static_cast<std::ptrdiff_t>(done), tokens.end());
      next = leaf.get();
      node->children.push_back(std::move(leaf));
      done = tokens.size();
    } else {
      const std::size_t same = common_prefix(next->edge, tokens.subspan(done));
      if (same < next->edge.size()) {
        next = split(next, same);
      }
      done += same;
    }
    node = next;
    ++node->holders;
  }
  node->ends.push_back(holder);
  ends_[holder] = node;
}

// Restores the invariant for a node that may have become superfluous.
void RadixTree::shrink(Node* node) {
  while (node->parent != nullptr && node->ends.empty() && node->children.size() < 2) {
    Node* parent = node->parent;
    const auto slot = std::find_if(parent->children.begin(), parent->children.end(),
                                   [node](const auto& next) { return next.get() == node; });
    if (node->children.empty()) {
      parent->children.erase(slot);
      node = parent;
      continue;
    }
    std::unique_ptr<Node> only = std::move(node->children.front());
    only->edge.insert(only->edge.begin(), node->edge.begin(), node->edge.end());
    only->parent = parent;
    *slot = std::move(only);
    return;
  }
}

void RadixTree::erase(HolderId holder) {
  const auto found = ends_.find(holder);
  if (found == ends_.end()) {
    return;
  }
  Node* node = found->second;
  ends_.erase(found);
  std::erase(node->ends, holder);
  for (Node* above = node; above != nullptr; above = above->parent) {
    --above->holders;
  }
  shrink(node);
}

namespace {

// Depth first over a subtree, leaving out one branch; stops at the first accepted holder.
template <typename Node>
std::optional<HolderId> first_accepted(const Node& node, const Node* without,
                                       const std::function<bool(HolderId)>& accept) {
  std::vector<const Node*> open{&node};
  while (!open.empty()) {
    const Node* at = open.back();
    open.pop_back();
    for (const HolderId holder : at->ends) {
      if (accept(holder)) {
        return holder;
      }
    }
    for (const auto& next : at->children) {
      if (next.get() != without) {
        open.push_back(next.get());
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<RadixTree::Match> RadixTree::longest(TokenSpan context,
                                                   const std::function<bool(HolderId)>& accept) const {
  struct Stage {
    const Node* node;  // everything below it shares at least `tokens` tokens with the context
    std::size_t tokens;
  };
  std::vector<Stage> path;
  const Node* node = root_.get();
  std::size_t done = 0;
  while (done < context.size()) {
    const Node* next = child(*node, context[done]);
    if (next == nullptr) {
      break;
    }
    const std::size_t same = common_prefix(next->edge, context.subspan(done));
    done += same;
    path.push_back({next, done});
    if (same < next->edge.size()) {
      break;
    }
    node = next;
  }
  const Node* seen = nullptr;
  for (auto stage = path.rbegin(); stage != path.rend(); ++stage) {
    if (const auto holder = first_accepted(*stage->node, seen, accept)) {
      return Match{*holder, static_cast<Position>(stage->tokens)};
    }
    seen = stage->node;
  }
  return std::nullopt;
}

Position RadixTree::unshared_from(HolderId holder) const {
  const Node* node = ends_.at(holder);
  std::size_t length = 0;
  std::size_t unshared = 0;
  for (; node->parent != nullptr; node = node->parent) {
    length += node->edge.size();
    unshared += node->holders == 1 ? node->edge.size() : 0;
  }
  return static_cast<Position>(length - unshared);
}

std::vector<HolderId> RadixTree::holders() const {
  std::vector<HolderId> all;
  all.reserve(ends_.size());
  for (const auto& [holder, node] : ends_) {
    all.push_back(holder);
  }
  return all;
}

Tokens RadixTree::tokens(HolderId holder) const {
  std::vector<const Node*> path;
  for (const Node* node = ends_.at(holder); node->parent != nullptr; node = node->parent) {
    path.push_back(node);
  }
  Tokens all;
  for (auto node = path.rbegin(); node != path.rend(); ++node) {
    all.insert(all.end(), (*node)->edge.begin(), (*node)->edge.end());
  }
  return all;
}

void RadixTree::check() const {
  std::vector<const Node*> open{root_.get()};
  std::size_t ends = 0;
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    std::size_t below = node->ends.size();
    for (const auto& next : node->children) {
      if (next->parent != node || next->edge.empty()) {
        throw ExecutorError("radix tree: a child without edge or with a wrong parent");
      }
      if (child(*node, next->edge.front()) != next.get()) {
        throw ExecutorError(text("radix tree: two children start with token ", next->edge.front()));
      }
      below += next->holders;
      open.push_back(next.get());
    }
    if (below != node->holders) {
      throw ExecutorError(text("radix tree: a node counts ", node->holders, " holders, below it are ", below));
    }
    if (node->parent != nullptr && node->ends.empty() && node->children.size() < 2) {
      throw ExecutorError("radix tree: a node that neither ends a holder nor branches");
    }
    for (const HolderId holder : node->ends) {
      const auto found = ends_.find(holder);
      if (found == ends_.end() || found->second != node) {
        throw ExecutorError(text("radix tree: holder ", holder, " ends at a node that its entry does not name"));
      }
      ++ends;
    }
  }
  if (ends != ends_.size()) {
    throw ExecutorError(text("radix tree: ", ends_.size(), " holders are known, ", ends, " were found"));
  }
}

}  // namespace poise
