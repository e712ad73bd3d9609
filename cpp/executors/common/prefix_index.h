// One radix tree a KvKey: two keys never meet in a search.
#pragma once

#include <unordered_map>

#include "executors/common/radix_tree.h"
#include "poise/executor.h"

namespace poise {

struct KvKeyHash {
  [[nodiscard]] std::size_t operator()(const KvKey& key) const noexcept;
};

/// Not thread-safe.
class PrefixIndex {
 public:
  /// From now on `holder` holds `tokens` under `key`, and nothing else.
  void insert(HolderId holder, const KvKey& key, TokenSpan tokens);
  void erase(HolderId holder);
  /// See RadixTree::longest.
  [[nodiscard]] std::optional<RadixTree::Match> longest(const KvKey& key, TokenSpan context,
                                                        const std::function<bool(HolderId)>& accept) const;
  /// See RadixTree::unshared_from; 0 for an unknown holder.
  [[nodiscard]] Position unshared_from(HolderId holder) const;

  [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }
  [[nodiscard]] const KvKey* key_of(HolderId holder) const;
  [[nodiscard]] Tokens tokens(HolderId holder) const;
  /// Throws ExecutorError naming the first mismatch.
  void check() const;

 private:
  std::unordered_map<KvKey, RadixTree, KvKeyHash> trees_;
  std::unordered_map<HolderId, KvKey> keys_;
};

}  // namespace poise
