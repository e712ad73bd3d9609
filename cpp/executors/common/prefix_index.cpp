#include "executors/common/prefix_index.h"

#include <bit>

#include "poise/error.h"

namespace poise {

std::size_t KvKeyHash::operator()(const KvKey& key) const noexcept {
  // splitmix64's finalizer (Vigna) over the salt, which tells tenants apart, and the rest of the key
  std::uint64_t mixed =
      key.tenant_salt ^ (static_cast<std::uint64_t>(static_cast<std::uint32_t>(key.adapter_id)) << 32U);
  mixed ^= key.text_salt * 0x9E3779B97F4A7C15U;
  // +0.0 and -0.0 are equal scales, so they hash alike
  mixed ^= std::bit_cast<std::uint32_t>(key.adapter_scale + 0.0F);
  mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
  return static_cast<std::size_t>(mixed ^ (mixed >> 31U));
}

void PrefixIndex::insert(HolderId holder, const KvKey& key, TokenSpan tokens) {
  const auto known = keys_.find(holder);
  if (known != keys_.end() && !(known->second == key)) {
    erase(holder);
  }
  keys_[holder] = key;
  trees_[key].insert(holder, tokens);
}

void PrefixIndex::erase(HolderId holder) {
  const auto known = keys_.find(holder);
  if (known == keys_.end()) {
    return;
  }
  const auto tree = trees_.find(known->second);
  tree->second.erase(holder);
  if (tree->second.empty()) {
    trees_.erase(tree);
  }
  keys_.erase(known);
}

std::optional<RadixTree::Match> PrefixIndex::longest(const KvKey& key, TokenSpan context,
                                                     const std::function<bool(HolderId)>& accept) const {
  const auto tree = trees_.find(key);
  return tree == trees_.end() ? std::nullopt : tree->second.longest(context, accept);
}

Position PrefixIndex::unshared_from(HolderId holder) const {
  const auto known = keys_.find(holder);
  return known == keys_.end() ? 0 : trees_.at(known->second).unshared_from(holder);
}

const KvKey* PrefixIndex::key_of(HolderId holder) const {
  const auto known = keys_.find(holder);
  return known == keys_.end() ? nullptr : &known->second;
}

Tokens PrefixIndex::tokens(HolderId holder) const {
  const auto known = keys_.find(holder);
  return known == keys_.end() ? Tokens{} : trees_.at(known->second).tokens(holder);
}

void PrefixIndex::check() const {
  std::size_t holders = 0;
  for (const auto& [key, tree] : trees_) {
    tree.check();
    holders += tree.holders().size();
  }
  if (holders != keys_.size()) {
    throw ExecutorError("prefix index: the trees and the key table disagree on the number of holders");
  }
}

}  // namespace poise
