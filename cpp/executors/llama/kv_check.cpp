// KvStore::check_integrity: the books against the indexes and llama.cpp's memory.
#include "common/format.h"
#include "executors/llama/kv_store.h"
#include "poise/error.h"

namespace poise::llama {

void KvStore::check_integrity() const {
  index_.check();
  parked_index_.check();
  std::size_t holders = 0;
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    const Sequence& sequence = sequences_[i];
    const auto seq = static_cast<SeqId>(i);
    const auto name = [&] { return text("sequence ", i, " (owner ", sequence.owner, ")"); };
    const auto expected = static_cast<Position>(sequence.tokens.size());
    const Position actual = context(seq).length(local(seq));
    if (actual != expected) {
      throw ExecutorError(
          text(name(), " has ", expected, " tokens in the books and ", actual, " positions in llama.cpp's memory"));
    }
    if (expected > context(seq).capacity()) {
      throw ExecutorError(text(name(), " has ", expected, " tokens, its class holds ", context(seq).capacity()));
    }
    const KvKey* key = index_.key_of(static_cast<HolderId>(i));
    if ((key != nullptr) != (expected > 0 || sequence.user != 0)) {
      throw ExecutorError(
          text(name(), " has ", expected, " tokens, but is ", key == nullptr ? "not " : "", "in the index"));
    }
    if (key != nullptr) {
      ++holders;
      const Tokens indexed = index_.tokens(static_cast<HolderId>(i));
      const bool whole = indexed.size() == sequence.tokens.size() || sequence.user != 0;
      if (!(*key == sequence.key) || !whole || common_prefix(indexed, sequence.tokens) != indexed.size()) {
        throw ExecutorError(text(name(), " is in the index under another key or with other tokens"));
      }
    }
    if (sequence.owner != kNoOwner && find(sequence.owner) != seq) {
      throw ExecutorError(text("owner ", sequence.owner, " has two sequences"));
    }
  }
  if (holders != index_.size()) {
    throw ExecutorError(text("the index has ", index_.size(), " holders, ", holders, " are known"));
  }
  std::uint64_t bytes = 0;
  std::int64_t tokens = 0;
  for (const auto& [holder, parked] : parking_.all()) {
    bytes += parked.state.allocated_bytes();
    tokens += static_cast<std::int64_t>(parked.tokens.size());
    const KvKey* key = parked_index_.key_of(holder);
    if (key == nullptr || !(*key == parked.key) || parked_index_.tokens(holder) != parked.tokens) {
      throw ExecutorError(text("the parked sequence of owner ", parked.owner,
                               " is not in the index, or under another key or with other tokens"));
    }
    const auto seq = find(parked.owner);  // saved ahead of an eviction
    if (seq && common_prefix(at(*seq).tokens, parked.tokens) != parked.tokens.size()) {
      throw ExecutorError(text("owner ", parked.owner, " has a sequence and a parked one with other tokens"));
    }
  }
  if (bytes != parking_.bytes() || bytes > options_.park_bytes || tokens != parking_.tokens()) {
    throw ExecutorError(text("parked sequences hold ", bytes, " bytes and ", tokens, " tokens, the books say ",
                             parking_.bytes(), " and ", parking_.tokens(), ", the cap is ", options_.park_bytes));
  }
  if (parking_.all().size() != parked_index_.size()) {
    throw ExecutorError(
        text("the index has ", parked_index_.size(), " parked sequences, ", parking_.all().size(), " are known"));
  }
}

}  // namespace poise::llama
